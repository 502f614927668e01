"""Baselines alone, exports for other benchmarks, references of several lengths, as users do."""

import csv
import importlib
import json
import re
import shutil
from pathlib import Path

import pytest

from neurohorizon.cli.app import main
from neurohorizon.evaluation.predictability import (
    OWN_ROWS,
    POPULATION_ROWS,
    describe_predictability,
)
from neurohorizon.evaluation.run_results import load_run_results

WORLD = [
    "data.num_sessions=2",
    "data.num_held_out=1",
    "data.minutes=2.5",
    "data.units=[8, 10]",
    "evaluation.reference_s=30",
    "evaluation.fewest_spikes=100",
    "evaluation.observer=null",
]
SMALL = [
    *WORLD,
    "model.width=16",
    "model.num_heads=2",
    "model.num_latents=4",
    "training.max_epochs=1",
    "training.steps_per_epoch=2",
    "training.tokens_per_batch=1500",
    "training.accelerator=cpu",
    "reference.num_references=1",
]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A trained run, scored on what it held out, and baselines alone on the same world."""
    folder = tmp_path_factory.mktemp("work")
    data = f"data.folder={folder / 'simulated'}"
    assert main(["train", "default", *SMALL, data, "--out", str(folder / "trained")]) == 0
    assert main(["evaluate", str(folder / "trained"), "--set", "held-out"]) == 0
    assert main(["baselines", "default", *WORLD, data, "--out", str(folder / "alone")]) == 0
    return folder


def rows_of(path: Path, **wanted: str) -> list[dict[str, str]]:
    with path.open() as file:
        return [
            row
            for row in csv.DictReader(file)
            if all(row[key] == value for key, value in wanted.items())
        ]


def test_baselines_alone_are_scored_and_reported(work, capsys):
    results = load_run_results(work / "alone" / "results")
    assert list(results.sets) == ["held-out", "later"]
    assert not results.first.has_model
    rows = set(results.first.rows.names("baseline"))
    assert rows - {"mean", "psth"} == {*OWN_ROWS, *POPULATION_ROWS}, "each is of one kind"
    assert results.first.identities is not None
    page = (work / "alone" / "report" / "index.html").read_text()
    assert "Baselines alone · alone" in page
    assert not re.search(r"https?://", page)
    assert "spikes above their forecast" in page.lower()
    assert "Session cards of 3 of them" in page
    assert (work / "alone/report/figures/session_seed0_session1000.svg").is_file()
    # Given again, everything is there; what is told does not change.
    words = ["baselines", "default", *WORLD, f"data.folder={work / 'simulated'}"]
    capsys.readouterr()
    assert main([*words, "--out", str(work / "alone")]) == 0
    out = capsys.readouterr().out
    assert "all was there already" in out
    assert describe_predictability(results.first.rows) in out


def test_baselines_alone_equal_those_beside_a_model(work):
    """The same ladder on the same windows: a model beside it changes nothing."""
    scores = "results/held-out/scores.csv"
    for name in ("traces", "stack"):
        alone = rows_of(work / "alone" / scores, row=name)
        beside = rows_of(work / "trained" / scores, row=name)
        assert [row["bits_per_spike"] for row in alone] == [row["bits_per_spike"] for row in beside]


def test_a_folder_of_recordings_is_enough(work, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder,) = (path for path in (work / "simulated").iterdir() if path.is_dir())
    few = ["evaluation.reference_s=30", "evaluation.fewest_spikes=100"]
    assert main(["baselines", str(folder), *few, "data.leave_out=[seed0_session1000]"]) == 0
    out = capsys.readouterr().out
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.endswith("-baselines")
    assert "later time of the training sessions: 2 recordings" in out
    assert str(run.relative_to(tmp_path) / "report" / "index.html") in out


@pytest.mark.parametrize("format", ["nlb", "bwb"])
def test_an_export_says_what_the_other_code_finds(work, tmp_path, capsys, format):
    out = tmp_path / "export"
    words = ["export", str(work / "trained"), "--format", format, "--out", str(out)]
    assert main([*words, "--horizon-s", "0.1"]) == 0
    about = json.loads((out / "export.json").read_text())
    (recording,) = about["recordings"]
    (ours,) = rows_of(
        work / "trained/results/held-out/recordings.csv", row="NeuroHorizon", horizon_s="0.1"
    )
    assert recording["nlb"] == pytest.approx(float(ours["nlb"]), rel=1e-9)
    assert recording["d2"] == pytest.approx(float(ours["d2_unclipped"]), rel=1e-9)
    assert f"{recording['nlb']:.4f}" in capsys.readouterr().out
    if format == "bwb":
        scoring = pytest.importorskip("ibl_bwb_eval.scoring.ts2")
        found = scoring.score_dir(out / "predictions", out / "ground_truth")
        assert found["trained", "ts2-forecasting", recording["recording"], 0][
            "poisson_d2"
        ] == pytest.approx(recording["d2"], abs=2e-6)


def test_a_baseline_is_exported_by_its_name(work, tmp_path):
    words = ["export", str(work / "alone"), "--format", "nlb", "--set", "later"]
    assert main([*words, "--row", "traces", "--out", str(tmp_path / "traces")]) == 0
    about = json.loads((tmp_path / "traces" / "export.json").read_text())
    found = {each["recording"]: each["nlb"] for each in about["recordings"]}
    ours = rows_of(work / "alone/results/later/recordings.csv", row="traces", horizon_s="1.0")
    assert found == pytest.approx({row["recording"]: float(row["nlb"]) for row in ours})


def test_several_lengths_of_reference_are_scored_at_once(work, tmp_path, capsys, root, monkeypatch):
    run = tmp_path / "alone"
    shutil.copytree(work / "alone", run)
    data = json.loads((run / "data.json").read_text())
    data["folder"] = str((work / "alone" / data["folder"]).resolve())
    (run / "data.json").write_text(json.dumps(data))
    capsys.readouterr()
    words = ["evaluate", str(run), "--set", "held-out", "--reference-s"]
    assert main([*words, "10,30,60"]) == 0
    out = capsys.readouterr().out
    assert "by seconds of reference, one null for all" in out
    assert re.search(r"^\s+10 s +30 s +60 s$", out, re.M)
    assert "computed held-out.reference-10s, held-out.reference-60s" in out
    of_set = load_run_results(run / "results").first
    assert list(of_set.by_reference) == [10.0, 30.0, 60.0]
    first = {length: result.scores for length, result in of_set.by_reference.items()}
    null = [scores["mean", of_set.rows.cases[0].recording] for scores in first.values()]
    assert all((each.null_counts == null[0].null_counts).all() for each in null)
    assert main(["report", str(run)]) == 0
    assert "By seconds of reference, 100 ms" in (run / "report" / "index.html").read_text()
    curve = rows_of(run / "report/figures/reference_length_held-out.csv", row="reference rate")
    assert {row["reference_s"] for row in curve} == {"10.0", "30.0", "60.0"}
    # The benchmark's tables show the same.
    monkeypatch.syspath_prepend(root / "benchmarks")
    tables = importlib.import_module("tables")
    lines = tables.reference_lines(tables.by_reference_length(of_set))
    assert lines[0] == "| horizon | row | 10 s | 30 s | 60 s |"
    assert len(lines[2].split("|")) == 7


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["baselines", "defalt"], "did you mean default?"),
        (["baselines", "{tmp}/nowhere/"], "no such recipe file"),
        (["baselines", "default", "data.sessions=3"], "unknown key 'data.sessions'"),
        (["baselines", "default", "model.width=32"], "has no effect on baselines alone"),
        (["baselines", "default", "--out", "{work}/trained"], "holds a training"),
        (["baselines", "default", "--out", "{work}/simulated"], "holds files"),
        (
            ["baselines", "default", "data.minutes=3", "--out", "{work}/alone"],
            "holds other baselines (data.num_sessions is 8 here and 2 there)",
        ),
        (["baselines", "{tmp}"], "no recordings"),
        (["compare", "{work}/alone", "{work}/alone"], "two runs at least"),
        (["compare", "{work}/trained", "{work}/alone"], "holds baselines alone"),
        (["evaluate", "{work}/alone", "--reference-s", "10,x"], "expected seconds above 0"),
        (["evaluate", "{work}/alone", "--reference-s", "0"], "expected seconds above 0"),
        (
            ["evaluate", "{work}/alone", "--reference-s", "1e6"],
            "no recording that is scored has more than 105.9 s that may be read",
        ),
        (["export", "{work}/alone", "--format", "nlb", "--out", "{tmp}/a"], "with --row"),
        (
            ["export", "{work}/alone", "--format", "nlb", "--out", "{tmp}/a", "--row", "glm"],
            "choose one of mean, reference rate",
        ),
        (
            ["export", "{work}/trained", "--format", "nlb", "--out", "{tmp}/a", "--horizon-s", "2"],
            "expected one that is scored",
        ),
        (["export", "{work}/trained", "--format", "nlb", "--out", "{work}"], "but no export"),
        (["export", "{work}/nothing", "--format", "bwb", "--out", "{tmp}/a"], "no run there"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(work, tmp_path, only_error, words, reason):
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    named = {"work": work, "tmp": tmp_path}
    assert main([word.format(**named) for word in words]) == 2
    assert reason in only_error()
    assert list(tmp_path.iterdir()) == []
    assert before == {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}


def test_nothing_is_left_of_baselines_that_were_interrupted(work, tmp_path, monkeypatch):
    def interrupt(*words: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("neurohorizon.configs.run_baselines.evaluate_run", interrupt)
    words = ["baselines", "default", *WORLD, f"data.folder={work / 'simulated'}"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 130
    assert list(tmp_path.iterdir()) == []
