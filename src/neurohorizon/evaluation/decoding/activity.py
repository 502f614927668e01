"""Spikes or signals of a recording as decoders on a clock read them: bins inside stretches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.binning import search_times, to_ticks
from neurohorizon.recordings.schema import FloatArray, Recording

Binned = list[NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Activity:
    """Spikes of a recording, or one of its signals.

    Parameters
    ----------
    recording : Recording
    signal : str
        Name of the signal; empty for spikes.

    Raises
    ------
    DataError
        If there is no such signal, or neither spikes nor a signal is named.
    """

    recording: Recording
    signal: str = ""

    def __post_init__(self) -> None:
        here, signals = self.recording.id, ", ".join(self.recording.signals) or "none"
        if self.signal and self.signal not in self.recording.signals:
            raise DataError(f"{here}: no signal {self.signal!r}; signals here: {signals}")
        if not self.signal and not len(self.recording.spike_times):
            raise DataError(f"{here}: no spikes; name a signal to decode from: {signals}")

    @property
    def is_spikes(self) -> bool:
        """Whether units are read spike by spike, or on a clock."""
        return not self.signal

    @property
    def num_units(self) -> int:
        """Number of units."""
        return self.recording.num_units

    @property
    def shortest_bin_s(self) -> float:
        """Bins shorter than this, in seconds, would often be empty: a signal's usual step."""
        if self.is_spikes:
            return 0.0
        times = self.recording.signals[self.signal].timestamps
        return float(np.median(np.diff(times))) if len(times) > 1 else 0.0

    def binned(self, stretches: FloatArray, bin_s: float) -> Binned:
        """Count spikes (or average values) in bins of each stretch, reading nothing outside.

        Parameters
        ----------
        stretches : (K, 2) array
        bin_s : float

        Returns
        -------
        list of (B, N) float32
            One array a stretch; see :func:`num_bins`. Bins without a value of a signal have the
            value of the nearest bin with one, or NaN if there is none in the stretch.
        """
        read = self._count if self.is_spikes else self._average
        return [read(float(start), float(end), bin_s) for start, end in stretches]

    def _count(self, start: float, end: float, bin_s: float) -> NDArray[np.float32]:
        times, unit = self.recording.between(start, end)
        count = num_bins(start, end, bin_s)
        row = (to_ticks(times) - to_ticks(start)) // to_ticks(bin_s)
        # A stretch shorter than a bin is one bin; what is left after the last one is not read.
        kept = (row >= 0) & (row < count)
        cell = row[kept] * self.num_units + unit[kept]
        counts = np.bincount(cell, minlength=count * self.num_units)
        return counts.reshape(count, self.num_units).astype(np.float32)

    def _average(self, start: float, end: float, bin_s: float) -> NDArray[np.float32]:
        series = self.recording.signals[self.signal]
        low, high = search_times(series.timestamps, (start, end))
        times = np.asarray(series.timestamps[low:high], dtype=np.float64)
        values = np.asarray(series.values[low:high], dtype=np.float64)
        count = num_bins(start, end, bin_s)
        row = bin_of(times, start, end, bin_s)
        known = np.isfinite(values)
        sums, seen = np.zeros((2, count, self.num_units))
        np.add.at(sums, row, np.where(known, values, 0.0))
        np.add.at(seen, row, known)
        mean = np.divide(sums, seen, out=np.full(sums.shape, np.nan), where=seen > 0)
        return _fill(mean).astype(np.float32)


def num_bins(start: float, end: float, bin_s: float) -> int:
    """Return how many whole bins fit into a stretch, one at least.

    What is left at the end is not read; times there have the value of the last bin.
    """
    return max(int(np.floor((end - start) / bin_s + 1e-6)), 1)


def bin_of(times_s: FloatArray, start: float, end: float, bin_s: float) -> NDArray[np.int64]:
    """Return the bin of each time of a stretch."""
    row = (to_ticks(times_s) - to_ticks(start)) // to_ticks(bin_s)
    return np.clip(row, 0, num_bins(start, end, bin_s) - 1)


def scale_of(binned: Sequence[NDArray[np.float32]]) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of each unit, (N,) each; units that never vary get 1."""
    count = sum(len(each) for each in binned)
    total = np.sum([np.nansum(each, axis=0, dtype=np.float64) for each in binned], axis=0)
    mean = total / count
    square = np.sum([np.nansum((each - mean) ** 2, axis=0) for each in binned], axis=0)
    deviation = np.sqrt(square / count)
    return mean, np.where(deviation > 0, deviation, 1.0)


def standardised(binned: Binned, mean: FloatArray, deviation: FloatArray) -> Binned:
    """Return deviations from the mean in standard deviations; 0 where nothing is known."""
    return [
        np.nan_to_num((each - mean) / deviation, posinf=0.0, neginf=0.0).astype(np.float32)
        for each in binned
    ]


def _fill(values: FloatArray) -> FloatArray:
    """Fill rows without a value from the nearest one with a value, column by column."""
    for column in values.T:
        known = np.flatnonzero(np.isfinite(column))
        if 0 < len(known) < len(column):
            nearest = np.abs(np.arange(len(column))[:, None] - known).argmin(axis=1)
            column[:] = column[known[nearest]]
    return values
