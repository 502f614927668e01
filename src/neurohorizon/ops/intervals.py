"""Half-open stretches of time, as float64 arrays of shape (K, 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def as_intervals(stretches: ArrayLike) -> FloatArray:
    """Return sorted, non-empty stretches with touching or overlapping ones joined.

    Parameters
    ----------
    stretches : (K, 2) array_like
        Starts and ends, in seconds.

    Examples
    --------
    >>> as_intervals([[3, 4], [0, 1], [1, 2]]).tolist()
    [[0.0, 2.0], [3.0, 4.0]]
    """
    rows = np.asarray(stretches, dtype=np.float64).reshape(-1, 2)
    rows = rows[rows[:, 1] > rows[:, 0]]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    if len(rows) == 0:
        return rows
    reach = np.maximum.accumulate(rows[:, 1])
    first = np.concatenate([[True], rows[1:, 0] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.column_stack([rows[first, 0], reach[last]])


def total_s(intervals: FloatArray) -> float:
    """Return the summed length of disjoint stretches, in seconds."""
    return float(np.sum(intervals[:, 1] - intervals[:, 0]))


def intersect(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the time that lies in both."""
    start = np.maximum(left[:, None, 0], right[None, :, 0])
    end = np.minimum(left[:, None, 1], right[None, :, 1])
    return as_intervals(np.stack([start, end], axis=-1))


def subtract(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the time that lies in `left` and not in `right`."""
    right = as_intervals(right)
    edges = np.concatenate([[-np.inf], right.ravel(), [np.inf]]).reshape(-1, 2)
    return intersect(left, edges)


def dilate(intervals: FloatArray, margin_s: float) -> FloatArray:
    """Return the stretches grown (or, with a negative margin, shrunk) at both ends."""
    return as_intervals(intervals + np.array([-margin_s, margin_s]))


def contains(intervals: FloatArray, times: ArrayLike) -> NDArray[np.bool_]:
    """Tell for each time whether it lies in one of the disjoint, sorted stretches."""
    times = np.asarray(times, dtype=np.float64)
    if len(intervals) == 0:
        return np.zeros(times.shape, dtype=bool)
    row = np.searchsorted(intervals[:, 0], times, side="right") - 1
    return (row >= 0) & (times < intervals[np.maximum(row, 0), 1])


def regular_origins(
    intervals: FloatArray,
    *,
    step_s: float,
    before_s: float,
    after_s: float,
) -> FloatArray:
    """Place origins at regular steps so that whole windows fit inside the stretches.

    Parameters
    ----------
    intervals : (K, 2) array
        Stretches; a window never crosses the end of one.
    step_s : float
        Seconds between origins.
    before_s, after_s : float
        What must fit before and after an origin, in seconds.

    Returns
    -------
    (T,) array
        Origins, sorted, rounded to microseconds.
    """
    origins = [
        start + before_s + step_s * np.arange(int(np.floor((room + 1e-9) / step_s)) + 1)
        for start, end in intervals
        if (room := end - start - before_s - after_s) >= -1e-9
    ]
    joined = np.concatenate(origins) if origins else np.empty(0)
    return np.round(joined.astype(np.float64), 6)
