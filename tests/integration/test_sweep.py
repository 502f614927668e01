"""``neurohorizon sweep`` as a user meets it: refused, listed, interrupted, resumed, collected."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from neurohorizon.cli.app import main
from neurohorizon.evaluation.result_files import load_result
from neurohorizon.evaluation.summary import difference
from neurohorizon.evaluation.sweep_results import load_sweep

SMALL = [
    "data.num_sessions=2",
    "data.num_held_out=1",
    "data.minutes=0.8",
    "data.units=[4, 6]",
    "reference.num_references=2",
    "training.steps_per_epoch=3",
    "training.tokens_per_batch=800",
    "training.accelerator=cpu",
    "evaluation.fewest_spikes=100",
    "evaluation.reference_s=20",
    "model.width=16",
]
VARIED = ["model.use_adapter=true,false"]
NAMES = ["use_adapter=true", "use_adapter=false"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture
def command(folder):
    world = f"data.folder={folder / 'world'}"
    return ["sweep", "tiny", *SMALL, *VARIED, world, "--out", str(folder / "out")]


def test_a_dry_run_lists_what_would_run_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "tiny", *SMALL, *VARIED, "--seeds", "2", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    trained = [line for line in lines if "neurohorizon train tiny" in line]
    assert len(trained) == 4
    assert all(line.split()[0] == "new" for line in trained)
    assert "use_adapter=false/seed1 --resume" in trained[3]
    assert "2 members, 4 runs (4 new) in sweeps/tiny" in lines
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model.width=16,30"], "member 'width=30'"),
        (["--launcher", "slurm", "--slurm", "gpu"], "expected name=value pairs"),
        (["--slurm", "timeout_min=3"], "no effect without --launcher slurm"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--reference-s", "x"], "--reference-s x: expected seconds"),
    ],
)
def test_a_mistake_is_one_line_and_queues_nothing(words, told, tmp_path, only_error, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*SMALL[:-1], "training.max_epochs=1", *words]
    assert main(["sweep", "tiny", *words]) == 2
    assert told in only_error()
    assert list(tmp_path.iterdir()) == []


def test_interrupted_resumed_collected_and_skipped(command, folder, capsys, monkeypatch):
    out = folder / "out"
    long, other = ([*command, f"training.max_epochs={number}"] for number in (20, 2))
    process = subprocess.Popen(
        [sys.executable, "-m", "neurohorizon", *long],
        stderr=subprocess.PIPE,
        text=True,
        # In a shell's background interruptions are not heard.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    first = out / "members" / NAMES[0] / "seed0"
    wait_for(first.with_suffix(".log"), process)
    # Another sweep in the same folder is refused meanwhile.
    assert main(long) == 2
    assert "somebody else is running a sweep there" in capsys.readouterr().err
    wait_for(first / "last.ckpt", process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "go on with the same command" in said
    assert (first / "config.yaml").is_file()
    assert not (first / "training.json").is_file()
    assert not (out / ".sweep.lock").exists()

    # Other settings in the same folder are refused, before anything is done.
    assert main(other) == 2
    told = capsys.readouterr().err
    assert "member 'use_adapter=true'" in told
    assert "training.max_epochs is 2 here and 20 there" in told

    with monkeypatch.context() as patched:  # a member that fails is told, and the code says so
        patched.setattr(sys, "executable", "/bin/false")
        assert main([*long, "--jobs", "2"]) == 2
    assert "2 failed" in capsys.readouterr().out

    assert main([*long, "--jobs", "2"]) == 0
    captured = capsys.readouterr()
    assert "2 runs done, 0 were there already, 0 failed" in captured.out
    assert "[2/2]" in captured.err
    assert "resumed, 20 epochs" in (out / "members" / NAMES[0] / "seed0.log").read_text()
    check_the_table(out)

    before = {path: os.stat(path).st_mtime_ns for path in (out / "members").rglob("*.*")}
    assert main(long) == 0
    assert "0 runs done, 2 were there already" in capsys.readouterr().out
    after = {path: os.stat(path).st_mtime_ns for path in (out / "members").rglob("*.*")}
    assert after == before
    (out / "table.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "table.html").is_file()


def wait_for(path, process):
    until = time.monotonic() + 240
    while not path.is_file():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)


def check_the_table(out):
    """Every number of the table is that of the members' own results."""
    with (out / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    trained = {row["member"] for row in table if row["trained"] == "True"}
    assert trained == set(NAMES)
    runs = [out / "members" / name / "seed0" for name in NAMES]
    for of_set in ("held-out", "later"):
        found = [load_result(run / "results" / of_set) for run in runs]
        joined = [result.names("model")[0] for result in found]
        for name, run in zip(NAMES, runs, strict=True):
            content = json.loads((run / "results" / of_set / "evaluation.json").read_text())
            scores = {
                score["horizon_s"]: score
                for score in content["tables"]["scores"]
                if score["role"] == "model"
            }
            mine = [r for r in table if (r["set"], r["member"]) == (of_set, name)]
            assert len(mine) == len(scores) == 4
            for row in mine:
                score = scores[float(row["horizon_s"])]
                for key in ("bits_per_spike", "low", "high"):
                    if score[key] is not None:
                        assert float(row[key]) == pytest.approx(score[key])
        both = found[0].join(renamed(found[1], joined[1]))
        step = difference(both, "second", joined[0])
        rows = [r for r in table if (r["set"], r["member"]) == (of_set, NAMES[1])]
        for index, row in enumerate(rows):
            assert float(row["difference"]) == pytest.approx(step.value[index])
    page = (out / "table.html").read_text()
    assert "use_adapter=false" in page
    assert len(load_sweep(out).finished) == 2


def renamed(result, model):
    """Return the model's row alone, called "second"."""
    row = next(row for row in result.rows if row.name == model)
    return replace(
        result,
        rows=[replace(row, name="second")],
        scores={
            ("second", case.recording): result.scores[model, case.recording]
            for case in result.cases
        },
    )
