"""Unit by unit: scores, calibration, and what is left out."""

import numpy as np
import pytest

from neurohorizon.report import units
from neurohorizon.report.coverage import compute_transforms, draw_transforms
from neurohorizon.report.rows import style_rows
from neurohorizon.report.style import new_figure


def test_units_weighted_by_spikes_give_the_pooled_score(rows, monkeypatch):
    monkeypatch.setattr(units, "FEWEST_SPIKES", 0)
    data = units.compute_unit_gains(rows, "model")
    assert data.strongest == "glm"
    assert len(data.unit) == sum(case.num_units for case in rows.cases)
    counts = np.concatenate(
        [each.at_horizons(each.spikes).sum(axis=0)[:, 0] for each in rows.of_row("model")]
    )
    gain = sum(each.at_horizons(each.gain).sum(axis=(0, 1))[0] for each in rows.of_row("model"))
    total = np.nansum(data.model_bits * counts) * np.log(2)
    assert total == pytest.approx(gain)


def test_units_with_few_spikes_are_counted_and_left_out(rows, monkeypatch):
    monkeypatch.setattr(units, "FEWEST_SPIKES", 10**9)
    data = units.compute_unit_gains(rows, "model")
    assert data.unit == []
    assert data.num_left_out == sum(case.num_units for case in rows.cases)
    ax = new_figure(80, 80).add_subplot()
    units.draw_gain_against_rate(data, ax, styles={})
    units.draw_unit_against_unit(data, ax, styles={})


def test_a_unit_beyond_the_scale_is_drawn_at_its_edge(rows, monkeypatch):
    monkeypatch.setattr(units, "FEWEST_SPIKES", 0)
    data = units.compute_unit_gains(rows, "model")
    data.model_bits[0] = -1e6
    ax = new_figure(80, 80).add_subplot()
    units.draw_gain_against_rate(data, ax, styles=style_rows([rows]))
    points = ax.collections[0].get_offsets()
    assert len(points) == len(data.unit)
    assert ax.get_ylim()[0] > -1e3
    assert points[:, 1].min() >= ax.get_ylim()[0]


def test_calibration_keeps_every_spike_and_forecast(rows):
    data = units.compute_calibration(rows, ["model", "mean"], horizon=3)
    assert data.horizon_s == 1.0
    for row, name in enumerate(data.names):
        scores = rows.of_row(name)
        spikes = sum(int(each.spikes.sum()) for each in scores)
        number = data.forecasts[row]
        assert np.nansum(data.observed_hz[row] * number) == pytest.approx(spikes)
        assert number.sum() == sum(each.num_windows.sum() * len(each.unit_index) for each in scores)


def test_a_mixture_with_the_truth_is_seen_as_too_timid_in_calibration(rows):
    data = units.compute_calibration(rows, ["model"], horizon=0)
    known = np.flatnonzero(data.forecasts[0] > 20)
    lowest, highest = known[0], known[-1]
    assert data.observed_hz[0][highest] > data.expected_hz[0][highest]
    assert data.observed_hz[0][lowest] < data.expected_hz[0][lowest]
    ax = new_figure(80, 80).add_subplot()
    units.draw_calibration(data, ax, styles=style_rows([rows]))
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_a_forecast_that_knows_too_much_is_seen_in_where_counts_fall(rows):
    """The mixture with the truth covers more than it says; the null about as much."""
    data = compute_transforms(rows, ["model", "mean"], horizon=-1)
    assert data.horizon_s == 1.0
    peeking, null = (data.covered(row)[0.5] for row in range(2))
    assert peeking > null
    records = data.table()
    assert len(records) == 2 * 20
    assert np.mean([record["density"] for record in records]) == pytest.approx(1.0)
    ax = new_figure(80, 80).add_subplot()
    draw_transforms(data, ax, styles=style_rows([rows]))
    assert ax.get_ylim()[1] > max(record["density"] for record in records)


def test_rows_that_say_nothing_of_their_distribution_are_left_out(rows):
    for scores in rows.of_row("glm"):
        scores.pit[:] = 0.0
    assert compute_transforms(rows, ["glm", "mean"]).names == ["mean"]
