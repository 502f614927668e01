"""What an evaluation found: rows, recordings, and the sums behind every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.protocol import Protocol, Role, SessionCase
from neurohorizon.evaluation.scores import Scores
from neurohorizon.ops.intervals import total_s


@dataclass(frozen=True)
class Row:
    """A row of the tables.

    Parameters
    ----------
    name : str
    role : {"model", "baseline", "ceiling", "cheat"}
        Only baselines compete for "strongest row".
    seconds : float
        Time its forecasts took.
    """

    name: str
    role: Role
    seconds: float = 0.0


@dataclass(frozen=True)
class CaseInfo:
    """What tables say about a recording.

    Parameters
    ----------
    recording, subject, source : str
    held_out : bool
        Whether it was held out as a whole, or only its later time.
    num_units, num_silent : int
        Units scored, and how many of them the null never saw spike.
    left_out : mapping of str to str
        Units not scored: id to reason.
    num_spikes : int
        Of scored units in the scored targets, each counted once.
    num_windows : int
    scored_s, reference_s, null_s : float
        Seconds that are scored, that a forecaster reads as reference, that the null is from.
    why_not_scored : str
        Why the recording is left out of pooled numbers; empty if it is not.
    unit_id, unit_area : list of str
        Of the scored units.
    unit_rate_hz : list of float
        The null's rate of the scored units.
    """

    recording: str
    subject: str
    source: str
    held_out: bool
    num_units: int
    num_silent: int
    left_out: dict[str, str]
    num_spikes: int
    num_windows: int
    scored_s: float
    reference_s: float
    null_s: float
    why_not_scored: str
    unit_id: list[str]
    unit_area: list[str]
    unit_rate_hz: list[float]

    @classmethod
    def of(cls, case: SessionCase) -> CaseInfo:
        """Describe a case."""
        scored, units = case.scored_units, case.recording.units
        return cls(
            recording=case.recording.id,
            subject=case.recording.subject,
            source=case.recording.source,
            held_out=case.held_out,
            num_units=int(scored.sum()),
            num_silent=int(case.null.silent[scored].sum()),
            left_out=case.left_out_units(),
            num_spikes=case.num_spikes,
            num_windows=len(case.origins_s),
            scored_s=total_s(case.scored),
            reference_s=case.reference.duration_s,
            null_s=total_s(case.null.intervals),
            why_not_scored=case.why_not_scored,
            unit_id=[str(unit) for unit in units.id[scored]],
            unit_area=[str(area) for area in units.area[scored]],
            unit_rate_hz=case.null.rate_hz[scored].tolist(),
        )


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of all rows on all recordings.

    Parameters
    ----------
    title : str
        What the recordings have in common.
    protocol : Protocol
    rows : list of Row
    cases : list of CaseInfo
    scores : mapping of (row, recording) to Scores
    """

    title: str
    protocol: Protocol
    rows: list[Row]
    cases: list[CaseInfo]
    scores: Mapping[tuple[str, str], Scores]

    def scored_cases(self) -> list[CaseInfo]:
        """Return the recordings that enter pooled numbers."""
        return [case for case in self.cases if not case.why_not_scored]

    def of_row(self, name: str) -> list[Scores]:
        """Return a row's scores on the recordings that enter pooled numbers.

        Raises
        ------
        DataError
            If there is no such row.
        """
        if name not in {row.name for row in self.rows}:
            known = ", ".join(row.name for row in self.rows)
            raise DataError(f"evaluation: no row {name!r}: choose one of {known}")
        return [self.scores[name, case.recording] for case in self.scored_cases()]

    def names(self, *roles: Role) -> list[str]:
        """Return the names of the rows with any of the roles, in order."""
        return [row.name for row in self.rows if row.role in roles]

    def join(self, other: EvaluationResult) -> EvaluationResult:
        """Return the result with the rows of another one on the same windows.

        Raises
        ------
        DataError
            If protocol, recordings, windows or null differ, or a row's name is taken.
        """
        if self.protocol.comparable != other.protocol.comparable:
            raise DataError("evaluations cannot be joined: their protocols differ")
        mine, theirs = ({row.name for row in result.rows} for result in (self, other))
        if mine & theirs:
            raise DataError(f"evaluations cannot be joined: both have row {min(mine & theirs)!r}")
        for case in self.cases:
            first = self.scores[self.rows[0].name, case.recording]
            second = other.scores.get((other.rows[0].name, case.recording))
            if second is None or not (
                np.array_equal(first.origin_ticks, second.origin_ticks)
                and np.array_equal(first.spikes, second.spikes)
                and np.array_equal(first.null_counts, second.null_counts)
            ):
                raise DataError(
                    f"evaluations cannot be joined: {case.recording} was scored on other windows, "
                    "spikes or against another null"
                )
        if len(self.cases) != len(other.cases):
            raise DataError("evaluations cannot be joined: their recordings differ")
        return EvaluationResult(
            title=self.title,
            protocol=self.protocol,
            rows=[*self.rows, *other.rows],
            cases=self.cases,
            scores={**self.scores, **other.scores},
        )
