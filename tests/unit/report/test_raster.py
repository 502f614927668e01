"""What is shown of a session is chosen by rules that do not flatter."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.report import raster
from neurohorizon.report.style import new_figure


def test_the_order_of_units_comes_from_forecasts_alone(example):
    generator = np.random.default_rng(0)
    shuffled = replace(
        example, spike_times=np.sort(generator.uniform(*example.shown_s, len(example.spike_times)))
    )
    one, other = (raster.compute_raster(each, "model") for each in (example, shuffled))
    assert one.unit == other.unit
    assert one.unit != sorted(one.unit), "not the order of the file"


def test_spikes_keep_their_unit_through_the_sorting(example):
    data = raster.compute_raster(example, "model")
    counts = dict(
        zip(data.unit, np.bincount(data.spike_row, minlength=len(data.unit)), strict=True)
    )
    inside = (example.times_s >= example.shown_s[0] - 1e-6) & (
        example.times_s < example.shown_s[1] - 1e-6
    )
    expected = dict(zip(example.unit_id, example.counts[inside].sum(axis=0), strict=True))
    assert all(counts[unit] == expected[unit] for unit in data.unit)
    figure = new_figure(183, 100)
    raster.draw_raster_above_forecast(data, list(figure.subplots(2, 1, sharex=True)))


def test_units_are_those_at_fixed_percentiles_of_the_score(example):
    data = raster.compute_unit_traces(example)
    assert [unit.share for unit in data] == list(raster.SHARES)
    scores = [unit.bits_per_spike for unit in data]
    assert scores == sorted(scores, reverse=True)
    # A percentile of the model's score, whatever the forecasts look like here.
    flat = {name: np.ones_like(rates) for name, rates in example.rate_hz.items()}
    again = raster.compute_unit_traces(replace(example, rate_hz=flat))
    assert [unit.unit for unit in again] == [unit.unit for unit in data]


def test_traces_average_what_they_are_made_of(example):
    data = raster.compute_unit_traces(example, bin_s=0.1)[0]
    column = list(example.unit_id).index(data.unit)
    first = np.flatnonzero(example.times_s >= example.shown_s[0] - 1e-6)[0]
    counts = example.counts[first : first + 5, column]
    assert data.observed_hz[0] == pytest.approx(counts.sum() / 0.1)
    rates = example.rate_hz["model"][first : first + 5, column]
    assert data.rate_hz["model"][0] == pytest.approx(rates.mean())
    figure = new_figure(183, 40)
    raster.draw_unit_traces([data], [figure.add_subplot()], styles={})
