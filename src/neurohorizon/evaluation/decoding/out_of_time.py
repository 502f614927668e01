"""A recording in which some units did the same things at other times."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.ops.intervals import contains
from neurohorizon.recordings.schema import FloatArray, Recording, Series

Way = Literal["windows", "shift"]

WINDOW_S = 1.0


def out_of_time(
    activity: Activity,
    units: NDArray[np.integer],
    stretches: FloatArray,
    *,
    way: Way,
    generator: np.random.Generator,
    window_s: float = WINDOW_S,
) -> Recording:
    """Return the recording with what some units did moved in time, inside the stretches alone.

    All of the units move together, so what they share stays. Nothing is added or lost, but for
    what is left over at a stretch's end when windows are shuffled: it stays where it is.
    """
    move = _shift if way == "shift" else _shuffle
    recording = activity.recording
    if activity.is_spikes:
        times = np.array(recording.spike_times, dtype=np.float64)
        mine = np.isin(recording.spike_unit_index, units) & contains(stretches, times)
        times[mine] = move(times[mine], stretches, generator, window_s)
        order = np.argsort(times, kind="stable")
        return replace(
            recording,
            spike_times=times[order],
            spike_unit_index=np.asarray(recording.spike_unit_index)[order],
        )
    signal = recording.signals[activity.signal]
    clock = np.asarray(signal.timestamps, dtype=np.float64)
    inside = np.flatnonzero(contains(stretches, clock))
    order = np.argsort(move(clock[inside], stretches, generator, window_s), kind="stable")
    values = np.array(signal.values)
    # The sample that moves to the first place is heard at the first time, and so on.
    values[np.ix_(inside, units)] = values[np.ix_(inside[order], units)]
    moved = Series(signal.timestamps, values, signal.unit)
    return replace(recording, signals={**recording.signals, activity.signal: moved})


def _shift(
    times: FloatArray, stretches: FloatArray, generator: np.random.Generator, window_s: float
) -> FloatArray:
    """Shift times within their stretches, around the ends, by a tenth to nine tenths of each."""
    row = np.searchsorted(stretches[:, 0], times, side="right") - 1
    start, length = stretches[row, 0], (stretches[:, 1] - stretches[:, 0])[row]
    share = generator.uniform(0.1, 0.9, size=len(stretches))[row]
    moved = start + (times - start + share * length) % length
    return np.minimum(moved, np.nextafter(stretches[row, 1], -np.inf))


def _shuffle(
    times: FloatArray, stretches: FloatArray, generator: np.random.Generator, window_s: float
) -> FloatArray:
    """Move times to other windows, all of a window's together."""
    number = np.floor((stretches[:, 1] - stretches[:, 0]) / window_s + 1e-9).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(number)])
    row = np.searchsorted(stretches[:, 0], times, side="right") - 1
    into = np.floor((times - stretches[row, 0]) / window_s).astype(np.int64)
    whole = into < number[row]
    goes_to = generator.permutation(first[-1])[(first[row] + into)[whole]]
    to_row = np.searchsorted(first, goes_to, side="right") - 1
    start = stretches[to_row, 0] + (goes_to - first[to_row]) * window_s
    moved = times.copy()
    offset = (times - stretches[row, 0] - into * window_s)[whole]
    moved[whole] = np.minimum(start + offset, np.nextafter(stretches[to_row, 1], -np.inf))
    return moved
