"""Decoders learn, keep the best, and resume exactly."""

import csv
import json

import numpy as np
import pytest
import torch

from decoding_worlds import calcium_recording, moving_recording
from neurohorizon.models.capoyo import CaPOYO
from neurohorizon.models.decoder_files import load_decoder
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.poyo import POYO
from neurohorizon.models.poyo_plus import POYOPlus
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.training.decoding.data import DecodeData
from neurohorizon.training.decoding.fit import fit_decoder, teach
from neurohorizon.training.decoding.module import DecodeModule
from neurohorizon.training.loop import LoopSettings

VELOCITY = TaskSpec(name="velocity", series="velocity")
SIDE = TaskSpec(name="side", kind="binary", table="trials", column="side", weight=0.2)
SMALL = {
    "width": 32,
    "num_layers": 1,
    "num_latents_per_step": 4,
    "head_width": 16,
    "num_self_heads": 2,
    "dropout": 0.0,
    "layer_dropout": 0.1,
}


def make_data(recordings=None, tasks=(VELOCITY,), **settings) -> DecodeData:
    recordings = recordings or [
        moving_recording(duration_s=100.0, seed=s, name=f"m{s}") for s in (0, 1)
    ]
    given = {"steps_per_epoch": 40, "tokens_per_batch": 1500} | settings
    return DecodeData(recordings=recordings, tasks=tasks, **given)


def train(folder, data, *, design=POYO, epochs=3, stop_after_epochs=None, resume=False, **loop):
    torch.manual_seed(0)
    units = data.units
    model = design(
        tasks=data.tasks, units=units, num_unit_features=max(data.num_unit_features, 1), **SMALL
    )
    return fit_decoder(
        model=model,
        data=data,
        run_folder=folder,
        settings=LoopSettings(max_epochs=epochs, accelerator="cpu", **loop),
        learning_rate=5e-3,
        resume=resume,
        stop_after_epochs=stop_after_epochs,
    )


def losses(folder):
    with (folder / "metrics.csv").open() as file:
        return [row["train_loss"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, train(folder, make_data())


def test_training_decodes_and_leaves_a_complete_run(uninterrupted):
    folder, summary = uninterrupted
    assert summary.chosen_by == "valid_velocity_r2"
    assert summary.best_valid > 0.15, "the mean scores 0"
    assert json.loads((folder / "training.json").read_text())["best_valid"] == summary.best_valid
    model = load_decoder(folder)
    assert len(model.units) == 20
    assert model.sessions.words == ("m0", "m1")


def test_what_is_decoded_is_in_the_tasks_own_units(uninterrupted):
    folder, summary = uninterrupted
    recordings = [moving_recording(duration_s=100.0, seed=s, name=f"m{s}") for s in (0, 1)]
    scores = []
    for recording in recordings:
        valid = recording.require_split().valid
        decoded = TrainedDecoder.load(folder).decode(recording, valid)["velocity"]
        residual = np.sum((decoded.values - decoded.truth) ** 2, axis=0)
        total = np.sum((decoded.truth - decoded.truth.mean(axis=0)) ** 2, axis=0)
        scores.append(np.mean(1 - residual / total))
        assert len(decoded.times_s) == len(np.unique(decoded.times_s))
    assert np.mean(scores) == pytest.approx(summary.best_valid, abs=1e-6)


def test_an_interrupted_training_resumes_to_the_same_loss(uninterrupted, tmp_path):
    train(tmp_path, make_data(), stop_after_epochs=1)
    resumed = train(tmp_path, make_data(), resume=True)
    assert losses(tmp_path) == losses(uninterrupted[0])
    assert resumed.best_valid == uninterrupted[1].best_valid


def test_several_tasks_are_chosen_by_their_mean(tmp_path):
    summary = train(tmp_path, make_data(tasks=(VELOCITY, SIDE)), design=POYOPlus, epochs=1)
    assert summary.chosen_by == "valid_mean_of_tasks"
    with (tmp_path / "metrics.csv").open() as file:
        row = next(csv.DictReader(file))
    velocity, side = (
        float(row[f"valid_{key}"]) for key in ("velocity_r2", "side_balanced_accuracy")
    )
    assert float(row["valid_mean_of_tasks"]) == pytest.approx((velocity + 0.2 * side) / 1.2)


def test_units_known_by_a_reference_need_no_vocabulary(tmp_path):
    data = make_data(units="identity", num_references=2, longest_reference_s=40.0)
    summary = train(tmp_path, data, epochs=2)
    assert np.isfinite(summary.best_valid)
    model = load_decoder(tmp_path)
    assert len(model.units) == 0
    assert model.identity is not None
    assert model.identity.standardise.scale.std() > 0, "standardisation travels"
    new = moving_recording(duration_s=100.0, seed=9, name="new")
    decoded = TrainedDecoder(model).decode(new, new.require_split().test)
    assert np.isfinite(decoded["velocity"].values).all()


def test_signals_are_decoded_from(tmp_path):
    data = make_data([calcium_recording()], (TaskSpec(name="running", series="running"),))
    assert np.isfinite(train(tmp_path, data, design=CaPOYO, epochs=1).best_valid)


def test_rows_are_learned_at_their_own_pace():
    model = POYO(tasks=make_data().tasks, **SMALL)
    module = DecodeModule(model, num_steps=10, learning_rate=2e-3, row_rate_share=5.0)
    rows = {id(parameter) for parameter in model.vocabulary_parameters()}
    for group in module.make_optimizer().param_groups:
        of_rows = {id(parameter) in rows for parameter in group["params"]}
        assert len(of_rows) == 1
        assert group["lr"] == pytest.approx(1e-2 if of_rows.pop() else 2e-3)


@pytest.mark.parametrize("design", [POYO, POYOPlus])
def test_one_batch_is_learned_by_heart(design):
    data = make_data(tokens_per_batch=600)
    torch.manual_seed(0)
    model = design(tasks=data.tasks, **(SMALL | {"layer_dropout": 0.0}))
    teach(model, data)
    module = DecodeModule(model, num_steps=200, learning_rate=5e-3)
    optimizer = module.make_optimizer()
    batch = next(iter(data.train_loader()))
    with torch.no_grad():
        first = float(module.loss(batch))
    assert 0.5 < first < 2.0, "untrained, the mean is decoded"
    for _ in range(120):
        optimizer.zero_grad()
        loss = module.loss(batch)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1 * first
