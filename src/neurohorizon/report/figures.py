"""All figures of a run: drawn, and written as SVG, PNG and the numbers behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neurohorizon.evaluation.example import TRUE_RATE
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import RunResults, SetResults
from neurohorizon.evaluation.summary import strongest_by_horizon
from neurohorizon.report import differences, horizon, psth, raster, units
from neurohorizon.report.page_figure import NARROW_MM, WIDE_MM, PageFigure, save_with_numbers
from neurohorizon.report.reference_length import compute_reference_curves, draw_reference_curves
from neurohorizon.report.rows import RowStyle, style_rows
from neurohorizon.report.style import new_figure, styled
from neurohorizon.report.tables import count
from neurohorizon.report.training_curves import compute_training_curves, draw_training_curves

Progress = Callable[[str, int, int], None]


def make_figures(
    results: RunResults,
    folder: Path | str,
    *,
    metrics_file: Path | None = None,
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
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    dict of str to list of PageFigure
        By part of the page: "horizon", "differences", "forecasts", "details", "training".
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
    makers = _Makers(Path(folder), style_rows(shown, ablations=ablations))
    sets = list(results.sets.values())
    scored = [each for each in sets if each.rows.scored_cases()]
    steps: list[tuple[str, Callable[[], PageFigure | None]]] = []
    top = horizon.common_top(scored) if scored else 0.0
    for each in scored:
        steps.append(("horizon", lambda each=each: makers.horizon(each, top)))
    for each in scored:
        steps.append(("differences", lambda each=each: makers.differences(each)))
    if scored and scored[0].example is not None:
        first = scored[0]
        steps.append(("forecasts", lambda: makers.raster(first)))
        steps.append(("forecasts", lambda: makers.unit_traces(first)))
        steps.append(("forecasts", lambda: makers.event_averages(first)))
    for each in scored:
        for maker in (
            makers.groups,
            makers.correlation,
            makers.gain_against_rate,
            makers.unit_against_unit,
            makers.calibration,
            makers.reference_length,
        ):
            steps.append((f"details {each.name}", lambda maker=maker, each=each: maker(each)))
    steps.append(("training", lambda: makers.training(metrics_file)))
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


@styled()
def save_comparison(result: EvaluationResult, folder: Path | str, *, name: str) -> None:
    """Draw several models' scores against the horizon, with the numbers behind the figure."""
    data = horizon.compute_horizon_curves(result)
    figure = new_figure(NARROW_MM, 96)
    horizon.draw_horizon_curves(data, figure.add_subplot(), styles=style_rows([result]))
    save_with_numbers(Path(folder), f"horizon_{name}", figure, data.table())


class _Makers:
    """One method a figure: compute, draw, save, and say what to look at."""

    def __init__(self, folder: Path, styles: dict[str, RowStyle]) -> None:
        self.folder = folder
        self.styles = styles

    @styled()
    def horizon(self, of_set: SetResults, top: float) -> PageFigure:
        data = horizon.compute_horizon_curves(
            of_set.rows, observer=of_set.observer, model=of_set.model
        )
        figure = new_figure(NARROW_MM, 96)
        horizon.draw_horizon_curves(data, figure.add_subplot(), styles=self.styles, top=top)
        over = "sessions" if len(of_set.rows.scored_cases()) >= 8 else "30 s blocks of time"
        caption = (
            f"Bits per spike over the null, cumulative from the origin to each horizon, on "
            f"{of_set.rows.title}. Bold: the model, with its 95 % interval (bootstrap over "
            f"{over}; whiskers for the other rows). ★: the strongest baseline at some horizon. "
            "Intervals of levels overlap because sessions differ; the paired "
            "differences below are what is to be judged."
        )
        if of_set.observer is not None:
            caption += (
                " Dashed: what an ideal observer reaches that knows the simulated world and sees "
                "only the spikes; " + observer_note(of_set)
            )
        title = f"How well is each horizon forecast: {of_set.rows.title}"
        return self._page_figure(f"horizon_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def differences(self, of_set: SetResults) -> PageFigure:
        panels = differences.compute_differences(of_set.rows, of_set.model)
        num_recordings = len(panels[0].value)
        figure = new_figure(WIDE_MM, differences.difference_height_mm(num_recordings))
        differences.draw_differences(panels, list(figure.subplots(1, len(panels))))
        table = [record for panel in panels for record in panel.table()]
        caption = (
            f"{of_set.model} minus the strongest baseline of each horizon, in bits per spike, on "
            "the same windows against the same null: what makes a session easy or hard cancels. "
            "A point is a recording (line: 95 % interval over its 30 s blocks, where there are at "
            f"least five); the diamond is all together, its interval over {panels[0].pooled_over}. "
            "Blue: above 0; orange-red: below; grey: the interval holds 0, or there is none. "
            + ("A triangle lies beyond the scale." if num_recordings >= 12 else "")
        )
        title = f"Is the model better than the strongest baseline: {of_set.rows.title}"
        return self._page_figure(
            f"differences_{of_set.name}", figure, table, title, caption, wide=True
        )

    @styled()
    def raster(self, of_set: SetResults) -> PageFigure:
        example = of_set.example
        assert example is not None
        data = raster.compute_raster(example, of_set.model)
        figure = new_figure(WIDE_MM, 118)
        raster.draw_raster_above_forecast(data, list(figure.subplots(2, 1, sharex=True)))
        caption = (
            f"Ten seconds of {example.recording}, from {data.start_s:.1f} s: of the recordings "
            "with at least the usual number of units, the one with the median score, and in it a "
            "lively moment (the 90th percentile of spikes in ten seconds), chosen without regard "
            f"to the forecast. Above, the spikes of its {count(len(data.unit), 'most active unit')}"
            "; below, what was forecast for them, every bin from an origin at most "
            f"{example.lead_s * 1000:g} ms before its end. Units are ordered by their forecasts "
            "alone, so order that shows in the spikes is real. Look for dense stretches above "
            "where the forecast below is red."
        )
        return self._page_figure(
            "raster", figure, data.table(), "Spikes above their forecast", caption, wide=True
        )

    @styled()
    def unit_traces(self, of_set: SetResults) -> PageFigure | None:
        example = of_set.example
        assert example is not None
        data = raster.compute_unit_traces(example)
        if not data:
            return None
        figure = new_figure(WIDE_MM, 27 * len(data) + 12)
        axes = figure.subplots(len(data), 1, sharex=True, squeeze=False)[:, 0]
        raster.draw_unit_traces(data, list(axes), styles=self.styles)
        caption = (
            "The same ten seconds of single units: counts in 100 ms bins (grey), the forecasts of "
            "them, and the unit's reference rate. The units are those at the 95th, 75th, 50th and "
            "25th percentile of the model's score among units that fire here: a good one, two "
            "usual ones and a poor one."
        )
        if TRUE_RATE in example.rate_hz:
            caption += (
                " Dashed: the rate that the simulated latents drive, which nobody could know from "
                "the spikes before."
            )
        table = [record for unit in data for record in unit.table()]
        title = f"{count(len(data), 'unit')}, from well to poorly forecast"
        return self._page_figure("units_in_time", figure, table, title, caption, wide=True)

    @styled()
    def event_averages(self, of_set: SetResults) -> PageFigure | None:
        example = of_set.example
        assert example is not None
        data = psth.compute_event_averages(example)
        if not data:
            return None
        figure = new_figure(WIDE_MM, 92)
        axes = figure.subplots(2, 3, sharex=True).ravel()
        psth.draw_event_averages(data, list(axes), styles=self.styles)
        caption = (
            f"Mean rates around {data[0].num_events} events ({data[0].event}) of "
            f"{example.recording}, observed (grey) and forecast at most "
            f"{example.lead_s * 1000:g} ms ahead. No forecaster is told when an event comes. The "
            "units are those whose observed average is modulated most; how well they are forecast "
            "plays no part in the choice. R² of the forecast average in each row's colour. A "
            "forecast lags where only the population's own activity announces the event."
        )
        table = [record for unit in data for record in unit.table()]
        title = f"PSTHs around {data[0].event}"
        return self._page_figure("psth", figure, table, title, caption, wide=True)

    @styled()
    def groups(self, of_set: SetResults) -> PageFigure:
        data = horizon.compute_group_curves(
            of_set.rows, observer=of_set.observer, model=of_set.model
        )
        figure = new_figure(NARROW_MM, 80)
        horizon.draw_group_curves(data, figure.add_subplot(), styles=self.styles)
        caption = (
            "The score of each group of bins by itself, not cumulative: where in the next second "
            "the gain lies. A curve that ends above 0 says that the last bins are still forecast."
        )
        title = "Bit by bit along the horizon"
        return self._page_figure(f"bins_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def correlation(self, of_set: SetResults) -> PageFigure:
        data = horizon.compute_agreement(of_set.rows)
        figure = new_figure(NARROW_MM, 112)
        horizon.draw_agreement(data, list(figure.subplots(2, 1)), styles=self.styles)
        caption = (
            "Agreement of expected with observed counts up to each horizon, over windows, mean "
            "over units. Correlation forgives a wrong scale, R² does not. Along the horizon two "
            "things change at once: longer counts are less noisy, and later bins are harder."
        )
        title = "Correlation and R² of counts"
        return self._page_figure(f"agreement_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def gain_against_rate(self, of_set: SetResults) -> PageFigure:
        data = units.compute_unit_gains(of_set.rows, of_set.model)
        figure = new_figure(NARROW_MM, 86)
        units.draw_gain_against_rate(data, figure.add_subplot(), styles=self.styles)
        caption = (
            f"Each unit's gain over its own null against its mean rate ({len(data.unit)} units; "
            f"{data.num_left_out} with fewer than {units.FEWEST_SPIKES} scored spikes are left "
            "out). Lines are medians of neighbouring units: is the gain one of a few busy units, "
            "or of all?"
        )
        title = "Which units gain"
        return self._page_figure(f"unit_gain_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def unit_against_unit(self, of_set: SetResults) -> PageFigure:
        data = units.compute_unit_gains(of_set.rows, of_set.model)
        figure = new_figure(NARROW_MM, 104)
        units.draw_unit_against_unit(data, figure.add_subplot(), styles=self.styles)
        caption = (
            f"The same units under {of_set.model} against {data.strongest}: points above the "
            "diagonal are units that the model forecasts better."
        )
        title = "Unit by unit against the strongest baseline"
        return self._page_figure(f"unit_pairs_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def calibration(self, of_set: SetResults) -> PageFigure:
        names = [of_set.model, strongest_by_horizon(of_set.rows)[0]]
        last = len(of_set.rows.protocol.horizons_s) - 1
        data = [
            units.compute_calibration(of_set.rows, names, horizon=horizon)
            for horizon in dict.fromkeys([0, last])
        ]
        figure = new_figure(WIDE_MM, 92)
        for each, ax in zip(data, figure.subplots(1, len(data), squeeze=False)[0], strict=True):
            units.draw_calibration(each, ax, styles=self.styles)
        caption = (
            "Observed against forecast rates over the shortest and the longest horizon, all units "
            "and windows: on the diagonal, what was forecast is what came. Below it at the right, "
            "peaks are overstated. Bars: 95 % for Poisson counts."
        )
        table = [record for each in data for record in each.table()]
        return self._page_figure(
            f"calibration_{of_set.name}", figure, table, "Calibration", caption, wide=True
        )

    @styled()
    def reference_length(self, of_set: SetResults) -> PageFigure | None:
        data = compute_reference_curves(of_set.by_reference)
        if data is None:
            return None
        figure = new_figure(NARROW_MM, 86)
        draw_reference_curves(data, figure.add_subplot(), styles=self.styles)
        caption = (
            "How many seconds must be read of a session before its units can be forecast. The "
            "null is the same for all lengths; the row reference rate shows what knowing the mean "
            "rates from so few seconds costs."
        )
        title = "Seconds of reference"
        return self._page_figure(
            f"reference_length_{of_set.name}", figure, data.table(), title, caption
        )

    @styled()
    def training(self, metrics_file: Path | None) -> PageFigure | None:
        data = compute_training_curves(metrics_file) if metrics_file is not None else None
        if data is None:
            return None
        figure = new_figure(WIDE_MM, 66)
        draw_training_curves(data, list(figure.subplots(1, 2)))
        caption = (
            "Scores on validation windows (later time of the training sessions, apart from what "
            "is scored above) by horizon, and the training loss. The weights of the dotted epoch "
            "were kept: the best at the longest horizon."
        )
        return self._page_figure(
            "training", figure, data.table(), "How the training went", caption, wide=True
        )

    def _page_figure(
        self,
        name: str,
        figure: Figure,
        table: Sequence[dict[str, Any]],
        title: str,
        caption: str,
        *,
        wide: bool = False,
    ) -> PageFigure:
        svg = save_with_numbers(self.folder, name, figure, table)
        return PageFigure(name=name, title=title, caption=caption, svg=svg, wide=wide)


def observer_note(of_set: SetResults) -> str:
    """Say on which windows the ideal observer was scored."""
    assert of_set.observer is not None
    mine = sum(case.num_windows for case in of_set.observer.cases)
    every = sum(case.num_windows for case in of_set.rows.cases)
    if mine == every:
        return "it was scored on the same windows."
    return (
        f"it is slow, and was scored on {mine:,} of the {every:,} windows: it is drawn at the "
        "model's score plus its paired difference to the model there."
    )
