"""Figures of reconstructed pictures: computed, drawn, and written with the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.pictures.results import PictureMetric, ReconstructionResult
from neurohorizon.report import reconstruction_bars, reconstruction_grids
from neurohorizon.report.page_figure import WIDE_MM, FigureMaker, PageFigure
from neurohorizon.report.retrieval_grids import GROUPS
from neurohorizon.report.style import new_figure, styled

#: Metrics side by side.
_MOST_PANELS = 5

#: Files of the pictures that were seen and drawn.
GRID = "reconstruction_grid_{recording}"


class ReconstructionFigures(FigureMaker):
    """One method a figure: compute, draw, save, and say what to look at."""

    @styled()
    def scores(
        self,
        result: ReconstructionResult,
        metrics: Sequence[PictureMetric],
        *,
        named: str | None = None,
    ) -> PageFigure:
        """Draw every row's scores, a panel a metric."""
        metrics = list(metrics)[:_MOST_PANELS]
        data = reconstruction_bars.compute_row_scores(result, metrics, named=named)
        figure = new_figure(WIDE_MM, reconstruction_bars.bars_height_mm(data))
        axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        reconstruction_bars.draw_row_scores(data, list(axes), styles=self.styles)
        caption = (
            "Lines are 95 % intervals over pictures and seeds; of several recordings, the mean is "
            f"shown. Pale line: {data.control}; filled: for sure better or worse than it (paired "
            "by picture). Dotted: chance, where it is known. Pixel scores alone are won by blobs."
        )
        title = "How like the pictures that were seen"
        name = "reconstruction_scores"
        return self.saved(name, figure, data.table(), title, caption, wide=True)

    @styled()
    def grid(
        self,
        data: reconstruction_grids.PictureGrid,
        lines: Mapping[str, Sequence[NDArray[np.uint8]]],
    ) -> PageFigure:
        """Draw what was seen above what was drawn and found."""
        height_mm = reconstruction_grids.grid_height_mm(data, lines, WIDE_MM)
        figure = new_figure(WIDE_MM, height_mm)
        reconstruction_grids.draw_picture_grid(data, figure.subplots(), lines, width_mm=WIDE_MM)
        each = len(data.chosen) // len(GROUPS)
        caption = (
            f"Top: what was seen; below, each row's picture of it. Chosen by rule: the {each} "
            f"best, middle and worst of {len(data.hashes)} test pictures by {data.metric.name} of "
            f"{data.row} (first seed, numbers at the bottom), equal scores in the order of the "
            "pictures' hashes."
        )
        name = GRID.format(recording=data.recording)
        title = f"Seen, and drawn from the response: {data.recording}"
        return self.saved(name, figure, data.table(), title, caption, wide=True, png=True)


def draw_reconstruction(
    result: ReconstructionResult,
    seen: Mapping[str, Sequence[NDArray[np.uint8]]],
    drawn: Mapping[tuple[str, str], Sequence[NDArray[np.uint8]]],
    folder: Path,
) -> list[PageFigure]:
    """Draw all figures of a reconstruction into a folder.

    Parameters
    ----------
    result : ReconstructionResult
    seen : mapping of str to sequence of (H, W, 3) arrays of uint8
        Test pictures of each recording, in the order of its case.
    drawn : mapping of (recording, row) to the same
        What each row shows of them.
    folder : Path

    Returns
    -------
    list of PageFigure
        Scores of all rows; then of each recording a grid of the first generator's best, middle
        and worst by its last leading metric: identification, or what a judge sees.
    """
    draw = ReconstructionFigures(folder, reconstruction_bars.style_reconstruction(result))
    figures = [draw.scores(result, result.leading())]
    first = result.of_role("generator")[0]
    metric = next(each for each in reversed(result.leading()) if each.group != "judge")
    for case in result.cases:
        score = result.scores[first, case.recording, metric.name][0]
        data = reconstruction_grids.compute_picture_grid(
            score, metric, case.hashes, row=first, recording=case.recording
        )
        shown = [
            row.name
            for row in result.rows
            if row.role != "chance" and (case.recording, row.name) in drawn
        ]
        lines = {name: drawn[case.recording, name] for name in shown}
        figures.append(draw.grid(data, {reconstruction_grids.SEEN: seen[case.recording], **lines}))
    return figures
