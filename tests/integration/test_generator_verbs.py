"""Generators through the command line: trained, used, kept, gone on with, refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.cli._progress import StageProgress
from neurohorizon.cli.app import main
from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.generator import seeds_of, select_embeddings
from neurohorizon.imaging.generators.open import open_generator
from neurohorizon.imaging.generators.retrieval import RetrievalGenerator
from neurohorizon.imaging.pictures import open_pictures
from neurohorizon.imaging.spaces import spaces_of
from neurohorizon.simulate.ventral import VentralPlan, load_ventral_truth, write_ventral_stream
from neurohorizon.training.generator import run

QUICK = ["--steps", "4", "--batch-size", "8", "--size", "16"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
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
def other_space(bank):
    """The same pictures in another space, of 3 dimensions."""
    opened = EmbeddingBank.load(bank)
    values = opened.embeddings[:, :3].copy()
    other = Fingerprint("what is shown", weights="ab")
    path = bank.with_name("shown.npz")
    EmbeddingBank(values, opened.hashes, opened.names, other).save(path)
    return path


def pairs(words):
    return dict(zip(words[::2], words[1::2], strict=True))


def train(world, bank, out, *more):
    """Train; several banks are told by a list."""
    banks = bank if isinstance(bank, list) else [bank]
    words = {"--out": str(out), **pairs(QUICK), **pairs(more)}
    banks = [words.pop("--bank")] if "--bank" in words else banks
    flat = [word for both in words.items() for word in both]
    flat += [word for one in banks for word in ("--bank", str(one))]
    return main(["bridge", "train-generator", str(world), *flat])


def test_a_flow_that_starts_at_a_direct_decoders_pictures(world, bank, tmp_path, capsys):
    direct, tiny = tmp_path / "direct.safetensors", tmp_path / "tiny.safetensors"
    assert train(world, bank, direct, "--kind", "direct") == 0
    told = capsys.readouterr().out
    assert "trained on 24 pictures, 6 left out, 0 without embedding; loss" in told
    begun = ["--start", str(direct), "--start-noise", "0.3", "--precision", "bfloat16"]
    assert train(world, bank, tiny, *begun) == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == [direct.name, tiny.name]
    # Only what the truth calls train was learned from.
    image = load_ventral_truth(world)["image"]
    pictures = open_pictures(world / "object_images")
    hashes = dict(zip(pictures.names, pictures.hashes(), strict=True))
    train_set, test = (
        [hashes[name] for name in image["path"][image["part"] == part]]
        for part in ("train", "test")
    )
    opened = EmbeddingBank.load(bank)
    decoder, flow = open_generator(direct), open_generator(tiny)
    assert decoder.known == flow.known == set(train_set)
    assert len(json.loads(flow.about["curve"])) == 4
    embeddings = select_embeddings(flow, opened, test)
    seeds = seeds_of(test, 0)
    starts = flow.draw_starts(embeddings)
    np.testing.assert_array_equal(starts, decoder.generate(embeddings, seeds))
    drawn = flow.generate(embeddings, seeds)
    retrieval = RetrievalGenerator(opened, train_set, places=[world / "object_images"], size_px=16)
    assert drawn.shape == starts.shape == retrieval.generate(embeddings, seeds).shape
    # The same again is kept, another is refused.
    before = tiny.stat().st_mtime_ns
    capsys.readouterr()
    assert train(world, bank, tiny, *begun) == 0
    assert "is trained already" in capsys.readouterr().out
    assert tiny.stat().st_mtime_ns == before
    assert train(world, bank, tiny, *begun, "--seed", "3") == 2
    assert "was not made with these settings" in capsys.readouterr().err


def test_two_spaces_are_told_side_by_side(world, bank, other_space, tmp_path, capsys):
    direct, tiny = tmp_path / "direct.safetensors", tmp_path / "tiny.safetensors"
    assert train(world, bank, direct, "--kind", "direct") == 0
    # Of a quarter of the pictures there is a prediction in one of the spaces.
    opened, shown = EmbeddingBank.load(bank), EmbeddingBank.load(other_space)
    told_of = Fingerprint("responses", settings={"space": shown.fingerprint.to_json()})
    predicted = tmp_path / "predicted.npz"
    few = slice(0, None, 4)
    EmbeddingBank(shown.embeddings[few] / 2, shown.hashes[few], shown.names[few], told_of).save(
        predicted
    )
    capsys.readouterr()
    more = ["--start", str(direct), "--predicted", str(predicted), "--predicted-share", "1"]
    assert train(world, [other_space, bank], tiny, *more) == 0
    flow = open_generator(tiny)
    known = len(flow.known & set(shown.hashes[few]))
    assert (
        f"trained on 24 pictures, 6 left out, 0 without embedding, {known} with a prediction"
        in (capsys.readouterr().out)
    )
    assert [space.encoder for space in spaces_of(flow.needs)] == ["what is shown", "layout"]
    hashes = opened.hashes[:3]
    both = select_embeddings(flow, [opened, shown], hashes)
    np.testing.assert_array_equal(
        both, np.concatenate([shown.select(hashes), opened.select(hashes)], axis=1)
    )
    # The start reads its own columns.
    starts = open_generator(direct).generate(opened.select(hashes), [0, 1, 2])
    np.testing.assert_array_equal(flow.draw_starts(both), starts)
    assert flow.generate(both, [0, 1, 2]).shape == starts.shape
    with pytest.raises(DataError, match="the generator tiny was made with other embeddings"):
        select_embeddings(flow, opened, hashes)


def test_pictures_are_left_out_by_the_bank_and_by_hand(world, bank, tmp_path, capsys):
    opened = EmbeddingBank.load(bank)
    half = EmbeddingBank(
        opened.embeddings[::2], opened.hashes[::2], opened.names[::2], opened.fingerprint
    )
    half.save(tmp_path / "half.npz")
    (tmp_path / "out.txt").write_text(opened.hashes[0] + "\n")
    out = tmp_path / "tiny.safetensors"
    assert train(world, tmp_path / "half.npz", out, "--exclude", str(tmp_path / "out.txt")) == 0
    known = open_generator(out).known
    assert known < set(half.hashes)
    assert opened.hashes[0] not in known
    assert f"trained on {len(known)} pictures" in capsys.readouterr().out


def test_an_interrupted_training_is_gone_on_with(world, bank, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "LEAST_STEPS_BETWEEN_POINTS", 2)
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    assert train(world, bank, whole) == 0

    def stop(_, *stage):
        if stage[:2] == ("train", 3):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StageProgress, "__call__", stop)
        assert train(world, bank, broken) == 130
    assert not broken.exists()
    assert (tmp_path / "broken.resume.safetensors").exists()
    assert train(world, bank, broken) == 0
    assert not (tmp_path / "broken.resume.safetensors").exists()
    embeddings = EmbeddingBank.load(bank).embeddings[:3]
    one, other = (open_generator(each).generate(embeddings, [0, 1, 2]) for each in (whole, broken))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--kind", "direct", "--start", "D"], "a direct decoder starts at no picture"),
        (["--start", "nowhere"], "nowhere: no checkpoint there"),
        (["--start-noise", "0.2"], "--start-noise without --start"),
        (["--predicted-share", "0.2"], "--predicted-share without --predicted"),
        (["--predicted", "BANK", "--predicted-share", "0"], "share of predicted embeddings is 0.0"),
        (["--predicted", "nowhere.npz"], "nowhere.npz: no bank there"),
        (["--kind", "direct", "--unknown", "0.2"], "a direct decoder is not guided"),
        (["--bank", "nowhere.npz"], "nowhere.npz: no bank there"),
        (["--bank", "OTHER"], "has an embedding of none of the 24 pictures"),
        (["--size", "20"], "size_px is 20: expected"),
        (["--noise", "-1"], "noise of embeddings is -1.0: expected 0 to 10"),
        (["--unknown", "1"], "share of unknown is 1.0"),
        (["--steps", "0"], "steps is 0: expected 1 or more"),
        (["--exclude", "nowhere"], "nowhere: no such file or folder"),
        (["--out", "x.pt"], "expected a name that ends in .safetensors"),
    ],
)
def test_bad_input_is_one_line(world, bank, tmp_path, only_error, more, told):
    opened = EmbeddingBank.load(bank)
    other = EmbeddingBank(opened.embeddings[:1], ["ef" * 32], ["x"], opened.fingerprint)
    other.save(tmp_path / "other.npz")
    places = {"BANK": str(bank), "OTHER": str(tmp_path / "other.npz")}
    out = tmp_path / "tiny.safetensors"
    assert train(world, bank, out, *(places.get(word, word) for word in more)) == 2
    assert told in only_error()
    assert not out.exists()


def test_a_start_of_another_size_or_space_is_refused(world, bank, tmp_path, capsys):
    direct = tmp_path / "direct.safetensors"
    assert train(world, bank, direct, "--kind", "direct") == 0
    capsys.readouterr()
    out = tmp_path / "tiny.safetensors"
    assert train(world, bank, out, "--start", str(direct), "--size", "32") == 2
    assert "draws 16 pixels, expected 32 as the flow" in capsys.readouterr().err
    assert train(world, bank, out, "--start", str(direct), "--start-noise", "0") == 2
    assert "noise of starts is 0.0: expected above 0" in capsys.readouterr().err
    opened = EmbeddingBank.load(bank)
    grey = replace(opened.fingerprint, encoder="grey layout")
    EmbeddingBank(opened.embeddings, opened.hashes, opened.names, grey).save(tmp_path / "grey")
    grey = tmp_path / "grey.npz"
    assert train(world, grey, out, "--start", str(direct)) == 2
    told = "made with other embeddings: encoder layout against grey layout"
    assert told in capsys.readouterr().err
    assert train(world, bank, out, "--predicted", str(grey)) == 2
    assert "made with other embeddings: encoder grey layout against layout" in (
        capsys.readouterr().err
    )
    assert train(world, [bank, bank], out) == 2
    assert "the same encoder as another bank" in capsys.readouterr().err
    assert not out.exists()
