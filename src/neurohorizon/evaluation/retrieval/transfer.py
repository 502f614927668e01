"""What other recordings are worth to one with few pictures: scores against number of pictures.

A source's bridge is carried to a target in a way (:data:`Way`); sources are grouped by what they
are to the target (:data:`RELATIONS`). All ways learn from the same pictures of the target, drawn
several times, so differences are paired by draw and by test picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from neurohorizon.evaluation.retrieval.results import Metric, RetrievalCase, metrics_for
from neurohorizon.evaluation.retrieval.summary import Estimate, estimate_scores, plain_estimate
from neurohorizon.recordings.schema import FloatArray

Way = Literal["own pictures only", "shared pictures", "new input layer"]
"""None; a map from the target's responses to the source's; the source's bridge behind new layer."""
OWN: Way = "own pictures only"
SHARED: Way = "shared pictures"
NEW_INPUT: Way = "new input layer"
Relation = Literal["", "same animal", "other animal", "all others"]
RELATIONS: tuple[Relation, ...] = ("same animal", "other animal", "all others")
ALL_OTHERS = "all others"
ALL_TARGETS = "mean of all"
ALL = 0
"""In place of a number of pictures: all training pictures of the target."""


@dataclass(frozen=True)
class TransferKey:
    """What was scored.

    Parameters
    ----------
    row : str
        Of the ladder.
    way : Way
    source : str
        A recording, :data:`ALL_OTHERS`, or "" without transfer.
    target : str
    number : int
        Pictures of the target, or :data:`ALL`.
    """

    row: str
    way: Way
    source: str
    target: str
    number: int


@dataclass(frozen=True)
class Line:
    """A way, and what the sources are to the target: a line of a table, a curve of a figure.

    Parameters
    ----------
    way : Way
    relation : Relation
    source : str
        Of these sources, the only one; "" for all of them.
    """

    way: Way
    relation: Relation = ""
    source: str = ""

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.way if not self.relation else f"{self.way}, {self.relation}"


@dataclass(frozen=True, eq=False)
class TransferResult:
    """How targets did with few pictures of their own and the bridges of other recordings.

    Parameters
    ----------
    title : str
    rows : sequence of str
        Of the ladder.
    cases : sequence of RetrievalCase
        The targets, with all their training pictures.
    better : mapping of TransferKey to (S, Q) array
        Candidates more similar than the right one, by draw of pictures and query. Draw s of every
        key of a target and number is of the same pictures.
    full : mapping of (row, target) to (S, Q) array
        The same of the target's own bridge, tuned on and fitted to all its pictures, by seed.
    left_out : sequence of str
        What could not be done, and why.
    """

    title: str
    rows: Sequence[str]
    cases: Sequence[RetrievalCase]
    better: Mapping[TransferKey, FloatArray]
    full: Mapping[tuple[str, str], FloatArray]
    left_out: Sequence[str] = field(default_factory=tuple)

    def case(self, target: str) -> RetrievalCase:
        """Return what a target is scored on."""
        return next(each for each in self.cases if each.recording == target)

    @property
    def targets(self) -> list[str]:
        """All targets."""
        return [case.recording for case in self.cases]

    def metrics(self) -> list[Metric]:
        """Return the metrics that all targets allow, the leading one first."""
        return metrics_for(min(len(case) for case in self.cases))

    def chance(self, metric: Metric, targets: Sequence[str]) -> float:
        """Return what a coin would score."""
        return float(np.mean([metric.chance(len(self.case(target))) for target in targets]))

    def numbers(self, targets: Sequence[str]) -> list[int]:
        """Return the numbers of pictures that all of these targets have, :data:`ALL` last."""
        every = [{key.number for key in self.better if key.target == each} for each in targets]
        return [*sorted(set.intersection(*every) - {ALL}), ALL]

    def num_pictures(self, number: int, targets: Sequence[str]) -> float:
        """Return how many pictures a number stands for, the mean over targets."""
        if number != ALL:
            return number
        return float(np.mean([self.case(target).num_training for target in targets]))

    def sources(self, row: str, line: Line, target: str, number: int) -> list[str]:
        """Return the sources of a line that a target has."""
        return [
            key.source
            for key in self.better
            if (key.row, key.way, key.target, key.number) == (row, line.way, target, number)
            and self.relation(key.source, target) == line.relation
            and line.source in ("", key.source)
        ]

    def relation(self, source: str, target: str) -> Relation:
        """Say what a source is to a target."""
        if source in ("", ALL_OTHERS):
            return "" if not source else ALL_OTHERS
        same = self.case(source).subject == self.case(target).subject
        return "same animal" if same else "other animal"

    def lines(self, row: str, targets: Sequence[str]) -> list[Line]:
        """Return the lines for which one of these targets has a source."""
        every = [Line(OWN)] + [Line(way, one) for way in (SHARED, NEW_INPUT) for one in RELATIONS]
        return [
            line
            for line in every
            if any(
                self.sources(row, line, each, n) for each in targets for n in self.numbers([each])
            )
        ]

    def scores(
        self, row: str, line: Line, metric: Metric, target: str, number: int
    ) -> FloatArray | None:
        """Return the score of each draw and query, the mean over sources, (S, Q)."""
        sources = self.sources(row, line, target, number)
        if not sources:
            return None
        num = len(self.case(target))
        keys = [TransferKey(row, line.way, source, target, number) for source in sources]
        return np.mean([_scored(metric, self.better[key], num) for key in keys], axis=0)


def transfer_estimate(
    result: TransferResult,
    row: str,
    line: Line,
    metric: Metric,
    number: int,
    targets: Sequence[str],
    *,
    minus_own: bool = False,
) -> Estimate | None:
    """Return the mean score of targets with an interval; None where the line has none of them.

    Parameters
    ----------
    result : TransferResult
    row : str
    line : Line
    metric : Metric
    number : int
        Pictures of each target.
    targets : sequence of str
        Those without a source of the line are left out.
    minus_own : bool
        Less what the same pictures come to without transfer.

    Notes
    -----
    Test pictures are resampled within each target, and draws of the pictures that were learned
    from. Targets are not: what is said is said of these recordings.
    """
    found = []
    for target in targets:
        scores = result.scores(row, line, metric, target, number)
        if scores is None:
            continue
        if minus_own:
            own = result.scores(row, Line(OWN), metric, target, number)
            assert own is not None
            scores = scores - own
        found.append(scores)
    return estimate_scores(found) if found else None


def full_estimate(
    result: TransferResult, row: str, metric: Metric, targets: Sequence[str]
) -> Estimate:
    """Return the score of the targets' own bridges, which learned from all their pictures."""
    return estimate_scores(
        [_scored(metric, result.full[row, one], len(result.case(one))) for one in targets]
    )


def _scored(metric: Metric, better_SQ: FloatArray, num_candidates: int) -> FloatArray:
    return metric.of(better_SQ.ravel(), num_candidates).reshape(better_SQ.shape)


def summarise_transfer(result: TransferResult) -> dict[str, Any]:
    """Return all scores of the leading metric: over targets, by target, and by pair."""
    metric = result.metrics()[0]
    groups = {ALL_TARGETS: result.targets, **{each: [each] for each in result.targets}}
    return {
        "title": result.title,
        "metric": metric.name,
        "left_out": list(result.left_out),
        "targets": [
            {
                "recording": case.recording,
                "subject": case.subject,
                "units": case.num_units,
                "training_pictures": case.num_training,
                "test_pictures": len(case),
                "chance": metric.chance(len(case)),
            }
            for case in result.cases
        ],
        "own_bridge": {
            row: {
                name: plain_estimate(full_estimate(result, row, metric, targets))
                for name, targets in groups.items()
            }
            for row in result.rows
        },
        "scores": [
            entry
            for row in result.rows
            for name, targets in groups.items()
            for entry in line_entries(result, row, result.lines(row, targets), targets, called=name)
        ],
        "pairs": [
            entry
            for row in result.rows
            for target in result.targets
            for entry in line_entries(result, row, _pair_lines(result, row, target), [target])
        ],
    }


def line_entries(
    result: TransferResult,
    row: str,
    lines: Sequence[Line],
    targets: Sequence[str],
    *,
    called: str = "",
) -> list[dict[str, Any]]:
    """Return one record a line and number of pictures: score, and difference to own pictures.

    Parameters
    ----------
    result : TransferResult
    row : str
    lines : sequence of Line
    targets : sequence of str
        Whose mean it is.
    called : str
        Name of these targets; by default that of the only one.
    """
    metric, entries = result.metrics()[0], []
    for line in lines:
        for number in result.numbers(targets):
            found = transfer_estimate(result, row, line, metric, number, targets)
            if found is None:
                continue
            step = None
            if line.way != OWN:
                step = transfer_estimate(result, row, line, metric, number, targets, minus_own=True)
            entries.append(
                {
                    "row": row,
                    "way": line.way,
                    "sources": line.source or line.relation,
                    "target": called or targets[0],
                    "pictures": "all" if number == ALL else number,
                    "mean_pictures": result.num_pictures(number, targets),
                    **plain_estimate(found),
                    "minus_own": None if step is None else plain_estimate(step),
                }
            )
    return entries


def _pair_lines(result: TransferResult, row: str, target: str) -> list[Line]:
    lines = [
        Line(key.way, result.relation(key.source, target), key.source)
        for key in result.better
        if (key.row, key.target) == (row, target) and key.source not in ("", ALL_OTHERS)
    ]
    return list(dict.fromkeys(lines))
