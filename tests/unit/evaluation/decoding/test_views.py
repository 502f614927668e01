"""What is seen in a decoder is what it holds, each moment once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from decoding_worlds import calcium_recording, moving_recording
from forecaster_worlds import SPEC, make_context_data, make_forecaster, shaken
from neurohorizon.configs.run_decoder_importance import MOST_UNITS, units_to_measure
from neurohorizon.evaluation.decoding.scoring import make_cases
from neurohorizon.evaluation.decoding.view_files import load_views, save_views
from neurohorizon.evaluation.decoding.views import (
    UnitAttention,
    look_into,
    principal_components,
    without_mean,
)
from neurohorizon.models.capoyo import CaPOYO
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.forecaster_decoder import ForecasterDecoder
from neurohorizon.models.poyo_plus import POYOPlus
from neurohorizon.ops.intervals import contains
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.sessions import unit_words
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.training.decoding.fit import teach

VELOCITY = TaskSpec(name="velocity", series="velocity", rate_hz=20.0)
SIDE = TaskSpec(name="side", kind="binary", table="trials", column="side")
SMALL = {
    "width": 16,
    "num_layers": 1,
    "head_width": 8,
    "num_self_heads": 2,
    "latent_step_s": 0.25,
    "num_latents_per_step": 2,
}


def decoder_of(design, recordings, specs) -> TrainedDecoder:
    torch.manual_seed(0)
    model = design(tasks=meet_tasks(specs, recordings), **SMALL)
    for recording in recordings:
        model.units.extend(unit_words(recording))
        model.sessions.extend([recording.id])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return TrainedDecoder(model)


@pytest.fixture(scope="module")
def recordings():
    return [
        moving_recording(num_units=units, duration_s=65.3, seed=units, name=f"of_{units}")
        for units in (5, 8)
    ]


@pytest.fixture(scope="module")
def seen(recordings):
    decoder = decoder_of(POYOPlus, recordings, [VELOCITY, SIDE])
    cases = make_cases(recordings, decoder.model.tasks)
    return decoder, cases, look_into(decoder, cases)


def test_each_moment_is_seen_once_and_coloured_by_what_was_true_then(seen):
    _, cases, views = seen
    assert [(each.recording, each.task) for each in views.latents] == [
        (case.recording_id, case.task.name) for case in cases
    ]
    for case, each in zip(cases, views.latents, strict=True):
        test = case.part("test")
        assert np.diff(each.times_s).min() > 0
        inside = (each.times_s[:, None] >= case.test[:, 0]) & (
            each.times_s[:, None] < case.test[:, 1]
        )
        assert inside.any(axis=1).all()
        nearest = np.abs(test.times_s[:, None] - each.times_s).argmin(axis=0)
        true = test.values[nearest].reshape(len(nearest), -1)
        assert np.allclose(each.values, true, atol=1e-5)
        assert each.width == 16
        assert 0 < each.explained[-1] <= each.explained[0] <= 1
    velocity, side = views.latents[:2]
    assert velocity.unit == "cm/s"
    # About all of the test part at the grid's step.
    duration = np.diff(cases[0].test).sum()
    assert 0.9 * duration < 0.25 * velocity.num_states <= duration
    assert len(velocity.times_s) == velocity.num_states
    # A trial has one time stamp, and two states beside it.
    assert len(side.times_s) == 2 * len(cases[1].part("test"))
    assert side.classes.tolist() == ["left", "right"]


def test_attention_stands_beside_the_number_of_tokens(seen, recordings):
    _, cases, views = seen
    for recording, each in zip(recordings, views.attention, strict=True):
        assert each.unit_id.tolist() == recording.units.id.tolist()
        assert each.attention.sum() == pytest.approx(1.0, abs=1e-5)
        assert each.tokens.sum() == pytest.approx(1.0)
        inside = contains(recording.require_split().test, recording.spike_times)
        spikes = np.bincount(recording.spike_unit_index[inside], minlength=recording.num_units)
        assert np.corrcoef(spikes, each.tokens)[0, 1] > 0.95
    assert len(views.attention[0].table()) == 5
    # With nothing to prefer, every token gets the same.
    even = decoder_of(POYOPlus, recordings, [VELOCITY, SIDE])
    with torch.no_grad():
        even.model.perceiver.latents.zero_()
        even.model.perceiver.reading.norm_query.bias.zero_()
    flat = look_into(even, cases).attention[0]
    assert np.allclose(flat.attention, flat.tokens, atol=1e-5)


def test_units_are_what_the_model_holds_for_them(seen, recordings):
    decoder, _, views = seen
    words = [word for recording in recordings for word in unit_words(recording)]
    rows = decoder.model.units(decoder.model.units.rows(words)).detach().numpy()
    assert np.allclose(views.units.vectors, rows)
    assert views.units.recording.tolist() == ["of_5"] * 5 + ["of_8"] * 8
    assert np.allclose(views.units.rate_hz[:5], recordings[0].rate_hz)


def test_views_are_read_as_they_were_written(seen, tmp_path):
    views = seen[2]
    assert load_views(tmp_path / "later") is None
    save_views(views, tmp_path / "later")
    again = load_views(tmp_path / "later")
    assert again is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "later.attention.npz", "later.latents.npz", "later.units.npz",
    ]  # fmt: skip
    for one, other in zip(views.latents, again.latents, strict=True):
        assert (one.recording, one.task, one.unit) == (other.recording, other.task, other.unit)
        assert np.array_equal(one.position, other.position)
        assert one.classes.tolist() == other.classes.tolist()
    assert np.array_equal(views.units.vectors, again.units.vectors)


def test_signals_have_attention_and_no_rate():
    recording = calcium_recording()
    running = TaskSpec(name="running", series="running", rate_hz=10.0)
    decoder = decoder_of(CaPOYO, [recording], [running])
    views = look_into(decoder, make_cases([recording], decoder.model.tasks))
    assert np.isnan(views.units.rate_hz).all()
    # Every unit has as many samples.
    assert np.allclose(views.attention[0].tokens, 0.2, atol=1e-3)


def test_a_forecasters_encoder_has_a_state_a_window():
    data = make_context_data()
    model = ForecasterDecoder.of(make_forecaster(), tasks=data.tasks)
    teach(model, data)
    recording = moving_recording(num_units=5, duration_s=80.0, seed=5, name="of_5")
    decoder = TrainedDecoder(shaken(model).eval())
    views = look_into(decoder, make_cases([recording], decoder.model.tasks))
    (latents,) = views.latents
    assert views.attention == []
    assert np.median(np.diff(latents.times_s)) == pytest.approx(SPEC.context_s / 8, abs=1e-3)
    assert views.units.vectors.shape == (5, 16)


def test_principal_components_find_a_plane():
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(400, 2)) * (3.0, 1.0)
    turned, _ = np.linalg.qr(generator.normal(size=(6, 2)))
    explained, position = principal_components(plane @ turned.T + 7.0, 3)
    assert explained == pytest.approx([0.9, 0.1, 0.0], abs=0.02)
    assert abs(np.corrcoef(position[:, 0], plane[:, 0])[0, 1]) > 0.99


def test_the_place_in_a_window_is_taken_out():
    generator = np.random.default_rng(0)
    steps = np.arange(60) % 4
    states = generator.normal(size=(60, 3)).astype(np.float32)
    placed = states + 9.0 * np.array([0, 1, 3, 7])[steps, None]
    found = without_mean(placed.astype(np.float32), steps)
    assert np.allclose(found, without_mean(states, steps), atol=1e-5)
    assert np.allclose([found[steps == step].mean(axis=0) for step in range(4)], 0.0, atol=1e-5)


def test_units_to_measure_are_spread_over_ranks_of_attention():
    assert units_to_measure(5, None) == [0, 1, 2, 3, 4]
    share = np.random.default_rng(0).permutation(200) / 19900
    names = np.array([f"u{index}" for index in range(200)])
    chosen = units_to_measure(200, UnitAttention("one", 9, names, names, share, share))
    assert len(set(chosen)) == MOST_UNITS
    ranks = np.sort(200 - 1 - np.argsort(np.argsort(share))[chosen])
    assert ranks[0] == 0
    assert ranks[-1] == 199
    assert set(np.diff(ranks)) <= {3, 4}


def test_a_long_test_part_is_seen_here_and_there(recordings, monkeypatch):
    monkeypatch.setattr("neurohorizon.evaluation.decoding.views.MOST_WINDOWS", 4)
    decoder = decoder_of(POYOPlus, recordings, [VELOCITY])
    one = replace(recordings[0])
    views = look_into(decoder, make_cases([one], decoder.model.tasks))
    assert views.attention[0].num_windows == 4
    assert np.ptp(views.latents[0].times_s) > 20.0
