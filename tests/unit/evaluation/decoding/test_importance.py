"""Planted units are found, others are not, and nothing is lost when spikes move."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from decoding_cases import wandering_case
from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.evaluation.decoding.importance import measure_importance
from neurohorizon.evaluation.decoding.out_of_time import out_of_time
from neurohorizon.evaluation.decoding.scoring import decode_test_parts
from neurohorizon.evaluation.decoding.wiener import Wiener
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.poyo import POYO
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.splits import split_interleaved
from worlds import waving_recording


def fitted(case):
    wiener = Wiener(bins_s=(0.1,), num_lags=(2,), penalties=(0.1,))
    wiener.fit(case.fit_data())
    asked = case.part("test").asked
    name, signal = case.task.name, case.activity.signal
    return lambda recording: {name: wiener.predict(Activity(recording, signal), asked)}


@pytest.mark.parametrize("signal", [False, True])
@pytest.mark.parametrize("way", ["windows", "shift"])
def test_planted_units_are_found(way, signal):
    case = wandering_case(num_units=12, tuned=4, length_s=400.0, signal=signal)
    (found,) = measure_importance([case], fitted(case), row="Wiener", way=way, repeats=3)
    assert found.read[:4].sum() >= 3
    assert found.read[4:].sum() <= 1
    assert found.loss[:4].min() > np.abs(found.loss[4:]).max()
    assert (found.low[:4] < found.loss[:4]).all()
    # Half of the tuned units are in each area.
    assert found.area.tolist() == ["A", "B"]
    assert (found.area_low > 0).all()
    table = found.table()
    assert len(table) == 14
    assert [row["read"] for row in table[:12]] == found.read.tolist()
    assert table[-1]["unit"] == "all of the area"


def test_an_error_that_grows_is_a_loss():
    case = wandering_case(num_units=8, tuned=3, length_s=240.0)
    (found,) = measure_importance(
        [case], fitted(case), metric="median_error", units=[0, 1, 2, 7], repeats=2
    )
    assert found.unit_id.tolist() == ["unit_0000", "unit_0001", "unit_0002", "unit_0007"]
    assert found.loss[:3].min() > found.loss[3]


@pytest.mark.parametrize("way", ["windows", "shift"])
def test_spikes_move_inside_their_stretches_alone(way):
    case = wandering_case(num_units=5, length_s=60.0)
    stretches = np.array([[5.0, 15.3], [20.0, 28.0]])
    before = case.activity.recording
    after = out_of_time(
        case.activity,
        np.array([2, 4]),
        stretches,
        way=way,
        generator=np.random.default_rng(0),
    )
    assert np.all(np.diff(after.spike_times) >= 0)
    for unit in range(5):
        one, other = (np.sort(r.spike_times[r.spike_unit_index == unit]) for r in (before, after))
        assert len(one) == len(other)
        inside = np.any((one[:, None] >= stretches[:, 0]) & (one[:, None] < stretches[:, 1]), 1)
        moved = np.any((other[:, None] >= stretches[:, 0]) & (other[:, None] < stretches[:, 1]), 1)
        assert inside.sum() == moved.sum()
        assert np.array_equal(one[~inside], other[~moved])
        assert np.array_equal(one, other) == (unit not in (2, 4))


def test_units_of_an_area_move_together():
    case = wandering_case(num_units=2, length_s=40.0)
    recording = case.activity.recording
    twins = replace(
        recording,
        spike_times=np.repeat(recording.spike_times, 2),
        spike_unit_index=np.tile([0, 1], len(recording.spike_times)),
    )
    moved = out_of_time(
        Activity(twins),
        np.array([0, 1]),
        np.array([[0.0, 40.0]]),
        way="windows",
        generator=np.random.default_rng(1),
    )
    one, other = (moved.spike_times[moved.spike_unit_index == unit] for unit in (0, 1))
    assert np.allclose(one, other)


def test_no_score_no_importance():
    case = wandering_case(num_units=4, length_s=60.0)
    still = replace(case, values=np.ones_like(case.values))
    with pytest.raises(
        DataError, match=r"no importance without a score \(task \w+: the target is constant"
    ):
        measure_importance(
            [still], lambda recording: {still.task.name: still.part("test").values + 0.1}
        )


def test_a_trained_model_is_asked_for_the_test_part_alone():
    recording = replace(
        waving_recording(duration_s=60.0),
        split=split_interleaved(np.array([[0.0, 60.0]]), block_s=6.0, guard_s=0.0),
    )
    (task,) = meet_tasks([TaskSpec(name="position", series="position", rate_hz=10.0)], [recording])
    torch.manual_seed(0)
    model = POYO(
        tasks=(task,),
        width=16,
        head_width=8,
        num_layers=1,
        num_self_heads=2,
        num_latents_per_step=2,
        latent_step_s=0.5,
        length_s=1.0,
    )
    model.units.extend([f"{recording.id}/{unit}" for unit in recording.units.id.tolist()])
    model.sessions.extend([recording.id])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    decoder = TrainedDecoder(model)
    case = DecodingCase.of(recording, task)
    assert case is not None
    decode = decode_test_parts(decoder, [case])
    outputs = decode(recording)["position"]
    assert np.allclose(outputs, decoder.decode(recording, case.test)["position"].values)
    assert len(outputs) == len(case.part("test"))
    moved = out_of_time(
        case.activity, np.arange(12), case.test, way="shift", generator=np.random.default_rng(0)
    )
    assert not np.allclose(decode(moved)["position"], outputs)
