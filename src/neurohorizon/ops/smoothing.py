"""Series on a clock with gaps: what hangs together, smoothed, differentiated, resampled.

A *run* is a stretch of samples that hang together; nothing here ever mixes two of them. Runs
are kept as offsets: run i holds the samples ``[offsets[i], offsets[i + 1])``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]
#: The kernel ends so many standard deviations from its middle.
REACH = 4.0


def find_runs(times: FloatArray, *, longest_gap_s: float, edges_s: FloatArray) -> IntArray:
    """Divide samples where the clock jumps, and at given times.

    Parameters
    ----------
    times : (T,) array
        Seconds, sorted.
    longest_gap_s : float
        Samples further apart than this do not hang together.
    edges_s : (K,) array
        Seconds, sorted; a sample at an edge belongs to what begins there.

    Returns
    -------
    (R + 1,) int array
        Offsets of the runs.

    Examples
    --------
    >>> find_runs(np.array([0, 1, 2, 9, 10.0]), longest_gap_s=2, edges_s=np.array([1.5])).tolist()
    [0, 2, 3, 5]
    """
    stretch = np.searchsorted(edges_s, times, side="right")
    starts = (np.diff(times) > longest_gap_s) | (np.diff(stretch) > 0)
    return np.concatenate([[0], np.flatnonzero(starts) + 1, [len(times)]] if len(times) else [[0]])


def median_step(times: FloatArray) -> float:
    """Return the median time between samples, in seconds; 0 for fewer than two."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def smooth(
    times: FloatArray, values: FloatArray, offsets: IntArray, *, sigma_s: float
) -> FloatArray:
    r"""Smooth by a Gaussian within runs.

    Parameters
    ----------
    times : (T,) array
        Seconds, sorted.
    values : (T, D) array
        Finite.
    offsets : (R + 1,) int array
        Runs.
    sigma_s : float
        Standard deviation of the kernel, in seconds.

    Returns
    -------
    (T, D) array
        :math:`\sum_j w_{ij} x_j / \sum_j w_{ij}` over the samples j of i's run: near its ends,
        and where samples are missing, the kernel is what is left of it.

    Notes
    -----
    Samples are put on a grid of their median step, or of a part of it that is below a quarter of
    `sigma_s`. On a regular clock that is exact; a clock that jitters by a step adds to the
    kernel's variance less than 1 %.
    """
    from scipy.signal import oaconvolve

    within = np.diff(times)[np.diff(_run_of(offsets)) == 0]
    if len(within) == 0:
        return values.copy()
    step = float(np.median(within))
    step /= np.ceil(4 * step / sigma_s)
    reach = int(np.ceil(REACH * sigma_s / step))
    run = _run_of(offsets)
    place = np.rint((times - times[offsets[:-1]][run]) / step).astype(np.int64)
    length = place[offsets[1:] - 1] + 1
    # Runs lie so far apart on the grid that no kernel reaches from one into the next.
    place += (np.cumsum(length + reach) - length)[run]
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / sigma_s) ** 2)
    total = int(place[-1]) + 1 + reach
    weight = oaconvolve(np.bincount(place, minlength=total).astype(np.float64), kernel, mode="same")
    # Around each run's mean, so that what the transform rounds is small against what varies.
    mean = (np.add.reduceat(values, offsets[:-1], axis=0) / np.diff(offsets)[:, None])[run]
    smoothed = np.empty_like(values)
    for column, x in enumerate((values - mean).T):
        summed = np.bincount(place, weights=x, minlength=total)
        smoothed[:, column] = oaconvolve(summed, kernel, mode="same")[place] / weight[place]
    smoothed += mean
    return smoothed


def differentiate(times: FloatArray, values: FloatArray, offsets: IntArray) -> FloatArray:
    """Take central differences within runs, one-sided ones at their ends.

    Returns
    -------
    (T, D) array
        Per second; NaN in runs of one sample.
    """
    slopes = np.full(values.shape, np.nan)
    for low, high in pairwise(offsets):
        if high - low > 1:
            slopes[low:high] = np.gradient(values[low:high], times[low:high], axis=0)
    return slopes


def resample_mean(
    times: FloatArray, values: FloatArray, offsets: IntArray, *, rate_hz: float
) -> tuple[FloatArray, FloatArray]:
    """Bring runs onto a regular clock: by averages or, where samples are few, by lines.

    Parameters
    ----------
    times : (T,) array
        Seconds, sorted.
    values : (T, D) array
    offsets : (R + 1,) int array
        Runs.
    rate_hz : float
        Of the new clock, whose ticks lie at ``(k + 1/2) / rate_hz``.

    Returns
    -------
    times : (K,) array
        The ticks between the first and the last sample of a run.
    values : (K, D) array
        Means over the run's samples within half a tick's distance, if samples come at least
        twice as fast as ticks; otherwise, and where a tick has none, values between the samples
        around it.
    """
    ticks, run = _ticks_in_runs(times, offsets, rate_hz)
    if len(ticks) == 0:
        return np.empty(0), np.empty((0, values.shape[1]))
    # Samples of tick k of a run, found by counting from the run's first tick on.
    low = np.searchsorted(times, (ticks - 0.5 / rate_hz))
    high = np.searchsorted(times, (ticks + 0.5 / rate_hz))
    low, high = np.maximum(low, offsets[:-1][run]), np.minimum(high, offsets[1:][run])
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    count = np.maximum(high - low, 1)[:, None]
    means = (sums[high] - sums[low]) / count
    empty = high <= low
    if median_step(times) * rate_hz > 0.5 + 1e-6:
        empty[:] = True
    if empty.any():
        first, last = offsets[:-1][run[empty]], offsets[1:][run[empty]] - 1
        before = np.clip(np.searchsorted(times, ticks[empty], side="right") - 1, first, last)
        after = np.minimum(before + 1, last)
        distance = np.where(after > before, times[after] - times[before], 1.0)
        share = np.where(after > before, (ticks[empty] - times[before]) / distance, 0.0)
        means[empty] = values[before] + share[:, None] * (values[after] - values[before])
    return ticks, means


def resample_held(
    times: FloatArray, offsets: IntArray, *, rate_hz: float
) -> tuple[FloatArray, IntArray]:
    """Bring runs of words, or of classes, onto a regular clock: the last sample holds on.

    Returns
    -------
    times : (K,) array
        As those of :func:`resample_mean`.
    sample : (K,) int array
        Which sample holds there.
    """
    ticks, _ = _ticks_in_runs(times, offsets, rate_hz)
    return ticks, np.searchsorted(times, ticks, side="right") - 1


def _ticks_in_runs(
    times: FloatArray, offsets: IntArray, rate_hz: float
) -> tuple[FloatArray, IntArray]:
    if len(times) == 0:
        return np.empty(0), np.empty(0, dtype=np.int64)
    first = np.ceil(times[offsets[:-1]] * rate_hz - 0.5 - 1e-9).astype(np.int64)
    last = np.floor(times[offsets[1:] - 1] * rate_hz - 0.5 + 1e-9).astype(np.int64)
    count = np.maximum(last - first + 1, 0)
    run = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count) + first[run]
    return np.asarray((number + 0.5) / rate_hz, dtype=np.float64), run


def _run_of(offsets: IntArray) -> IntArray:
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
