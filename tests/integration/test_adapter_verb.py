"""Adapters of Stable Diffusion through the command line: trained, trained further, drawn with."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from diffusion_world import write_base
from neurohorizon.cli._progress import StageProgress
from neurohorizon.cli.app import main
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.conditioning import TokenConditioning
from neurohorizon.imaging.generators.generator import seeds_of, select_embeddings
from neurohorizon.imaging.generators.stable_diffusion import (
    DiffusionSampling,
    StableDiffusionGenerator,
)
from neurohorizon.models.pictures.files import load_adapter
from neurohorizon.simulate.ventral import VentralPlan, write_ventral_stream
from neurohorizon.training.generator import run

QUICK = {"--steps": "4", "--batch-size": "8", "--size": "64", "--tokens": "3"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    pytest.importorskip("diffusers")
    folder = tmp_path_factory.mktemp("world")
    plan = VentralPlan(
        num_categories=12, images_per_category=2, num_test=6, num_repeats=2, size_px=32
    )
    write_ventral_stream(plan, folder)
    return folder


@pytest.fixture(scope="module")
def bank(world):
    path = world / "bank.npz"
    words = ["data", "embed", str(world / "object_images"), "--encoder", "layout"]
    assert main([*words, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def base(world):
    return write_base(world / "base")


@pytest.fixture
def train(world, bank, base):
    """Return what trains; latents are shared by all of the tests here."""

    def call(out, **changes):
        named = {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        places = {"--bank": bank, "--base": base, "--latents": world / "latents", "--out": out}
        words = {**QUICK, **places, **named}
        flat = [str(word) for both in words.items() for word in both if both[1] is not None]
        return main(["bridge", "train-adapter", str(world), *flat])

    return call


def predicted(bank, path):
    """Write what responses might have said of a bank's embeddings, out of fold."""
    opened = EmbeddingBank.load(bank)
    noise = np.random.default_rng(0).normal(0, 0.1, opened.embeddings.shape).astype(np.float32)
    made = Fingerprint("responses", "12" * 32, {"space": opened.fingerprint.to_json()})
    EmbeddingBank(opened.embeddings + noise, opened.hashes, opened.names, made).save(path)
    return path


def test_an_adapter_is_trained_then_on_predicted_embeddings_and_draws(
    train, world, bank, base, tmp_path, capsys
):
    out, further = tmp_path / "adapter.safetensors", tmp_path / "further.safetensors"
    capsys.readouterr()
    assert train(out, min_snr=5, latents=tmp_path / "latents") == 0
    told = capsys.readouterr().out
    assert "trained on 24 pictures, 6 left out, 0 without embedding; loss" in told
    latents = {path: path.stat().st_mtime_ns for path in (tmp_path / "latents").iterdir()}
    saved = load_adapter(out)
    assert saved.network.num_tokens == 3
    assert len(json.loads(saved.about["curve"])) == 4
    before = out.stat().st_mtime_ns
    assert train(out, min_snr=5, latents=tmp_path / "latents") == 0
    assert "is trained already" in capsys.readouterr().out
    assert out.stat().st_mtime_ns == before
    # The second stage: predicted embeddings of the same space, the same latents.
    said = predicted(bank, tmp_path / "out_of_fold.npz")
    assert train(further, bank=said, init=out, tokens=None, latents=tmp_path / "latents") == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "latents").iterdir()} == latents
    after = load_adapter(further)
    assert after.trained_on == saved.trained_on
    assert after.base == saved.base
    assert not Fingerprint.from_json(after.needs).difference(EmbeddingBank.load(bank).fingerprint)
    for name, weight in saved.network.state_dict().items():
        same = bool((weight == after.network.state_dict()[name]).all())
        assert same == name.startswith("standardise"), name
    made = StableDiffusionGenerator(
        TokenConditioning(further), base, size_px=64, sampling=DiffusionSampling(steps=2)
    )
    opened = EmbeddingBank.load(said)
    test = [one for one in opened.hashes if one not in made.known]
    drawn = made.generate(select_embeddings(made, opened, test), seeds_of(test, 0))
    assert drawn.shape == (6, 64, 64, 3)


def test_an_interrupted_training_is_gone_on_with(train, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "LEAST_STEPS_BETWEEN_POINTS", 2)
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    mine = tmp_path / "latents"
    assert train(whole) == 0
    # In the middle of the latents, in the middle of the training, then to the end.
    for stage in (("encode", 5), ("train", 3)):

        def stop(_, *told, stage=stage):
            if told[:2] == stage:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("neurohorizon.training.generator.latents._A_PART", 2)
            patch.setattr(StageProgress, "__call__", stop)
            assert train(broken, latents=mine) == 130
        assert not broken.exists()
        if stage[0] == "encode":
            assert len([*mine.iterdir()]) == 2
    assert (tmp_path / "broken.resume.safetensors").exists()
    assert train(broken, latents=mine) == 0
    assert not (tmp_path / "broken.resume.safetensors").exists()
    assert load_adapter(broken).digest == load_adapter(whole).digest


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base": "nowhere"}, "nowhere: expected a folder with a checkpoint, or a hub id"),
        ({"base": None}, "tried was the hub id stable-diffusion-v1-5/stable-diffusion-v1-5"),
        ({"bank": "nowhere.npz"}, "nowhere.npz: no bank there"),
        ({"bank": "FOREIGN"}, "has an embedding of none of the 24 pictures"),
        ({"size": 100}, "size_px is 100: expected a multiple of 64"),
        ({"size": 128}, "holds latents of another size_px (64, here it is 128)"),
        ({"tokens": 78}, "78 tokens: expected 1 to 77"),
        ({"min_snr": 0}, "min_snr is 0.0: expected above 0"),
        ({"init": "x.safetensors"}, "the number of tokens is that of x.safetensors: leave it out"),
        ({"init": "INIT", "tokens": None, "bank": "OTHER"}, "was made with other embeddings"),
        ({"init": "INIT", "tokens": None, "base": "BASE"}, "was trained through another diffusion"),
        ({"init": "BANK", "tokens": None}, "not a safetensors checkpoint but a pickle"),
        ({"out": "x.pt"}, "expected a name that ends in .safetensors"),
        ({"unknown": 1}, "share of unknown is 1.0"),
    ],
)
def test_bad_input_is_one_line(
    train, bank, world, tmp_path_factory, tmp_path, only_error, changes, told
):
    opened = EmbeddingBank.load(bank)
    foreign = EmbeddingBank(opened.embeddings[:1], ["ef" * 32], ["x"], opened.fingerprint)
    grey = replace(opened.fingerprint, encoder="grey layout")
    other = EmbeddingBank(opened.embeddings, opened.hashes, opened.names, grey)
    foreign.save(tmp_path / "foreign.npz")
    other.save(tmp_path / "other.npz")
    places = {"FOREIGN": tmp_path / "foreign.npz", "OTHER": tmp_path / "other.npz", "BANK": bank}
    places |= {"INIT": world / "init.safetensors", "BASE": world / "base_of_others"}
    if "INIT" in changes.values() and not places["INIT"].exists():
        assert train(places["INIT"]) == 0
    if "BASE" in changes.values():
        write_base(places["BASE"], seed=1)
    out = tmp_path / "adapter.safetensors"
    words = {name: places.get(word, word) for name, word in changes.items()}
    assert train(**{"out": out, **words}) == 2
    assert told in only_error()
    assert not out.exists()


def test_latents_of_other_weights_are_refused(train, world, tmp_path, only_error):
    out = tmp_path / "adapter.safetensors"
    assert train(out) == 0
    other = write_base(tmp_path / "other", seed=2)
    assert train(tmp_path / "next.safetensors", base=other) == 2
    assert "holds latents of another autoencoder" in only_error()
    assert train(out, seed=3) == 2
    assert "was not made with these settings" in only_error()
