"""The population adapter: forecasts of each unit from the population, without a gradient.

It is solved on a reference stretch and so carries to units and sessions that no model has
seen what statistics of single trains cannot: which unit moves with what the population
does. Three solutions stand side by side, since none is the best for all data: a linear
dynamical system (:mod:`~neurohorizon.recordings.dynamics`), and two reduced-rank
regressions, from fast and from slow traces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurohorizon.ops.regression import reduced_rank_ridge
from neurohorizon.ops.traces import trace_log_ratios
from neurohorizon.recordings.dynamics import LinearDynamics, carry
from neurohorizon.recordings.schema import FloatArray, IntArray

FORECAST_LIMITS = (-1.5, 8.0)

_LOWEST_RATE_HZ = 0.1
_INDEPENDENT_AFTER_S = 0.3
_ORIGINS_AT_ONCE = 1000
_LEAST_EXPLAINED = 0.2


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
NUM_FORECASTS = 3
PRIVATE_TRACES = (3, 4, 5)


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
    """The solutions of one reference.

    Parameters
    ----------
    dynamics : LinearDynamics
    maps : tuple of PopulationMap
        One for each of :data:`FAST` and :data:`SLOW`: fast traces foretell the next bins, slow
        ones the second.
    group_edges : (G + 1,) int
        Edges of the horizon groups, in bins.
    private_time_constants_s : (P,) float
        Of the traces :data:`PRIVATE_TRACES`, in seconds.
    """

    dynamics: LinearDynamics
    maps: tuple[PopulationMap, ...]
    group_edges: IntArray
    private_time_constants_s: FloatArray

    @cached_property
    def _horizon_maps(self) -> FloatArray:
        """From the dynamics' latents to forecasts, (R, N, G): a stream asks for them often."""
        return self.dynamics.horizon_maps(self.group_edges)

    def scores(self, traces_hz: FloatArray) -> FloatArray:
        """Project traces (T, N, K) onto the components of the fast map: (T, C)."""
        return self.maps[0].scores(traces_hz)

    def forecast(self, traces_hz: FloatArray, states: FloatArray) -> FloatArray:
        """Forecast each unit's rate relative to its reference rate, minus one.

        Parameters
        ----------
        traces_hz : (T, N, K) array
            Exponential traces.
        states : (T, R) array
            Latents of `dynamics` (:class:`~neurohorizon.recordings.dynamics.StateHistory`).

        Returns
        -------
        (T, N, G, M) array
            By the dynamics, by fast traces, by slow ones. 0 where the population says
            nothing; clipped to a few times the reference rate.
        """
        carried = np.clip(carry(states, self._horizon_maps), *FORECAST_LIMITS)
        return np.stack([carried, *(each.forecast(traces_hz) for each in self.maps)], axis=-1)

    def private_traces(self, traces_hz: FloatArray, states: FloatArray) -> FloatArray:
        """Compare slow traces with what the dynamics explain of them.

        Parameters
        ----------
        traces_hz : (T, N, K) array
            Traces of all time constants.
        states : (T, R) array

        Returns
        -------
        (T, N, P) array
            Log-ratios, one a slow time constant: a unit's gain, freed from what the whole
            population did meanwhile.
        """
        slow_hz = traces_hz[:, :, PRIVATE_TRACES]
        explained = self.dynamics.explained_traces(
            states, slow_hz, time_constants_s=self.private_time_constants_s
        )
        least = _LEAST_EXPLAINED * self.dynamics.rate_hz[:, None]
        return trace_log_ratios(
            slow_hz,
            np.maximum(explained, least),
            time_constants_s=self.private_time_constants_s,
        )


def fit_population_maps(
    traces_hz: FloatArray,
    relative_rate: Callable[[slice], FloatArray],
    *,
    step_s: float,
    rate_hz: FloatArray,
    time_constants_s: FloatArray,
    group_width_s: FloatArray,
) -> tuple[PopulationMap, ...]:
    """Solve both regressions of the adapter on a reference stretch.

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
    return tuple(
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
    the same noise.

    The low rank is what lets a minute or two of data suffice: all units and all horizons
    share the few directions in which the population's past tells its future.
    :func:`~neurohorizon.ops.regression.reduced_rank_ridge` derives the solution.
    """
    components, weights = reduced_rank_ridge(gram, cross, rank=spec.num_components, ridge=ridge)
    power = np.einsum("ic,ij,jc->c", components, gram, components, optimize=True)
    spread = np.sqrt(np.maximum(power, 0.0) / num_origins) + 1e-12
    weights = (weights * spread[:, None]).reshape(-1, *target_scale.shape)
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
