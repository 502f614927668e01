"""What a recording says of a task: time stamps, values there, and what each weighs.

Of a series, in this order: samples that are not finite are left out; what is left is smoothed;
differentiated (velocity, speed, heading); brought onto a clock of `rate_hz` (means over its
steps, straight lines where the series is the slower of the two; classes hold on until the next
sample); and, of a heading, sorted into sectors. None of this reaches across a gap, or from one
part of the split into another: what a training target says is of training time alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import as_intervals, contains
from neurohorizon.ops.smoothing import (
    differentiate,
    find_runs,
    median_step,
    resample_held,
    resample_mean,
    smooth,
)
from neurohorizon.recordings.decoding.naming import nearest
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording, Series, Table

#: Samples hang together up to this distance, or two and a half steps of their clock.
LONGEST_GAP_S = 0.1
#: How a table, or a series of words, says that a value is missing.
MISSING = ("", "nan", "none")


@dataclass(frozen=True)
class Targets:
    """What is to be decoded of one recording.

    Parameters
    ----------
    times_s : (T,) float
        Seconds, sorted.
    values : (T, D) float or (T,) int
        In units of the series, or classes of the task.
    weights : (T,) float32
        Of each in the loss.
    """

    times_s: FloatArray
    values: NDArray[Any]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.times_s)

    def inside(self, stretches: FloatArray) -> IntArray:
        """Return which time stamps lie in stretches (K, 2)."""
        return np.flatnonzero(contains(as_intervals(stretches), self.times_s))


@dataclass(frozen=True)
class RawTargets:
    """The same before the training recordings told classes and sectors.

    Parameters
    ----------
    times_s : (T,) float
    values : (T, D) float, or (T,) str
        Of a heading: velocities, of those that are fast enough.
    """

    times_s: FloatArray
    values: NDArray[Any]


def read_targets(recording: Recording, task: Task) -> Targets | None:
    """Read what a task asks of a recording.

    Parameters
    ----------
    recording : Recording
    task : Task
        That has met the training recordings.

    Returns
    -------
    Targets or None
        None where the recording lacks the series or table, or all of its values.

    Raises
    ------
    DataError
        If it has other columns than the training recordings, or a class that they lack.
    """
    raw = read_raw(recording, task.spec)
    if raw is None:
        return None
    if task.spec.transform == "heading":
        values = heading_sectors(raw.values, axis_rad=task.axis_rad, number=len(task.classes))
    elif task.spec.is_categorical:
        values = _class_index(raw.values, task, recording)
    else:
        values = raw.values
        if values.shape[1] != task.num_outputs:
            raise DataError(
                f"{recording.id}: {source_of(task.spec)} has {values.shape[1]} columns, but "
                f"{task.num_outputs} in the recordings that task {task.name} was trained on"
            )
    return Targets(raw.times_s, values, _weights(recording, task.spec, raw.times_s))


def standardise(task: Task, values: FloatArray) -> NDArray[np.float32]:
    """Return values of a continuous task as deviations of its mean, in its scale."""
    return ((values - np.array(task.mean)) / np.array(task.scale)).astype(np.float32)


def restore(task: Task, standardised: NDArray[np.floating[Any]]) -> FloatArray:
    """Return what a model put out for a continuous task in units of the series."""
    return np.asarray(standardised, dtype=np.float64) * np.array(task.scale) + np.array(task.mean)


def read_raw(recording: Recording, spec: TaskSpec) -> RawTargets | None:
    """Read the values of a task that no training recording is needed for; None if none."""
    if spec.series:
        series = recording.series.get(spec.series)
        raw = None if series is None else _of_series(recording, series, spec)
    else:
        table = recording.tables.get(spec.table)
        there = table is not None and spec.column in table.columns
        raw = _of_table(table, spec) if table is not None and there else None
    if raw is None:
        return None
    kept = contains(as_intervals(recording.domain), raw.times_s)
    if spec.evaluate:
        table = recording.tables.get(spec.evaluate)
        kept &= contains(_rows_of(table), raw.times_s)
    if not kept.any():
        return None
    return RawTargets(raw.times_s[kept], raw.values[kept])


def source_of(spec: TaskSpec) -> str:
    """Say where the values of a task come from."""
    if spec.series:
        return f"the series {spec.series}"
    return f"the column {spec.column} of the table {spec.table}"


def heading_sectors(velocity: FloatArray, *, axis_rad: float, number: int) -> IntArray:
    """Tell in which of equal sectors each velocity points, the first centred on an axis.

    Examples
    --------
    >>> heading_sectors(np.array([[1.0, 0.2], [-1.0, 0.0]]), axis_rad=0.0, number=2).tolist()
    [0, 1]
    """
    angle = np.arctan2(velocity[:, 1], velocity[:, 0]) - axis_rad
    width = 2 * np.pi / number
    return np.floor((angle + width / 2) / width).astype(np.int64) % number


def as_words(values: NDArray[Any]) -> NDArray[np.str_]:
    """Write classes as words: 3.0 and 3 are "3", what is missing is "".

    Examples
    --------
    >>> as_words(np.array([1.0, np.nan, 0.25])).tolist()
    ['1', '', '0.25']
    """
    if values.dtype.kind in "fiub":
        found, place = np.unique(values.astype(np.float64), return_inverse=True)
        words = ["" if np.isnan(each) else f"{each + 0.0:.6g}" for each in found.tolist()]
        return np.array(words, dtype=np.str_)[place.reshape(values.shape)]
    words = np.char.strip(values.astype(np.str_))
    return np.where(np.isin(np.char.lower(words), MISSING), "", words)


def _of_series(recording: Recording, series: Series, spec: TaskSpec) -> RawTargets | None:
    times = np.asarray(series.timestamps, dtype=np.float64)
    values = np.asarray(series.values)
    if values.ndim == 1:
        values = values[:, None]
    if spec.columns:
        if max(spec.columns) >= values.shape[1]:
            raise DataError(
                f"{recording.id}: task {spec.name} asks for column {max(spec.columns)} of the "
                f"series {spec.series}, which has {values.shape[1]} (the first is 0)"
            )
        values = values[:, list(spec.columns)]
    # A time told twice has one value, the first.
    new = np.diff(times, prepend=-np.inf) > 0
    longest_gap_s = max(LONGEST_GAP_S, 2.5 * median_step(times))
    if spec.is_categorical and spec.transform != "heading":
        words = as_words(values[:, 0])
        known = new & (words != "")
        times, words = times[known], words[known]
        if spec.rate_hz:
            runs = find_runs(times, longest_gap_s=longest_gap_s, edges_s=_edges(recording))
            times, sample = resample_held(times, runs, rate_hz=spec.rate_hz)
            words = words[sample]
        return RawTargets(times, words) if len(times) else None
    numbers = values.astype(np.float64)
    known = new & np.isfinite(numbers).all(axis=1)
    times, numbers = times[known], numbers[known]
    if len(times) == 0:
        return None
    runs = find_runs(times, longest_gap_s=longest_gap_s, edges_s=_edges(recording))
    return _of_numbers(times, numbers, runs, spec)


def _of_numbers(
    times: FloatArray, values: FloatArray, runs: IntArray, spec: TaskSpec
) -> RawTargets:
    if spec.smooth_s:
        values = smooth(times, values, runs, sigma_s=spec.smooth_s)
    if spec.transform != "value":
        # A sample by itself has no slope.
        number = np.diff(runs)
        kept = np.repeat(number > 1, number)
        times, values = times[kept], values[kept]
        runs = np.concatenate([[0], np.cumsum(number[number > 1])])
        values = differentiate(times, values, runs)
    if spec.transform == "speed":
        values = np.sqrt(np.sum(values**2, axis=1, keepdims=True))
    if spec.rate_hz:
        times, values = resample_mean(times, values, runs, rate_hz=spec.rate_hz)
    if spec.transform == "heading":
        # What stands still points nowhere.
        speed = np.sqrt(np.sum(values**2, axis=1))
        moves = (speed >= spec.slowest) & (speed > 0)
        times, values = times[moves], values[moves]
    return RawTargets(times, values)


def _of_table(table: Table, spec: TaskSpec) -> RawTargets:
    start, end = np.asarray(table.start), np.asarray(table.end)
    if spec.at == "start":
        times = start
    elif spec.at == "end":
        times = end
    elif spec.at == "middle":
        times = (start + end) / 2
    else:
        times = start + float(spec.at)
    values = np.asarray(table.columns[spec.column])
    # A row that is over by then has no such moment.
    known = np.isfinite(times) & (times <= end)
    if spec.is_categorical:
        values = as_words(values.reshape(len(times), -1)[:, 0])
        known &= values != ""
    else:
        values = values.reshape(len(times), -1).astype(np.float64)
        known &= np.isfinite(values).all(axis=1)
    order = np.argsort(times[known], kind="stable")
    return RawTargets(np.asarray(times[known][order], dtype=np.float64), values[known][order])


def _class_index(words: NDArray[np.str_], task: Task, recording: Recording) -> IntArray:
    found, place = np.unique(words, return_inverse=True)
    unknown = [word for word in found.tolist() if word not in task.classes]
    if unknown:
        raise DataError(
            f"{recording.id}: {source_of(task.spec)} has the class {unknown[0]!r}, which task "
            f"{task.name} does not know{nearest(unknown[0], task.classes)}"
        )
    index = np.array([task.classes.index(word) for word in found.tolist()], dtype=np.int64)
    return index[place]


def _weights(recording: Recording, spec: TaskSpec, times: FloatArray) -> NDArray[np.float32]:
    """Multiply the weights of all tables that a time stamp lies in."""
    weights = np.ones(len(times), dtype=np.float32)
    for name, weight in spec.interval_weights.items():
        weights[contains(_rows_of(recording.tables.get(name)), times)] *= weight
    return weights


def _rows_of(table: Table | None) -> FloatArray:
    if table is None:
        return as_intervals(())
    return as_intervals(np.column_stack([table.start, table.end]))


def _edges(recording: Recording) -> FloatArray:
    """Return where values on both sides must not be mixed."""
    stretches: Iterable[FloatArray] = (recording.domain,)
    if recording.split is not None:
        split = recording.split
        stretches = (recording.domain, split.train, split.valid, split.test)
    return np.unique(np.concatenate([each.ravel() for each in stretches]))
