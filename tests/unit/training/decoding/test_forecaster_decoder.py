"""Decoders around a forecaster's encoder: what they are trained on, and that they learn."""

import csv
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from decoding_worlds import moving_recording, with_split
from forecaster_worlds import SIDE, SPEC, VELOCITY, make_context_data, make_forecaster, shaken
from neurohorizon.errors import ConfigError
from neurohorizon.models.decoder_files import load_decoder
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.forecaster_decoder import ForecasterDecoder
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.ops.intervals import as_intervals, contains, intersect, total_s
from neurohorizon.recordings.decoding.batches import DecodeBatch, TokenType
from neurohorizon.recordings.decoding.unit_dropout import UnitDropout
from neurohorizon.recordings.splits import split_interleaved
from neurohorizon.training.decoding.fit import fit_decoder, teach
from neurohorizon.training.decoding.module import DecodeModule
from neurohorizon.training.loop import LoopSettings

DOMAIN = np.array([[0.0, 100.0]])
RECORDINGS = [
    with_split(
        moving_recording(num_units=10, duration_s=100.0, rate_hz=15.0, seed=s, name=f"m{s}"),
        split_interleaved(DOMAIN, block_s=5.0, guard_s=0.0, seed=s),
    )
    for s in (0, 1)
]
SMALL = HorizonForecaster(spec=SPEC, width=32, num_heads=2, num_latents=4).settings


@pytest.fixture(scope="module")
def data():
    return make_context_data(RECORDINGS, num_references=2, valid_reference_s=None)


def test_windows_never_touch_the_reference_that_they_are_read_with(data):
    for recording, made in zip(RECORDINGS, data.recordings, strict=True):
        train = recording.require_split().train
        assert len(made.views) == 2 + 4, "two places, and four folds"
        for view in made.views:
            context = view.session.context
            windows = view.rooms / 1e6 + np.array([0.0, SPEC.context_s])
            assert total_s(intersect(windows, context.reference.intervals)) < 1e-5
            assert contains(train, windows[:, 0]).all()
            assert view.session.unit_rows.min() > 0
        # Together the folds serve all of training time.
        folds = [view.rooms / 1e6 + np.array([0.0, SPEC.context_s]) for view in made.views[2:]]
        assert total_s(as_intervals(np.concatenate(folds))) > total_s(train) - 0.1


def test_a_context_is_the_window_that_tokens_are_of(data):
    for number in range(4):
        batch = data.train_loader().dataset[number]
        assert len(batch.context) == len(batch)
        for window in range(len(batch)):
            fired = batch.token_mask_WE[window] & (batch.token_type_WE[window] == TokenType.SPIKE)
            there = batch.context.event_mask_WE[window]
            times = batch.context.event_time_WE[window][there] + SPEC.context_s
            torch.testing.assert_close(times, batch.token_time_WE[window][fired], atol=2e-6, rtol=0)
            rows = batch.context.known_unit_SN[batch.context.reference_W[window]]
            tokens = batch.unit_row_U[batch.token_unit_WE[window][fired]]
            assert torch.equal(rows[batch.context.event_unit_WE[window][there]], tokens)


def equal(one: DecodeBatch, other: DecodeBatch) -> bool:
    pairs = [(one.query_time_WQ, other.query_time_WQ)]
    pairs += [
        (getattr(one.context, field.name), getattr(other.context, field.name))
        for field in fields(one.context)
    ]
    return all(torch.equal(*pair) for pair in pairs)


def test_a_batch_is_a_function_of_seed_and_number(data):
    batches = list(data.train_loader(lambda: 37))
    again = make_context_data(RECORDINGS, num_references=2, valid_reference_s=None)
    for first, second in zip(batches, again.train_loader(lambda: 37), strict=True):
        assert equal(first, second)
    assert not equal(batches[0], batches[1])


def test_batches_move_with_their_contexts(data):
    batch = next(iter(data.train_loader()))
    moved = batch.to("meta")
    assert moved.context.slots_WNL.device.type == "meta"
    assert moved.query_time_WQ.device.type == "meta"
    assert replace(batch, context=None).to("cpu").context is None


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ConfigError, match=r"length_s is 1 s and the forecaster reads 0\.5 s"):
        make_context_data(RECORDINGS, length_s=1.0)
    with pytest.raises(ConfigError, match="unit_dropout: a forecaster's encoder reads all units"):
        make_context_data(RECORDINGS, unit_dropout=UnitDropout())


def test_the_encoder_of_a_run_is_taught_rows_alone(data):
    forecaster = make_forecaster()
    for pretrained in (True, False):
        model = ForecasterDecoder(
            tasks=data.tasks, forecaster=forecaster.settings, pretrained=pretrained
        )
        model.take_weights(forecaster)
        teach(model, data)
        assert model.units.words == tuple(data.unit_rows)
        assert not model.units.weight.any(), "offsets are zero at first"
        scale = model.forecaster.identity.standardise_functional.scale
        assert bool((scale == 1).all()) == pretrained


def test_an_encoder_is_tuned_at_its_own_pace(data):
    model = ForecasterDecoder.of(make_forecaster(), tasks=data.tasks)
    teach(model, data)
    module = DecodeModule(model, num_steps=20, learning_rate=4e-3, encoder_rate_share=0.25)
    configured = module.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    encoder = {id(parameter) for parameter in model.encoder_parameters()}
    seen: dict[bool, float] = {}
    for _ in range(20):
        for group in optimizer.param_groups:
            kinds = {id(parameter) in encoder for parameter in group["params"]}
            assert len(kinds) == 1
            (kind,) = kinds
            seen[kind] = max(seen.get(kind, 0.0), group["lr"])
        optimizer.step()
        schedule.step()
    assert seen[False] == pytest.approx(4e-3)
    assert seen[True] == pytest.approx(1e-3)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("offsets", [True, False])
def test_one_batch_is_learned_by_heart(offsets):
    data = make_context_data(RECORDINGS, tasks=(VELOCITY, SIDE), tokens_per_batch=250)
    torch.manual_seed(0)
    model = ForecasterDecoder(tasks=data.tasks, forecaster=SMALL, offsets=offsets)
    teach(model, data)
    module = DecodeModule(model, num_steps=100, learning_rate=5e-3)
    optimizer = module.make_optimizer()
    batch = next(iter(data.train_loader()))
    with torch.no_grad():
        first = float(module.loss(batch))
    for _ in range(80):
        optimizer.zero_grad()
        loss = module.loss(batch)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1 * first


def train(folder, data, *, epochs=3, stop_after_epochs=None, resume=False):
    torch.manual_seed(0)
    return fit_decoder(
        model=ForecasterDecoder(tasks=data.tasks, forecaster=SMALL),
        data=data,
        run_folder=folder,
        settings=LoopSettings(max_epochs=epochs, accelerator="cpu"),
        learning_rate=5e-3,
        resume=resume,
        stop_after_epochs=stop_after_epochs,
    )


def losses(folder):
    with (folder / "metrics.csv").open() as file:
        return [row["train_loss"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, train(folder, data)


def test_training_decodes_and_is_scored_as_it_is_loaded(uninterrupted):
    folder, summary = uninterrupted
    assert summary.chosen_by == "valid_velocity_r2"
    assert summary.best_valid > 0.3, "the mean scores 0"
    assert load_decoder(folder).sessions.words == ("m0", "m1")
    scores = []
    for recording in RECORDINGS:
        split = recording.require_split()
        decoded = TrainedDecoder.load(folder).decode(recording, split.valid, reference=split.train)[
            "velocity"
        ]
        residual = np.sum((decoded.values - decoded.truth) ** 2, axis=0)
        total = np.sum((decoded.truth - decoded.truth.mean(axis=0)) ** 2, axis=0)
        scores.append(np.mean(1 - residual / total))
    assert np.mean(scores) == pytest.approx(summary.best_valid, abs=1e-5)


def test_an_interrupted_training_resumes_to_the_same_loss(data, uninterrupted, tmp_path):
    train(tmp_path, data, stop_after_epochs=1)
    resumed = train(tmp_path, data, resume=True)
    assert losses(tmp_path) == losses(uninterrupted[0])
    assert resumed.best_valid == uninterrupted[1].best_valid


def test_a_new_session_is_decoded_by_its_reference(data):
    alone = make_context_data(RECORDINGS, units="identity")
    assert not alone.unit_rows
    batch = next(iter(alone.train_loader()))
    assert not batch.context.known_unit_SN.any()
    assert not batch.unit_features_UF.shape[1], "what decoders' own identities read is not made"
    model = ForecasterDecoder(tasks=alone.tasks, forecaster=SMALL, offsets=False)
    teach(model, alone)
    assert not len(model.units)
    new = moving_recording(num_units=8, duration_s=60.0, seed=9, name="new")
    decoded = TrainedDecoder(shaken(model)).decode(new, new.require_split().test)
    assert np.isfinite(decoded["velocity"].values).all()
