"""What a decoder is fitted and scored on: one task of one recording, part by part.

Times are asked for; a stretch says from where to where spikes may be read to answer. Every
decoder of a table gets the same times and the same stretches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.ops.intervals import total_s
from neurohorizon.recordings.decoding.targets import read_targets
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.decoding.windows import choose_signal
from neurohorizon.recordings.reference_pool import cut_stretch
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording

PartName = Literal["train", "valid", "test"]
#: Share of the training time that serves as validation where a case has none.
VALID_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Asked:
    """Times to decode at, and the stretches inside of which activity may be read.

    Parameters
    ----------
    stretches : (K, 2) float
        Half-open, sorted, disjoint, in seconds.
    times_s : (T,) float
        Sorted; each lies in one of the stretches.
    stretch : (T,) int
        Which one.
    """

    stretches: FloatArray
    times_s: FloatArray
    stretch: IntArray

    def __len__(self) -> int:
        return len(self.times_s)

    @classmethod
    def of(cls, stretches: ArrayLike, times_s: ArrayLike) -> Asked:
        """Ask for those of the sorted times that lie in the stretches."""
        rows = np.asarray(stretches, dtype=np.float64).reshape(-1, 2)
        times = np.asarray(times_s, dtype=np.float64)
        row, inside = find_stretch(rows, times)
        return cls(rows, times[inside], row[inside])


@dataclass(frozen=True, eq=False)
class Part(Asked):
    """Times of one part of the split, with what was true then.

    Parameters
    ----------
    values : (T, D) float or (T,) int
        In the task's own units; classes of a categorical task.
    weights : (T,) float
        In a decoder's loss.
    """

    values: NDArray[Any]
    weights: FloatArray

    @property
    def asked(self) -> Asked:
        """The part without what was true."""
        return Asked(self.stretches, self.times_s, self.stretch)

    @property
    def duration_s(self) -> float:
        """Length of the stretches together, in seconds."""
        return total_s(self.stretches)


@dataclass(frozen=True, eq=False)
class FitData:
    """What a decoder of one session may be fitted and tuned on.

    Parameters
    ----------
    activity : Activity
    task : Task
    train, valid : Part
    unit : str
        Of the values.
    """

    activity: Activity
    task: Task
    train: Part
    valid: Part
    unit: str = ""


@dataclass(frozen=True, eq=False)
class DecodingCase:
    """One task of one recording, ready to be decoded.

    Parameters
    ----------
    activity : Activity
        Spikes or a signal of the recording.
    task : Task
    times_s : (T,) float
        When the task has a value, in seconds, sorted.
    values : (T, D) float or (T,) int
        In the task's own units (not standardised), or classes.
    weights : (T,) float
    train, valid, test : (K, 2) float
        Stretches of the parts.
    unit : str
        Physical unit of the values.
    held_out : bool
        Whether the models of the table never saw the recording.

    Raises
    ------
    DataError
        If arrays do not go together, or the test part has no value.
    """

    activity: Activity
    task: Task
    times_s: FloatArray
    values: NDArray[Any]
    weights: FloatArray
    train: FloatArray
    valid: FloatArray
    test: FloatArray
    unit: str = ""
    held_out: bool = False

    def __post_init__(self) -> None:
        where = f"{self.recording_id}, task {self.task.name}"
        lengths = {len(self.times_s), len(self.values), len(self.weights)}
        if len(lengths) != 1:
            raise DataError(f"{where}: times, values and weights differ in length: {lengths}")
        if np.any(np.diff(self.times_s) < 0):
            raise DataError(f"{where}: time stamps are not sorted")
        wanted = 1 if self.task.spec.is_categorical else 2
        if self.values.ndim != wanted:
            raise DataError(
                f"{where}: values have {self.values.ndim} dimensions, expected {wanted} of a "
                f"{self.task.spec.kind} task"
            )

    @property
    def recording_id(self) -> str:
        """Id of the recording."""
        return self.activity.recording.id

    @classmethod
    def of(
        cls, recording: Recording, task: Task, *, signal: str = "", held_out: bool = False
    ) -> DecodingCase | None:
        """Make a case of a recording with a split; None if the recording lacks the task.

        Parameters
        ----------
        recording : Recording
        task : Task
            That has met the training recordings.
        signal : str
            Signals to read in place of spikes; "" for spikes or, where there are none, the only
            signals.
        held_out : bool
        """
        targets = read_targets(recording, task)
        if targets is None:
            return None
        chosen = choose_signal(recording, signal)
        names = [name for name, each in recording.signals.items() if each is chosen]
        split, series = recording.require_split(), recording.series.get(task.spec.series)
        unit = series.unit if series is not None else ""
        if unit and task.spec.transform in ("velocity", "speed"):
            unit = f"{unit}/s"
        return cls(
            activity=Activity(recording, names[0] if names else ""),
            task=task,
            times_s=targets.times_s,
            values=targets.values,
            weights=targets.weights.astype(np.float64),
            train=split.train,
            valid=split.valid,
            test=split.test,
            unit="" if task.spec.is_categorical else unit,
            held_out=held_out,
        )

    def part(self, name: PartName) -> Part:
        """Return a part: times with a known value and a positive weight.

        Stretches without any are left out: nothing is asked there.
        """
        stretches = np.asarray(getattr(self, name), dtype=np.float64).reshape(-1, 2)
        row, inside = find_stretch(stretches, self.times_s)
        known = self.weights > 0
        if self.task.spec.is_categorical:
            known &= self.values >= 0
        else:
            known &= np.isfinite(self.values).all(axis=1)
        kept = np.flatnonzero(inside & known)
        used, row = np.unique(row[kept], return_inverse=True)
        return Part(stretches[used], self.times_s[kept], row, self.values[kept], self.weights[kept])

    def fit_data(self) -> FitData:
        """Return what decoders may be fitted on.

        Without a validation part, the last fifth of the training time serves as one.

        Raises
        ------
        DataError
            If the training part has no value.
        """
        train, valid = self.part("train"), self.part("valid")
        if not len(train):
            raise DataError(
                f"{self.recording_id}, task {self.task.name}: no value in the training part: "
                "nothing to fit the simple decoders on"
            )
        if not len(valid):
            train, valid = _cut(self, train)
        return FitData(self.activity, self.task, train, valid, self.unit)


def find_stretch(stretches: FloatArray, times: FloatArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """Return for each time the half-open stretch it lies in, and whether there is one."""
    if not len(stretches):
        return np.zeros(len(times), dtype=np.int64), np.zeros(len(times), dtype=bool)
    row = np.searchsorted(stretches[:, 0], times, side="right") - 1
    inside = (row >= 0) & (times < stretches[np.maximum(row, 0), 1])
    return np.maximum(row, 0), inside


def _cut(case: DecodingCase, train: Part) -> tuple[Part, Part]:
    """Cut validation off the end of the training part."""
    length_s, stretches = total_s(train.stretches), train.stretches
    early_s = (1 - VALID_SHARE) * length_s
    early = cut_stretch(stretches, 0.0, early_s)
    cut = replace(case, train=early, valid=cut_stretch(stretches, early_s, length_s))
    parts = cut.part("train"), cut.part("valid")
    if not all(map(len, parts)):
        raise DataError(
            f"{case.recording_id}, task {case.task.name}: {len(train)} values to fit on: too few "
            "to fit and to tune on"
        )
    return parts
