"""Counting spikes in bins, exactly.

Times become integer ticks of one microsecond before anything is compared, so a spike on
an edge lands in the bin that starts there, whatever the rounding of float seconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.integer[Any]]
TICKS_PER_S = 1_000_000


def to_ticks(times_s: ArrayLike) -> NDArray[np.int64]:
    """Convert seconds to integer microseconds."""
    return np.rint(np.asarray(times_s, dtype=np.float64) * TICKS_PER_S).astype(np.int64)


def search_times(
    times: NDArray[np.float64], at_s: Iterable[float], *, side: Literal["left", "right"] = "left"
) -> IntArray:
    """Return how many of the sorted times lie before each given one.

    Parameters
    ----------
    times : (S,) float64
        Seconds, sorted; may be a memory map.
    at_s : (T,) iterable of float
        Seconds.
    side : {"left", "right"}
        "right" counts equal times too.

    Notes
    -----
    As ``np.searchsorted``, which however copies all of an array whose bytes are not aligned
    in memory: so they are where another program wrote a file that is mapped.
    """
    times = np.asarray(times)
    if times.flags.aligned:
        return np.searchsorted(times, np.asarray(at_s), side=side)
    find = bisect_left if side == "left" else bisect_right
    return np.array([find(times, at) for at in at_s], dtype=np.int64)


def spikes_in_windows(
    spike_times: NDArray[np.float64],
    starts_s: ArrayLike,
    length_s: ArrayLike,
) -> tuple[IntArray, IntArray, NDArray[np.int64]]:
    """Find the spikes of many windows.

    Parameters
    ----------
    spike_times : (S,) float64
        Seconds, sorted; may be a memory map (only the parts needed are read).
    starts_s : (T,) array_like
        Starts of the windows, in any order; windows may overlap.
    length_s : float or (T,) array_like
        Length of the windows, in seconds.

    Returns
    -------
    spike : (E,) int
        Index of each spike, window after window.
    offsets : (T + 1,) int
        Spikes of window i are ``spike[offsets[i]:offsets[i + 1]]``.
    ticks : (E,) int64
        Microseconds of each spike since the start of its window, in ``[0, length)``.
    """
    start_ticks = to_ticks(starts_s)
    length_ticks = np.broadcast_to(to_ticks(length_s), start_ticks.shape)
    # Half a tick of slack on both sides finds every candidate without converting all times.
    half = 0.5 / TICKS_PER_S
    low = search_times(spike_times, start_ticks / TICKS_PER_S - half, side="left")
    high = search_times(
        spike_times, (start_ticks + length_ticks) / TICKS_PER_S + half, side="right"
    )
    num_found = high - low
    offsets = np.concatenate([[0], np.cumsum(num_found)])
    window = np.repeat(np.arange(len(start_ticks)), num_found)
    spike = np.arange(offsets[-1]) + (low - offsets[:-1])[window]
    ticks = to_ticks(spike_times[spike]) - start_ticks[window]
    inside = (ticks >= 0) & (ticks < length_ticks[window])
    if not inside.all():
        spike, ticks = spike[inside], ticks[inside]
        num_inside = np.bincount(window[inside], minlength=len(start_ticks))
        offsets = np.concatenate([[0], np.cumsum(num_inside)])
    return spike, offsets, ticks


def count_in_windows(
    spike_times: NDArray[np.float64],
    spike_unit_index: IntArray,
    *,
    num_units: int,
    starts_s: ArrayLike,
    bin_s: float,
    num_bins: int,
) -> NDArray[np.int32]:
    """Count spikes in equal bins that follow each start.

    Parameters
    ----------
    spike_times, spike_unit_index : (S,) arrays
        Sorted seconds, and the unit of each spike.
    num_units : int
    starts_s : (T,) array_like
        Where the first bin of each window starts, in seconds.
    bin_s : float
        Width of a bin, in seconds.
    num_bins : int

    Returns
    -------
    (T, N, B) int32
        Counts by window, unit and bin.

    Examples
    --------
    >>> import numpy as np
    >>> count_in_windows(np.array([0.02, 0.06]), np.array([0, 0]), num_units=1,
    ...                  starts_s=[0.0], bin_s=0.02, num_bins=4).tolist()
    [[[0, 1, 0, 1]]]
    """
    bin_ticks = int(to_ticks(bin_s))
    spike, offsets, ticks = spikes_in_windows(
        spike_times, starts_s, num_bins * bin_ticks / TICKS_PER_S
    )
    num_windows = len(offsets) - 1
    window = np.repeat(np.arange(num_windows), np.diff(offsets))
    cell = (window * num_units + spike_unit_index[spike]) * num_bins + ticks // bin_ticks
    counts = np.bincount(cell, minlength=num_windows * num_units * num_bins)
    return counts.astype(np.int32).reshape(num_windows, num_units, num_bins)
