"""What decoders were found to decode: rows, tasks, recordings, and the sums behind each number."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.cases import DecodingCase, PartName
from neurohorizon.evaluation.decoding.sums import Sums
from neurohorizon.evaluation.decoding.tuning import Chosen
from neurohorizon.evaluation.protocol import Role
from neurohorizon.evaluation.results import Row
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.schema import FloatArray


@dataclass(frozen=True)
class DecodedCase:
    """What tables say about one task of one recording.

    Parameters
    ----------
    recording, subject, source, task : str
    held_out : bool
        Whether models never saw the recording.
    unit : str
        Of the values.
    num_units : int
    train_s, valid_s, test_s : float
        Seconds of each part.
    num_train, num_valid, num_test : int
        Time stamps of each part.
    """

    recording: str
    subject: str
    source: str
    task: str
    held_out: bool
    unit: str
    num_units: int
    train_s: float
    valid_s: float
    test_s: float
    num_train: int
    num_valid: int
    num_test: int

    @classmethod
    def of(cls, case: DecodingCase) -> DecodedCase:
        """Describe a case."""
        recording = case.activity.recording
        names: tuple[PartName, ...] = ("train", "valid", "test")
        train, valid, test = (case.part(name) for name in names)
        return cls(
            recording=recording.id,
            subject=recording.subject,
            source=recording.source,
            task=case.task.name,
            held_out=case.held_out,
            unit=case.unit,
            num_units=recording.num_units,
            train_s=train.duration_s,
            valid_s=valid.duration_s,
            test_s=test.duration_s,
            num_train=len(train),
            num_valid=len(valid),
            num_test=len(test),
        )


@dataclass(frozen=True, eq=False)
class Entry:
    """One row on one task of one recording.

    Parameters
    ----------
    sums : Sums or None
        None if the row was left out.
    chosen : Chosen
        Settings of a simple decoder, and what they were chosen from.
    left_out : str
        Why there is nothing; empty if there is.
    seconds : float
        Time that fitting and decoding took.
    """

    sums: Sums | None
    chosen: Chosen = field(default_factory=lambda: Chosen({}))
    left_out: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Predictions:
    """What was true and what every row decoded of one task of one recording's test part.

    Parameters
    ----------
    times_s : (T,) float
    stretch : (T,) int
        Stretch of the test part that each time stamp lies in.
    values : (T, D) float or (T,) int
    decoded : mapping of str to (T, P) float32
        By row: values in the task's units, or a probability a class.
    """

    times_s: FloatArray
    stretch: NDArray[np.int64]
    values: NDArray[Any]
    decoded: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class DecodingResult:
    """Scores of all rows on all tasks of all recordings.

    Parameters
    ----------
    title : str
        What the recordings have in common.
    tasks : tuple of Task
    rows : list of Row
    cases : list of DecodedCase
    entries : mapping of (row, task, recording) to Entry
    predictions : mapping of (task, recording) to Predictions
        Empty if they were not kept.
    """

    title: str
    tasks: tuple[Task, ...]
    rows: list[Row]
    cases: list[DecodedCase]
    entries: Mapping[tuple[str, str, str], Entry]
    predictions: Mapping[tuple[str, str], Predictions] = field(default_factory=dict)

    def task(self, name: str) -> Task:
        """Return a task by its name.

        Raises
        ------
        DataError
            If there is none of this name.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        known = ", ".join(task.name for task in self.tasks)
        raise DataError(f"no task {name!r} was decoded: choose one of {known}")

    def names(self, *roles: Role) -> list[str]:
        """Return the names of the rows with any of the roles, in order."""
        return [row.name for row in self.rows if row.role in roles]

    def recordings(self, task: str) -> list[str]:
        """Return the recordings that have a task, in order."""
        return [case.recording for case in self.cases if case.task == task]

    def sums(self, row: str, task: str) -> dict[str, Sums]:
        """Return a row's sums on the recordings where it decoded a task, by recording.

        Raises
        ------
        DataError
            If there is no such row.
        """
        if row not in {each.name for each in self.rows}:
            known = ", ".join(each.name for each in self.rows)
            raise DataError(f"no row {row!r}: choose one of {known}")
        found = {}
        for recording in self.recordings(task):
            entry = self.entries.get((row, task, recording))
            if entry is not None and entry.sums is not None:
                found[recording] = entry.sums
        return found

    def scored_rows(self, task: str) -> list[str]:
        """Return the rows that decoded a task on some recording, in order."""
        return [row.name for row in self.rows if self.sums(row.name, task)]

    def time_stamps(self, case: DecodedCase) -> tuple[int, list[int]] | None:
        """Return what tells the time stamps of a case apart; None if no row decoded it."""
        for row in self.rows:
            entry = self.entries.get((row.name, case.task, case.recording))
            if entry is not None and entry.sums is not None:
                return entry.sums.num_times, entry.sums.block.tolist()
        return None

    def renamed(self, names: Mapping[str, str]) -> DecodingResult:
        """Return the result with some of its rows alone, under other names.

        Parameters
        ----------
        names : mapping of str to str
            New names by the names that rows have.
        """
        return DecodingResult(
            title=self.title,
            tasks=self.tasks,
            rows=[replace(row, name=names[row.name]) for row in self.rows if row.name in names],
            cases=self.cases,
            entries={
                (names[row], task, recording): entry
                for (row, task, recording), entry in self.entries.items()
                if row in names
            },
            predictions={
                key: replace(
                    each, decoded={names[r]: v for r, v in each.decoded.items() if r in names}
                )
                for key, each in self.predictions.items()
            },
        )

    def only(self, tasks: Collection[str]) -> DecodingResult:
        """Return the result of some tasks alone."""
        cases = [case for case in self.cases if case.task in tasks]
        return DecodingResult(
            title=self.title,
            tasks=tuple(task for task in self.tasks if task.name in tasks),
            rows=self.rows,
            cases=cases,
            entries={key: entry for key, entry in self.entries.items() if key[1] in tasks},
            predictions={
                (case.task, case.recording): self.predictions[case.task, case.recording]
                for case in cases
                if (case.task, case.recording) in self.predictions
            },
        )

    def join(self, other: DecodingResult) -> DecodingResult:
        """Return the result with the rows of another one on the same time stamps.

        Raises
        ------
        DataError
            If tasks, recordings or time stamps differ, or a row's name is taken.
        """
        mine, theirs = ({row.name for row in each.rows} for each in (self, other))
        if mine & theirs:
            raise DataError(f"results cannot be joined: both have row {min(mine & theirs)!r}")
        pairs = [{(case.task, case.recording) for case in each.cases} for each in (self, other)]
        if pairs[0] != pairs[1]:
            task, recording = min(pairs[0] ^ pairs[1])
            raise DataError(
                f"results cannot be joined: one alone decoded task {task} of {recording}"
            )
        for case in self.cases:
            stamps = [each.time_stamps(case) for each in (self, other)]
            if None not in stamps and stamps[0] != stamps[1]:
                raise DataError(
                    f"results cannot be joined: task {case.task} of {case.recording} was scored "
                    "on other time stamps"
                )
        predictions = {}
        for key in self.predictions.keys() & other.predictions.keys():
            one, more = self.predictions[key], other.predictions[key]
            predictions[key] = Predictions(
                one.times_s, one.stretch, one.values, {**one.decoded, **more.decoded}
            )
        return DecodingResult(
            title=self.title or other.title,
            tasks=self.tasks,
            rows=[*self.rows, *other.rows],
            cases=self.cases,
            entries={**self.entries, **other.entries},
            predictions=predictions,
        )
