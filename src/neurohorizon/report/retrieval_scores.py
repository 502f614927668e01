"""The scores of a run of bridges as its results tell them, read for tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.results import (
    DIRECTIONS,
    Direction,
    Metric,
    RetrievalResult,
    Role,
)
from neurohorizon.evaluation.retrieval.row_names import fitted_row, ladder_row, variant
from neurohorizon.evaluation.retrieval.summary import Estimate, common_metrics
from neurohorizon.report.retrieval_tables import shown_metrics

ALL = ""
"""In place of a recording: the mean over all that a row is scored on."""
Key = tuple[str, Direction, str, str]


@dataclass(frozen=True, eq=False)
class RetrievalScores:
    """Scores by row, direction, metric and recording.

    Parameters
    ----------
    result : RetrievalResult
    strongest : str
        The row with the highest leading score, pictures looked for.
    metrics : list of Metric
        That tables show, the leading one first.
    found : mapping of (row, direction, metric, recording) to Estimate
        The recording is :data:`ALL` for the mean.
    steps : mapping of (row, direction, metric) to Estimate
        Paired differences to the strongest row.
    ranks : mapping of (row, direction, recording) to float
        Median rank of the right candidate.
    about : mapping of str to str
        What a reader should know of a row.
    reliability : mapping of str to (N,) float
        Of units, by recording; NaN for one that never changes.
    """

    result: RetrievalResult
    strongest: str
    metrics: list[Metric]
    found: Mapping[Key, Estimate]
    steps: Mapping[tuple[str, Direction, str], Estimate]
    ranks: Mapping[tuple[str, Direction, str], float]
    about: Mapping[str, str]
    reliability: Mapping[str, np.ndarray]

    @property
    def lead(self) -> Metric:
        """The metric that comes first."""
        return self.metrics[0]

    @property
    def recordings(self) -> list[str]:
        """All recordings."""
        return [case.recording for case in self.result.cases]

    def of(
        self, row: str, direction: Direction = "picture", metric: str = "", recording: str = ALL
    ) -> Estimate | None:
        """Return a score, the leading one by default; None where there is none."""
        return self.found.get((row, direction, metric or self.lead.name, recording))

    def rows(self, direction: Direction = "picture", *, role: Role | None = None) -> list[str]:
        """Return the rows that are scored, in the order of the table."""
        return [
            row.name
            for row in self.result.rows
            if role in (None, row.role) and self.of(row.name, direction) is not None
        ]

    def ladder(self) -> list[str]:
        """Return the rows of the ladder: as fitted, to pictures in colour."""
        return [row for row in self.rows(role="bridge") if not variant(row)]

    def next_row(self) -> str:
        """Return the strongest row of another kind than the strongest; "" where there is none."""
        kind = ladder_row(self.strongest)
        others = [row for row in self.rows(role="bridge") if ladder_row(row) != kind]
        return max(others, key=lambda row: self._value(row), default="")

    def fitted_pair(self) -> list[str]:
        """Return the strongest fitted row and the strongest of another kind."""
        rows = [fitted_row(self.strongest)]
        others = [row for row in self.ladder() if ladder_row(row) != ladder_row(rows[0])]
        return rows + sorted(others, key=lambda row: -self._value(row))[:1]

    def chance(self, metric: Metric | None = None, recording: str = ALL) -> float:
        """Return what a coin would score."""
        metric = metric or self.lead
        cases = [each for each in self.result.cases if recording in (ALL, each.recording)]
        return float(np.mean([metric.chance(len(case)) for case in cases]))

    def among(self) -> str:
        """Say out of how many candidates the leading metric finds."""
        sizes = {len(case) for case in self.result.cases}
        if self.lead.gallery is not None:
            return str(self.lead.gallery)
        return str(min(sizes)) if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"

    def _value(self, row: str) -> float:
        found = self.of(row)
        return -np.inf if found is None else found.value


def read_scores(result: RetrievalResult, summary: Mapping[str, Any]) -> RetrievalScores:
    """Bring the content of ``retrieval.json`` together with the counts that it is of.

    Raises
    ------
    DataError
        If it is of another version or of other results.
    """
    metrics = shown_metrics(common_metrics(result))
    found: dict[Key, Estimate] = {}
    steps: dict[tuple[str, Direction, str], Estimate] = {}
    ranks: dict[tuple[str, Direction, str], float] = {}
    try:
        best = str(summary["differences_to"])
        result.row(best)
        for entry in summary["rows"]:
            row, direction = entry["row"], entry["looked_for"]
            result.row(row)
            assert direction in DIRECTIONS
            pictures = {name: each["pictures"] for name, each in entry["recordings"].items()}
            for metric in metrics:
                key = row, direction, metric.name
                found[*key, ALL] = _estimate(entry[metric.name], sum(pictures.values()))
                step = entry.get(f"{metric.name} minus {best}")
                if step is not None:
                    steps[key] = _estimate(step, sum(pictures.values()))
                for name, of_case in entry["recordings"].items():
                    found[*key, name] = _estimate(of_case[metric.name], pictures[name])
            for name, of_case in entry["recordings"].items():
                ranks[row, direction, name] = float(of_case["median rank"])
            ranks[row, direction, ALL] = float(
                np.mean([ranks[row, direction, n] for n in pictures])
            )
        about = {str(row): str(text) for row, text in summary["rows_about"].items()}
        reliability = {
            str(name): np.array([np.nan if each is None else float(each) for each in values])
            for name, values in summary["reliability"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, DataError) as error:
        raise DataError(
            "retrieval.json: not results of this version, or of other rows: "
            "`neurohorizon bridge retrieve` writes them anew"
        ) from error
    return RetrievalScores(result, best, metrics, found, steps, ranks, about, reliability)


def _estimate(content: Mapping[str, float | None], num_pictures: int) -> Estimate:
    value, low, high, spread = (
        np.nan if content[key] is None else float(content[key] or 0.0)
        for key in ("value", "low", "high", "seeds_sd")
    )
    return Estimate(value, low, high, spread, num_pictures)


def records(scores: RetrievalScores, keys: Sequence[Key]) -> list[dict[str, Any]]:
    """Return scores as they are written beside a figure, one record each."""
    return [
        {
            "row": row,
            "looked_for": direction,
            "metric": metric,
            "recording": recording or "mean of all",
            "value": scores.found[row, direction, metric, recording].value,
            "low": scores.found[row, direction, metric, recording].low,
            "high": scores.found[row, direction, metric, recording].high,
        }
        for row, direction, metric, recording in keys
        if (row, direction, metric, recording) in scores.found
    ]
