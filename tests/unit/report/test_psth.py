"""Averages around events: of units that are chosen without regard to their forecasts."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.report import psth
from neurohorizon.report.style import new_figure


def test_a_forecast_of_the_counts_themselves_explains_the_psth(example):
    perfect = example.counts / example.bin_s
    data = psth.compute_event_averages(
        replace(example, rate_hz={"perfect": perfect, "flat": np.ones_like(perfect)})
    )
    assert len(data) == psth.NUM_PSTHS
    assert data[0].event == "go onset"
    for unit in data:
        assert unit.r2["perfect"] == pytest.approx(1.0)
        assert unit.r2["flat"] < 0.1
    figure = new_figure(183, 90)
    psth.draw_event_averages(data[:4], list(figure.subplots(2, 3).ravel()), styles={})


def test_psth_units_are_chosen_without_the_forecasts(example):
    first = psth.compute_event_averages(example)
    flat = {name: np.ones_like(rates) for name, rates in example.rate_hz.items()}
    second = psth.compute_event_averages(replace(example, rate_hz=flat))
    assert [unit.unit for unit in first] == [unit.unit for unit in second]


def test_few_events_give_no_psth(example):
    assert psth.compute_event_averages(replace(example, event_s=example.event_s[:3])) == []
