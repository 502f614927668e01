"""All figures of a run: drawn, and written as SVG, PNG and the numbers behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from neurohorizon.evaluation.run_results import RunResults
from neurohorizon.recordings.schema import Recording
from neurohorizon.report import horizon
from neurohorizon.report.page_figure import PageFigure
from neurohorizon.report.rows import style_rows
from neurohorizon.report.run_figures import RunFigures
from neurohorizon.report.set_figures import SetFigures

Progress = Callable[[str, int, int], None]
MOST_CARDS = 6


def make_figures(
    results: RunResults,
    folder: Path | str,
    *,
    metrics_file: Path | None = None,
    recordings: Sequence[Recording] = (),
    progress: Progress | None = None,
) -> dict[str, list[PageFigure]]:
    """Draw every figure that the results allow.

    Parameters
    ----------
    results : RunResults
    folder : path
        Receives NAME.svg, NAME.png and NAME.csv of each figure.
    metrics_file : Path, optional
        ``metrics.csv`` of the training.
    recordings : sequence of Recording
        The first :data:`MOST_CARDS` get a session card.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    dict of str to list of PageFigure
        By part of the page: "horizon", "differences", "forecasts", "details SET", "units",
        "sessions", "training".
    """
    ablations = [
        name
        for each in results.sets.values()
        if each.ablations is not None
        for name in each.ablations.names("model")
    ]
    shown = [
        result
        for each in results.sets.values()
        for result in (each.rows, each.ablations, each.observer)
        if result is not None
    ]
    also = [name for each in results.sets.values() for name in [each.lead, *each.rivals]]
    styles = style_rows(shown, ablations=ablations, also=also)
    of_set, of_run = SetFigures(Path(folder), styles), RunFigures(Path(folder), styles)
    sets = list(results.sets.values())
    scored = [each for each in sets if each.rows.scored_cases()]
    steps: list[tuple[str, Callable[[], PageFigure | None]]] = []
    top = horizon.common_top(scored) if scored else 0.0
    for each in scored:
        steps.append(("horizon", lambda each=each: of_set.horizon(each, top)))
    for each in scored:
        steps.append(("differences", lambda each=each: of_set.differences(each)))
    if scored and scored[0].example is not None:
        first = scored[0]
        steps.append(("forecasts", lambda: of_run.raster(first)))
        steps.append(("forecasts", lambda: of_run.unit_traces(first)))
        steps.append(("forecasts", lambda: of_run.event_averages(first)))
    for each in scored:
        for maker in (
            of_set.groups,
            of_set.correlation,
            of_set.gain_against_rate,
            of_set.unit_against_unit,
            of_set.calibration,
            of_set.ablations,
            of_set.contributions,
            of_set.unit_contributions,
            of_set.reference_length,
            of_set.few_shot,
        ):
            steps.append((f"details {each.name}", lambda maker=maker, each=each: maker(each)))
    steps.append(("units", lambda: of_run.identity_map(results)))
    for recording in recordings[:MOST_CARDS]:
        steps.append(("sessions", lambda recording=recording: of_run.session_card(recording)))
    steps.append(("training", lambda: of_run.training(metrics_file)))
    figures: dict[str, list[PageFigure]] = {}
    for index, (part, make) in enumerate(steps):
        if progress is not None:
            progress("drawing figures", index, len(steps))
        figure = make()
        if figure is not None:
            figures.setdefault(part, []).append(figure)
    if progress is not None:
        progress("drawing figures", len(steps), len(steps))
    return figures
