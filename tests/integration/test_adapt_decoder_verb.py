"""A decoder's run taken to a new session by the command line, and its k-minute curve."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decoding_worlds import moving_recording
from neurohorizon.cli.app import main
from neurohorizon.configs.run_decoder_adaptation import load_few_shot, score_decoder_few_shot
from neurohorizon.configs.run_decoding import load_results
from neurohorizon.evaluation.decoding.result_files import load_decoding
from neurohorizon.recordings.store import write_recording
from neurohorizon.report.decoding_learned_figures import LearnedFigures
from neurohorizon.report.decoding_page import render_decoding_page
from neurohorizon.report.run_notes import read_run_notes

RECIPE = """# Velocity of small recordings
data:
  name: files
  recordings: {folder}
  split: {{name: interleaved, block_s: 10.0, guard_s: 0.5}}
  hold_out: {{by: id, ids: [m2]}}
tasks:
  velocity: {{series: velocity, rate_hz: 25.0}}
model:
  name: poyo
  width: 32
  num_layers: 1
  head_width: 16
  num_self_heads: 2
training: {{max_epochs: 1, steps_per_epoch: 30, tokens_per_batch: 1500, learning_rate: 0.005}}
evaluation: {{rows: [mean], minutes: [1.0]}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Three recordings, one of them held out, one with no behaviour; and two runs."""
    root = tmp_path_factory.mktemp("adapt")
    (root / "data").mkdir()
    for seed in range(3):
        recording = moving_recording(duration_s=120.0, seed=seed, name=f"m{seed}")
        write_recording(replace(recording, split=None), root / "data" / f"m{seed}.h5")
    silent = moving_recording(duration_s=120.0, seed=3, name="silent")
    write_recording(replace(silent, split=None, series={}, tables={}), root / "silent.h5")
    (root / "recipe.yaml").write_text(RECIPE.format(folder=root / "data"))
    recipe = str(root / "recipe.yaml")
    assert main(["train", recipe, "--out", str(root / "run")]) == 0
    identity = ["model.units=identity", "training.steps_per_epoch=2", "reference.num_references=2"]
    assert main(["train", recipe, "--out", str(root / "identity"), *identity]) == 0
    return root


def test_an_adapted_decoder_decodes_its_session(place, capsys):
    recording = str(place / "data" / "m2.h5")
    out = place / "decoded.npz"
    assert main(["decode", str(place / "run"), recording, "--out", str(out)]) == 2
    assert "knows none of its 10 units" in capsys.readouterr().err
    command = ["adapt", str(place / "run"), recording, "--minutes", "1", "--max-steps", "20"]
    assert main(command) == 0
    said = capsys.readouterr().out
    folder = place / "run" / "adapted" / "m2-units-1min"
    assert f"{folder}: 352 numbers adapted in 20 steps" in said
    assert f"next: neurohorizon decode {folder} {recording}" in said
    assert main(["decode", str(folder), recording, "--out", str(out), "--rate-hz", "5"]) == 0
    with np.load(out) as file:
        assert file["velocity/values"].shape == (600, 2)
    told = json.loads((folder / "adaptation.json").read_text())
    assert told["mode"] == "units"
    assert told["recording"] == "m2"
    assert told["steps"] == 20
    assert sum(end - start for start, end in (*told["learn"], *told["held"])) == pytest.approx(60)


def test_a_model_that_reads_references_is_given_one(place, capsys):
    recording = str(place / "data" / "m2.h5")
    assert main(["adapt", str(place / "identity"), recording, "--minutes", "1"]) == 0
    assert "no number adapted: 1 minutes are the reference" in capsys.readouterr().out
    folder = place / "identity" / "adapted" / "m2-none-1min"
    out = place / "by_reference.npz"
    assert main(["decode", str(folder), recording, "--out", str(out)]) == 0


@pytest.mark.parametrize(
    ("words", "run", "recording", "options"),
    [
        (["mode offsets is of forecasters", "units, full, none"], "run", "m2", "--mode offsets"),
        (["mode none needs a model that knows units by"], "run", "m2", "--mode none"),
        (["mode units learns rows"], "identity", "m2", "--mode units"),
        (["m0.h5", "was trained on it"], "run", "m0", ""),
        (["m2: 9 minutes to adapt with", "give fewer"], "run", "m2", "--minutes 9"),
        (["0.1 minutes to adapt with: expected"], "run", "m2", "--minutes 0.1"),
        (["silent: no behaviour for any of the tasks (velocity)"], "run", "../silent", ""),
        (["--max-steps 0: expected 1 or more"], "run", "m2", "--max-steps 0"),
        (["holds something else"], "run", "m2", "--out {data}"),
        (["no such file"], "run", "m7", ""),
    ],
)
def test_what_cannot_be_adapted_is_one_line(place, only_error, words, run, recording, options):
    path = place / "data" / f"{recording}.h5"
    given = options.format(data=place / "data").split()
    if "--minutes" not in given:
        given += ["--minutes", "1"]
    assert main(["adapt", str(place / run), str(path), *given]) == 2
    said = only_error()
    for word in words:
        assert word.lower() in said.lower()


def test_the_curve_of_all_ways(place):
    asked: list[str] = []
    folder = score_decoder_few_shot(
        place / "run",
        identity_run=place / "identity",
        from_scratch=True,
        baselines=("Wiener",),
        max_steps=20,
        progress=lambda what, done, total: asked.append(what),
    )
    assert folder == place / "run" / "results" / "held-out.few-shot"
    rows = [row.name for row in load_decoding(folder).rows]
    ways = ("units", "full", "from scratch", "none", "Wiener")
    assert rows == [f"{way}, 1 min" for way in ways]
    with (folder / "scores.csv").open() as file:
        scores = {r["row"]: float(r["value"]) for r in csv.DictReader(file) if r["metric"] == "r2"}
    assert set(scores) == set(rows)
    told = json.loads((folder / "adaptations.json").read_text())
    assert {each["row"]: each["steps"] for each in told} == {
        "units, 1 min": 20, "full, 1 min": 20, "from scratch, 1 min": 20, "none, 1 min": 0,
    }  # fmt: skip
    assert asked[-1] == "scored"
    assert score_decoder_few_shot(place / "run") is None, "it is there"


def test_the_curve_is_printed_and_on_the_page(place, tmp_path, capsys):
    run = place / "run"
    assert main(["evaluate", str(run), "--few-shot", "1"]) == 0
    said = capsys.readouterr().out
    assert "Recordings that training never saw, by minutes of them" in said
    assert "units, 1 min" in said
    assert "computed later\n" in said, "the curve was there"
    curve = load_few_shot(run)
    assert curve is not None
    figure = LearnedFigures(tmp_path, {}).few_shot(curve, "velocity")
    with figure.svg.with_suffix(".csv").open() as file:
        assert {row["row"] for row in csv.DictReader(file)} >= {"units", "full", "Wiener"}
    assert "mean over 1 recording that training never saw" in figure.caption
    page = render_decoding_page(load_results(run), read_run_notes(run), {"new": [figure]})
    assert "New sessions" in page
    assert "What the model has learned" not in page
