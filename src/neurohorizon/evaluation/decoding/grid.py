"""Targets on the clock of a decoder's bins, and what was decoded there back at time stamps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.decoding.activity import bin_of, num_bins
from neurohorizon.evaluation.decoding.cases import Asked, Part
from neurohorizon.recordings.schema import FloatArray


def bin_values(part: Part, bin_s: float) -> tuple[list[FloatArray], list[FloatArray]]:
    """Average a continuous task over bins.

    Returns
    -------
    values : list of (B, D) float
        One array a stretch; NaN in bins without a time stamp.
    weights : list of (B,) float
        Summed weights of each bin's time stamps.
    """
    values, weights = [], []
    for row, (start, end) in enumerate(part.stretches):
        here = part.stretch == row
        count = num_bins(start, end, bin_s)
        index = bin_of(part.times_s[here], start, end, bin_s)
        weight = np.bincount(index, weights=part.weights[here], minlength=count)
        weighted = part.values[here] * part.weights[here, None]
        sums = np.stack([np.bincount(index, each, minlength=count) for each in weighted.T], axis=1)
        empty = np.full(sums.shape, np.nan)
        values.append(np.divide(sums, weight[:, None], out=empty, where=weight[:, None] > 0))
        weights.append(weight)
    return values, weights


def bin_classes(
    part: Part, bin_s: float, num_classes: int
) -> tuple[list[NDArray[np.int64]], list[FloatArray]]:
    """Return the class with most weight in each bin, -1 where there is none, and its weight."""
    classes, weights = [], []
    for row, (start, end) in enumerate(part.stretches):
        here = part.stretch == row
        count = num_bins(start, end, bin_s)
        index = bin_of(part.times_s[here], start, end, bin_s)
        cell = index * num_classes + part.values[here]
        votes = np.bincount(cell, weights=part.weights[here], minlength=count * num_classes)
        votes = votes.reshape(count, num_classes)
        weight = votes.sum(axis=1)
        classes.append(np.where(weight > 0, np.argmax(votes, axis=1), -1))
        weights.append(weight)
    return classes, weights


def at_times(asked: Asked, bin_s: float, by_bin: Sequence[FloatArray]) -> FloatArray:
    """Interpolate what was decoded in bins, (B, P) a stretch, to time stamps, (T, P).

    Linear between the centres of bins; before the first and after the last it stays.
    """
    decoded = np.empty((len(asked), by_bin[0].shape[1] if by_bin else 0))
    for row, (start, end) in enumerate(asked.stretches):
        here = asked.stretch == row
        centres = start + bin_s * (np.arange(num_bins(start, end, bin_s)) + 0.5)
        for column, values in enumerate(by_bin[row].T):
            decoded[here, column] = np.interp(asked.times_s[here], centres, values)
    return decoded


def lagged(binned: NDArray[np.float32], num_lags: int) -> NDArray[np.float32]:
    """Return each bin with its neighbours: (B, N) becomes (B, (2 L + 1) N), 0 past the ends.

    Lags lie together: columns l N to (l + 1) N are the units' bins at lag l - L.
    """
    if not num_lags:
        return binned
    padded = np.pad(binned, ((num_lags, num_lags), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * num_lags + 1, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(len(binned), -1)
