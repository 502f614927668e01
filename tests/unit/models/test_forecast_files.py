"""A recording is forecast part by part as it is forecast at once, and written as it is."""

import csv

import numpy as np
import pytest
import torch

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models import forecast_files
from neurohorizon.models.forecast_files import (
    ForecastPlan,
    forecast_recording,
    plan_forecast,
    write_forecast,
)
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.window_spec import WindowSpec
from worlds import waving_recording

SPEC = WindowSpec(horizon_s=0.5)


@pytest.fixture(scope="module")
def recording():
    return waving_recording(num_units=4, duration_s=80.0)


@pytest.fixture(scope="module")
def forecaster():
    torch.manual_seed(0)
    model = HorizonForecaster(spec=SPEC, width=16, num_heads=2, num_latents=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return TrainedForecaster(model)


def test_the_reference_ends_where_the_first_forecast_begins(recording):
    plan = plan_forecast(recording, SPEC, reference_s=60.0)
    assert plan.reference_span_s == (0.0, 60.0)
    np.testing.assert_allclose(plan.origins_s, np.arange(60.0, 80.1, 0.5))
    assert plan.num_inside == 0
    later = plan_forecast(recording, SPEC, origins_s=np.array([70.0, 71.0]), reference_s=30.0)
    assert later.reference_span_s == (40.0, 70.0)
    early = plan_forecast(recording, SPEC, origins_s=np.array([10.0, 50.0]), reference_s=30.0)
    assert early.reference_span_s == (0.0, 30.0)
    assert early.num_inside == 1


def test_what_leaves_nothing_to_forecast_is_refused(recording):
    with pytest.raises(DataError, match="give a shorter --reference-s"):
        plan_forecast(recording, SPEC, reference_s=100.0)
    with pytest.raises(ConfigError, match="--reference-s is 0: expected seconds above 0"):
        plan_forecast(recording, SPEC, reference_s=0.0)


def test_parts_together_are_the_whole(recording, forecaster, monkeypatch):
    plan = plan_forecast(recording, SPEC, reference_s=60.0)
    whole = forecast_recording(forecaster, recording, plan)
    monkeypatch.setattr(forecast_files, "_ORIGINS_AT_ONCE", 7)
    done = []
    parts = forecast_recording(
        forecaster, recording, plan, progress=lambda now, total: done.append((now, total))
    )
    assert len(done) > 3
    assert done[-1] == (len(plan.origins_s),) * 2
    np.testing.assert_array_equal(parts.origins_s, plan.origins_s)
    np.testing.assert_allclose(parts.rate_hz, whole.rate_hz, rtol=1e-4)
    alone = forecaster.forecast(recording, plan.origins_s, reference_s=60.0)
    np.testing.assert_allclose(whole.rate_hz, alone.rate_hz, rtol=1e-4)


def test_both_kinds_of_files_hold_the_same_rates(recording, forecaster, tmp_path):
    plan = ForecastPlan(np.array([61.0, 62.0]), (1.0, 61.0))
    forecast = forecast_recording(forecaster, recording, plan)
    for name in ("a.npz", "a.csv"):
        write_forecast(forecast, tmp_path / name, reference_span_s=plan.reference_span_s)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["rate_hz"], forecast.rate_hz)
        assert file["reference_s"].tolist() == [1.0, 61.0]
    with (tmp_path / "a.csv").open() as file:
        rates = [float(row["rate_hz"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(rates, forecast.rate_hz.ravel(), rtol=1e-5)
    with pytest.raises(ConfigError, match=r"as \.npz or \.csv"):
        write_forecast(forecast, tmp_path / "a.txt", reference_span_s=plan.reference_span_s)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.npz"]
