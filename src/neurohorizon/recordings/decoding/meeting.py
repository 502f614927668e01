"""Tasks meet the training recordings: how large they are, on what scale, of which classes.

Only training time is read for numbers, so nothing of validation or test is in a mean, a scale or
an axis. What classes are called is read from all of the training recordings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.intervals import as_intervals, contains
from neurohorizon.recordings.decoding.naming import nearest
from neurohorizon.recordings.decoding.targets import RawTargets, read_raw, source_of
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.recordings.schema import Recording

Found = dict[str, RawTargets]
"""By the recording's id."""


def meet_tasks(specs: Sequence[TaskSpec], recordings: Sequence[Recording]) -> tuple[Task, ...]:
    """Tell the size, the scale and the classes of tasks by the recordings to be trained on.

    Parameters
    ----------
    specs : sequence of TaskSpec
        At least one, each with a name of its own.
    recordings : sequence of Recording
        Training recordings, with splits. One that lacks a task is fine.

    Returns
    -------
    tuple of Task
        In the order of `specs`. Without `standardise` the mean is 0 and the scale 1.

    Raises
    ------
    ConfigError
        If settings do not go together, or no recording has what a task names.
    DataError
        If values are constant, all missing or of too many classes, or recordings differ in
        their columns.
    """
    if not specs:
        raise ConfigError("tasks: none is declared: name at least one")
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"tasks.{name}: two tasks have this name")
    return tuple(_meet(spec, recordings) for spec in specs)


def check_spec(spec: TaskSpec) -> None:
    """Refuse a task whose settings do not go together.

    Raises
    ------
    ConfigError
    """
    here = f"tasks.{spec.name}"
    if spec.table:
        unused = {
            "transform": spec.transform != "value",
            "smooth_s": spec.smooth_s,
            "rate_hz": spec.rate_hz,
            "columns": spec.columns,
        }
        for key, used in unused.items():
            if used:
                raise ConfigError(
                    f"{here}.{key} is of series: values of a table are read as they are"
                )
        if isinstance(spec.at, str) and spec.at not in ("start", "middle", "end"):
            raise ConfigError(f"{here}.at is {spec.at!r}: expected start, middle, end or seconds")
    for key in ("smooth_s", "slowest", "rate_hz", "num_classes"):
        if not (np.isfinite(getattr(spec, key)) and getattr(spec, key) >= 0):
            raise ConfigError(f"{here}.{key} is {getattr(spec, key):g}: expected 0 or more")
    if spec.columns and min(spec.columns) < 0:
        raise ConfigError(f"{here}.columns holds {min(spec.columns)}: the first column is 0")
    if spec.transform == "heading":
        if spec.kind not in ("multinomial", "binary"):
            raise ConfigError(f"{here}: a heading is multinomial (or binary), not {spec.kind}")
        if spec.num_classes < 2:
            raise ConfigError(f"{here}.num_classes is the number of a heading's sectors: 2 or more")
    else:
        if spec.slowest:
            raise ConfigError(f"{here}.slowest is of headings: transform is {spec.transform}")
        if spec.is_categorical and spec.transform != "value":
            raise ConfigError(f"{here}: {spec.transform} is continuous, the task is {spec.kind}")
        if spec.is_categorical and spec.smooth_s:
            raise ConfigError(f"{here}.smooth_s: classes cannot be smoothed")
        if not spec.is_categorical and spec.num_classes:
            raise ConfigError(f"{here}.num_classes is of classes: the task is continuous")
    if spec.kind == "binary" and spec.num_classes not in (0, 2):
        raise ConfigError(f"{here}.num_classes is {spec.num_classes}: a binary task has 2")


def _meet(spec: TaskSpec, recordings: Sequence[Recording]) -> Task:
    check_spec(spec)
    _require_source(spec, recordings)
    found = {
        recording.id: raw
        for recording in recordings
        if (raw := read_raw(recording, spec)) is not None
    }
    here = f"tasks.{spec.name}: {source_of(spec)}"
    if not found:
        within = f" within the table {spec.evaluate}" if spec.evaluate else ""
        raise DataError(
            f"{here} has no value{within} in any of {len(recordings)} training recordings "
            f"({recordings[0].id}, ...): all are missing"
        )
    training = _in_training(found, recordings)
    if not training:
        raise DataError(f"{here} has no value in the train domain of any training recording")
    if spec.transform == "heading":
        return _with_axis(spec, found, training, here)
    if spec.is_categorical:
        return Task(spec, classes=_classes(spec, found, here))
    _require_same_columns(found, here)
    mean, scale = _moments(training)
    still = np.flatnonzero(scale <= 1e-9 * np.maximum(np.abs(mean), 1e-3))
    if len(still):
        raise DataError(
            f"{here} is constant ({mean[still[0]]:g}, column {still[0]}) in the train domains of "
            f"{len(training)} recordings ({next(iter(training))}, ...): there is nothing to decode"
        )
    if not spec.standardise:
        mean, scale = np.zeros_like(mean), np.ones_like(scale)
    return Task(spec, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))


def _require_source(spec: TaskSpec, recordings: Sequence[Recording]) -> None:
    """Refuse names that no recording has."""
    here = f"tasks.{spec.name}"
    tables = {name: table for each in recordings for name, table in each.tables.items()}
    if spec.series:
        there = {name for recording in recordings for name in recording.series}
        if spec.series not in there:
            said = nearest(spec.series, sorted(there))
            raise ConfigError(f"{here}: no training recording has the series {spec.series}{said}")
    wanted = {"table": spec.table, "evaluate": spec.evaluate}
    wanted |= {f"interval_weights.{name}": name for name in spec.interval_weights}
    for key, name in wanted.items():
        if name and name not in tables:
            said = nearest(name, sorted(tables))
            raise ConfigError(f"{here}.{key}: no training recording has the table {name}{said}")
    if spec.table:
        there = {
            column
            for recording in recordings
            if spec.table in recording.tables
            for column in recording.tables[spec.table].columns
        }
        if spec.column not in there:
            said = nearest(spec.column, sorted(there))
            raise ConfigError(
                f"{here}.column: no training recording has {spec.column} in its table "
                f"{spec.table}{said}"
            )


def _in_training(found: Found, recordings: Sequence[Recording]) -> Found:
    training = {}
    for recording in recordings:
        if recording.id in found:
            raw = found[recording.id]
            kept = contains(as_intervals(recording.require_split().train), raw.times_s)
            if kept.any():
                training[recording.id] = RawTargets(raw.times_s[kept], raw.values[kept])
    return training


def _require_same_columns(found: Found, here: str) -> None:
    first = next(iter(found))
    for where, raw in found.items():
        if raw.values.shape[1] != found[first].values.shape[1]:
            raise DataError(
                f"{here} has {found[first].values.shape[1]} columns in {first} and "
                f"{raw.values.shape[1]} in {where}: say which with tasks.columns"
            )


def _moments(training: Found) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, every time stamp alike."""
    number = sum(len(raw.times_s) for raw in training.values())
    mean = sum(raw.values.sum(axis=0) for raw in training.values()) / number
    power = sum(((raw.values - mean) ** 2).sum(axis=0) for raw in training.values())
    return np.asarray(mean), np.sqrt(np.asarray(power) / number)


def _with_axis(spec: TaskSpec, found: Found, training: Found, here: str) -> Task:
    for where, raw in found.items():
        if raw.values.shape[1] != 2:
            raise DataError(
                f"{where}: {source_of(spec)} has {raw.values.shape[1]} columns; a heading is of "
                "two: say which with tasks.columns"
            )
    second = sum(raw.values.T @ raw.values for raw in training.values())
    direction = np.linalg.eigh(np.asarray(second))[1][:, -1]
    axis = float(np.arctan2(direction[1], direction[0]))
    # An axis has two ends: the one to the right (or straight up) is its direction.
    if not -np.pi / 2 < axis <= np.pi / 2:
        axis -= np.copysign(np.pi, axis)
    centres = np.degrees(axis + 2 * np.pi * np.arange(spec.num_classes) / spec.num_classes)
    words = tuple(f"{round(float(centre)) % 360} deg" for centre in centres)
    if len(set(words)) < len(words):
        raise ConfigError(f"{here}: {spec.num_classes} sectors are narrower than a degree")
    return Task(spec, classes=words, axis_rad=axis)


def _classes(spec: TaskSpec, found: Found, here: str) -> tuple[str, ...]:
    words = sorted({word for raw in found.values() for word in np.unique(raw.values).tolist()})
    try:
        words = sorted(words, key=float)
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
        if spec.kind == "ordinal":
            raise DataError(
                f"{here} has the class {words[0]!r}: classes in an order are numbers"
            ) from None
    wanted = 2 if spec.kind == "binary" else spec.num_classes
    if wanted and len(words) != wanted:
        # Classes counted from 0 may lack one that these few recordings do not have.
        if wanted > len(words) and numbers and set(numbers) <= set(range(wanted)):
            words = [str(number) for number in range(wanted)]
        else:
            listed = ", ".join(words[:8]) + (", ..." if len(words) > 8 else "")
            raise DataError(f"{here} has {len(words)} classes ({listed}), expected {wanted}")
    if len(words) < 2:
        raise DataError(f"{here} is always {words[0]}: there is nothing to decode")
    return tuple(words)
