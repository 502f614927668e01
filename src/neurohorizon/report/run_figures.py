"""Figures of a run: forecasts to look at, who the units are, how the training went."""

from __future__ import annotations

import re
from pathlib import Path

from neurohorizon.evaluation.example import TRUE_RATE
from neurohorizon.evaluation.identities import Identities
from neurohorizon.evaluation.run_results import RunResults, SetName, SetResults
from neurohorizon.recordings.schema import Recording
from neurohorizon.report import psth, raster
from neurohorizon.report.identity_map import (
    compute_identity_map,
    draw_identity_map,
    panels_of,
)
from neurohorizon.report.page_figure import WIDE_MM, FigureMaker, PageFigure
from neurohorizon.report.session_card import compute_session_card
from neurohorizon.report.session_figure import draw_session_card
from neurohorizon.report.style import new_figure, styled
from neurohorizon.report.tables import count
from neurohorizon.report.training_curves import compute_training_curves, draw_training_curves


class RunFigures(FigureMaker):
    """One method a figure of a run: compute, draw, save, and say what to look at."""

    @styled()
    def raster(self, of_set: SetResults) -> PageFigure:
        """Draw spikes above their forecast."""
        example = of_set.example
        assert example is not None
        data = raster.compute_raster(example, of_set.lead)
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
        return self.saved(
            "raster", figure, data.table(), "Spikes above their forecast", caption, wide=True
        )

    @styled()
    def unit_traces(self, of_set: SetResults) -> PageFigure | None:
        """Draw single units in time, if any fires there."""
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
            f"25th percentile of {of_set.lead}'s score among units that fire here: a good one, two "
            "usual ones and a poor one."
        )
        if TRUE_RATE in example.rate_hz:
            caption += (
                " Dashed: the rate that the simulated latents drive, which nobody could know from "
                "the spikes before."
            )
        table = [record for unit in data for record in unit.table()]
        title = f"{count(len(data), 'unit')}, from well to poorly forecast"
        return self.saved("units_in_time", figure, table, title, caption, wide=True)

    @styled()
    def event_averages(self, of_set: SetResults) -> PageFigure | None:
        """Draw averages around events, if the recording has any."""
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
        return self.saved("psth", figure, table, title, caption, wide=True)

    @styled()
    def identity_map(self, results: RunResults) -> PageFigure | None:
        """Draw the map of all units' identities, if there are enough."""
        by_set: dict[SetName, Identities] = {
            name: each.identities
            for name, each in results.sets.items()
            if each.identities is not None
        }
        data = compute_identity_map(by_set)
        if data is None:
            return None
        panels = panels_of(data)
        figure = new_figure(WIDE_MM, 86)
        draw_identity_map(data, list(figure.subplots(1, len(panels))))
        neighbours = "; ".join(
            f"of the same {group} for {share:.0%} of the units ({chance:.0%} by chance)"
            for group, (share, chance) in data.same.items()
        )
        recordings = count(len(set(data.recording)), "recording")
        caption = (
            f"Every scored unit ({len(data.unit):,} of {recordings}), from its reference alone: "
            f"the first two principal components of {data.what}. The nearest neighbour, in all "
            f"dimensions, is {neighbours}. Units that lie in clumps by recording are told apart by "
            "their session; units of one kind should mix across sessions."
        )
        title = "A map of the units' identities"
        return self.saved("identity_map", figure, data.table(), title, caption, wide=True)

    @styled()
    def session_card(self, recording: Recording) -> PageFigure:
        """Draw the card of a recording."""
        card = compute_session_card(recording)
        units = recording.units
        table = [
            {
                "unit": str(units.id[index]),
                "area": str(units.area[index]),
                "quality": str(units.quality[index]),
                "rate_hz": card.rate_hz[index],
                "refractory_violations": card.violations[index],
                "nearly_another_unit": bool(card.twin[index]),
            }
            for index in range(len(units))
        ]
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", recording.id)
        caption = (
            "The population's rate through the session above its split, behaviour where there is "
            "any, a lively stretch spike by spike, and the units' rates and refractory violations. "
            "The same as data show draws."
        )
        return self.saved(
            f"session_{name}", draw_session_card(card), table, recording.id, caption, wide=True
        )

    @styled()
    def training(self, metrics_file: Path | None) -> PageFigure | None:
        """Draw how the training went, if there is a log of it."""
        data = compute_training_curves(metrics_file) if metrics_file is not None else None
        if data is None:
            return None
        figure = new_figure(WIDE_MM, 66)
        draw_training_curves(data, list(figure.subplots(1, 2)))
        caption = (
            "Scores on validation windows (of the training sessions, apart from what was trained "
            "on and what is scored above) by horizon, and the training loss. The weights of the "
            "dotted epoch were kept: the best at the longest horizon."
        )
        return self.saved(
            "training", figure, data.table(), "How the training went", caption, wide=True
        )
