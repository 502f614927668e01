"""Figures of one set of windows: scores against the horizon, by recording, unit and value."""

from __future__ import annotations

import numpy as np

from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.report import contributions, differences, horizon, units
from neurohorizon.report.ablations import compute_ablations, draw_ablations
from neurohorizon.report.coverage import compute_transforms, draw_transforms
from neurohorizon.report.few_shot import compute_few_shot, draw_few_shot
from neurohorizon.report.page_figure import (
    NARROW_MM,
    WIDE_MM,
    FigureMaker,
    PageFigure,
    save_numbers,
)
from neurohorizon.report.reference_length import compute_reference_curves, draw_reference_curves
from neurohorizon.report.style import new_figure, styled


class SetFigures(FigureMaker):
    """One method a figure of a set: compute, draw, save, and say what to look at."""

    @styled()
    def horizon(self, of_set: SetResults, top: float) -> PageFigure:
        """Draw every row's bits per spike against the horizon."""
        data = horizon.compute_horizon_curves(
            of_set.rows, observer=of_set.observer, model=of_set.lead
        )
        figure = new_figure(NARROW_MM, 96)
        horizon.draw_horizon_curves(data, figure.add_subplot(), styles=self.styles, top=top)
        over = "sessions" if len(of_set.rows.scored_cases()) >= 8 else "30 s blocks of time"
        sure = any(np.isfinite(curve.low).any() for curve in data.curves if curve.role != "cheat")
        told = f"95 % intervals by bootstrap over {over}" if sure else "too little for intervals"
        bold = f"Whiskers at the rows that stand out: {told}"
        if of_set.has_model:
            bold = f"Bold: the model (band, and whiskers at the rows that stand out: {told})"
        caption = (
            f"Bits per spike over the null, cumulative from the origin to each horizon, on "
            f"{of_set.rows.title}. {bold}. ★: the strongest baseline at some horizon. "
            "Intervals of levels overlap because sessions differ; the paired "
            "differences below are what is to be judged."
        )
        if of_set.observer is not None:
            caption += (
                " Dashed: what an ideal observer reaches that knows the simulated world and sees "
                "only the spikes; " + observer_note(of_set)
            )
        title = f"How well is each horizon forecast: {of_set.rows.title}"
        return self.saved(f"horizon_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def differences(self, of_set: SetResults) -> PageFigure:
        """Draw the lead minus what it is compared with, recording by recording."""
        panels = differences.compute_differences(of_set.rows, of_set.lead, to=of_set.rivals)
        num_recordings = len(panels[0].value)
        figure = new_figure(WIDE_MM, differences.difference_height_mm(num_recordings))
        differences.draw_differences(panels, list(figure.subplots(1, len(panels))))
        table = [record for panel in panels for record in panel.table()]
        if of_set.has_model:
            rival = "the strongest baseline of each horizon"
            title = f"Is the model better than the strongest baseline: {of_set.rows.title}"
        else:
            rival = "the strongest row that reads the unit's own spikes alone"
            if "mean" in of_set.rivals:
                rival = "a row that reads less (named below each panel)"
            title = f"What {of_set.lead} adds: {of_set.rows.title}"
        caption = (
            f"{of_set.lead} minus {rival}, in bits per spike, on "
            "the same windows against the same null: what makes a session easy or hard cancels. "
            "A point is a recording (line: 95 % interval over its 30 s blocks, where there are at "
            f"least five); the diamond is all together, its interval over {panels[0].pooled_over}. "
            "Blue: above 0; orange-red: below; grey: the interval holds 0, or there is none. "
            + ("A triangle lies beyond the scale." if num_recordings >= 12 else "")
        )
        return self.saved(f"differences_{of_set.name}", figure, table, title, caption, wide=True)

    @styled()
    def groups(self, of_set: SetResults) -> PageFigure:
        """Draw the score of each group of bins by itself."""
        data = horizon.compute_group_curves(
            of_set.rows, observer=of_set.observer, model=of_set.lead
        )
        figure = new_figure(NARROW_MM, 80)
        horizon.draw_group_curves(data, figure.add_subplot(), styles=self.styles)
        caption = (
            "The score of each group of bins by itself, not cumulative: where in the next second "
            "the gain lies. A curve that ends above 0 says that the last bins are still forecast."
        )
        title = "Bit by bit along the horizon"
        return self.saved(f"bins_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def correlation(self, of_set: SetResults) -> PageFigure:
        """Draw correlation and R² of counts against the horizon."""
        data = horizon.compute_agreement(of_set.rows)
        figure = new_figure(NARROW_MM, 112)
        horizon.draw_agreement(data, list(figure.subplots(2, 1)), styles=self.styles)
        caption = (
            "Agreement of expected with observed counts up to each horizon, over windows, mean "
            "over units. Correlation forgives a wrong scale, R² does not. Along the horizon two "
            "things change at once: longer counts are less noisy, and later bins are harder."
        )
        title = "Correlation and R² of counts"
        return self.saved(f"agreement_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def gain_against_rate(self, of_set: SetResults) -> PageFigure | None:
        """Draw each unit's gain against its rate."""
        data = units.compute_unit_gains(of_set.rows, of_set.lead, to=of_set.rivals[0])
        if not data.unit:
            return None
        figure = new_figure(NARROW_MM, 86)
        units.draw_gain_against_rate(data, figure.add_subplot(), styles=self.styles)
        caption = (
            f"Each unit's gain over its own null against its mean rate ({len(data.unit)} units; "
            f"{data.num_left_out} with fewer than {units.FEWEST_SPIKES} scored spikes are left "
            "out). Lines are medians of neighbouring units: is the gain one of a few busy units, "
            "or of all?"
        )
        title = "Which units gain"
        return self.saved(f"unit_gain_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def unit_against_unit(self, of_set: SetResults) -> PageFigure | None:
        """Draw each unit under the lead against what it is compared with."""
        data = units.compute_unit_gains(of_set.rows, of_set.lead, to=of_set.rivals[0])
        if not data.unit:
            return None
        figure = new_figure(NARROW_MM, 104)
        units.draw_unit_against_unit(data, figure.add_subplot(), styles=self.styles)
        caption = (
            f"The same units under {of_set.lead} against {data.strongest}: points above the "
            f"diagonal are units that {of_set.lead} forecasts better."
        )
        rival = "the strongest baseline" if of_set.has_model else data.strongest
        title = f"Unit by unit against {rival}"
        return self.saved(f"unit_pairs_{of_set.name}", figure, data.table(), title, caption)

    @styled()
    def calibration(self, of_set: SetResults) -> PageFigure:
        """Draw observed against forecast rates."""
        names = list(dict.fromkeys([of_set.lead, of_set.rivals[0]]))
        last = len(of_set.rows.protocol.horizons_s) - 1
        data = [
            units.compute_calibration(of_set.rows, names, horizon=horizon)
            for horizon in dict.fromkeys([0, last])
        ]
        transforms = compute_transforms(of_set.rows, names)
        figure = new_figure(WIDE_MM, 82 if transforms.names else 92)
        num_panels = len(data) + bool(transforms.names)
        panels = figure.subplots(1, num_panels, squeeze=False)[0]
        for each, ax in zip(data, panels, strict=False):
            units.draw_calibration(each, ax, styles=self.styles)
        caption = (
            "Observed against forecast rates over the shortest and the longest horizon, all units "
            "and windows: on the diagonal, what was forecast is what came. Below it at the right, "
            "peaks are overstated. Bars: 95 % for Poisson counts."
        )
        table = [record for each in data for record in each.table()]
        if transforms.names:
            draw_transforms(transforms, panels[-1], styles=self.styles)
            panels[-1].set_box_aspect(1)
            caption += (
                " Right: where the counts of the longest horizon fall in the distribution that was "
                "forecast of them. Flat: as often as said. High at both ends: forecasts are "
                "narrower than what comes. In the key, what share the intervals of 90 % hold."
            )
            save_numbers(self.folder, f"coverage_{of_set.name}", transforms.table())
        return self.saved(
            f"calibration_{of_set.name}", figure, table, "Calibration", caption, wide=True
        )

    @styled()
    def ablations(self, of_set: SetResults) -> PageFigure | None:
        """Draw what the model loses without each of its parts, if any was withheld."""
        data = compute_ablations(of_set)
        if data is None:
            return None
        figure = new_figure(WIDE_MM, 24 + 16 * len(data.names))
        draw_ablations(data, figure.add_subplot())
        caption = (
            "The same weights with one part of what they read withheld or spoiled, minus the whole "
            f"{data.model} ({data.level[0]:.3f} bits/spike at {data.horizons_s[0] * 1000:g} ms): "
            "paired differences, with 95 % intervals where enough was scored. They tell what this "
            "model leans on; what a part is worth takes a model trained without it."
        )
        return self.saved(
            f"ablations_{of_set.name}",
            figure,
            data.table(),
            f"What {data.model} leans on",
            caption,
            wide=True,
        )

    @styled()
    def contributions(self, of_set: SetResults) -> PageFigure | None:
        """Draw what behaviour and pictures are worth, if the model reads any."""
        if not of_set.contributions:
            return None
        data = contributions.compute_contribution_bars(of_set.contributions)
        rows = max(3 * len(data.overall), len(data.split))
        figure = new_figure(WIDE_MM, 22 + 5.0 * rows)
        overall, split = figure.subplots(1, 2)
        contributions.draw_overall(data, overall)
        contributions.draw_split(data, split)
        caption = (
            "What each condition adds to the forecast, in bits per spike, with 95 % intervals. "
            "Permuted (blue): the same weights with behaviour or pictures of another moment of the "
            "same session, drawn at random. Withheld (grey): none at all. Retrained (green): minus "
            "a model trained without it, which alone says what a condition is worth at all. Right: "
            "by area and by what the animal did, by retraining where there is such a model, "
            "otherwise by permuting."
        )
        title = "What behaviour and pictures are worth"
        name = f"contributions_{of_set.name}"
        return self.saved(name, figure, data.table(), title, caption, wide=True)

    @styled()
    def unit_contributions(self, of_set: SetResults) -> PageFigure | None:
        """Draw which units gain by each condition, if the model reads any."""
        if not of_set.contributions:
            return None
        panels, table = contributions.compute_unit_worth(of_set.contributions)
        figure = new_figure(WIDE_MM, 78)
        for panel, ax in zip(
            panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True
        ):
            contributions.draw_unit_worth(panel, ax)
        caption = (
            "What each unit loses at the longest horizon without each condition (retrained where "
            "there is such a model, otherwise permuted), sorted (line: "
            "95 % over 30 s blocks). In colour: units that gain for sure, at a false discovery "
            "rate of 5 % over all units. The CSV names them."
        )
        title = "Which units behaviour and pictures help"
        name = f"contributions_units_{of_set.name}"
        return self.saved(name, figure, table, title, caption, wide=True)

    @styled()
    def few_shot(self, of_set: SetResults) -> PageFigure | None:
        """Draw what minutes of a session are worth to adapt with, if that was scored."""
        if of_set.few_shot is None or not of_set.few_shot.scored_cases():
            return None
        last = len(of_set.few_shot.protocol.horizons_s) - 1
        data = [compute_few_shot(of_set.few_shot, horizon=each) for each in sorted({0, last})]
        figure = new_figure(WIDE_MM, 78)
        for each, ax in zip(data, figure.subplots(1, len(data), squeeze=False)[0], strict=True):
            draw_few_shot(each, ax)
        caption = (
            "The model adapted to each session with some of its minutes, minus the same model "
            "zero-shot: paired differences with 95 % intervals. Offsets: a vector and a rate for "
            "each unit; low_rank: a low-rank change of attention and feed-forward layers; full: "
            "all weights. The last fifth of the minutes says when to stop, which may be at once."
        )
        table = [record for each in data for record in each.table()]
        return self.saved(
            f"few_shot_{of_set.name}", figure, table, "Minutes of a session", caption, wide=True
        )

    @styled()
    def reference_length(self, of_set: SetResults) -> PageFigure | None:
        """Draw scores against seconds of reference, if there are several lengths."""
        last = len(of_set.rows.protocol.horizons_s) - 1
        found = [
            compute_reference_curves(of_set.by_reference, horizon=horizon)
            for horizon in dict.fromkeys([0, last])
        ]
        data = [each for each in found if each is not None]
        if not data:
            return None
        figure = new_figure(WIDE_MM, 78)
        for each, ax in zip(data, figure.subplots(1, len(data), squeeze=False)[0], strict=True):
            draw_reference_curves(each, ax, styles=self.styles)
        caption = (
            "How many seconds must be read of a session before its units can be forecast. All rows "
            "read the same seconds, the last ones before what is scored (in interleaved splits, "
            "of all that is not scored). Windows and null are the same for all lengths; the row "
            "reference rate shows what knowing the mean rates from so few seconds costs, and may "
            "leave the panel below (the table and the CSV have it)."
        )
        short = [
            (asked, read)
            for asked, read in zip(data[0].reference_s, data[0].read_s, strict=True)
            if read < asked - 0.5
        ]
        if short:
            told = " and ".join(f"{read:.0f} s where {asked:g} s" for asked, read in short)
            caption += f" Not every recording is long enough: the shortest gives {told} are asked."
        table = [record for each in data for record in each.table()]
        return self.saved(
            f"reference_length_{of_set.name}",
            figure,
            table,
            "Seconds of reference",
            caption,
            wide=True,
        )


def observer_note(of_set: SetResults) -> str:
    """Say on which windows the ideal observer was scored."""
    assert of_set.observer is not None
    mine = sum(case.num_windows for case in of_set.observer.cases)
    every = sum(case.num_windows for case in of_set.rows.cases)
    if mine == every:
        return "it was scored on the same windows."
    return (
        f"it is slow, and was scored on {mine:,} of the {every:,} windows: it is drawn at the "
        f"score of {of_set.lead} plus its paired difference to {of_set.lead} there."
    )
