"""All figures of a decoder's page, by part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from neurohorizon.evaluation.decoding.importance import Importance
from neurohorizon.evaluation.decoding.result_files import load_predictions
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.targets_by_part import TargetByPart
from neurohorizon.evaluation.decoding.views import Views
from neurohorizon.report.decoding_figures import DecodingFigures
from neurohorizon.report.decoding_learned_figures import LearnedFigures
from neurohorizon.report.decoding_rows import style_decoders
from neurohorizon.report.page_figure import WIDE_MM, FigureMaker, PageFigure
from neurohorizon.report.style import new_figure, styled
from neurohorizon.report.training_curves import compute_training_curves, draw_training_curves

Progress = Callable[[str, int, int], None]
#: Recordings of which traces and maps are drawn.
MOST_RECORDINGS = 3


def make_decoding_figures(
    results: Mapping[str, DecodingResult],
    folder: Path,
    out: Path,
    *,
    targets: Sequence[TargetByPart] = (),
    views: Views | None = None,
    importance: Sequence[Importance] = (),
    few_shot: DecodingResult | None = None,
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
    targets : sequence of TargetByPart
        What is to be decoded, part by part.
    views : Views, optional
        What was seen in the model.
    importance : sequence of Importance
        Which units it reads.
    few_shot : DecodingResult, optional
        What minutes of new sessions buy.
    metrics_file : Path, optional
        ``metrics.csv`` of the training.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    dict of str to list of PageFigure
        By part of the page: "scores", "traces", "recordings", "learned", "new", "targets",
        "training".
    """
    out.mkdir(parents=True, exist_ok=True)
    steps: list[tuple[str, Callable[[], PageFigure | None]]] = []
    for name, result in results.items():
        maker = DecodingFigures(out / name if len(results) > 1 else out, style_decoders(result))
        maker.folder.mkdir(parents=True, exist_ok=True)
        steps += _of_set(maker, result, folder / name)
    learned = LearnedFigures(out, {})
    steps += _of_model(learned, views, importance)
    for task in () if few_shot is None else few_shot.tasks:
        if few_shot is not None and few_shot.scored_rows(task.name):
            steps.append(("new", lambda task=task: learned.few_shot(few_shot, task.name)))
    if targets:
        first = DecodingFigures(out, {})
        steps.append(("targets", lambda: first.targets(targets)))
    if metrics_file is not None:
        steps.append(("training", lambda: _training(out, metrics_file)))
    figures: dict[str, list[PageFigure]] = {}
    for done, (part, draw) in enumerate(steps):
        if progress is not None:
            progress("drawing", done, len(steps))
        figure = draw()
        if figure is not None:
            figures.setdefault(part, []).append(figure)
    if progress is not None:
        progress("drawing", len(steps), len(steps))
    return figures


def _of_set(
    maker: DecodingFigures, result: DecodingResult, folder: Path
) -> list[tuple[str, Callable[[], PageFigure | None]]]:
    steps: list[tuple[str, Callable[[], PageFigure | None]]] = [
        ("scores", lambda: maker.bars(result)),
        ("recordings", lambda: maker.differences(result)),
    ]
    recordings = list(dict.fromkeys(case.recording for case in result.cases))
    for recording in recordings[:MOST_RECORDINGS]:
        predictions = load_predictions(folder, recording)
        for task in (task for task in result.tasks if task.name in predictions):
            told = {"recording": recording, "predictions": predictions, "task": task.name}
            steps.append(("traces", lambda told=told: maker.traces(result, **told)))
            if not task.spec.is_categorical:
                steps.append(("traces", lambda told=told: maker.density(result, **told)))
                steps.append(("traces", lambda told=told: maker.error_maps(result, **told)))
    for task in result.tasks:
        steps.append(("scores", lambda task=task: maker.confusion(result, task.name)))
    return steps


def _of_model(
    maker: LearnedFigures, views: Views | None, importance: Sequence[Importance]
) -> list[tuple[str, Callable[[], PageFigure | None]]]:
    steps: list[tuple[str, Callable[[], PageFigure | None]]] = []
    if views is not None:
        for task in dict.fromkeys(each.task for each in views.latents):
            of_task = [each for each in views.latents if each.task == task]
            steps.append(("learned", lambda of_task=of_task: maker.latents(of_task)))
        steps.append(("learned", lambda: maker.units(views.units)))
        steps.append(("learned", lambda: maker.attention(views.attention)))
    if importance:
        attention = [] if views is None else views.attention
        steps.append(("learned", lambda: maker.importance(importance, attention)))
    return steps


@styled()
def _training(out: Path, metrics_file: Path) -> PageFigure | None:
    curves = compute_training_curves(metrics_file)
    if curves is None:
        return None
    figure = new_figure(WIDE_MM, 66)
    draw_training_curves(curves, list(figure.subplots(1, 2)))
    caption = (
        "Scores on the validation time of the training recordings, and the loss; the dotted line "
        "marks the weights that were kept."
    )
    maker = FigureMaker(out, {})
    return maker.saved(
        "training", figure, curves.table(), "How the training went", caption, wide=True
    )
