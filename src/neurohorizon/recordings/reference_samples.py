"""Samples of a reference: what some identities read of a unit besides numbers about it.

Binned counts in windows of the reference, and runs of consecutive spikes. Both are drawn
evenly, without chance, and only where the geometry of the windows asks for them.

Shapes: N units, M windows, L bins of a window, R runs, K spikes of a run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording

#: Consecutive spikes that are read together.
SPIKES_OF_A_RUN = 16
#: Intervals are clipped to these; one that does not exist counts as the longest.
INTERVAL_LIMITS_S = (1e-3, 10.0)


@dataclass(frozen=True)
class SampleSpec:
    """What is drawn from a reference; false if nothing is.

    Parameters
    ----------
    num_windows : int
        Windows of binned counts, the same for all units.
    window_s : float
        Their length, in seconds.
    num_spikes : int
        Spikes of each unit, drawn in runs of 16; what is left over is not drawn.

    Raises
    ------
    ConfigError
        If a quantity makes no sense.

    Examples
    --------
    >>> bool(SampleSpec()), SampleSpec(num_spikes=256).num_runs
    (False, 16)
    """

    num_windows: int = 0
    window_s: float = 1.0
    num_spikes: int = 0

    def __post_init__(self) -> None:
        if self.num_windows < 0 or not 1e-3 <= self.window_s <= 60.0:
            raise ConfigError(
                f"{self.num_windows} reference windows of {self.window_s:g} s: expected some of "
                "up to 60 s"
            )
        if self.num_spikes < 0 or 0 < self.num_spikes < SPIKES_OF_A_RUN:
            raise ConfigError(
                f"{self.num_spikes} spikes of a reference: expected at least {SPIKES_OF_A_RUN}, "
                "which are read together"
            )

    def __bool__(self) -> bool:
        return self.num_windows > 0 or self.num_spikes > 0

    @property
    def num_runs(self) -> int:
        """Runs of consecutive spikes, at most, of a unit."""
        return self.num_spikes // SPIKES_OF_A_RUN


@dataclass(frozen=True, eq=False)
class ReferenceSamples:
    """Samples of every unit.

    Parameters
    ----------
    counts : (N, M, L) uint16
        Binned counts; M is smaller where the reference holds fewer windows.
    time_s : (N, R, K) float32
        Spike times since the middle spike of their run.
    interval_s : (N, R, K, 2) float32
        To the spike before and to the one after, clipped.
    there : (N, R, K) bool
        True for spikes, False where a unit has fewer.
    """

    counts: NDArray[np.uint16]
    time_s: NDArray[np.float32]
    interval_s: NDArray[np.float32]
    there: NDArray[np.bool_]


def draw_samples(
    recording: Recording,
    intervals: FloatArray,
    times: FloatArray,
    unit: IntArray,
    *,
    spec: SampleSpec,
    bin_s: float,
) -> ReferenceSamples:
    """Draw samples from a reference stretch.

    Parameters
    ----------
    recording : Recording
    intervals : (K, 2) array
        Stretches that are read, in seconds.
    times, unit : (S,) arrays
        Their spikes on a clock that skips the gaps, sorted.
    spec : SampleSpec
    bin_s : float

    Raises
    ------
    DataError
        If no window fits into a stretch.
    """
    num_bins = round(spec.window_s / bin_s)
    counts = np.zeros((recording.num_units, 0, num_bins), dtype=np.uint16)
    if spec.num_windows:
        starts = _window_starts(intervals, spec)
        if len(starts) == 0:
            raise DataError(
                f"{recording.id}: no stretch of the reference holds an identity window of "
                f"{spec.window_s:g} s: use shorter ones or longer stretches"
            )
        found = count_in_windows(
            recording.spike_times,
            recording.spike_unit_index,
            num_units=recording.num_units,
            starts_s=starts,
            bin_s=bin_s,
            num_bins=num_bins,
        )
        counts = np.minimum(found, np.iinfo(np.uint16).max).astype(np.uint16).transpose(1, 0, 2)
    return ReferenceSamples(
        counts, *_spike_runs(times, unit, num_units=recording.num_units, num_runs=spec.num_runs)
    )


def _window_starts(intervals: FloatArray, spec: SampleSpec) -> FloatArray:
    """Choose evenly among windows laid end to end in every stretch, at most so many."""
    every = np.concatenate(
        [
            start + np.arange(int((end - start) / spec.window_s + 1e-6)) * spec.window_s
            for start, end in intervals
        ]
    )
    num_windows = min(spec.num_windows, len(every))
    chosen = ((np.arange(num_windows) + 0.5) * len(every) / max(num_windows, 1)).astype(np.int64)
    return every[chosen]


def _spike_runs(
    times: FloatArray, unit: IntArray, *, num_units: int, num_runs: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Draw runs evenly over each unit's spikes: times, intervals, and which are there."""
    order = np.argsort(unit, kind="stable")
    times, unit = times[order], np.asarray(unit)[order]
    count = np.bincount(unit, minlength=num_units)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    step = np.diff(times)
    same = unit[1:] == unit[:-1]
    between = np.clip(np.where(same, step, np.inf), *INTERVAL_LIMITS_S)
    longest = INTERVAL_LIMITS_S[1:]
    interval = np.column_stack([np.append(longest, between), np.append(between, longest)])

    # As many runs as the unit has spikes for, side by side at most; one that is not full if few.
    runs_of = np.minimum(np.maximum(count // SPIKES_OF_A_RUN, count > 0), num_runs)
    run, spike = np.arange(num_runs), np.arange(SPIKES_OF_A_RUN)
    room = np.maximum(count - SPIKES_OF_A_RUN, 0)
    share = run / np.maximum(runs_of[:, None] - 1, 1)
    start = np.rint(room[:, None] * np.minimum(share, 1.0)).astype(np.int64)
    inside = start[:, :, None] + spike
    there = (run < runs_of[:, None])[:, :, None] & (inside < count[:, None, None])
    row = np.where(there, first[:, None, None] + inside, 0)
    if len(times) == 0:
        shape = there.shape
        return np.zeros(shape, np.float32), np.zeros((*shape, 2), np.float32), there
    # The middle of a run that is not full is that of its spikes.
    middle = np.minimum(SPIKES_OF_A_RUN, count)[:, None] // 2
    anchor = np.where(there[:, :, 0], first[:, None] + start + middle, 0)
    time_s = np.where(there, times[row] - times[anchor][:, :, None], 0.0)
    interval_s = np.where(there[..., None], interval[row], 0.0)
    return time_s.astype(np.float32), interval_s.astype(np.float32), there
