"""A trained model as a row: what it reads, and what its ablations leave alone."""

import numpy as np
import pytest
import torch
from scipy.special import gammaln

from neurohorizon.evaluation.baselines.constant import ReferenceRate
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.model_row import ModelRow, TeacherForcedRow, ablation_rows
from neurohorizon.evaluation.protocol import CountForecast, Protocol, prepare_case
from neurohorizon.evaluation.summary import coverage_table, pooled, score_table
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from worlds import waving_recording

PROTOCOL = Protocol(reference_s=20.0, fewest_spikes=100)


def make_forecaster(*, trained: bool = False, **settings) -> TrainedForecaster:
    torch.manual_seed(0)
    model = HorizonForecaster(spec=PROTOCOL.spec, width=16, num_heads=2, num_latents=4, **settings)
    if trained:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
    return TrainedForecaster(model)


@pytest.fixture(scope="module")
def case():
    return prepare_case(waving_recording(duration_s=90.0), PROTOCOL, held_out=True)


def test_an_untrained_model_scores_as_the_reference_rate(case):
    result = evaluate([ModelRow(make_forecaster()), ReferenceRate()], [case])
    assert [row.role for row in result.rows] == ["model", "baseline"]
    one, other = (pooled(result, row.name).value for row in result.rows)
    assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("likelihood", ["negative_binomial", "categorical"])
def test_a_distribution_of_its_own_is_scored_beside_the_expected_counts(case, likelihood):
    """With a spread that the head says; where it says next to none, the two scores agree."""
    forecaster = make_forecaster(likelihood=likelihood)
    row = ModelRow(forecaster)
    windows = next(case.chunks())
    told = row.forecast(case, windows)
    assert isinstance(told, CountForecast)
    assert told.log_prob.shape == windows.counts.shape
    poisson = gammaln(windows.counts + 1.0)
    poisson = windows.counts * np.log(told.expected_counts) - told.expected_counts - poisson
    if likelihood == "categorical":  # untrained: Poisson
        np.testing.assert_allclose(told.log_prob, poisson, atol=1e-4)
    result = evaluate([row, ReferenceRate()], [case])
    own = [record["own"] - record["bits_per_spike"] for record in score_table(result)]
    num = len(PROTOCOL.horizons_s)
    assert own[num:] == [0.0] * num
    scores = result.scores[row.name, case.recording.id]
    difference = (scores.own_log_likelihood - scores.log_likelihood).sum(axis=(0, 1))
    expected = np.cumsum(difference)[PROTOCOL.horizon_bins - 1] / np.log(2)
    spikes = np.cumsum(scores.spikes.sum(axis=(0, 1)))[PROTOCOL.horizon_bins - 1]
    np.testing.assert_allclose(own[:num], expected / spikes, atol=1e-9)
    assert (np.abs(own[:num]) > 1e-4).all() == (likelihood == "negative_binomial")


def test_a_teacher_forced_score_is_a_cheat_beside_the_roll_out(case):
    """Whoever follows its own recent counts is told more by the truth than by its own forecast."""
    forecaster = make_forecaster(decoder="autoregressive")
    with torch.no_grad():
        forecaster.model.decoder.correction.to_history.bias += 0.5
    rows = [ModelRow(forecaster), TeacherForcedRow(forecaster), ReferenceRate()]
    result = evaluate(rows, [case])
    assert result.names("model") == ["NeuroHorizon"]
    assert result.names("cheat") == ["teacher-forced"]
    rolled, forced = (result.scores[row.name, case.recording.id] for row in rows[:2])
    gain = (forced.log_likelihood - rolled.log_likelihood).sum(axis=(0, 1))
    assert gain[0] == pytest.approx(0.0, abs=1e-3), "no bin comes before the first"
    assert gain[1:].sum() > 0
    assert rolled.pit.sum(axis=1) == pytest.approx(
        [int(case.scored_units.sum()) * len(case.origins_s)] * 4
    )
    assert forced.pit.sum() == 0, "sums of what was told already are no forecast"
    table = coverage_table(result)
    assert {row["row"] for row in table} == {"NeuroHorizon", "reference rate"}
    assert all(0.3 < row["covered_90"] <= 1.0 for row in table)


@pytest.mark.parametrize("decoder", ["autoregressive", "coarse_to_fine"])
def test_an_untrained_decoder_scores_as_the_reference_rate(case, decoder):
    result = evaluate([ModelRow(make_forecaster(decoder=decoder)), ReferenceRate()], [case])
    one, other = (pooled(result, row.name).value for row in result.rows)
    assert one == pytest.approx(other, abs=1e-6)


def test_a_row_may_have_its_own_name():
    assert ModelRow(make_forecaster()).name == "NeuroHorizon"
    assert ModelRow(make_forecaster(), "seed 3").name == "seed 3"


def test_ablations_change_the_forecast_and_leave_the_model_as_it_was(case):
    forecaster = make_forecaster(trained=True)
    windows = next(case.chunks())
    whole = ModelRow(forecaster).forecast(case, windows)
    rows = ablation_rows(forecaster)
    assert [row.name for row in rows] == ["adapter withheld", "labels shuffled"]
    for row in rows:
        assert not np.allclose(row.forecast(case, windows), whole, rtol=1e-4)
    assert np.array_equal(ModelRow(forecaster).forecast(case, windows), whole)


def test_a_part_that_a_model_lacks_is_not_ablated():
    assert ablation_rows(make_forecaster(use_adapter=False, use_events=False)) == []
    without_encoder = make_forecaster(num_encoder_layers=0)
    assert [row.name for row in ablation_rows(without_encoder)] == ["adapter withheld"]


def test_the_future_is_not_read(case):
    row = ModelRow(make_forecaster(trained=True))
    windows = next(case.chunks())
    before = row.forecast(case, windows)
    windows.counts[:] = 7
    assert np.array_equal(row.forecast(case, windows), before)
