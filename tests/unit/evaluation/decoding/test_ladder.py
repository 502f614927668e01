"""Every simple decoder decodes, reads nothing it may not, and says why where it cannot."""

from dataclasses import replace

import numpy as np
import pytest

from decoding_cases import wandering_case
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.evaluation.decoding.bayes import Bayes
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.evaluation.decoding.constant import Constant
from neurohorizon.evaluation.decoding.kalman import Kalman
from neurohorizon.evaluation.decoding.ladder import decode_ladder, make_decoder
from neurohorizon.evaluation.decoding.networks import Network
from neurohorizon.evaluation.decoding.rows import ROWS
from neurohorizon.evaluation.decoding.sums import Sums
from neurohorizon.evaluation.decoding.tuning import Decoder
from neurohorizon.evaluation.decoding.wiener import Wiener
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec


def quick() -> list[Decoder]:
    """Return the ladder with small searches."""
    clocks = ((0.5, 5.0),)
    return [
        Constant(),
        Wiener(bins_s=(0.1,), num_lags=(0, 3), penalties=(1e-2, 1.0), inverse_penalties=(0.1,)),
        Kalman(bins_s=(0.1,), orders=(1,), lags_s=(), noises=(1.0, 3.0)),
        Kalman(smooth=True, bins_s=(0.1,), orders=(1,), lags_s=(0.1,), noises=(1.0, 3.0)),
        Bayes(windows_s=(0.3, 0.7), smooths=(1.5,), trusts=(1.0,)),
        Bayes(
            continuous=True,
            chain_bins_s=(0.2,),
            smooths=(1.5,),
            trusts=(1.0,),
            doubts=(0.01,),
            pseudo_steps=(1.0,),
        ),
        Network("MLP", clocks=clocks, variations=(), most_looks=3, bins_a_batch=300),
        Network("GRU", clocks=clocks, variations=(), most_looks=4, bins_a_batch=300),
    ]


def score(case: DecodingCase, outputs: np.ndarray) -> float:
    test = case.part("test")
    return Sums.of(case.task, test.times_s, test.values, outputs).score(case.task.spec.metric_used)


@pytest.mark.parametrize("kind", ["continuous", "binary", "ordinal"])
def test_every_row_decodes_what_units_tell(kind):
    case = wandering_case(kind=kind)
    found = {each.row: each for each in decode_ladder(case, decoders=quick())}
    assert tuple(found) == ROWS
    for name, each in found.items():
        if kind != "continuous" and name.startswith("Kalman"):
            assert each.outputs is None
            assert "no linear state" in each.left_out
            continue
        assert each.outputs is not None
        assert each.outputs.shape == (len(case.part("test")), case.task.num_outputs)
        level = score(case, each.outputs)
        if name == "mean":
            assert level < 0.6
        else:
            assert level > 0.5 + 0.1 * (kind != "continuous"), name
            assert np.isfinite(each.chosen.score)
            assert each.chosen.settings
        if kind != "continuous":
            assert np.allclose(each.outputs.sum(axis=1), 1.0)


def test_nothing_outside_of_a_stretch_changes_what_is_decoded():
    case = wandering_case(length_s=120.0)
    data, test = case.fit_data(), case.part("test")
    recording = case.activity.recording
    start, end = test.stretches[1]
    inside = (recording.spike_times >= start) & (recording.spike_times < end)
    alone = Activity(
        replace(
            recording,
            spike_times=recording.spike_times[inside],
            spike_unit_index=recording.spike_unit_index[inside],
        )
    )
    for decoder in quick():
        decoder.fit(data)
        whole = decoder.predict(case.activity, test.asked)[test.stretch == 1]
        asked = replace(
            test.asked,
            stretches=test.stretches[1:2],
            times_s=test.times_s[test.stretch == 1],
            stretch=np.zeros(int(np.sum(test.stretch == 1)), dtype=int),
        )
        assert np.allclose(decoder.predict(alone, asked), whole, atol=1e-5), decoder.name


def test_signals_are_decoded_and_bayes_says_why_not():
    case = wandering_case(signal=True)
    found = {each.row: each for each in decode_ladder(case, decoders=quick())}
    for name in ("Bayes", "Bayes continuous"):
        assert "need spikes" in found[name].left_out
    for name in ("Wiener", "Kalman", "MLP", "GRU"):
        outputs = found[name].outputs
        assert outputs is not None
        assert score(case, outputs) > 0.5, name


def test_values_far_apart_leave_rows_without_continuity():
    case = wandering_case()
    sparse = replace(
        case, times_s=case.times_s[::50], values=case.values[::50], weights=case.weights[::50]
    )
    data = sparse.fit_data()
    assert "too far apart" in Kalman().why_not(data)
    assert "too far apart" in Bayes(continuous=True).why_not(data)
    assert Bayes().why_not(data) == ""
    (wiener,) = decode_ladder(sparse, decoders=quick()[1:2])
    assert wiener.outputs is not None
    assert score(sparse, wiener.outputs) > 0.3


def test_three_columns_are_too_many_for_a_grid():
    case = wandering_case(columns=3)
    assert "3 columns" in Bayes().why_not(case.fit_data())


def test_networks_are_the_same_twice():
    case = wandering_case(length_s=120.0)
    outputs = []
    for _ in range(2):
        network = Network(
            "GRU", clocks=((0.5, 5.0),), variations=(), most_looks=2, bins_a_batch=300, seed=3
        )
        network.fit(case.fit_data())
        outputs.append(network.predict(case.activity, case.part("test").asked))
    assert np.array_equal(*outputs)


def test_a_class_that_training_never_met_is_never_told():
    case = wandering_case(kind="binary")
    task = Task(TaskSpec(name="side", kind="multinomial", series="side"), classes=("l", "r", "x"))
    for each in decode_ladder(replace(case, task=task), decoders=quick()[:2]):
        assert each.outputs is not None
        assert each.outputs.shape[1] == 3
        assert each.outputs[:, 2].max() < 1e-6


def test_one_class_alone_is_no_crash():
    case = wandering_case(kind="binary", length_s=60.0)
    constant = replace(case, values=np.zeros_like(case.values))
    for each in decode_ladder(constant, decoders=quick()):
        if each.outputs is not None:
            assert (np.argmax(each.outputs, axis=1) == 0).all(), each.row


def test_a_constant_target_is_no_crash():
    case = wandering_case(length_s=120.0)
    constant = replace(case, values=np.full_like(case.values, 3.0))
    for each in decode_ladder(constant, decoders=quick()):
        assert each.outputs is not None
        assert np.abs(each.outputs - 3.0).max() < 0.5, each.row


def test_bad_names_and_empty_parts_are_named():
    with pytest.raises(ConfigError, match=r"no simple decoder 'LSTM': choose among mean, Wiener"):
        make_decoder("LSTM")
    case = wandering_case(length_s=120.0)
    with pytest.raises(DataError, match="no value in the training part"):
        decode_ladder(replace(case, train=np.empty((0, 2))), rows=("mean",))
    (found,) = decode_ladder(replace(case, test=np.empty((0, 2))), rows=("mean",))
    assert found.left_out == "no value in the test part"
