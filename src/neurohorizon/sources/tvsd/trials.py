"""``THINGS_MUA_trials.mat`` of TVSD: tens of GB of which a tile at a time is read.

``ALLMUA`` holds the activity of every millisecond of every trial, in the recorder's order of
channels. It is averaged over each area's window, or into time bins, while it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray, IntArray
from neurohorizon.sources.tvsd import files
from neurohorizon.sources.tvsd.files import NUM_UNITS, member, open_mat, unit_axis

# ms after onset, half-open: where each area answers
WINDOWS_MS = {"V1": (25.0, 125.0), "V4": (50.0, 150.0), "IT": (75.0, 175.0)}


@dataclass(frozen=True)
class TrialTable:
    """What was shown in each trial; all columns (K,) int.

    Parameters
    ----------
    train, test : (K,) int
        Row of the train or test images, -1 where the trial belongs to the other.
    day : (K,) int
    """

    train: IntArray
    test: IntArray
    day: IntArray


@dataclass(frozen=True)
class TrialValues:
    """Activity of trials, averaged over time while it is read: rows by slices.

    Parameters
    ----------
    path : path
        The trials file.
    axes : (int, int, int)
        Axes of ``ALLMUA`` that count time, trials and channels.
    mapping : (1024,) int
        Recorded channel of each electrode.
    group : (1024,) int
        Electrodes of one group average the same samples.
    ranges : (G, B, 2) int
        First sample, and the one after the last, that each bin of each group averages.
    binned : bool
        True: values are (rows, electrodes, bins). False: (rows, electrodes).
    num_trials : int
    """

    path: Path
    axes: tuple[int, int, int]
    mapping: IntArray
    group: IntArray
    ranges: IntArray
    binned: bool
    num_trials: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Trials, electrodes and, if binned, bins."""
        bins = (self.ranges.shape[1],) if self.binned else ()
        return (self.num_trials, NUM_UNITS, *bins)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value."""
        return np.dtype(np.float32)

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]:
        """Read the responses of some trials."""
        first, last, step = rows.indices(self.num_trials)
        assert step == 1
        values = np.empty((max(last - first, 0), *self.shape[1:]), dtype=np.float32)
        with open_mat(self.path) as file:
            dataset = member(file, "ALLMUA", self.path)
            tile = _tile(dataset, self.axes)
            # Tiles begin at multiples of their length, so that none cuts a chunk.
            for low in range(first - first % tile[1], last, tile[1]):
                trials = slice(max(low, first), min(low + tile[1], last))
                mean = self._average(dataset, trials, tile)
                target = slice(trials.start - first, trials.stop - first)
                values[target] = mean if self.binned else mean[:, :, 0]
        return values

    def _average(
        self, dataset: h5py.Dataset, trials: slice, tile: tuple[int, int, int]
    ) -> NDArray[np.float64]:
        """Return means of some trials, (trials, electrodes, bins)."""
        group = np.empty_like(self.group)
        group[self.mapping] = self.group
        first, last = int(self.ranges[..., 0].min()), int(self.ranges[..., 1].max())
        total = np.zeros((trials.stop - trials.start, NUM_UNITS, self.ranges.shape[1]))
        starts = range(first - first % tile[0], last, tile[0])
        for time, channel in product(starts, range(0, NUM_UNITS, tile[2])):
            channels = slice(channel, channel + tile[2])
            index: list[slice] = [slice(None)] * 3
            for axis, part in zip(
                self.axes, (slice(time, time + tile[0]), trials, channels), strict=True
            ):
                index[axis] = part
            block = dataset[tuple(index)].transpose(self.axes)
            for number in np.unique(group[channels]):
                here = np.flatnonzero(group[channels] == number)
                part = block if len(here) == block.shape[2] else block[:, :, here]
                for place, (low, high) in enumerate(self.ranges[number] - time):
                    samples = part[max(low, 0) : max(high, 0)]
                    total[:, channel + here, place] += samples.sum(axis=0, dtype=np.float64)
        mean = total[:, self.mapping]
        mean /= np.diff(self.ranges)[self.group, :, 0]
        return mean


def _tile(dataset: h5py.Dataset, axes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return how many times, trials and channels to read at once.

    At least one chunk, since HDF5 unpacks whole chunks; then as many channels, times and
    trials, in this order, as fit into the bytes allowed.
    """
    shape = [dataset.shape[axis] for axis in axes]
    tile = [dataset.chunks[axis] if dataset.chunks else 1 for axis in axes]
    room = max(1, files.READ_BYTES // dataset.dtype.itemsize)
    for place in (2, 0, 1):
        fitting = max(1, room // prod(tile))
        tile[place] = min(shape[place], tile[place] * fitting)
    return tile[0], tile[1], tile[2]


def read_trials(
    path: Path,
    *,
    mapping: IntArray,
    area: NDArray[np.str_],
    bins_ms: float,
    num_images: dict[str, int],
) -> tuple[TrialValues, TrialTable, FloatArray | None]:
    """Open the trials file.

    Parameters
    ----------
    path : path
    mapping : (1024,) int
        Recorded channel of each electrode.
    area : (1024,) str
        Of each electrode: chooses its window.
    bins_ms : float
        Width of time bins over all that was recorded; 0: one value, over the area's window.
    num_images : dict of str to int
        How many "train" and "test" images there are.

    Returns
    -------
    values : TrialValues
    table : TrialTable
    bin_edges_s : (B + 1,) float or None

    Raises
    ------
    DataError
        If a member is missing, its axes do not fit, a trial shows no image or one that the
        list lacks, or the bins do not fit the recorded time.
    """
    with open_mat(path) as file:
        activity = member(file, "ALLMUA", path)
        time_ms = np.asarray(member(file, "tb", path)[()], dtype=np.float64).ravel()
        rows = np.asarray(member(file, "ALLMAT", path)[()], dtype=np.float64)
        shape = activity.shape
    where = f"{path}: ALLMUA"
    if len(shape) != 3:
        raise DataError(f"{where}: shape {shape}, expected time, trials and electrodes")
    axes = (0, 1, 2) if unit_axis(shape, where) == 2 else (2, 1, 0)
    if shape[axes[0]] != len(time_ms):
        raise DataError(f"{where}: {shape[axes[0]]} samples, but tb has {len(time_ms)} times")
    num_trials = shape[1]
    group, ranges, edges_s = _ranges(time_ms, area=area, bins_ms=bins_ms, where=f"{path}: tb")
    table = _table(rows, num_trials, num_images, f"{path}: ALLMAT")
    values = TrialValues(path, axes, mapping, group, ranges, bins_ms > 0, num_trials)
    return values, table, edges_s


def _ranges(
    time_ms: FloatArray, *, area: NDArray[np.str_], bins_ms: float, where: str
) -> tuple[IntArray, IntArray, FloatArray | None]:
    """Return each electrode's group, each group's ranges of samples, and the bins' edges."""
    step_ms = float(np.median(np.diff(time_ms))) if len(time_ms) > 1 else 0.0
    if step_ms <= 0 or np.abs(np.diff(time_ms) - step_ms).max() > 1e-3 * step_ms:
        raise DataError(f"{where}: times do not increase evenly; download the file again")
    if bins_ms == 0:
        windows_ms = np.array(list(WINDOWS_MS.values()))
        ranges = np.searchsorted(time_ms, windows_ms)
        if time_ms[0] > windows_ms.min() or time_ms[-1] + step_ms < windows_ms.max():
            words = ", ".join(
                f"{name} {low:g}-{high:g}" for name, (low, high) in WINDOWS_MS.items()
            )
            raise DataError(
                f"{where}: {time_ms[0]:g} to {time_ms[-1]:g} ms does not hold every area's window "
                f"({words} ms)"
            )
        names = np.array(list(WINDOWS_MS))
        return np.argmax(area[:, None] == names, axis=1), ranges[:, None], None
    per_bin, length = round(bins_ms / step_ms), len(time_ms)
    if per_bin < 1 or abs(per_bin * step_ms - bins_ms) > 1e-6 or length % per_bin:
        fits = [count * step_ms for count in range(1, length + 1) if length % count == 0]
        near = sorted(sorted(fits, key=lambda width: abs(width - bins_ms))[:3])
        raise DataError(
            f"bins_ms={bins_ms:g} does not divide the {length * step_ms:g} ms of {where}; "
            f"choose {', '.join(f'{width:g}' for width in near)}"
        )
    bounds = per_bin * np.arange(length // per_bin + 1)
    ranges = np.column_stack([bounds[:-1], bounds[1:]])[None]
    return np.zeros(NUM_UNITS, dtype=np.int64), ranges, (time_ms[0] + step_ms * bounds) / 1e3


def _table(rows: FloatArray, num_trials: int, num_images: dict[str, int], where: str) -> TrialTable:
    """Read the columns trial, train, test, repeat, count, (correct,) day; ids count from 1."""
    if rows.ndim != 2 or num_trials not in rows.shape or not {6, 7} & set(rows.shape):
        raise DataError(
            f"{where}: shape {rows.shape}, expected 6 or 7 columns of {num_trials} trials"
        )
    columns = rows if rows.shape[1] == num_trials and rows.shape[0] in (6, 7) else rows.T
    if not np.isfinite(columns[[1, 2, -1]]).all():
        raise DataError(f"{where}: image ids or days are missing (NaN); download it again")
    train, test = columns[1].astype(np.int64) - 1, columns[2].astype(np.int64) - 1
    unclear = (train >= 0) == (test >= 0)
    if unclear.any():
        raise DataError(
            f"{where}: trial {int(np.argmax(unclear))} shows no image, or one of train and one of "
            "test; expected one id above 0"
        )
    for name, index in (("train", train), ("test", test)):
        if index.max() >= num_images[name]:
            raise DataError(
                f"{where}: {name} image {int(index.max()) + 1} is shown, but things_imgs.mat lists "
                f"{num_images[name]}; the files belong to different data"
            )
    return TrialTable(train, test, columns[-1].astype(np.int64))
