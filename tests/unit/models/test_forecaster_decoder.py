"""What must not change what a decoder around a forecaster's encoder says, and what must."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from decoder_batches import CHOICE, POSITION
from decoding_worlds import moving_recording
from forecaster_worlds import (
    SIDE,
    SPEC,
    VELOCITY,
    make_context_data,
    make_forecaster,
    permute_units,
    shaken,
)
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.decoder_files import load_decoder, save_decoder
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.forecaster_decoder import ForecasterDecoder
from neurohorizon.recordings.conditions import ConditionSpec
from neurohorizon.recordings.decoding.collate import collate_decode
from neurohorizon.recordings.decoding.contexts import context_reader
from neurohorizon.recordings.reference_samples import SampleSpec
from neurohorizon.recordings.schema import Recording
from neurohorizon.training.decoding.fit import teach


@pytest.fixture(scope="module")
def data():
    return make_context_data(tasks=(VELOCITY, SIDE))


@pytest.fixture(scope="module")
def windows(data):
    """Return sessions, some windows of each, and the batch of both."""
    sessions = [recording.views[0].session for recording in data.recordings]
    read = [
        session.reader.read(np.linspace(*recording.views[0].rooms[0] / 1e6, num=5))
        for session, recording in zip(sessions, data.recordings, strict=True)
    ]
    groups = [session.group(each) for session, each in zip(sessions, read, strict=True)]
    return sessions, read, collate_decode(groups, data.tasks)


def made(data, *, offsets=True, **settings):
    model = ForecasterDecoder.of(make_forecaster(), tasks=data.tasks, offsets=offsets, **settings)
    teach(model, data)
    return model


@pytest.fixture(scope="module", params=[True, False], ids=["offsets", "reference alone"])
def decoder(request, data, windows):
    model = shaken(made(data, offsets=request.param, num_query_layers=2))
    batch = windows[2]
    with torch.no_grad():
        outputs = model(batch)
    return model, batch, outputs


def same(found, expected, *, atol=5e-6):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=5e-5, atol=atol)


def test_outputs_line_up_with_targets_and_say_nothing_at_first(data, windows, decoder):
    model, batch, outputs = decoder
    untrained = made(data)(batch)
    assert list(outputs) == [task.name for task in model.tasks]
    for task in model.tasks:
        assert outputs[task.name].shape == (len(batch.targets[task.name]), task.num_outputs)
        assert not untrained[task.name].any()


def test_windows_do_not_know_of_each_other(data, windows, decoder):
    """Alone a recording's windows are not padded; beside a larger one units and events are."""
    model, _, outputs = decoder
    sessions, read, _ = windows
    alone = [
        model(collate_decode([session.group(each)], data.tasks))
        for session, each in zip(sessions, read, strict=True)
    ]
    together = {name: torch.cat([each[name] for each in alone]) for name in outputs}
    same(together, outputs)


def test_padding_is_never_read(decoder):
    model, batch, outputs = decoder
    context = batch.context
    noise = torch.Generator().manual_seed(1)
    event_WE = torch.rand(context.event_mask_WE.shape, generator=noise)
    filled = replace(
        context,
        event_time_WE=torch.where(context.event_mask_WE, context.event_time_WE, -event_WE),
        traces_WNK=torch.where(context.unit_mask_WN[..., None], context.traces_WNK, 3.0),
        slots_WNL=torch.where(context.unit_mask_WN[..., None], context.slots_WNL, 2.0),
        functional_SNF=torch.where(context.unit_mask_SN[..., None], context.functional_SNF, 1.0),
    )
    longer = {
        name: functional.pad(getattr(batch, name), (0, 3))
        for name in ("query_time_WQ", "query_task_WQ", "query_mask_WQ")
    }
    with torch.no_grad():
        same(model(replace(batch, context=filled, **longer)), outputs)


def test_units_renumbered_mean_the_same(decoder):
    model, batch, outputs = decoder
    context = batch.context
    order = torch.randperm(
        context.unit_mask_SN.shape[1], generator=torch.Generator().manual_seed(3)
    )
    with torch.no_grad():
        same(model(replace(batch, context=permute_units(context, order))), outputs)


def test_the_counts_of_the_horizon_have_no_effect(decoder):
    model, batch, outputs = decoder
    context = batch.context
    assert not context.counts_WNB.any(), "they are not even read"
    with torch.no_grad():
        told = replace(context, counts_WNB=torch.full_like(context.counts_WNB, 9.0))
        found = model(replace(batch, context=told))
    for name, values in outputs.items():
        assert torch.equal(found[name], values)


def test_what_should_matter_does(decoder):
    model, batch, outputs = decoder
    context = batch.context
    moved = [
        replace(batch, query_time_WQ=batch.query_time_WQ * 0.9),
        replace(batch, context=replace(context, event_time_WE=context.event_time_WE * 0.5)),
        replace(batch, context=replace(context, slots_WNL=context.slots_WNL + 1.0)),
        replace(batch, context=replace(context, functional_SNF=context.functional_SNF.flip(1))),
    ]
    if model.offsets:
        other = replace(context, known_unit_SN=context.known_unit_SN.flip(1))
        moved.append(replace(batch, context=other))
        moved.append(replace(batch, session_row_W=torch.zeros_like(batch.session_row_W)))
    with torch.no_grad():
        for changed in moved:
            found = model(changed)
            for name, values in outputs.items():
                assert (found[name] - values).abs().max() > 1e-4


def without_spikes(recording: Recording, kept: np.ndarray) -> Recording:
    return replace(
        recording,
        spike_times=recording.spike_times[kept],
        spike_unit_index=recording.spike_unit_index[kept],
    )


def test_nothing_outside_of_the_windows_block_is_read(data):
    """Neither what follows a window, nor what other blocks hold, though they touch."""
    recording = data.recordings[0].views[0].session.reader.recording
    split = recording.require_split()
    start, end = split.test[0]
    assert np.any(np.concatenate([split.train, split.valid])[:, 0] == end), "no guard between"
    model = shaken(made(data))
    reference = split.train[:2]
    times = recording.spike_times
    inside = (times >= start) & (times < end)
    in_reference = (times[:, None] >= reference[:, 0]) & (times[:, None] < reference[:, 1])
    # What is deleted: every spike that is neither in the block nor in the reference.
    fewer = without_spikes(recording, inside | in_reference.any(axis=1))
    found, expected = (
        TrainedDecoder(model).decode(each, split.test[:1], reference=reference)["velocity"]
        for each in (fewer, recording)
    )
    assert len(expected.times_s) > 100
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    # The last window ends where the next block begins; of it too history is the block's own.
    silent = without_spikes(recording, in_reference.any(axis=1))
    quiet = TrainedDecoder(model).decode(silent, split.test[:1], reference=reference)["velocity"]
    assert np.abs(quiet.values - expected.values).max() > 1e-3


def test_later_spikes_change_nothing_that_was_decoded_before(data):
    recording = data.recordings[0].views[0].session.reader.recording
    model, reference = shaken(made(data)), recording.require_split().train[:2]
    start, end = recording.require_split().test[0]
    session = TrainedDecoder(model).session(recording, reference=reference)
    cut = without_spikes(recording, recording.spike_times < end - 4.0)
    blind = replace(session, context=replace(session.context, reader=context_reader(cut, SPEC)))
    windows = session.reader.read(np.arange(start, end - 4.5, 0.5))
    with torch.no_grad():
        found, expected = (
            model(collate_decode([each.group(windows)], session.reader.tasks))
            for each in (blind, session)
        )
    same(found, expected, atol=1e-6)


def test_the_encoder_is_the_forecasters(data, windows):
    forecaster = make_forecaster()
    model = made(data).eval()
    context = windows[2].context
    with torch.no_grad():
        given = forecaster.read(context)
        tokens, mask = model.encode(windows[2])
    latents = given.latents_WMD.shape[1]
    torch.testing.assert_close(tokens[:, :latents], given.latents_WMD + model.token_type[0])
    torch.testing.assert_close(tokens[:, latents:], given.state_WND + model.token_type[1])
    assert torch.equal(mask[:, latents:], context.unit_mask_WN)
    # A copy, and without what forecasts alone need.
    assert not any(name.startswith("forecaster.decoder") for name in model.state_dict())
    with torch.no_grad():
        model.forecaster.encoder.latents.zero_()
    assert forecaster.encoder.latents.any()


def test_a_frozen_encoder_learns_nothing_and_drops_nothing(data, windows):
    batch = windows[2]
    forecaster = make_forecaster(dropout=0.5, identity_noise=1.0)
    model = ForecasterDecoder.of(forecaster, tasks=data.tasks, frozen=True)
    teach(model, data)
    shaken(model).train()
    assert not model.forecaster.training
    assert not model.encoder_parameters()
    assert torch.equal(model.encode(batch)[0], model.encode(batch)[0])
    model(batch)["velocity"].sum().backward()
    assert all(parameter.grad is None for parameter in model.forecaster.parameters())
    assert model.units.weight.grad[1:].any(), "offsets learn through it"
    tuned = ForecasterDecoder.of(forecaster, tasks=data.tasks)
    assert len(tuned.encoder_parameters()) == len(list(model.forecaster.parameters()))


@pytest.mark.parametrize("offsets", [True, False])
def test_a_checkpoint_needs_no_run(data, windows, offsets, tmp_path):
    model = shaken(made(data, offsets=offsets))
    save_decoder(model, tmp_path / "model.safetensors")
    loaded = load_decoder(tmp_path)
    assert isinstance(loaded, ForecasterDecoder)
    assert loaded.settings == model.settings
    assert loaded.tasks == model.tasks
    assert loaded.units.words == model.units.words
    assert loaded.context_spec == SPEC
    with torch.no_grad():
        for name, values in model(windows[2]).items():
            assert torch.equal(loaded(windows[2])[name], values)


def test_samples_of_a_reference_travel_too(tmp_path):
    spec = replace(SPEC, samples=SampleSpec(num_windows=4, window_s=0.4))
    model = ForecasterDecoder.of(make_forecaster(spec=spec, identity="windows"), tasks=(POSITION,))
    save_decoder(model, tmp_path / "model.safetensors")
    assert load_decoder(tmp_path).context_spec == spec


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"num_encoder_layers": 0}, "no encoder to decode from"),
        ({"identity": "learned", "num_known_units": 3}, "rows of its own recordings"),
        ({"num_offsets": 3}, "rows of its own recordings"),
        ({"use_labels": False}, "does not read which unit fired"),
    ],
)
def test_what_cannot_be_decoded_from_is_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        ForecasterDecoder.of(make_forecaster(**settings), tasks=(CHOICE,))


def test_a_forecaster_that_is_told_behaviour_is_refused():
    spec = replace(SPEC, conditions=ConditionSpec(behavior=("velocity",)))
    forecaster = make_forecaster(spec=spec, behavior_columns=(2,))
    with pytest.raises(ConfigError, match="would be told by what is given"):
        ForecasterDecoder.of(forecaster, tasks=(POSITION,))


def test_new_recordings_need_no_gradient_without_offsets(data):
    new = moving_recording(num_units=7, duration_s=60.0, seed=9, name="new")
    decoded = TrainedDecoder(shaken(made(data, offsets=False))).decode(new, new.domain * 0.2)
    assert np.isfinite(decoded["velocity"].values).all()
    with pytest.raises(DataError, match=r"knows none of its 7 units.*model\.offsets=false"):
        TrainedDecoder(made(data)).decode(new)


def test_a_window_has_one_state_at_its_end(decoder, windows):
    model, batch = decoder[:2]
    states_WSD, times_S = model.latent_states(batch)
    assert states_WSD.shape == (len(batch), 1, 16)
    assert times_S.tolist() == pytest.approx([SPEC.context_s])
    sessions, read, _ = windows
    alone = collate_decode([sessions[1].group(read[1])], model.tasks)
    torch.testing.assert_close(
        model.latent_states(alone)[0], states_WSD[len(read[0]) :], rtol=2e-5, atol=2e-6
    )
    # Of one recording, in the order of its units, with what was learned of each.
    vectors = model.unit_vectors(alone)
    assert vectors.shape == (9, 16)
    given = model.forecaster.identities(alone.context)[0].detach()
    if model.offsets:
        given = given + model.units(torch.as_tensor(sessions[1].unit_rows)).detach()
    torch.testing.assert_close(vectors, given)
    assert not model.has_attention
