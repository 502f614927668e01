"""All figures of a decoder's report: drawn, and written as SVG, PNG and the numbers behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.report.page_figure import FigureMaker, PageFigure
from neurohorizon.report.style import new_figure, styled
from neurohorizon.report.training_curves import compute_training_curves, draw_training_curves

Progress = Callable[[str, int, int], None]


def make_decoding_figures(
    results: Mapping[str, DecodingResult],
    folder: Path,
    out: Path,
    *,
    metrics_file: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, list[PageFigure]]:
    """Draw every figure that the results allow.

    Parameters
    ----------
    results : mapping of str to DecodingResult
        By set.
    folder : Path
        Where they lie, a folder a set.
    out : Path
        Receives NAME.svg, NAME.png and NAME.csv of each figure.
    metrics_file : Path, optional
        ``metrics.csv`` of the training.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    dict of str to list of PageFigure
        By part of the page: "scores", "traces", "recordings", "targets", "training".
    """
    out.mkdir(parents=True, exist_ok=True)
    maker = FigureMaker(out, {})
    figures: dict[str, list[PageFigure]] = {}
    if metrics_file is not None and (curves := compute_training_curves(metrics_file)):
        with styled():
            figure = new_figure(183, 62)
            draw_training_curves(curves, list(figure.subplots(1, 2)))
            figures["training"] = [
                maker.saved(
                    "training",
                    figure,
                    curves.table(),
                    "How the training went",
                    "Scores on the validation time of the training recordings, and the loss; the "
                    "dotted line marks the weights that were kept.",
                    wide=True,
                )
            ]
    if progress is not None:
        progress("drawing", 1, 1)
    return figures
