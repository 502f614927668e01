"""The reference: all that a forecaster knows about a session's units.

From one stretch of a session, without a gradient, come each unit's rate, its 33
statistics, its functional identity (how it goes with the population and with behaviour),
the population adapter and, where conditions are read, its tuning to them. Nothing else of the
session is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neurohorizon.errors import DataError
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.ops.intervals import as_intervals, intersect, total_s
from neurohorizon.ops.statistics import safe_correlation, shrink_rates
from neurohorizon.ops.traces import exponential_traces
from neurohorizon.recordings.adapter import (
    PRIVATE_TRACES,
    PopulationAdapter,
    fit_population_maps,
)
from neurohorizon.recordings.conditions import ConditionReader
from neurohorizon.recordings.dynamics_fit import fit_linear_dynamics
from neurohorizon.recordings.reference_features import (
    FeatureScaler,
    reference_features,
    skewed_reference_features,
)
from neurohorizon.recordings.reference_samples import ReferenceSamples, draw_samples
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording
from neurohorizon.recordings.tuning import Tuning
from neurohorizon.recordings.tuning_fit import fit_tuning
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import TRACE_TIME_CONSTANTS_S, WindowReader, Windows

NUM_LOADINGS = 8
NUM_BEHAVIOR_COLUMNS = 4
POPULATION_TRACES = (1, 3, 4)
BEHAVIOR_LAGS_S = (-0.4, -0.2, 0.0, 0.2, 0.4)
_NUM_BEHAVIOR = (NUM_BEHAVIOR_COLUMNS + 1) * len(BEHAVIOR_LAGS_S)
NUM_FUNCTIONAL_FEATURES = NUM_LOADINGS + _NUM_BEHAVIOR + len(POPULATION_TRACES) + 5 + 2

_BURN_IN_S = 1.0
_MAX_ORIGINS = 8000
_IDENTITY_ORIGINS = 1500


@dataclass(frozen=True)
class Reference:
    """What a reference stretch says about every unit.

    Parameters
    ----------
    intervals : (K, 2) float
        The stretch or stretches that were read, in seconds.
    spike_count : (N,) int
        Spikes inside.
    rate_hz : (N,) float
        Mean rates, shrunk toward the population's (Gamma-Poisson), all positive.
    statistics : (N, 33) float
        Raw reference features.
    functional : (N, 43) float
        Functional identity: correlation with 8 population components (8), with four columns
        of behaviour and their magnitude from 0.4 s before to 0.4 s after (25), with the rest
        of the population's rate at 100 ms, 1 s and 4 s (3), the adapter's modulation by
        horizon (5), log of the seconds and of the spikes read (2).
    adapter : PopulationAdapter
    tuning : Tuning or None
        None if the geometry of the windows asks for no conditions.
    samples : ReferenceSamples or None
        None if it asks for no samples.
    """

    intervals: FloatArray
    spike_count: IntArray
    rate_hz: FloatArray
    statistics: FloatArray
    functional: FloatArray
    adapter: PopulationAdapter
    tuning: Tuning | None = None
    samples: ReferenceSamples | None = None

    @property
    def duration_s(self) -> float:
        """Seconds read."""
        return total_s(self.intervals)

    def read_windows(
        self,
        reader: WindowReader,
        origins_s: ArrayLike,
        *,
        inside_s: FloatArray | None = None,
    ) -> Windows:
        """Read windows with all of the past that a forecast from this reference needs.

        Parameters
        ----------
        reader : WindowReader
        origins_s : (T,) array_like
        inside_s : (T,) array, optional
            As :meth:`neurohorizon.recordings.windows.History.at` takes it.
        """
        return reader.read(
            origins_s,
            start_rate_hz=self.rate_hz,
            dynamics=self.adapter.dynamics,
            inside_s=inside_s,
        )


def compute_reference(
    recording: Recording,
    intervals: FloatArray,
    *,
    spec: WindowSpec,
) -> Reference:
    """Read a reference stretch.

    Parameters
    ----------
    recording : Recording
    intervals : (K, 2) array
        Stretches to read, in seconds.
    spec : WindowSpec
        Geometry of the windows that will be forecast.

    Raises
    ------
    DataError
        If the stretches lie outside the recording or are too short for one window.
    """
    intervals = intersect(as_intervals(intervals), recording.domain)
    duration_s = total_s(intervals)
    times, unit = compact_spikes(recording, intervals)
    spike_count = np.bincount(unit, minlength=recording.num_units)
    rate_hz = shrink_rates(spike_count.astype(np.float64), max(duration_s, 1e-3))
    windows = _reference_windows(recording, intervals, rate_hz, spec)
    if len(windows.origins_s) == 0:
        raise DataError(
            f"{recording.id}: a reference of {duration_s:.3g} s holds no window of "
            f"{_BURN_IN_S:g} s past and {spec.horizon_s:g} s horizon: use a longer stretch"
        )
    statistics = reference_features(
        times, unit, num_units=recording.num_units, start_s=0.0, end_s=duration_s
    )
    group_width_s = np.diff(spec.group_edges) * spec.bin_s

    def relative_rate(rows: slice) -> FloatArray:
        edges = windows.origin_bin[rows][:, None] + spec.group_edges
        spikes = np.diff(windows.cumulative[edges], axis=1).transpose(0, 2, 1)
        return spikes / group_width_s / rate_hz[:, None] - 1.0

    maps = fit_population_maps(
        windows.traces_hz,
        relative_rate,
        step_s=windows.step_s,
        rate_hz=rate_hz,
        time_constants_s=np.array(TRACE_TIME_CONSTANTS_S),
        group_width_s=group_width_s,
    )
    dynamics = fit_linear_dynamics(windows.counts, rate_hz=rate_hz, bin_s=spec.bin_s)
    adapter = PopulationAdapter(
        dynamics=dynamics,
        maps=maps,
        group_edges=spec.group_edges,
        private_time_constants_s=np.array([TRACE_TIME_CONSTANTS_S[i] for i in PRIVATE_TRACES]),
    )
    tuning = None
    if spec.conditions:
        tuning = fit_tuning(
            ConditionReader(recording, spec.conditions),
            origins_s=windows.origins_s,
            relative_rate=relative_rate,
            bin_start_s=windows.bin_start_s,
            counts=windows.counts,
            rate_hz=rate_hz,
            spec=spec,
        )
    samples = None
    if spec.samples:
        samples = draw_samples(
            recording, intervals, times, unit, spec=spec.samples, bin_s=spec.bin_s
        )
    every = max(len(windows.origins_s) // _IDENTITY_ORIGINS, 1)
    functional = _functional_identity(
        recording,
        windows.origins_s[::every],
        windows.traces_hz[::every].astype(np.float64),
        adapter,
        spike_count=spike_count,
        duration_s=duration_s,
    )
    return Reference(
        intervals=intervals,
        spike_count=spike_count,
        rate_hz=rate_hz,
        statistics=statistics,
        functional=functional,
        adapter=adapter,
        tuning=tuning,
        samples=samples,
    )


def fit_scalers(references: Sequence[Reference]) -> tuple[FeatureScaler, FeatureScaler]:
    """Fit the standardisation of statistics, and of functional identity, on training references."""
    statistics = np.concatenate([reference.statistics for reference in references])
    functional = np.concatenate([reference.functional for reference in references])
    return (
        FeatureScaler.fit(statistics, log=skewed_reference_features()),
        FeatureScaler.fit(functional, log=np.zeros(functional.shape[1], dtype=bool)),
    )


def compact_spikes(recording: Recording, intervals: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the spikes inside stretches on a clock that starts at 0 and skips the gaps."""
    times, units, elapsed_s = [], [], 0.0
    for start, end in intervals:
        inside_times, inside_units = recording.between(start, end)
        times.append(inside_times - start + elapsed_s)
        units.append(np.asarray(inside_units))
        elapsed_s += end - start
    if not times:
        return np.empty(0), np.empty(0, dtype=np.int64)
    return np.concatenate(times), np.concatenate(units)


@dataclass(frozen=True)
class _ReferenceWindows:
    """Origins inside the stretches, on the grid of bins: traces, and counts to come.

    `counts` has the binned counts (bins, N) of each stretch, `bin_start_s` when those bins
    start; `cumulative` (bins + 1, N) the spikes since the start, stretch after stretch;
    `origin_bin` (T,) is where each origin lies in that.
    """

    origins_s: FloatArray
    step_s: float
    traces_hz: FloatArray
    counts: list[IntArray]
    bin_start_s: list[FloatArray]
    cumulative: IntArray
    origin_bin: IntArray


def _reference_windows(
    recording: Recording, intervals: FloatArray, rate_hz: FloatArray, spec: WindowSpec
) -> _ReferenceWindows:
    """Read windows at every bin, or every few where there are many; no stretch is left."""
    rooms = as_intervals(intervals + np.array([_BURN_IN_S, -spec.horizon_s]))
    every = max(int(np.ceil(total_s(rooms) / (_MAX_ORIGINS * spec.bin_s))), 1)
    step_s = every * spec.bin_s
    origins, traces, counts, bin_starts, origin_bins, num_bins = [], [], [], [], [], 0
    for start, end in intervals:
        length = int(np.floor((end - start) / spec.bin_s + 1e-6))
        first = int(np.ceil(_BURN_IN_S / spec.bin_s - 1e-6))
        bins = np.arange(first, length - spec.num_bins + 1, every)
        if len(bins) == 0:
            continue
        origins.append(start + bins * spec.bin_s)
        traces.append(
            exponential_traces(
                recording.spike_times,
                recording.spike_unit_index,
                num_units=recording.num_units,
                at_s=origins[-1],
                time_constants_s=TRACE_TIME_CONSTANTS_S,
                start_s=float(start),
                start_rate_hz=rate_hz,
            ).astype(np.float32)
        )
        binned = count_in_windows(
            recording.spike_times,
            recording.spike_unit_index,
            num_units=recording.num_units,
            starts_s=[start],
            bin_s=spec.bin_s,
            num_bins=length,
        )[0]
        counts.append(binned.T)
        bin_starts.append(start + np.arange(length) * spec.bin_s)
        origin_bins.append(num_bins + bins)
        num_bins += length
    if not origins:
        empty = np.empty((0, recording.num_units, len(TRACE_TIME_CONSTANTS_S)))
        return _ReferenceWindows(
            np.empty(0), step_s, empty, [], [], np.empty((1, 0), int), np.empty(0, int)
        )
    zero = np.zeros((1, recording.num_units), dtype=np.int64)
    cumulative = np.concatenate([zero, np.cumsum(np.concatenate(counts), axis=0)])
    return _ReferenceWindows(
        origins_s=np.concatenate(origins),
        step_s=step_s,
        traces_hz=np.concatenate(traces),
        counts=counts,
        bin_start_s=bin_starts,
        cumulative=cumulative,
        origin_bin=np.concatenate(origin_bins),
    )


def _functional_identity(
    recording: Recording,
    origins: FloatArray,
    traces_hz: FloatArray,
    adapter: PopulationAdapter,
    *,
    spike_count: IntArray,
    duration_s: float,
) -> FloatArray:
    num_units = recording.num_units
    own = traces_hz[:, :, 1]
    scores = adapter.scores(traces_hz)[:, :NUM_LOADINGS]
    loadings = np.zeros((num_units, NUM_LOADINGS))
    loadings[:, : scores.shape[1]] = safe_correlation(own, scores)
    # A component's sign is arbitrary: let most of the population load positively.
    loadings *= np.where(loadings.sum(axis=0) < 0, -1.0, 1.0)

    lagged = [_behavior_at(recording, origins + lag) for lag in BEHAVIOR_LAGS_S]
    behavior = np.concatenate([safe_correlation(own, columns) for columns in lagged], axis=1)

    with_population = []
    for trace in POPULATION_TRACES:
        unit_trace = traces_hz[:, :, trace]
        rest = unit_trace.sum(axis=1, keepdims=True) - unit_trace
        left = unit_trace - unit_trace.mean(axis=0)
        rest = rest - rest.mean(axis=0)
        norm = np.linalg.norm(left, axis=0) * np.linalg.norm(rest, axis=0)
        with_population.append(np.sum(left * rest, axis=0) / np.maximum(norm, 1e-12))

    every = max(len(origins) // 500, 1)
    modulation = adapter.maps[0].forecast(traces_hz[::every]).std(axis=0)
    parts = np.array_split(modulation, 5, axis=1)
    # A short horizon has fewer groups than that.
    coarse = [part if part.shape[1] else modulation[:, -1:] for part in parts]
    amounts = np.column_stack(
        [
            np.full(num_units, np.log(duration_s / 120.0)),
            np.log((spike_count + 1.0) / 100.0) / 3.0,
        ]
    )
    return np.column_stack(
        [loadings, behavior, *with_population, *(part.mean(axis=1) for part in coarse), amounts]
    )


def _behavior_at(recording: Recording, times: FloatArray) -> FloatArray:
    """Interpolate the leading behavioural columns and their magnitude at times, (T, 5)."""
    columns = np.zeros((len(times), NUM_BEHAVIOR_COLUMNS + 1))
    filled = 0
    for name in sorted(recording.series):
        series = recording.series[name]
        for values in np.atleast_2d(series.values.T):
            known = np.isfinite(values)
            if filled < NUM_BEHAVIOR_COLUMNS and known.sum() > 1:
                column = np.interp(times, series.timestamps[known], values[known])
                spread = column.std()
                columns[:, filled] = (column - column.mean()) / (spread if spread > 0 else 1.0)
                filled += 1
    columns[:, -1] = np.linalg.norm(columns[:, :-1], axis=1)
    return columns
