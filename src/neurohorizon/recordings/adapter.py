"""The population adapter: a closed-form forecast of each unit from the population.

It is solved on a reference stretch, without gradients, and so carries to units and
sessions that no model has seen what statistics of single trains cannot: which unit moves
with what the population does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from neurohorizon.recordings.schema import FloatArray

NUM_COMPONENTS = 12
RIDGE = 1000.0
FORECAST_LIMITS = (-1.5, 8.0)

_LOWEST_RATE_HZ = 0.1


@dataclass(frozen=True)
class PopulationAdapter:
    """Linear maps from population components to every unit's future rate.

    Parameters
    ----------
    rate_hz : (N,) float
        Reference rates that traces are centred on.
    trace_scale : (P,) float
        Factor of each trace that, with the root of the rate, gives unit Poisson variance.
    components : (N * P, C) float
        Directions in (unit, trace) space.
    weights : (C, N, G) float
        From component scores to the relative change of rate by horizon group.
    """

    rate_hz: FloatArray
    trace_scale: FloatArray
    components: FloatArray
    weights: FloatArray

    def scores(self, traces_hz: FloatArray) -> FloatArray:
        """Project traces onto the components.

        Parameters
        ----------
        traces_hz : (T, N, K) array
            Exponential traces; the first P time constants are used.

        Returns
        -------
        (T, C) array
            About unit variance on the reference.
        """
        return _scaled_traces(traces_hz, self.rate_hz, self.trace_scale) @ self.components

    def forecast(self, traces_hz: FloatArray) -> FloatArray:
        """Forecast each unit's rate relative to its reference rate, minus one.

        Parameters
        ----------
        traces_hz : (T, N, K) array

        Returns
        -------
        (T, N, G) array
            0 where the population says nothing; clipped to a few times the reference rate.
        """
        num_components, num_units, num_groups = self.weights.shape
        flat = self.scores(traces_hz) @ self.weights.reshape(num_components, -1)
        return np.clip(flat.reshape(len(flat), num_units, num_groups), *FORECAST_LIMITS)


def fit_population_adapter(
    traces_hz: FloatArray,
    relative_rate: FloatArray,
    *,
    rate_hz: FloatArray,
    time_constants_s: FloatArray,
    group_width_s: FloatArray,
    num_components: int = NUM_COMPONENTS,
    ridge: float = RIDGE,
) -> PopulationAdapter:
    r"""Solve the adapter on a reference stretch: reduced-rank ridge regression.

    Parameters
    ----------
    traces_hz : (T, N, K) array
        Traces at origins inside the reference.
    relative_rate : (T, N, G) array
        Rate after each origin by horizon group over the reference rate, minus one.
    rate_hz : (N,) array
        Reference rates.
    time_constants_s : (P,) array
        Time constants of the leading traces to use.
    group_width_s : (G,) array
        Width of each horizon group, in seconds.
    num_components : int
        Rank.
    ridge : float
        Penalty, in units of the variance of Poisson noise: as if so many origins had been
        seen at which nothing moved.

    Notes
    -----
    Inputs X are traces centred and divided by :math:`\sqrt{\bar r / 2\tau}`, their
    standard deviation under Poisson firing. Targets Y are relative rates times
    :math:`\sqrt{\bar r w}`, which gives every unit and group the same noise. With
    :math:`G = X^\top X + \rho I = L L^\top` and the ridge solution
    :math:`W = G^{-1} X^\top Y`, the best solution of rank C keeps the leading right
    singular vectors V of :math:`L^\top W`: :math:`W V V^\top`.

    The low rank is what lets a minute or two of data suffice: all units and all horizons
    share the few directions in which the population's past tells its future.

    References
    ----------
    Izenman 1975, J. Multivariate Analysis 5:248 (reduced-rank regression); Mukherjee &
    Zhu 2011, Stat. Anal. Data Min. 4:612 (with a ridge penalty).
    """
    trace_scale = np.sqrt(2.0 * np.asarray(time_constants_s))
    target_scale = np.sqrt(np.maximum(rate_hz, _LOWEST_RATE_HZ)[:, None] * group_width_s)
    inputs = _scaled_traces(traces_hz, rate_hz, trace_scale)
    targets = (relative_rate * target_scale).reshape(len(inputs), -1)

    gram = inputs.T @ inputs + ridge * np.eye(inputs.shape[1])
    lower = np.linalg.cholesky(gram)
    # L^T W = L^-1 X^T Y: one triangular solve. Its left singular vectors U come from a
    # small symmetric problem, and W V V^T = L^-T U (U^T L^-1 X^T Y).
    half = linalg.solve_triangular(lower, inputs.T @ targets, lower=True)
    num_components = min(num_components, *half.shape)
    first = len(half) - num_components
    left = linalg.eigh(half @ half.T, subset_by_index=(first, len(half) - 1))[1][:, ::-1]
    components = linalg.solve_triangular(lower.T, left, lower=False)
    weights = left.T @ half

    spread = np.sqrt(np.mean((inputs @ components) ** 2, axis=0)) + 1e-12
    num_groups = relative_rate.shape[2]
    weights = (weights * spread[:, None]).reshape(num_components, -1, num_groups)
    return PopulationAdapter(
        rate_hz=rate_hz,
        trace_scale=trace_scale,
        components=components / spread,
        weights=weights / target_scale,
    )


def _scaled_traces(
    traces_hz: FloatArray, rate_hz: FloatArray, trace_scale: FloatArray
) -> FloatArray:
    """Centre the leading traces and give them unit Poisson variance, (T, N * P)."""
    centred = traces_hz[:, :, : len(trace_scale)] - rate_hz[:, None]
    return (centred / np.sqrt(rate_hz)[:, None] * trace_scale).reshape(len(traces_hz), -1)
