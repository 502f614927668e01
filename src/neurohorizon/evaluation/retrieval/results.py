"""What bridges found: for every row, recording and seed, how many candidates beat the right one.

From these counts all scores follow (:mod:`~neurohorizon.evaluation.retrieval.identification`), so
they are what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.identification import identified, two_way
from neurohorizon.recordings.schema import FloatArray

Direction = Literal["picture", "response"]
"""What is looked for: the picture, given the response; or the response, given the picture."""
DIRECTIONS: tuple[Direction, ...] = ("picture", "response")
Role = Literal["bridge", "reference", "ceiling"]
GALLERY = 100


@dataclass(frozen=True)
class RetrievalRow:
    """A row of the table.

    Parameters
    ----------
    name : str
    role : {"bridge", "reference", "ceiling"}
        A reference has fixed settings, to compare with.
    about : str
        What a reader should know of it.
    """

    name: str
    role: Role = "bridge"
    about: str = ""


@dataclass(frozen=True, eq=False)
class RetrievalCase:
    """What was scored of a recording.

    Parameters
    ----------
    recording, subject : str
    num_units : int
    num_training : int
        Pictures that were learned from.
    hashes : (Q,) str
        Test pictures: queries and candidates.
    category : (Q,) str
    trials : (Q,) int
        How many trials each response is the mean of; 0 where the source tells means alone.
    notes : sequence of str
        What a reader should know: units left out, choices that used test responses.
    """

    recording: str
    subject: str
    num_units: int
    num_training: int
    hashes: NDArray[np.str_]
    category: NDArray[np.str_]
    trials: NDArray[np.integer]
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.hashes)


@dataclass(frozen=True)
class Metric:
    """A score of a query.

    Parameters
    ----------
    name : str
    first : int
        Of how many first places; 0 for two-way identification.
    gallery : int or None
        Candidates, the right one among them; None for all.
    """

    name: str
    first: int
    gallery: int | None

    def of(self, better: FloatArray, num_candidates: int) -> FloatArray:
        """Return the score of each query, (Q,)."""
        if not self.first:
            return two_way(better, num_candidates=num_candidates)
        return identified(
            better, num_candidates=num_candidates, gallery=self.gallery, first=self.first
        )

    def chance(self, num_candidates: int) -> float:
        """Return what a coin would score."""
        if not self.first:
            return 0.5
        return self.first / (num_candidates if self.gallery is None else self.gallery)


def metrics_for(num_candidates: int) -> list[Metric]:
    """Return the metrics that so many candidates allow."""
    found = [Metric(f"top {first}", first, None) for first in (1, 5, 10) if first < num_candidates]
    if num_candidates > GALLERY:
        found = [Metric(f"top {k} of {GALLERY}", k, GALLERY) for k in (1, 5, 10)] + [
            Metric(f"{each.name} of all", each.first, None) for each in found
        ]
    return [*found, Metric("two-way", 0, None)]


@dataclass(frozen=True, eq=False)
class RetrievalResult:
    """How bridges did on the test pictures of some recordings.

    Parameters
    ----------
    title : str
    rows : sequence of RetrievalRow
    cases : sequence of RetrievalCase
    better : mapping of (row, recording, direction) to (S, Q) float
        Candidates more similar than the right one, by seed and query.
    """

    title: str
    rows: Sequence[RetrievalRow]
    cases: Sequence[RetrievalCase]
    better: Mapping[tuple[str, str, Direction], FloatArray] = field(default_factory=dict)

    def row(self, name: str) -> RetrievalRow:
        """Return a row.

        Raises
        ------
        DataError
            If there is none of that name.
        """
        for each in self.rows:
            if each.name == name:
                return each
        there = ", ".join(each.name for each in self.rows)
        raise DataError(f"no row {name!r}: there are {there}")

    def case(self, recording: str) -> RetrievalCase:
        """Return what was scored of a recording."""
        return next(each for each in self.cases if each.recording == recording)

    def scored(self, row: str, direction: Direction = "picture") -> list[RetrievalCase]:
        """Return the recordings that a row is scored on."""
        return [each for each in self.cases if (row, each.recording, direction) in self.better]

    def scores(
        self, row: str, recording: str, metric: Metric, direction: Direction = "picture"
    ) -> FloatArray:
        """Return the score of each seed and query, (S, Q)."""
        better = self.better[row, recording, direction]
        num = len(self.case(recording))
        return np.array([metric.of(seed, num) for seed in better])
