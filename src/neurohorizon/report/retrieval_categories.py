"""Retrieval by what pictures show, where their categories are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurohorizon.evaluation.retrieval.categories import (
    FEWEST_PICTURES,
    CategoryScore,
    score_categories,
)
from neurohorizon.evaluation.retrieval.results import Metric, RetrievalResult
from neurohorizon.evaluation.retrieval.summary import Estimate
from neurohorizon.report.tables import Cell, TableRow

MOST_SHOWN = 16


def compute_categories(
    result: RetrievalResult, row: str, other: str, metric: Metric, *, seed: int = 0
) -> list[CategoryScore]:
    """Score every category of which there are pictures enough, the best first.

    Parameters
    ----------
    result : RetrievalResult
    row : str
    other : str
        To which differences are paired; "" for none.
    metric : Metric
    seed : int
        Of the bootstrap.

    Notes
    -----
    Pictures are resampled: one that several recordings have been shown is drawn with all its
    responses. Scores are means over seeds.
    """
    hashes, categories, mine, theirs = [], [], [], []
    for case in result.scored(row):
        if other and (other, case.recording, "picture") not in result.better:
            continue
        hashes.append(case.hashes)
        categories.append(case.category)
        mine.append(result.scores(row, case.recording, metric).mean(axis=0))
        if other:
            theirs.append(result.scores(other, case.recording, metric).mean(axis=0))
    if not hashes:
        return []
    hash_of, category = np.concatenate(hashes), np.concatenate(categories)
    score = np.concatenate(mine)
    gap = score - np.concatenate(theirs) if other else None
    return score_categories(hash_of, category, score, gap, seed=seed)


def category_rows(found: list[CategoryScore]) -> list[TableRow]:
    """Return the table: the best categories, and the worst where not all fit."""
    shown = found
    if len(found) > MOST_SHOWN:
        shown = [*found[: MOST_SHOWN // 2], *found[-MOST_SHOWN // 2 :]]
    table = []
    for each in shown:
        cells = [Cell(f"{each.num_pictures}"), percent_cell(each.score)]
        if each.step is not None:
            cells.append(step_cell(each.step))
        table.append(TableRow(each.category, "bridge", cells))
    return table


def category_note(found: list[CategoryScore]) -> str:
    """Say which categories are shown."""
    most = f"; the {MOST_SHOWN // 2} best and the {MOST_SHOWN // 2} worst of them"
    return (
        f"{len(found)} categories with at least {FEWEST_PICTURES} test pictures"
        + most * (len(found) > MOST_SHOWN)
        + ". Intervals are over pictures; with many categories some exclude 0 by chance."
    )


def category_table(found: list[CategoryScore], row: str, other: str) -> list[dict[str, Any]]:
    """Return the numbers of all categories, one record each."""
    return [
        {
            "category": each.category,
            "pictures": each.num_pictures,
            "row": row,
            "value": each.score.value,
            "low": each.score.low,
            "high": each.score.high,
            "minus": other,
            "difference": np.nan if each.step is None else each.step.value,
            "difference_low": np.nan if each.step is None else each.step.low,
            "difference_high": np.nan if each.step is None else each.step.high,
        }
        for each in found
    ]


def percent_cell(found: Estimate, mark: str = "") -> Cell:
    """Write a score in percent, with its interval."""
    interval = f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return Cell(f"{100 * found.value:.1f}", interval, mark)


def step_cell(found: Estimate) -> Cell:
    """Write a difference in points of percent, with its interval; coloured where it is sure."""
    mark = "above" if found.above else "below" if found.below else ""
    interval = f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return Cell(f"{100 * found.value:+.1f}", interval, mark)
