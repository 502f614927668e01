"""The card of a recording of responses."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.recordings.responses import (
    Images,
    ResponseRecording,
    Responses,
    presentation_clock,
)
from neurohorizon.recordings.schema import Units
from neurohorizon.report.response_card import compute_response_card, draw_response_card


def recording(values: np.ndarray, **statistics: np.ndarray) -> ResponseRecording:
    num, num_units = values.shape[:2]
    start, end = presentation_clock(num)
    text = np.array([f"{i}" for i in range(num)])
    units = Units.numbered(num_units)
    area = np.array(["IT", "V1"] * num_units)[:num_units]
    return ResponseRecording(
        id="day1",
        subject="F",
        source="tests",
        units=replace(units, area=area, columns=statistics),
        responses=Responses(
            values=values,
            start=start,
            end=end,
            image=np.arange(num) // 2,
            part=np.where(np.arange(num) < num // 2, "train", "test"),
            repeat=np.where(np.arange(num) < num // 2, 0, -1),
            day=np.zeros(num, dtype=int),
            bin_edges_s=None if values.ndim == 2 else np.arange(values.shape[2] + 1) / 10,
        ),
        images=Images(text, text, text, text),
    )


def test_units_lie_by_area_and_are_standardised():
    values = np.random.default_rng(0).normal(3.0, 2.0, (60, 7)).astype(np.float32)
    values[5, 0] = np.nan
    card = compute_response_card(recording(values))
    assert card.areas == ["IT", "V1"]
    assert card.row_area.tolist() == [0, 0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(np.nanmean(card.shown, axis=1), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(card.shown, axis=1), 1.0, atol=1e-4)
    assert np.isnan(card.shown[0, 5])
    means = card.statistics["mean response"]
    np.testing.assert_allclose(means[4], values[:, 1].mean(), rtol=1e-5)
    assert card.presentations == {
        ("train", "single trials"): 30,
        ("test", "means over repeats"): 30,
    }
    draw_response_card(card)


def test_bins_are_averaged_and_the_sources_statistics_are_shown():
    values = np.random.default_rng(1).normal(size=(40, 4, 5)).astype(np.float32)
    values[:, :, 2] = np.nan
    statistics = {"snr": np.arange(4.0), "latency_s": np.full(4, 0.05), "array": np.arange(4)}
    card = compute_response_card(recording(values, **statistics))
    flat = compute_response_card(recording(np.nanmean(values, axis=2), **statistics))
    np.testing.assert_allclose(card.shown, flat.shown, rtol=1e-3, atol=1e-4)
    assert list(card.statistics) == ["snr", "latency_s"]
    assert card.statistics["snr"].tolist() == [0.0, 2.0, 1.0, 3.0]
    assert card.table()[1] == {"area": "IT", "snr": 2.0, "latency_s": 0.05}
    draw_response_card(card)


def test_a_dead_unit_is_left_blank():
    values = np.random.default_rng(2).normal(size=(20, 3)).astype(np.float32)
    values[:, 2] = 1.0
    card = compute_response_card(recording(values))
    assert np.isnan(card.shown[1]).all()
    assert card.table()[1]["mean response"] == pytest.approx(1.0)
    draw_response_card(card)
