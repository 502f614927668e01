"""``neurohorizon train`` as a user meets it: run folders, skipping, resuming, refusing."""

import csv
import errno
import json
import os
import shutil
import signal

import pytest

from neurohorizon.cli import train as train_file
from neurohorizon.cli.app import main
from neurohorizon.configs.load import load_config
from neurohorizon.configs.records import load_run, open_run_sessions
from neurohorizon.configs.run_folders import alone_in_run
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.recordings.store import write_recording
from worlds import poisson_recording

SMALL = [
    "data.num_sessions=2",
    "data.num_held_out=1",
    "data.minutes=0.8",
    "data.units=[4, 6]",
    "reference.num_references=2",
    "training.steps_per_epoch=3",
    "training.tokens_per_batch=800",
    "model.width=16",
]
FILES = {
    "config.yaml",
    "origin.json",
    "provenance.json",
    "data.json",
    "model.safetensors",
    "metrics.csv",
    "last.ckpt",
    "training.json",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Where the sessions of all tests are simulated, once."""
    return tmp_path_factory.mktemp("world")


@pytest.fixture
def command(world):
    """The words of a training of some seconds."""
    return ["train", "default", *SMALL, f"data.folder={world}", "training.max_epochs=2"]


def refused(capsys, tokens, *, code=2):
    assert main([*map(str, tokens)]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, captured.err
    return lines[0]


def metrics(folder):
    """Return what the log says of each epoch, but for the seconds it took."""
    with (folder / "metrics.csv").open() as file:
        return [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in csv.DictReader(file)
        ]


def test_a_training_leaves_a_whole_run_and_is_then_skipped(command, tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*command, "--out", str(run)]) == 0
    captured = capsys.readouterr()
    assert f"next: neurohorizon evaluate {run}" in captured.out
    assert "epoch 2/2" in captured.err
    assert {path.name for path in run.iterdir()} == FILES
    record = load_run(run)
    assert record.config == load_config("default", command[2:], folder=run).config
    sessions = open_run_sessions(record)
    assert (len(sessions.training), len(sessions.held_out)) == (2, 1)
    origin = json.loads((run / "origin.json").read_text())
    assert origin["training.max_epochs"] == "command line"
    forecast = TrainedForecaster.load(run).forecast(
        sessions.held_out[0].recording, [40.0], reference_s=20.0
    )
    assert forecast.rate_hz.shape[2] == 50

    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    assert main([*command, "--out", str(run)]) == 0
    assert "finished already" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in run.iterdir()} == before
    other = [*command, "training.learning_rate=1e-4", "--out", str(run)]
    line = refused(capsys, other)
    assert "holds another run (training.learning_rate is 0.0001 here and 0.003 there)" in line


def test_an_interrupted_training_resumes_to_the_same_end(command, tmp_path, capsys, monkeypatch):
    command[-1] = "training.max_epochs=3"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*command, "--out", str(whole)]) == 0
    say = train_file.epoch_line

    def interrupt_in_the_second_epoch(row, num_epochs):
        if row["epoch"] == 1:
            raise KeyboardInterrupt
        return say(row, num_epochs)

    with monkeypatch.context() as patched:
        patched.setattr(train_file, "epoch_line", interrupt_in_the_second_epoch)
        assert main([*command, "--out", str(parts)]) == 130
    assert "--resume" in capsys.readouterr().err
    assert {path.name for path in parts.iterdir()} == FILES - {"training.json"}
    line = refused(capsys, [*command, "--out", parts])
    assert "unfinished run: go on with it with --resume" in line
    assert main([*command, "--out", str(parts), "--resume"]) == 0
    assert "resumed, 3 epochs" in capsys.readouterr().out
    assert metrics(parts) == metrics(whole)
    assert len(metrics(whole)) == 3


def test_a_job_that_is_told_to_end_leaves_what_goes_on(command, tmp_path, capsys, monkeypatch):
    """As Slurm tells it, some time before it takes the machine."""
    command[-1] = "training.max_epochs=2"
    run = tmp_path / "run"
    say = train_file.epoch_line

    def end_the_job(row, num_epochs):
        os.kill(os.getpid(), signal.SIGUSR1)
        return say(row, num_epochs)

    with monkeypatch.context() as patched:
        patched.setattr(train_file, "epoch_line", end_the_job)
        # A new job and a requeued one are given the same command.
        assert main([*command, "--out", str(run), "--resume"]) == 130
    assert "--resume" in capsys.readouterr().err
    assert {path.name for path in run.iterdir()} == FILES - {"training.json"}
    assert main([*command, "--out", str(run), "--resume"]) == 0
    assert "resumed, 2 epochs" in capsys.readouterr().out
    assert len(metrics(run)) == 2


def test_changed_recordings_are_not_resumed_with(tmp_path, capsys, monkeypatch):
    for index in range(2):
        recording = poisson_recording(num_units=3, duration_s=60, seed=index, name=f"r{index}")
        write_recording(recording, tmp_path / "data" / f"r{index}.h5")
    run = tmp_path / "run"
    command = ["train", "nwb", f"data.recordings={tmp_path / 'data'}", *SMALL[4:]]
    command += ["training.max_epochs=2", "--out", str(run)]

    def interrupt(row, num_epochs):
        if row["epoch"] == 1:
            raise KeyboardInterrupt
        return ""

    with monkeypatch.context() as patched:
        patched.setattr(train_file, "epoch_line", interrupt)
        assert main(command) == 130
    write_recording(
        poisson_recording(num_units=3, duration_s=60, seed=5, name="r0"),
        tmp_path / "data" / "r0.h5",
    )
    capsys.readouterr()
    assert "recordings have changed since this run began" in refused(capsys, [*command, "--resume"])


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path, capsys):
    world, run = tmp_path / "world", tmp_path / "run"
    command = ["train", "default", *SMALL, f"data.folder={world}", "--out", str(run), "--dry-run"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"{run} (new)" in said
    assert "2 to train on, 1 held out" in said
    assert "to simulate  3" in said
    assert list(tmp_path.iterdir()) == []


def test_what_fails_before_the_first_epoch_leaves_nothing(command, tmp_path, capsys, monkeypatch):
    from neurohorizon.training import fit

    def full_disk(*arguments, **settings):
        raise OSError(errno.ENOSPC, "No space left on device", "model.safetensors")

    for file, name in ((fit, "fit_forecaster"), (fit, "save_forecaster")):
        with monkeypatch.context() as patched:
            patched.setattr(file, name, full_disk)
            line = refused(capsys, [*command, "--out", tmp_path / "run"])
        assert "No space left on device: model.safetensors" in line
        assert list(tmp_path.iterdir()) == []


def test_an_interruption_in_the_first_epoch_leaves_nothing(command, tmp_path, monkeypatch):
    def interrupt(row, num_epochs):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_file, "epoch_line", interrupt)
    assert main([*command, "--out", str(tmp_path / "run")]) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["defualt"], "did you mean default?"),
        (["default", "training.max_epoch=3"], "did you mean training.max_epochs?"),
        (["default", "training.max_epochs=few"], "expected a whole number, got 'few'"),
        (["default", "window.horizon_s=0.25"], "choose 0.24 or 0.26 s"),
        (["nwb", "data.recordings=nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, capsys, monkeypatch, tokens, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, ["train", *tokens])
    assert list(tmp_path.iterdir()) == []


def test_recordings_that_cannot_be_used_leave_no_run(tmp_path, capsys):
    whole = write_recording(poisson_recording(duration_s=60), tmp_path / "data" / "whole.h5")
    command = ["train", "nwb", f"data.recordings={tmp_path / 'data'}", *SMALL[4:]]
    command += ["--out", str(tmp_path / "run")]
    bad = tmp_path / "data" / "bad.h5"
    bad.write_bytes(whole.read_bytes()[:3000])
    assert "bad.h5: truncated HDF5 file" in refused(capsys, command)
    bad.write_bytes(b"spikes")
    assert "bad.h5: not an HDF5 file" in refused(capsys, command)
    bad.unlink()
    assert "shorter than one window" in refused(
        capsys, [*command, "window.context_s=70", "reference.shortest_s=80"]
    )
    short = poisson_recording(duration_s=30, name="short")
    write_recording(short, tmp_path / "data" / "short.h5")
    assert "short: 16.2 s of training data are too short" in refused(capsys, command)
    assert not (tmp_path / "run").exists()


def test_two_do_not_train_into_one_folder(command, tmp_path, capsys):
    run = tmp_path / "run"
    with alone_in_run(run):
        told = refused(capsys, [*command, "--out", run])
    assert f"{run}: somebody else is training there" in told
    assert not run.exists()
    assert main([*command, "--out", str(run)]) == 0
    with alone_in_run(run, busy="evaluating"):
        assert "somebody else is evaluating" in refused(capsys, ["evaluate", run])
    assert not list(run.glob(".*"))


def test_a_folder_that_holds_something_else_is_left_alone(command, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("chapter 1")
    assert "holds files, but no run" in refused(capsys, [*command, "--out", tmp_path])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_finished_run_can_be_copied_elsewhere(command, tmp_path, capsys):
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert main([*command, "--out", str(tmp_path / "b")]) == 0
    assert "finished already" in capsys.readouterr().out
