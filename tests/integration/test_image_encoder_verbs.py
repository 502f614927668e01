"""An encoder and a judge through the command line: trained, used, kept, refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from neurohorizon.cli.app import main
from neurohorizon.evaluation.pictures.judge import open_judge
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.pictures import open_pictures
from neurohorizon.imaging.small import SmallEncoder
from neurohorizon.simulate.ventral import VentralPlan, load_ventral_truth, write_ventral_stream

QUICK = ["--steps", "4", "--batch-size", "8"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    plan = VentralPlan(
        num_categories=12, images_per_category=2, num_test=6, num_repeats=2, size_px=32
    )
    write_ventral_stream(plan, folder)
    return folder


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("more", [[], ["--labels", "none"], ["--columns", "hue"]])
def test_a_world_is_learned_without_its_test_pictures(world, tmp_path, capsys, more):
    out = tmp_path / "small.safetensors"
    # The folder of its pictures is as good as its own.
    place = world / "object_images" if more else world
    words = ["bridge", "train-encoder", str(place), "--out", str(out), *QUICK, *more]
    assert main(words) == 0
    told = capsys.readouterr().out
    how = {"none": "contrastive", "hue": "hue"}.get((more or [""])[-1], "shape, hue, texture")
    assert f"trained on 24 pictures ({how}), 6 left out" in told
    image = load_ventral_truth(world)["image"]
    pictures = open_pictures(world / "object_images")
    hashes = dict(zip(pictures.names, pictures.hashes(), strict=True))
    encoder = SmallEncoder(out)
    for part, expected in (("train", 24), ("test", 0)):
        names = image["path"][image["part"] == part]
        assert len(encoder.saw([hashes[name] for name in names])) == expected
    before = out.stat().st_mtime_ns
    assert main(words) == 0
    assert "is trained already" in capsys.readouterr().out
    assert out.stat().st_mtime_ns == before
    assert main([*words, "--seed", "3"]) == 2
    assert "was not made with these settings" in capsys.readouterr().err


def test_a_part_of_a_world_is_refused(world, tmp_path, only_error):
    category = next((world / "object_images").iterdir())
    out = ["--out", str(tmp_path / "small.safetensors")]
    assert main(["bridge", "train-encoder", str(category), *out, "--labels", "none"]) == 2
    assert "only a part of the pictures of a drawn world" in only_error()


def test_photographs_with_a_table_become_a_bank(photographs, tmp_path, capsys):
    table = tmp_path / "labels.csv"
    rows = [f"{number}.png,{'test' if number == 7 else ''},{number % 2}" for number in range(8)]
    table.write_text("\n".join(["name,part,animal", *rows]) + "\n")
    (tmp_path / "out.txt").write_text("0.png\n")
    out = tmp_path / "small.safetensors"
    words = ["bridge", "train-encoder", str(photographs), "--out", str(out), *QUICK]
    words += ["--labels", str(table), "--exclude", str(tmp_path / "out.txt")]
    assert main(words) == 0
    assert "trained on 6 pictures (animal), 2 left out" in capsys.readouterr().out
    embed = ["data", "embed", str(photographs), "--out", str(tmp_path / "bank")]
    assert main([*embed, "--encoder", "small", "--checkpoint", str(out)]) == 0
    bank = EmbeddingBank.load(tmp_path / "bank")
    assert bank.embeddings.shape == (8, 128)
    assert bank.seen.sum() == 6
    assert bank.fingerprint.encoder == "small"
    assert not bank.fingerprint.difference(SmallEncoder(out).fingerprint)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "no truth of a drawn world there to learn labels from: give --labels"),
        (["--labels", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--labels", "none", "--columns", "hue"], "columns without labels"),
        (["--labels", "none", "--exclude", "PLACE"], "every picture there is left out"),
        (["--labels", "none", "--exclude", "nowhere"], "nowhere: no such file or folder"),
        (["--labels", "none", "--steps", "0"], "steps is 0: expected 1 or more"),
        (["--labels", "none", "--turn-deg", "200"], "turn_deg is 200.0: expected 0 to 180"),
        (["--labels", "none", "--device", "abacus"], "device 'abacus' cannot be used"),
        (["--labels", "none", "--out", "x.pt"], "expected a name that ends in .safetensors"),
        (["--labels", "none", "--out", "PLACE/0.safetensors"], "is there already"),
    ],
)
def test_bad_input_is_one_line(photographs, tmp_path, only_error, more, told):
    (photographs / "0.safetensors").write_bytes(b"something else")
    words = ["bridge", "train-encoder", str(photographs)]
    words += [each.replace("PLACE", str(photographs)) for each in more]
    if "--out" not in more:
        words += ["--out", str(tmp_path / "small.safetensors")]
    assert main(words) == 2
    assert told in only_error()
    assert not (tmp_path / "small.safetensors").exists()


def test_a_judge_is_trained_tested_and_kept(tmp_path, capsys, only_error):
    out = tmp_path / "judge.safetensors"
    words = ["bridge", "train-judge", "--out", str(out), "--pictures", "32", *QUICK]
    assert main(words) == 0
    told = capsys.readouterr().out
    judge = open_judge(out)
    assert sorted(judge.words) == ["hue", "shape", "texture"]
    for name, share in judge.known_accuracy.items():
        assert f"{name} {share:.1%}" in told
    assert json.loads(judge.about["accuracy"]) == judge.known_accuracy
    assert main(words) == 0
    assert "is trained already" in capsys.readouterr().out
    other = ["--out", str(tmp_path / "other.safetensors"), "--pictures", "1"]
    assert main(["bridge", "train-judge", *other]) == 2
    assert "1 pictures: expected 2 or more" in only_error()
