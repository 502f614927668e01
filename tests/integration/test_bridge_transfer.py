"""From one recording to another, through the command line."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from bridge_worlds import write_world
from neurohorizon.cli.app import main

SMALL = [
    "model.rows=[encoding model,linear InfoNCE]",
    "model.grey_rows=[]",
    "data.grey_bank=null",
    "data.source=null",
    "training.budget=1",
    "training.num_folds=2",
    "training.num_seeds=2",
    "training.max_steps=10",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Fit three recordings: two saw the same pictures, the third saw others."""
    folder = tmp_path_factory.mktemp("world")
    size = {"num_pictures": 110, "num_test": 40, "num_repeats": 2}
    write_world(folder, names=("one", "two"), **size)
    write_world(folder / "other", names=("three",), first_picture=110, **size)
    shutil.copy(next((folder / "other/recordings").glob("*.h5")), folder / "recordings")
    write_world(folder / "both", names=("all",), num_pictures=220)
    bank = folder / "both" / "bank.npz"
    data = [f"data.recordings={folder / 'recordings'}", f"data.bank={bank}"]
    out = folder / "run"
    assert main(["bridge", "align", "macaque-v4", *SMALL, *data, "--out", str(out)]) == 0
    words = ["--transfer", "encoding model", "--transfer", "linear InfoNCE"]
    assert main(["bridge", "retrieve", str(out), *words]) == 0
    return out


def test_shared_pictures_are_used_where_they_are_shared(run, capsys):
    content = json.loads((run / "results/transfer/transfer.json").read_text())
    shared = {
        (entry["sources"], entry["target"])
        for entry in content["pairs"]
        if entry["way"] == "shared pictures"
    }
    assert shared == {("one", "two"), ("two", "one")}
    (note,) = content["left_out"]
    assert "fewer have one and three (0), three and two (0)" in note
    numbers = {entry["pictures"] for entry in content["pairs"]}
    assert numbers == {10, 30, "all"}


def test_units_that_are_tuned_alike_are_worth_pictures(run):
    """All recordings' units are the same ones: ten pictures of one are few, and others help."""
    with (run / "results/transfer/scores.csv").open() as file:
        rows = {
            (row["way"], row["sources"], row["pictures"]): row
            for row in csv.DictReader(file)
            if (row["row"], row["target"]) == ("encoding model", "mean of all")
        }
    assert float(rows["new input layer", "all others", "10"]["minus_own_low"]) > 0
    own = {
        pictures: float(row["value"])
        for (way, _, pictures), row in rows.items()
        if way == "own pictures only"
    }
    assert own["10"] < own["30"]
    content = json.loads((run / "results/transfer/transfer.json").read_text())
    full = content["own_bridge"]["encoding model"]["mean of all"]["value"]
    assert abs(own["all"] - full) < 0.1


def test_the_page_shows_it(run):
    assert main(["report", str(run)]) == 0
    page = (run / "report" / "index.html").read_text()
    assert "From one recording to another" in page
    with (run / "report/figures/retrieval_transfer_linear_InfoNCE.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["way"] for row in rows} == {
        "own pictures only",
        "shared pictures",
        "new input layer",
    }
    assert np.isfinite([float(row["value"]) for row in rows]).all()


def test_bad_input_is_one_line(run, tmp_path, capsys):
    for row in ("V1", "ridge"):
        assert main(["bridge", "retrieve", str(run), "--transfer", row]) == 2
        *_, error = capsys.readouterr().err.splitlines()
        assert f"has no row '{row}'" in error
    write_world(tmp_path)
    data = [f"data.recordings={tmp_path / 'recordings'}", f"data.bank={tmp_path / 'bank.npz'}"]
    rows = ["model.rows=[encoding model]", *SMALL[1:]]
    alone = str(tmp_path / "run")
    assert main(["bridge", "align", "macaque-v4", *rows, *data, "--out", alone]) == 0
    assert main(["bridge", "retrieve", alone, "--transfer", "encoding model"]) == 2
    assert "two are needed" in capsys.readouterr().err
    assert not (tmp_path / "run/results").exists()


def test_a_share_of_the_labels_is_no_beginning_for_transfer(tmp_path, capsys):
    write_world(tmp_path, names=("one", "two"))
    data = [f"data.recordings={tmp_path / 'recordings'}", f"data.bank={tmp_path / 'bank.npz'}"]
    few = ["model.rows=[ridge]", *SMALL[1:], "training.label_share=0.6", *data]
    out = str(tmp_path / "run")
    assert main(["bridge", "align", "macaque-v4", *few, "--out", out]) == 0
    capsys.readouterr()
    assert main(["bridge", "retrieve", out, "--transfer", "ridge"]) == 2
    assert "training.label_share" in capsys.readouterr().err
