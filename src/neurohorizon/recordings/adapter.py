"""The population adapter: a closed-form forecast of each unit from the population.

It is solved on a reference stretch, without gradients, and so carries to units and
sessions that no model has seen what statistics of single trains cannot: which unit moves
with what the population does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from neurohorizon.recordings.schema import FloatArray, IntArray

FORECAST_LIMITS = (-1.5, 8.0)

_LOWEST_RATE_HZ = 0.1
_INDEPENDENT_AFTER_S = 0.3
_ORIGINS_AT_ONCE = 1000


@dataclass(frozen=True)
class AdapterSpec:
    """What one map of the adapter reads, and how strongly it is penalised.

    Parameters
    ----------
    traces : tuple of int
        Which time constants it reads.
    ridge_s : float
        Penalty: as if so many seconds of Poisson noise had been seen in which no unit's
        future moved with anything.
    num_components : int
        Rank.
    """

    traces: tuple[int, ...]
    ridge_s: float = 100.0
    num_components: int = 12


FAST = AdapterSpec(traces=(0, 1, 2))
SLOW = AdapterSpec(traces=(1, 2, 3, 4))
NUM_MAPS = 2


@dataclass(frozen=True)
class PopulationMap:
    """A low-rank linear map from the population's traces to every unit's future rate.

    Parameters
    ----------
    traces : (P,) int
        Time constants that are read.
    rate_hz : (N,) float
        Reference rates that traces are centred on.
    trace_scale : (P,) float
        Factor of each trace that, with the root of the rate, gives unit Poisson variance;
        smaller for slow traces, which are penalised more.
    components : (N * P, C) float
        Directions in (unit, trace) space.
    weights : (C, N, G) float
        From component scores to the relative change of rate by horizon group.
    """

    traces: IntArray
    rate_hz: FloatArray
    trace_scale: FloatArray
    components: FloatArray
    weights: FloatArray

    def scores(self, traces_hz: FloatArray) -> FloatArray:
        """Project traces (T, N, K) onto the components: (T, C), about unit variance."""
        inputs = _scaled_traces(traces_hz[:, :, self.traces], self.rate_hz, self.trace_scale)
        return inputs @ self.components

    def forecast(self, traces_hz: FloatArray) -> FloatArray:
        """Forecast rates relative to the reference, minus one: (T, N, G)."""
        num_components, num_units, num_groups = self.weights.shape
        flat = self.scores(traces_hz) @ self.weights.reshape(num_components, -1)
        return np.clip(flat.reshape(len(flat), num_units, num_groups), *FORECAST_LIMITS)


@dataclass(frozen=True)
class PopulationAdapter:
    """The maps of one reference: fast traces foretell the next bins, slow ones the second.

    Parameters
    ----------
    maps : tuple of PopulationMap
        One for each of :data:`FAST` and :data:`SLOW`.
    """

    maps: tuple[PopulationMap, ...]

    def scores(self, traces_hz: FloatArray) -> FloatArray:
        """Project traces (T, N, K) onto the components of the fast map: (T, C)."""
        return self.maps[0].scores(traces_hz)

    def forecast(self, traces_hz: FloatArray) -> FloatArray:
        """Forecast each unit's rate relative to its reference rate, minus one.

        Parameters
        ----------
        traces_hz : (T, N, K) array
            Exponential traces.

        Returns
        -------
        (T, N, G, M) array
            One forecast a map. 0 where the population says nothing; clipped to a few times
            the reference rate.
        """
        return np.stack([each.forecast(traces_hz) for each in self.maps], axis=-1)


def fit_population_adapter(
    traces_hz: FloatArray,
    relative_rate: Callable[[slice], FloatArray],
    *,
    step_s: float,
    rate_hz: FloatArray,
    time_constants_s: FloatArray,
    group_width_s: FloatArray,
) -> PopulationAdapter:
    """Solve both maps of the adapter on a reference stretch.

    Parameters
    ----------
    traces_hz : (T, N, K) array
        Traces at origins inside the reference.
    relative_rate : callable
        Given a slice of the origins, returns (t, N, G): the rate after each origin by horizon
        group over the reference rate, minus one. Asked for a part at a time, since all of
        it may not fit into memory.
    step_s : float
        Seconds between origins. Close ones overlap, and still each adds information.
    rate_hz : (N,) array
        Reference rates.
    time_constants_s : (K,) array
        Of the traces, in seconds.
    group_width_s : (G,) array
        Width of each horizon group, in seconds.
    """
    target_scale = np.sqrt(np.maximum(rate_hz, _LOWEST_RATE_HZ)[:, None] * group_width_s)
    scales = [_trace_scale(spec, time_constants_s) for spec in (FAST, SLOW)]
    sizes = [len(rate_hz) * len(spec.traces) for spec in (FAST, SLOW)]
    grams = [np.zeros((size, size)) for size in sizes]
    crosses = [np.zeros((size, target_scale.size)) for size in sizes]
    for first in range(0, len(traces_hz), _ORIGINS_AT_ONCE):
        rows = slice(first, first + _ORIGINS_AT_ONCE)
        # Products of a thousand rows in single precision, their sums in double.
        targets = (relative_rate(rows) * target_scale).reshape(-1, target_scale.size)
        targets = targets.astype(np.float32)
        for spec, scale, gram, cross in zip((FAST, SLOW), scales, grams, crosses, strict=True):
            inputs = _scaled_traces(traces_hz[rows][:, :, spec.traces], rate_hz, scale)
            inputs = inputs.astype(np.float32)
            gram += inputs.T @ inputs
            cross += inputs.T @ targets
    return PopulationAdapter(
        tuple(
            _solve_map(
                spec,
                gram,
                cross,
                num_origins=len(traces_hz),
                ridge=spec.ridge_s / step_s,
                rate_hz=rate_hz,
                trace_scale=scale,
                target_scale=target_scale,
            )
            for spec, gram, cross, scale in zip((FAST, SLOW), grams, crosses, scales, strict=True)
        )
    )


def _solve_map(
    spec: AdapterSpec,
    gram: FloatArray,
    cross: FloatArray,
    *,
    num_origins: int,
    ridge: float,
    rate_hz: FloatArray,
    trace_scale: FloatArray,
    target_scale: FloatArray,
) -> PopulationMap:
    r"""Solve one map from second moments: reduced-rank ridge regression.

    Notes
    -----
    Inputs X are traces centred and divided by :math:`\sqrt{\bar r / 2\tau}`, their
    standard deviation under Poisson firing; a trace slower than 0.3 s is scaled down by the
    root of how much slower, since a stretch holds fewer independent values of it. Targets Y
    are relative rates times :math:`\sqrt{\bar r w}`, which gives every unit and group
    the same noise. With :math:`G = X^\top X + \rho I = L L^\top` and the ridge solution
    :math:`W = G^{-1} X^\top Y`, the best solution of rank C keeps the leading right
    singular vectors V of :math:`L^\top W`: :math:`W V V^\top`.

    The low rank is what lets a minute or two of data suffice: all units and all horizons
    share the few directions in which the population's past tells its future.

    References
    ----------
    Izenman 1975, J. Multivariate Analysis 5:248 (reduced-rank regression); Mukherjee &
    Zhu 2011, Stat. Anal. Data Min. 4:612 (with a ridge penalty).
    """
    penalised = gram + ridge * np.eye(len(gram))
    lower = np.linalg.cholesky(penalised)
    # L^T W = L^-1 X^T Y: one triangular solve. Its left singular vectors U come from a
    # small symmetric problem, and W V V^T = L^-T U (U^T L^-1 X^T Y).
    half = linalg.solve_triangular(lower, cross, lower=True)
    num_components = min(spec.num_components, *half.shape)
    first = len(half) - num_components
    left = linalg.eigh(half @ half.T, subset_by_index=(first, len(half) - 1))[1][:, ::-1]
    components = linalg.solve_triangular(lower.T, left, lower=False)
    weights = left.T @ half

    power = np.einsum("ic,ij,jc->c", components, gram, components, optimize=True)
    spread = np.sqrt(np.maximum(power, 0.0) / num_origins) + 1e-12
    weights = (weights * spread[:, None]).reshape(num_components, *target_scale.shape)
    return PopulationMap(
        traces=np.array(spec.traces),
        rate_hz=rate_hz,
        trace_scale=trace_scale,
        components=components / spread,
        weights=weights / target_scale,
    )


def _trace_scale(spec: AdapterSpec, time_constants_s: FloatArray) -> FloatArray:
    """Return the factor of each trace, (P,): unit Poisson variance, less for slow ones."""
    time_constants = np.asarray(time_constants_s)[list(spec.traces)]
    slowness = np.maximum(time_constants / _INDEPENDENT_AFTER_S, 1.0)
    return np.sqrt(2.0 * time_constants / slowness)


def _scaled_traces(
    traces_hz: FloatArray, rate_hz: FloatArray, trace_scale: FloatArray
) -> FloatArray:
    """Centre traces (T, N, P) and give them unit Poisson variance, (T, N * P)."""
    centred = traces_hz - rate_hz[:, None]
    return (centred / np.sqrt(rate_hz)[:, None] * trace_scale).reshape(len(traces_hz), -1)
