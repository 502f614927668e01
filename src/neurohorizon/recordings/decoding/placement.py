"""Where windows of decoders lie: anywhere inside training time, and all over what is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.binning import TICKS_PER_S, to_ticks
from neurohorizon.ops.intervals import as_intervals, intersect, total_s
from neurohorizon.recordings.decoding.windows import DecodeReader
from neurohorizon.recordings.schema import FloatArray, IntArray


def start_rooms(
    reader: DecodeReader, stretches: FloatArray, *, with_queries: bool = True
) -> NDArray[np.int64]:
    """Return where windows may start so that they stay inside stretches, in ticks.

    Parameters
    ----------
    reader : DecodeReader
    stretches : (K, 2) array
        Seconds.
    with_queries : bool
        Leave out where a window would hold no time stamp of any task.

    Returns
    -------
    (R, 2) int64
        First and last tick of each room, both of them allowed. No spike, sample or time stamp
        outside of the stretches rounds into a window that starts there.
    """
    length = int(to_ticks(reader.length_s))
    stretches = as_intervals(stretches)
    rooms = stretches
    if with_queries:
        stamps = [targets.times_s[targets.inside(stretches)] for targets in reader.targets.values()]
        at = np.concatenate(stamps) if stamps else np.empty(0)
        starts = as_intervals(np.column_stack([at - reader.length_s + 1e-6, at]))
        rooms = intersect(stretches, starts) if len(starts) else as_intervals(())
    if len(rooms) == 0:
        return np.empty((0, 2), dtype=np.int64)
    owner = np.searchsorted(stretches[:, 0], rooms[:, 0], side="right") - 1
    low = np.ceil(stretches[owner, 0] * TICKS_PER_S + 0.5)
    high = np.floor(stretches[owner, 1] * TICKS_PER_S) - length
    low = np.maximum(low, np.ceil(rooms[:, 0] * TICKS_PER_S))
    high = np.minimum(high, np.floor(rooms[:, 1] * TICKS_PER_S))
    fits = high >= low
    return np.column_stack([low[fits], high[fits]]).astype(np.int64)


@dataclass(frozen=True)
class Cover:
    """Windows that cover stretches, so that every time stamp in them is asked for.

    Parameters
    ----------
    starts_s : (W,) float
        Seconds.
    asked_s : (W, 2) float
        The part of each window that lies in its stretch.
    """

    starts_s: FloatArray
    asked_s: FloatArray

    def __len__(self) -> int:
        return len(self.starts_s)

    def part(self, index: slice | IntArray) -> Cover:
        """Return some of the windows."""
        return Cover(self.starts_s[index], self.asked_s[index])


def cover_stretches(
    stretches: FloatArray, *, length_s: float, stride_s: float | None = None
) -> Cover:
    """Place windows at a regular stride that cover stretches to their ends.

    Parameters
    ----------
    stretches : (K, 2) array
        Seconds.
    length_s : float
        Of a window.
    stride_s : float, optional
        Between windows, at most their length: half of it by default.

    Returns
    -------
    Cover

    Raises
    ------
    ConfigError
        If the stride is no length between 0 and that of a window.

    Notes
    -----
    The last window of a stretch ends where the stretch does. A stretch shorter than a window has
    one that is centred on it and reads neural activity on both sides of it, but is asked for
    nothing there: what is averaged afterwards never comes from two stretches.
    """
    stride_s = length_s / 2 if stride_s is None else stride_s
    if not 1e-3 <= stride_s <= length_s:
        raise ConfigError(
            f"a stride of {stride_s:g} s: expected a millisecond or more, at most a window "
            f"({length_s:g} s), so that no time is left out"
        )
    length, stride = int(to_ticks(length_s)), int(to_ticks(stride_s))
    starts, asked = [], []
    for start, end in as_intervals(stretches):
        first = int(np.floor(start * TICKS_PER_S))
        last = int(np.ceil(end * TICKS_PER_S)) - length
        if last > first:
            ticks = np.append(np.arange(first, last, stride), last)
        else:
            ticks = np.array([(first + last) // 2])
        starts.append(ticks)
        asked.append(np.tile((start, end), (len(ticks), 1)))
    if not starts:
        return Cover(np.empty(0), np.empty((0, 2)))
    ticks = np.concatenate(starts)
    return Cover(ticks / TICKS_PER_S, np.concatenate(asked).astype(np.float64))


def require_behaviour(reader: DecodeReader) -> None:
    """Refuse a recording that has nothing to decode.

    Raises
    ------
    DataError
    """
    if reader.targets:
        return
    recording = reader.recording
    wanted = ", ".join(task.name for task in reader.tasks)
    there = ", ".join(sorted([*recording.series, *recording.tables])) or "no series and no table"
    raise DataError(
        f"{recording.id}: no behaviour for any of the tasks ({wanted}): it has {there}; leave the "
        "recording out, or name what is to be decoded of it"
    )


def require_room(reader: DecodeReader, stretches: FloatArray) -> NDArray[np.int64]:
    """Return where windows may start inside the train domain; refuse if there is no place.

    Raises
    ------
    DataError
    """
    rooms = start_rooms(reader, stretches)
    if len(rooms):
        return rooms
    stretches = as_intervals(stretches)
    longest = float((stretches[:, 1] - stretches[:, 0]).max(initial=0.0))
    where = f"{reader.recording.id}: the train domain"
    if longest < reader.length_s:
        raise DataError(
            f"{where} has no stretch as long as a window of {reader.length_s:g} s (the longest of "
            f"{len(stretches)} is {longest:.3g} s): shorten the window, or split in longer blocks"
        )
    raise DataError(
        f"{where} of {total_s(stretches):.3g} s holds no time stamp of any task in a stretch as "
        f"long as a window of {reader.length_s:g} s"
    )


def rooms_beside(reader: DecodeReader, free: Sequence[FloatArray]) -> list[NDArray[np.int64]]:
    """Return where windows may start beside each of several references.

    Parameters
    ----------
    reader : DecodeReader
    free : sequence of (K, 2) array
        The train domain without each reference, in seconds.

    Returns
    -------
    list of (R, 2) int64
        As of :func:`start_rooms`; some may be empty.

    Raises
    ------
    DataError
        If all are.
    """
    rooms = [start_rooms(reader, each) for each in free]
    if not any(len(each) for each in rooms):
        raise DataError(
            f"{reader.recording.id}: no training window fits beside a reference: the train domain "
            f"must hold stretches longer than {reader.length_s:g} s"
        )
    return rooms
