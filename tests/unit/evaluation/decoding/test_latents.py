"""A linear readout of a forecaster's latents: it decodes, and reads nothing it may not."""

from dataclasses import replace

import numpy as np
import pytest

from decoding_cases import wandering_case
from forecaster_worlds import make_forecaster
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.decoding import latents as latents_module
from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.evaluation.decoding.ladder import decode_ladder
from neurohorizon.evaluation.decoding.latents import Latents
from neurohorizon.evaluation.decoding.sums import Sums

FORECASTER = make_forecaster()


def score(case: DecodingCase, outputs: np.ndarray) -> float:
    test = case.part("test")
    return Sums.of(case.task, test.times_s, test.values, outputs).score(case.task.spec.metric_used)


@pytest.fixture(scope="module")
def case():
    return wandering_case(num_units=10, length_s=100.0)


@pytest.fixture(scope="module")
def fitted(case):
    row = Latents(FORECASTER)
    data = case.fit_data()
    assert not row.why_not(data)
    row.fit(data)
    return row


def without(case: DecodingCase, kept: np.ndarray) -> Activity:
    recording = case.activity.recording
    return Activity(
        replace(
            recording,
            spike_times=recording.spike_times[kept],
            spike_unit_index=recording.spike_unit_index[kept],
        )
    )


@pytest.mark.parametrize("kind", ["continuous", "binary", "ordinal"])
def test_it_decodes_what_units_tell(kind):
    case = wandering_case(num_units=10, length_s=100.0, kind=kind)
    rows = [
        Latents(FORECASTER, inverse_penalties=(0.1,)),
        Latents(FORECASTER, lags_s=(0.0, 0.2), inverse_penalties=(0.1,)),
    ]
    found = decode_ladder(case, decoders=rows)
    names = ["latents, linear", "latents, linear, looking ahead"]
    assert [each.row for each in found] == names
    for each in found:
        assert each.role == "model"
        assert each.outputs is not None
        assert each.outputs.shape == (len(case.part("test")), case.task.num_outputs)
        if kind == "continuous":
            assert score(case, each.outputs) > 0.3, "the mean scores 0"
        else:
            np.testing.assert_allclose(each.outputs.sum(axis=1), 1.0)
            assert score(case, each.outputs) > 1.3 / case.task.num_outputs, "chance is 1 over that"
    assert found[0].chosen.settings["lag_s"] == 0.0
    assert found[1].chosen.score >= found[0].chosen.score


def test_it_is_causal(case, fitted):
    test = case.part("test")
    start, end = test.stretches[0]
    middle = (start + end) / 2
    times = case.activity.recording.spike_times
    before = fitted.predict(case.activity, test.asked)
    after = fitted.predict(without(case, (times < middle) | (times >= end)), test.asked)
    early = test.times_s <= middle
    np.testing.assert_allclose(after[early], before[early], atol=1e-5)
    late = (test.times_s > middle + 0.5) & (test.times_s < end)
    assert np.abs(after[late] - before[late]).max() > 0.01


@pytest.mark.parametrize("lag_s", [0.0, 0.4])
def test_nothing_outside_of_a_stretch_is_read(case, fitted, lag_s):
    test = case.part("test")
    times = case.activity.recording.spike_times
    inside = (times[:, None] >= test.stretches[:, 0]) & (times[:, None] < test.stretches[:, 1])
    found, expected = (
        fitted._features(activity.recording, fitted._known.reference, test.asked, lag_s)
        for activity in (without(case, inside.any(axis=1)), case.activity)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_close_time_stamps_share_the_origin_before_them(fitted, case):
    asked = case.part("test").asked
    _, origins, row = Latents(FORECASTER, step_s=0.5)._origins(asked, 0.0)
    late_by = asked.times_s - origins[row]
    assert late_by.min() > -1e-6, "never an origin that comes later"
    assert late_by.max() <= 0.5
    assert len(origins) < len(asked) / 5
    assert len(fitted._origins(asked, 0.0)[1]) == len(asked)


def test_many_features_are_reduced(case, fitted, monkeypatch):
    monkeypatch.setattr(latents_module, "MOST_FEATURES", 40)
    row = Latents(FORECASTER)
    assert row.fit(case.fit_data()).score > 0.2
    assert row.fitted.weights_FP.shape == (40, 2)
    # With all components that there are, the regression has lost nothing.
    assert fitted.fitted.weights_FP.shape == (16 * 5, 2)


def test_it_says_why_it_cannot_decode(case):
    row = Latents(FORECASTER)
    assert "these are signals" in row.why_not(wandering_case(signal=True).fit_data())
    seconds = [np.array([[each[0, 0], each[0, 0] + 1.0]]) for each in (case.train, case.valid)]
    short = replace(case, train=seconds[0], valid=seconds[1]).fit_data()
    assert "use a longer stretch" in row.why_not(short)
    with pytest.raises(ConfigError, match="no encoder to decode from"):
        Latents(make_forecaster(num_encoder_layers=0))
