"""All figures of the page of a run of bridges, by part of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.categories import CategoryScore
from neurohorizon.evaluation.retrieval.results import RetrievalResult
from neurohorizon.evaluation.retrieval.views import RetrievalViews
from neurohorizon.imaging.find import find_pictures
from neurohorizon.report.page_figure import PageFigure, save_numbers
from neurohorizon.report.retrieval_categories import category_table, compute_categories
from neurohorizon.report.retrieval_figures import RetrievalFigures
from neurohorizon.report.retrieval_grids import Grid, compute_grid
from neurohorizon.report.retrieval_rows import style_retrieval
from neurohorizon.report.retrieval_scores import RetrievalScores

Progress = Callable[[str, int, int], None]
#: Recordings whose matrices and grids are drawn: the first ones of the run.
MOST_RECORDINGS = 3
CATEGORIES = "retrieval_categories"


@dataclass(frozen=True)
class Gallery:
    """What was drawn.

    Parameters
    ----------
    figures : dict of str to list of PageFigure
        By part of the page: "scores", "recordings", "ranks", "trials", "regions", "transfer",
        "pictures", "similarity", "units", "tuning".
    categories : list of CategoryScore
    grid_notes : list of str
        Why there is no grid.
    """

    figures: dict[str, list[PageFigure]]
    categories: list[CategoryScore] = field(default_factory=list)
    grid_notes: list[str] = field(default_factory=list)


def make_retrieval_figures(
    scores: RetrievalScores,
    by_trials: Mapping[int, RetrievalResult],
    views: RetrievalViews,
    out: Path,
    *,
    pictures: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Gallery:
    """Draw every figure that the results allow.

    Parameters
    ----------
    scores : RetrievalScores
    by_trials : mapping of int to RetrievalResult
    views : RetrievalViews
    out : Path
        Receives NAME.svg, NAME.png and NAME.csv of each figure.
    pictures : sequence of Path
        Folders and archives of the pictures; without them there are no grids.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Raises
    ------
    DataError
        If the pictures given are not those of the run.
    """
    out.mkdir(parents=True, exist_ok=True)
    draw = RetrievalFigures(out, style_retrieval(scores))
    result, pair = scores.result, scores.fitted_pair()
    names = scores.recordings[:MOST_RECORDINGS]
    steps: list[tuple[str, Callable[[], PageFigure | None]]] = [
        ("scores", lambda: draw.scores(scores)),
        ("recordings", lambda: draw.recordings(scores)),
        ("ranks", lambda: draw.ranks(scores)),
        ("trials", lambda: draw.trials(scores, by_trials)),
    ]
    if views.regions is not None:
        steps.append(("regions", partial(draw.regions, views.regions)))
    if views.windows is not None:
        steps.append(("regions", partial(draw.windows, views.windows)))
    transfer = views.transfer
    if transfer is not None:
        for row in transfer.rows:
            steps.append(("transfer", partial(draw.transfer, transfer, row)))
    grids, grid_notes = [], []
    if pictures:
        grids = [compute_grid(views.similarity(pair[0], name)) for name in names]
        found, grid_notes = pictures_of(grids, pictures, views.paths.values())
        grids = [each for each in grids if each.needed <= set(found)]
        steps += [("pictures", lambda each=each: draw.grid(each, found)) for each in grids]
    for name in names:

        def matrix(name: str = name) -> PageFigure:
            return draw.matrices(
                [views.similarity(row, name) for row in pair], result.case(name).category
            )

        steps.append(("similarity", matrix))
    steps += [
        (
            "similarity",
            lambda: draw.pairs(
                [
                    [views.similarity(row, case.recording) for case in result.scored(row)]
                    for row in pair
                ]
            ),
        ),
        ("units", lambda: draw.reliability(scores.reliability, views.areas)),
        ("tuning", lambda: draw.tuning(views.tried)),
    ]
    figures: dict[str, list[PageFigure]] = {}
    for done, (part, make) in enumerate(steps):
        if progress is not None:
            progress("drawing", done, len(steps))
        figure = make()
        if figure is not None:
            figures.setdefault(part, []).append(figure)
    if progress is not None:
        progress("drawing", len(steps), len(steps))
    other = scores.next_row()
    categories = compute_categories(result, scores.strongest, other, scores.lead)
    if categories:
        save_numbers(out, CATEGORIES, category_table(categories, scores.strongest, other))
    return Gallery(figures, categories, grid_notes)


def pictures_of(
    grids: Sequence[Grid], places: Sequence[Path], paths: Collection[str]
) -> tuple[dict[str, NDArray[np.uint8]], list[str]]:
    """Find what grids show; say of which recordings some are missing."""
    wanted = set().union(*(each.needed for each in grids))
    found = find_pictures(places, wanted, paths=paths)
    told = ", ".join(str(place) for place in places)
    notes = [
        f"{each.recording}: {len(each.needed - set(found))} of {len(each.needed)} pictures are not "
        f"in {told}"
        for each in grids
        if not each.needed <= set(found)
    ]
    if len(notes) == len(grids):
        raise DataError(
            f"{told}: holds {len(found)} of the {len(wanted)} pictures that are to be shown (known "
            "by their content, not by their names): give the pictures that were shown"
        )
    return found, notes
