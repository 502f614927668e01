"""What reconstruction found: for every row, recording and metric, a score of each picture.

A score is kept for every seed and picture, (S, Q); intervals, paired differences and means by
category all follow from them (:mod:`~neurohorizon.evaluation.pictures.summary`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.distributions import DistributionScore
from neurohorizon.evaluation.pictures.gate import OracleGate
from neurohorizon.evaluation.pictures.reported import ReportedRow
from neurohorizon.evaluation.retrieval.results import RetrievalCase
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.recordings.schema import FloatArray

Role = Literal["generator", "control", "oracle", "chance"]
ROLES: tuple[Role, ...] = ("generator", "control", "oracle", "chance")
Group = Literal["pixels", "features", "judge"]
GROUPS: tuple[Group, ...] = ("pixels", "features", "judge")


@dataclass(frozen=True)
class ReconstructionRow:
    """A row of the table.

    Parameters
    ----------
    name : str
    role : {"generator", "control", "oracle", "chance"}
        A generator draws from responses. A control does so without drawing anew (the retrieved
        picture), or knows something else (the category). An oracle was given what no response
        tells: true embeddings, or the true pictures. A row of chance knows nothing of what was
        seen.
    about : str
        What a reader should know of it.
    """

    name: str
    role: Role = "generator"
    about: str = ""


@dataclass(frozen=True)
class PictureMetric:
    """A score of a picture.

    Parameters
    ----------
    name : str
    group : {"pixels", "features", "judge"}
        What it looks at.
    better : {"higher", "lower"}
    chance : float or None
        What a guess scores; None where rows of chance must tell.
    share : bool
        Whether it is a share of cases, which tables give in percent.
    """

    name: str
    group: Group
    better: Literal["higher", "lower"] = "higher"
    chance: float | None = None
    share: bool = False


_Named = TypeVar("_Named", ReconstructionRow, PictureMetric)


@dataclass(frozen=True, eq=False)
class ReconstructionResult:
    """Scores of reconstructed pictures.

    Parameters
    ----------
    title : str
    rows : sequence of ReconstructionRow
    cases : sequence of RetrievalCase
        What was reconstructed of each recording.
    metrics : sequence of PictureMetric
        The first of each group leads it.
    scores : mapping of (row, recording, metric) to (S, Q) float
        By seed and picture, in the order of the case.
    distributions : mapping of (row, recording, name) to DistributionScore
        Of the whole set, as in "KID".
    networks : mapping of str to Fingerprint
        What made the features that metrics are named after.
    gates : mapping of str to OracleGate
        By generator.
    reported : sequence of ReportedRow
        Published numbers on the same pictures.

    Raises
    ------
    DataError
        If scores belong to nothing, have another number of pictures, or are not finite.
    """

    title: str
    rows: Sequence[ReconstructionRow]
    cases: Sequence[RetrievalCase]
    metrics: Sequence[PictureMetric]
    scores: Mapping[tuple[str, str, str], FloatArray]
    distributions: Mapping[tuple[str, str, str], DistributionScore] = field(default_factory=dict)
    networks: Mapping[str, Fingerprint] = field(default_factory=dict)
    gates: Mapping[str, OracleGate] = field(default_factory=dict)
    reported: Sequence[ReportedRow] = ()

    def __post_init__(self) -> None:
        sizes = {case.recording: len(case) for case in self.cases}
        for (row, recording, metric), scores in self.scores.items():
            where = f"scores of {row!r} on {recording!r}, {metric!r}"
            self.row(row)
            self.metric(metric)
            if recording not in sizes:
                raise DataError(f"{where}: there is no such recording")
            if scores.ndim != 2 or not scores.size or scores.shape[1] != sizes[recording]:
                raise DataError(
                    f"{where}: an array {scores.shape}, expected (seeds, {sizes[recording]})"
                )
            if not np.isfinite(scores).all():
                raise DataError(f"{where}: not finite: the pictures or features are damaged")

    def row(self, name: str) -> ReconstructionRow:
        """Return a row.

        Raises
        ------
        DataError
            If there is none of that name.
        """
        return _named(self.rows, name, "row")

    def metric(self, name: str) -> PictureMetric:
        """Return a metric.

        Raises
        ------
        DataError
            If there is none of that name.
        """
        return _named(self.metrics, name, "metric")

    def scored(self, row: str, metric: str) -> list[RetrievalCase]:
        """Return the recordings that a row is scored on."""
        return [case for case in self.cases if (row, case.recording, metric) in self.scores]

    def leading(self) -> list[PictureMetric]:
        """Return the metrics that lead their groups."""
        firsts = [[each for each in self.metrics if each.group == group][:1] for group in GROUPS]
        return [metric for first in firsts for metric in first]

    def of_role(self, *roles: Role) -> list[str]:
        """Return the rows of some roles, in the order of the table."""
        return [row.name for row in self.rows if row.role in roles]


def _named(every: Sequence[_Named], name: str, what: str) -> _Named:
    for each in every:
        if each.name == name:
            return each
    raise DataError(f"no {what} {name!r}: there are {', '.join(each.name for each in every)}")
