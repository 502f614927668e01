"""A decoder through the command line: trained, evaluated, reported, decoded with; bad input."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decoding_worlds import moving_recording
from neurohorizon.cli.app import main
from neurohorizon.evaluation.decoding.view_files import load_importance
from neurohorizon.recordings.store import write_recording

RECIPE = """# Velocity and side of small recordings
data:
  name: files
  recordings: {folder}
  split: {{name: interleaved, block_s: 10.0, guard_s: 0.5}}
tasks:
  velocity: {{series: velocity}}
  side: {{kind: binary, table: trials, column: side, weight: 0.2}}
model:
  name: poyo_plus
  width: 32
  num_layers: 1
  head_width: 16
  num_self_heads: 2
training: {{max_epochs: 2, steps_per_epoch: 30, tokens_per_batch: 1500, learning_rate: 0.005}}
evaluation: {{rows: [mean, Wiener]}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Two recordings, a third that has no behaviour, and a recipe."""
    root = tmp_path_factory.mktemp("decode")
    (root / "data").mkdir()
    for seed in (0, 1):
        recording = moving_recording(duration_s=120.0, seed=seed, name=f"m{seed}")
        write_recording(replace(recording, split=None), root / "data" / f"m{seed}.h5")
    silent = moving_recording(duration_s=60.0, seed=0, name="m0")
    write_recording(replace(silent, split=None, series={}, tables={}), root / "silent.h5")
    (root / "recipe.yaml").write_text(RECIPE.format(folder=root / "data"))
    return root


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    folder = place / "run"
    assert main(["train", str(place / "recipe.yaml"), "--out", str(folder)]) == 0
    return folder


def test_training_says_what_it_decodes(run, capsys):
    assert main(["train", str(run.parent / "recipe.yaml"), "--out", str(run)]) == 0
    said = capsys.readouterr().out
    assert "finished already" in said
    assert "mean of tasks" in said


def test_the_model_is_scored_beside_simple_decoders_once(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    said = capsys.readouterr().out
    for words in ("velocity: POYO+ decodes it at R²", "side: POYO+", "Wiener", "computed later"):
        assert words in said
    with (run / "results" / "later" / "scores.csv").open() as file:
        rows = {(row["task"], row["row"], row["metric"]) for row in csv.DictReader(file)}
    assert {("velocity", "POYO+", "r2"), ("side", "Wiener", "balanced_accuracy")} <= rows
    for name in ("latents", "units", "attention"):
        assert (run / "results" / f"later.{name}.npz").is_file()
    assert main(["evaluate", str(run)]) == 0
    assert "all was there already" in capsys.readouterr().out
    notes = run / "results" / "made_from.json"
    notes.write_text(notes.read_text().replace('"fingerprint"', '"of another model"'))
    assert main(["evaluate", str(run)]) == 0
    assert "computed later" in capsys.readouterr().out


def test_units_that_are_read_are_told_once(run, capsys):
    assert main(["evaluate", str(run), "--importance"]) == 0
    said = capsys.readouterr().out
    assert "computed later.importance" in said
    assert "of 10 units are read for sure (most without unit_" in said
    found = load_importance(run / "results" / "later")
    assert [(each.recording, each.task) for each in found] == [
        (recording, task) for recording in ("m0", "m1") for task in ("velocity", "side")
    ]
    assert all(len(each.loss) == 10 for each in found)
    (run / "results" / "later.attention.npz").unlink()
    assert main(["evaluate", str(run), "--importance"]) == 0
    assert "computed later.views" in capsys.readouterr().out


def test_the_report_is_one_page(run, capsys):
    assert main(["report", str(run)]) == 0
    page = (run / "report" / "index.html").read_text()
    assert "Decoding report" in page
    assert "velocity: POYO+ decodes it at" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "What the model has learned" in page
    assert "New sessions" not in page
    figures = run / "report" / "figures"
    for name in ("latents_velocity", "latents_side", "units", "attention", "importance"):
        assert (figures / f"decoding_{name}.csv").stat().st_size > 500
    assert (figures / "training.csv").is_file()


@pytest.mark.parametrize("name", ["decoded.npz", "decoded.csv"])
def test_a_recording_without_behaviour_is_decoded(run, place, tmp_path, name):
    out = tmp_path / name
    command = ["decode", str(run), str(place / "silent.h5"), "--out", str(out), "--rate-hz", "5"]
    assert main(command) == 0
    if out.suffix == ".npz":
        with np.load(out) as file:
            assert file["velocity/values"].shape == (300, 2)
            np.testing.assert_allclose(file["side/values"].sum(axis=1), 1.0, rtol=1e-5)
            assert json.loads(str(file["tasks"]))["side"]["classes"] == ["left", "right"]
    else:
        with out.open() as file:
            assert sum(1 for _ in file) == 1 + 300 * 4


@pytest.mark.parametrize(
    ("words", "override"),
    [
        (
            ["no training recording has the series velocty", "velocity"],
            "tasks.velocity.series=velocty",
        ),
        (["poyo, which decodes one task"], "model={name: poyo}"),
        (["model.name is 'poyoo'", "did you mean poyo"], "model.name=poyoo"),
        (["a whole number of model.latent_step_s"], "model.latent_step_s=0.3"),
        (["unknown key 'tasks.velocity.serie'", "series"], "tasks.velocity.serie=velocity"),
        (["is constant"], "tasks.velocity={series: still}"),
        (["no stretch", "as long as a window"], "window.length_s=30.0"),
    ],
)
def test_a_task_that_cannot_be_decoded_is_one_line(place, tmp_path, only_error, words, override):
    folder = tmp_path / "data"
    folder.mkdir()
    recording = moving_recording(duration_s=120.0, name="m0")
    still = replace(recording.series["velocity"], values=np.ones((6000, 1)))
    series = {**recording.series, "still": still}
    write_recording(replace(recording, split=None, series=series), folder / "m0.h5")
    out = tmp_path / "run"
    command = ["train", str(place / "recipe.yaml"), "--out", str(out), f"data.recordings={folder}"]
    assert main([*command, override]) == 2
    said = only_error()
    for word in words:
        assert word in said
    assert not out.exists()


def test_forecasters_and_decoders_are_not_mixed_up(run, place, tmp_path, only_error):
    recording = str(place / "data" / "m0.h5")
    assert main(["forecast", str(run), recording, "--out", str(tmp_path / "f.npz")]) == 2
    assert "poyo_plus" in only_error()
    assert main(["evaluate", str(run), "--observer"]) == 2
    assert "--observer is about forecasts" in only_error()
    assert main(["evaluate", str(run), "--few-shot", "1"]) == 2
    assert "holds out no recording to take the decoder to" in only_error()
    assert main(["evaluate", str(tmp_path), "--importance"]) == 2
    assert "--importance is about decoders" in only_error()


def test_units_that_the_model_does_not_know_are_one_line(run, place, tmp_path, only_error):
    stranger = moving_recording(duration_s=60.0, seed=5, name="stranger")
    write_recording(replace(stranger, split=None), tmp_path / "stranger.h5")
    out = tmp_path / "d.npz"
    assert main(["decode", str(run), str(tmp_path / "stranger.h5"), "--out", str(out)]) == 2
    assert "the model knows none of its 10 units" in only_error()
    assert not out.exists()
