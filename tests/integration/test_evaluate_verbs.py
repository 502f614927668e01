"""From a trained run to scores, a report, a comparison and forecasts, as a user meets them."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from neurohorizon.cli.app import main
from neurohorizon.evaluation.run_results import load_run_results
from overrides import SMALL_RUN


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Two trained runs on one simulated world, the first of them evaluated."""
    folder = tmp_path_factory.mktemp("work")
    data = f"data.folder={folder / 'simulated'}"
    for name, seed in (("first", 0), ("second", 1)):
        command = ["train", "default", *SMALL_RUN, data, f"run.seed={seed}"]
        assert main([*command, "--out", str(folder / name)]) == 0
    assert main(["evaluate", str(folder / "first")]) == 0
    return folder


def held_out(work: Path) -> Path:
    (path,) = work.glob("simulated/*/*session1000.h5")
    return path


def test_evaluate_fills_a_folder_and_skips_what_is_there(work, capsys):
    folder = work / "first" / "results"
    names = {path.name for path in folder.iterdir()}
    parts = {"", ".ablations", ".example.npz"}
    assert names >= {name + part for name in ("held-out", "later") for part in parts}
    assert "held-out.observer" in names
    assert "later.observer" not in names, "it is slow: the first set alone"
    capsys.readouterr()
    assert main(["evaluate", str(work / "first"), "--set", "held-out"]) == 0
    out = capsys.readouterr().out
    assert "sessions held out from training: 1 recording, reference 30 s" in out
    assert "later time" not in out
    assert re.search(r"^stack ", out, re.M)
    assert "all was there already" in out


def test_results_say_what_they_were_made_from(work):
    results = load_run_results(work / "first" / "results")
    assert results.made_from["num_cpus"] >= 1
    assert results.made_from["command_lines"]
    assert [session["held_out"] for session in results.sessions] == [True, False, False]
    head = json.loads((work / "first/results/held-out/evaluation.json").read_text())
    names = [row["name"] for row in head["rows"]]
    assert names[0] == "NeuroHorizon"
    assert {"mean", "stack", "psth", "oracle mean"} <= set(names)


def test_the_report_is_one_page_with_its_figures_beside(work, tmp_path, capsys):
    page = tmp_path / "deep" / "page.html"
    assert main(["report", str(work / "first"), "--out", str(page)]) == 0
    assert str(page) in capsys.readouterr().out
    text = page.read_text()
    assert not re.search(r"https?://", text)
    assert "a GLM" in text
    assert "share of ideal observer (gains known)" in text
    assert "PSTHs around movement onset" in text
    assert "num_held_out: 1" in text
    for kind in ("svg", "png", "csv"):
        assert (page.parent / "figures" / f"horizon_held-out.{kind}").stat().st_size > 0
    assert sorted(path.name for path in page.parent.iterdir()) == ["figures", "page.html"]


def test_a_run_without_results_is_evaluated_by_the_report(work, tmp_path, capsys):
    run = tmp_path / "copy"
    shutil.copytree(work / "second", run)
    data = json.loads((run / "data.json").read_text())
    data["folder"] = str(held_out(work).parent)
    (run / "data.json").write_text(json.dumps(data))
    assert main(["evaluate", str(run), "--set", "later", "--no-observer"]) == 0
    assert main(["report", str(run)]) == 0
    assert (run / "report" / "index.html").is_file()
    capsys.readouterr()
    assert main(["compare", str(work / "first"), str(run), "--out", str(tmp_path / "both")]) == 0
    out = capsys.readouterr().out
    assert "copy - first" in out
    assert "held-out" not in {path.name for path in (tmp_path / "both").iterdir()}
    with (tmp_path / "both" / "later" / "differences.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["row"] == "copy"]
    assert {"first"} < {row["to"] for row in rows}
    assert (tmp_path / "both" / "figures" / "horizon_later.svg").is_file()
    page = (tmp_path / "both" / "index.html").read_text()
    assert "<h1>copy against first</h1>" in page
    assert "run.seed" in page, "what differs between the runs"
    assert not re.search(r"https?://", page)


def test_forecasts_are_written_with_units_and_times(work, tmp_path, capsys):
    command = ["forecast", str(work / "first"), str(held_out(work)), "--reference-s", "60"]
    out = tmp_path / "rates.npz"
    assert main([*command, "--out", str(out), "--origins", "70:80:2.5"]) == 0
    assert "4 origins" in capsys.readouterr().out
    with np.load(out, allow_pickle=False) as file:
        rates = file["rate_hz"]
        assert file["origins_s"].tolist() == [70.0, 72.5, 75.0, 77.5]
        assert rates.shape == (4, len(file["unit_ids"]), len(file["bin_start_s"]))
        assert file["reference_s"].tolist() == [10.0, 70.0]
        assert np.all(rates > 0)
        unit = str(file["unit_ids"][3])
        expected = rates[1, 3, 7]
    out = tmp_path / "rates.csv"
    assert main([*command, "--out", str(out), "--origins", "70:80:2.5"]) == 0
    with out.open() as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["unit"] == unit and row["origin_s"] == "72.500000"
        ]
    assert float(rows[7]["rate_hz"]) == pytest.approx(expected, rel=1e-4)
    assert float(rows[7]["bin_start_s"]) == pytest.approx(0.14)


def test_forecasts_start_behind_the_reference_by_default(work, tmp_path, capsys):
    command = ["forecast", str(work / "first"), str(held_out(work)), "--out"]
    assert main([*command, str(tmp_path / "a.npz")]) == 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["origins_s"][0] == 120.0
        assert file["origins_s"][-1] == 150.0, "the last one tells what comes after the end"
    assert "note:" not in capsys.readouterr().err
    assert main([*command, str(tmp_path / "b.npz"), "--origins", "50"]) == 0
    assert "inside the reference" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["evaluate", "{work}/nothing"], "no run there"),
        (["evaluate", "{work}/first", "--reference-s", "0.5"], "use a longer stretch"),
        (["evaluate", "{work}/first", "--recordings", "{work}/moved"], "are not there"),
        (["report", "{work}/nothing"], "no run there"),
        (["report", "{work}/first", "--out", "{tmp}/page.pdf"], "ends in .html"),
        (["compare", "{work}/first"], "two runs at least"),
        (["compare", "{work}/first", "{work}/second"], "neurohorizon evaluate {work}/second"),
        (["compare", "{work}/first", "{work}/nothing"], "no run there (there is no such folder)"),
        (["compare", "{work}/simulated", "{work}/first"], "no run there (config.yaml is missing)"),
        (["evaluate", "{work}/simulated"], "no run there (config.yaml is missing)"),
        (["report", "{file}"], "no run there (it is a file)"),
        (["forecast", "{work}/nothing", "{file}", "--out", "{tmp}/a.npz"], "no checkpoint there"),
        (["forecast", "{work}/first", "{tmp}/no.h5", "--out", "{tmp}/a.npz"], "no such file"),
        (["forecast", "{work}/first", "{file}", "--out", "{tmp}/a.txt"], "as .npz or .csv"),
        (
            ["forecast", "{work}/first", "{file}", "--out", "{tmp}/a.npz", "--origins", "9:3:1"],
            "START below STOP",
        ),
        (
            ["forecast", "{work}/first", "{file}", "--out", "{tmp}/a.npz", "--origins", "9000"],
            "choose origins inside",
        ),
        (
            ["forecast", "{work}/first", "{file}", "--out", "{tmp}/a.npz", "--reference-s", "900"],
            "give a shorter --reference-s",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(work, tmp_path, only_error, words, reason):
    named = {"work": work, "tmp": tmp_path, "file": held_out(work)}
    assert main([word.format(**named) for word in words]) == 2
    assert reason.format(**named) in only_error()
    assert list(tmp_path.iterdir()) == []


def test_it_says_why_nothing_was_scored(work, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(work / "second", run)
    data = json.loads((run / "data.json").read_text()) | {"folder": str(held_out(work).parent)}
    (run / "data.json").write_text(json.dumps(data))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(
        config.replace("fewest_spikes: 100", "fewest_spikes: 99999999")
    )
    capsys.readouterr()
    assert main(["evaluate", str(run), "--set", "held-out", "--no-observer"]) == 0
    out = capsys.readouterr().out
    start = "sessions held out from training: nothing was scored: "
    (line,) = [each for each in out.splitlines() if each.startswith(start)]
    assert "fewer than 99999999 (evaluation.fewest_spikes)" in line
    assert "bits per spike" not in out
    assert main(["report", str(run)]) == 0
    assert "<h1>Nothing was scored</h1>" in (run / "report" / "index.html").read_text()


def test_an_observer_of_real_recordings_is_refused(work, tmp_path, only_error):
    run = tmp_path / "run"
    shutil.copytree(work / "first", run)
    text = (run / "config.yaml").read_text()
    start, end = text.index("data:"), text.index("window:")
    files = f"data:\n  name: files\n  recordings: {held_out(work).parent}\n"
    text = text[:start] + files + text[end:]
    text = re.sub(r"  observer:\n(    .*\n)+", "  observer: null\n", text)
    (run / "config.yaml").write_text(text)
    assert main(["evaluate", str(run), "--observer"]) == 2
    assert "knows simulated sessions only" in only_error()
