"""From responses and a bank to a table, through the command line."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from bridge_worlds import write_world
from neurohorizon.cli.app import main
from neurohorizon.evaluation.retrieval.result_files import (
    load_places,
    load_retrieval,
    load_summary,
)
from neurohorizon.evaluation.retrieval.results import Metric
from neurohorizon.evaluation.retrieval.summary import estimate
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.models.bridge.files import load_bridge
from neurohorizon.recordings.pictured.pairs import PicturePairs
from neurohorizon.recordings.responses_store import open_responses

SMALL = [
    "model.rows=[ridge,encoding model,linear InfoNCE]",
    "model.grey_rows=[]",
    "data.grey_bank=null",
    "data.source=null",
    "training.budget=2",
    "training.num_folds=2",
    "training.num_seeds=2",
    "training.max_steps=60",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, names=("one", "two"))
    return folder


def words(world, *more):
    data = [f"data.recordings={world / 'recordings'}", f"data.bank={world / 'bank.npz'}"]
    return ["bridge", "align", "macaque-v4", *SMALL, *data, *more]


@pytest.fixture(scope="module")
def run(world):
    folder = world / "run"
    assert main(words(world, "--out", str(folder))) == 0
    assert main(["bridge", "retrieve", str(folder)]) == 0
    return folder


def test_a_run_is_fitted_scored_and_read_again(run, capsys):
    results = run / "results" / "retrieval"
    result, by_trials = load_retrieval(results)
    names = [row.name for row in result.rows]
    assert names[0] == "ridge"
    for name in ("linear InfoNCE, seeds together", "ridge, hubness corrected"):
        assert name in names
    assert "encoding model, hubness corrected" not in names
    top = Metric("top 1", 1, None)
    scores = {row.name: estimate(result, row.name, top).value for row in result.rows}
    assert scores["encoding model"] > 0.3, "chance is 1 in 40"
    assert scores["other half of the trials"] > 0.3
    assert sorted(by_trials) == [1, 2]
    fewer = estimate(by_trials[1], "encoding model", top).value
    assert fewer < scores["encoding model"]
    summary = load_summary(results)
    assert summary["differences_to"] in names
    assert len(summary["reliability"]["one"]) == 16
    places = load_places(results, "two")
    assert places.responses["ridge"].shape == places.pictures["ridge"].shape
    tuning = json.loads((run / "bridges/one/ridge/tuning.json").read_text())
    assert len(tuning["tried"]) == 2
    assert main(["bridge", "retrieve", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "chance" in printed
    assert "the response, given the picture" in printed


def test_embeddings_are_predicted_out_of_fold(world, run, capsys):
    assert main(["bridge", "embed", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "training, out of fold" in printed
    true = EmbeddingBank.load(world / "bank.npz")
    scores = json.loads((run / "results/embeddings/scores.json").read_text())["rows"]
    assert len(scores) == 2 * 3 * 2, "recordings, rows, parts"
    for score in scores:
        assert score["right"]["value"] > score["other"]["value"] + 0.2
        assert score["two_way"]["value"] > 0.8
    folder = run / "results/embeddings/one/ridge"
    test = EmbeddingBank.load(folder / "test")
    fold = EmbeddingBank.load(folder / "out_of_fold")
    assert (len(test), len(fold)) == (40, 120)
    assert not set(test.hashes) & set(fold.hashes)
    assert "encoder made up against responses" in true.fingerprint.difference(test.fingerprint)
    # A bridge that was fitted to a picture would say more of it.
    bridge = load_bridge(run / "bridges/one/ridge/seed0.safetensors")[0]
    pairs = PicturePairs.of(open_responses(world / "recordings/one.h5")).only("train")
    pairs = pairs.mean_over_trials()
    fitted = bridge.predict(pairs.values)
    shown = true.select(pairs.hashes.tolist())
    out = fold.select(pairs.hashes.tolist())
    assert np.sum((fitted - shown) ** 2) < np.sum((out - shown) ** 2)
    assert main(["bridge", "embed", str(run), "--row", "MLP InfoNCE"]) == 2
    assert "has no row 'MLP InfoNCE': there are ridge" in capsys.readouterr().err


def test_embeddings_by_retrieval_are_means_of_other_pictures_own(world, run):
    assert main(["bridge", "embed", str(run), "--row", "ridge", "--by", "retrieval"]) == 0
    scores = json.loads((run / "results/embeddings/scores.json").read_text())["rows"]
    assert {each["reading"] for each in scores} == {"retrieval"}
    folder = run / "results/embeddings/one/ridge-by-retrieval"
    true = EmbeddingBank.load(world / "bank.npz")
    for part in ("out_of_fold", "test"):
        bank = EmbeddingBank.load(folder / part)
        shown, mean = true.select(bank.hashes), true.embeddings.mean(axis=0)
        assert np.square(bank.embeddings - shown).sum() < 0.9 * np.square(shown - mean).sum()
        # Between training pictures, never beyond them.
        low, high = true.embeddings.min(axis=0), true.embeddings.max(axis=0)
        assert ((bank.embeddings >= low) & (bank.embeddings <= high)).all()
    assert bank.fingerprint.settings["reading"] == "retrieval"
    assert not true.fingerprint.difference(bank.fingerprint.space)


def test_what_is_done_is_skipped_and_what_is_not_goes_on(world, run, capsys):
    assert main(words(world, "--out", str(run))) == 0
    assert "is fitted already" in capsys.readouterr().out
    other = world / "interrupted"
    assert main(words(world, "--out", str(other))) == 0
    kept = other / "bridges" / "one" / "ridge" / "seed0.safetensors"
    when = kept.stat().st_mtime_ns
    (other / "training.json").unlink()
    (other / "bridges/two/ridge/tuning.json").unlink()
    assert main(words(world, "--out", str(other))) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["bridge", "retrieve", str(other)]) == 2
    assert "not all rows are fitted" in capsys.readouterr().err
    assert main(words(world, "--out", str(other), "--resume")) == 0
    assert kept.stat().st_mtime_ns == when
    assert (other / "bridges/two/ridge/tuning.json").is_file()
    assert main(words(world, "run.seed=4", "--out", str(other))) == 2
    assert "run.seed is 4 here and 0 there" in capsys.readouterr().err


def test_what_a_run_was_fitted_to_must_still_be_there(tmp_path, capsys):
    write_world(tmp_path, names=("one", "two"))
    folder = tmp_path / "run"
    rows = ["model.rows=[ridge]", *SMALL[1:]]
    data = [f"data.recordings={tmp_path / 'recordings'}", f"data.bank={tmp_path / 'bank.npz'}"]
    assert main(["bridge", "align", "macaque-v4", *rows, *data, "--out", str(folder)]) == 0
    (recording,) = (tmp_path / "recordings").glob("one*")
    whole = recording.read_bytes()
    with h5py.File(recording, "r+") as file:
        file["responses/values"][0] += 1
    assert main(["bridge", "retrieve", str(folder)]) == 2
    assert "is not what" in capsys.readouterr().err
    recording.unlink()
    assert main(["bridge", "retrieve", str(folder)]) == 2
    assert "the recording one is missing" in capsys.readouterr().err
    recording.write_bytes(whole)
    kept = folder / "bridges/one/ridge/seed0.safetensors"
    for damage in (kept.read_bytes()[:40], pickle.dumps({"weight": 1})):
        kept.write_bytes(damage)
        assert main(["bridge", "retrieve", str(folder)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "seed0.safetensors" in line


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(world, capsys):
    assert main(words(world, "--out", str(world / "dry"), "--dry-run")) == 0
    told = capsys.readouterr().out
    assert "two: 16 units, 120 pictures to train on, 40 to test on" in told
    assert "would fit 6 rows" in told
    assert not (world / "dry").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["model.rows=[temporal attention]"], "reads time bins"),
        (["data.bank=nothing.npz"], "no bank there"),
        (["data.recordings=nowhere"], "no such recording or folder"),
        (["data.looks_bank=BANK"], "give one of the encoder layout"),
        (["data.source=tvsd"], "no recording of the source tvsd"),
        (["training.num_folds=30"], "a fold holds out"),
        (["training.held_out_share=0.2"], "no effect with 2 folds"),
        (["model.rows=[ridge,ridge]"], "names a row twice"),
        (["model.grey_rows=[ridge]"], "without data.grey_bank"),
        (["model.rows=[rigde]"], "model.rows[0]"),
        (["model.perceiver.width=64"], "without the row Perceiver"),
        (["model.rows=[Perceiver]", "model.perceiver.width=66"], "a multiple of 4"),
        (["data.split.name=categories", "data.split.test_share=1.5"], "less than 1"),
    ],
)
def test_bad_input_is_one_line(world, more, told, capsys, tmp_path):
    more = [each.replace("BANK", str(world / "bank.npz")) for each in more]
    given = words(world, "--out", str(tmp_path / "run"))
    changed = {each.partition("=")[0] for each in more}
    given = [each for each in given if each.partition("=")[0] not in changed]
    assert main([*given, *more]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert told in error
    assert not (tmp_path / "run").exists()


def test_other_verbs_say_what_a_run_of_bridges_is(run, capsys):
    assert main(["train", "macaque-v4"]) == 2
    assert "neurohorizon bridge align macaque-v4" in capsys.readouterr().err
    assert main(["bridge", "align", "default"]) == 2
    assert "neurohorizon train default" in capsys.readouterr().err
    assert main(["evaluate", str(run)]) == 2
    assert "neurohorizon bridge retrieve" in capsys.readouterr().err


def test_a_picture_that_the_bank_lacks_is_told(world, tmp_path, capsys):
    write_world(tmp_path, num_pictures=200)
    given = words(world, f"data.recordings={tmp_path / 'recordings'}", "--out", str(tmp_path / "r"))
    given = [each for each in given if each != f"data.recordings={world / 'recordings'}"]
    assert main(given) == 2
    assert "has no embedding of 40 of the 200 pictures" in capsys.readouterr().err


def test_an_encoder_that_was_trained_on_a_test_picture_is_refused(world, tmp_path, capsys):
    bank = EmbeddingBank.load(world / "bank.npz")
    path = replace(bank, seen=np.ones(len(bank), dtype=bool)).save(tmp_path / "bank")
    given = words(world, f"data.bank={path}", "--out", str(tmp_path / "r"))
    given = [each for each in given if each != f"data.bank={world / 'bank.npz'}"]
    assert main(given) == 2
    assert "was trained on 40 of the 40 test pictures" in capsys.readouterr().err


def test_time_bins_make_room_for_temporal_attention(tmp_path):
    write_world(tmp_path, bins=4)
    more = [f"data.recordings={tmp_path / 'recordings'}", f"data.bank={tmp_path / 'bank.npz'}"]
    rows = "model.rows=[encoding model,temporal attention]"
    small = [rows, *SMALL[1:], "training.budget=1"]
    small = [each for each in small if each != "training.budget=2"]
    assert main(["bridge", "align", "macaque-v4", *small, *more, "--out", str(tmp_path / "r")]) == 0
    assert main(["bridge", "retrieve", str(tmp_path / "r")]) == 0
    result, _ = load_retrieval(tmp_path / "r" / "results" / "retrieval")
    better = result.better["temporal attention", "one", "picture"]
    assert np.mean(better) < 15, "chance is 19.5"


def test_regions_are_compared(tmp_path, capsys):
    write_world(tmp_path, areas=("V1", "IT"))
    more = [f"data.recordings={tmp_path / 'recordings'}", f"data.bank={tmp_path / 'bank.npz'}"]
    small = ["model.rows=[encoding model]", *SMALL[1:], *more]
    run = str(tmp_path / "run")
    assert main(["bridge", "align", "macaque-v4", *small, "--out", run]) == 0
    assert main(["bridge", "retrieve", run, "--regions", "encoding model"]) == 0
    printed = capsys.readouterr().out
    result, _ = load_retrieval(tmp_path / "run" / "results" / "regions")
    names = [row.name for row in result.rows]
    assert names[:4] == ["all regions", "IT alone", "without IT", "IT, 8 electrodes"]
    top = Metric("top 1", 1, None)
    whole, alone = (estimate(result, name, top).value for name in names[:2])
    assert whole > alone
    assert "top 1 - all regions" in printed
    assert any("matched by reliability" in note for note in result.cases[0].notes)
    shutil.rmtree(tmp_path / "run" / "results")
    assert main(["bridge", "retrieve", run, "--regions", "V1"]) == 2
    assert "has no row 'V1': there are encoding model" in capsys.readouterr().err
    assert main(["bridge", "retrieve", run, "--windows", "ridge"]) == 2
    assert "has no row 'ridge'" in capsys.readouterr().err
    assert not (tmp_path / "run" / "results").exists()  # nothing is scored before the refusal


def test_time_windows_are_compared(tmp_path, capsys):
    write_world(tmp_path, areas=("V1", "IT"), bins=4)
    more = [f"data.recordings={tmp_path / 'recordings'}", f"data.bank={tmp_path / 'bank.npz'}"]
    run = str(tmp_path / "run")
    small = ["model.rows=[ridge]", *SMALL[1:], *more]
    assert main(["bridge", "align", "macaque-v4", *small, "--out", run]) == 0
    assert main(["bridge", "retrieve", run, "--regions", "ridge", "--windows", "ridge"]) == 0
    assert "all regions, 0 to 50 ms" in capsys.readouterr().out
    result, _ = load_retrieval(tmp_path / "run" / "results" / "windows")
    assert len(result.rows) == 3 * (4 + 3), "regions, bins and all until then"
    top = Metric("top 1", 1, None)
    early, late, everything = (
        estimate(result, f"all regions, {words} ms", top).value
        for words in ("0 to 50", "100 to 150", "0 to 200")
    )
    assert early < late < everything
    assert main(["report", run]) == 0
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "when each region says which picture" in page
    figures = tmp_path / "run" / "report" / "figures"
    regions = (figures / "retrieval_regions.csv").read_text()
    assert "without IT" in regions
    assert "V1,0.15,0.2" in (figures / "retrieval_windows.csv").read_text()


def test_time_windows_want_time_bins(run, capsys):
    assert main(["bridge", "retrieve", str(run), "--windows", "ridge"]) == 2
    assert "has no time bins" in capsys.readouterr().err


def test_the_way_of_tvsd_on_files_of_its_layout(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    size = [
        "--num-categories",
        "40",
        "--images-per-category",
        "4",
        "--test-images",
        "12",
        "--repeats",
        "3",
    ]
    commands = [
        ["simulate", "ventral-stream", "--out", "world", *size],
        ["data", "prepare", "tvsd", "world", "--out", "data/tvsd", "images=world"],
        ["data", "embed", "world/object_images", "--encoder", "layout", "--out", "banks/tvsd"],
        ["bridge", "align", "tvsd", "data.looks_bank=null", "training.num_folds=2", "--dry-run"],
    ]
    for command in commands:
        assert main(command) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "1012 units, 160 pictures to train on, 12 to test on" in told
    assert "12 of 1024 units left out" in told
    assert "would fit 7 rows into runs/tvsd" in told
    assert main([*commands[-1], "data.split.name=categories"]) == 0
    # One region's electrodes, chosen by what the source computed from test responses: marked.
    chosen = ["data.units.areas=[IT]", "data.units.least={reliability: 0.1}"]
    assert main([*commands[-1], *chosen]) == 0
    assert "which the source took from test responses" in capsys.readouterr().out
