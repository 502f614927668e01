"""What goes wrong: one line says what, where and what to do; exit code 2; nothing is left."""

import csv
import errno
import os
import pickle
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neurohorizon.cli.app import main
from neurohorizon.models.checkpoint import load_forecaster
from neurohorizon.recordings.store import write_recording
from neurohorizon.training.module import ForecastModule
from worlds import waving_recording

# The smallest training that has several steps, several epochs and something to score.
SMALL = [
    "model.width=16",
    "model.num_heads=2",
    "model.num_latents=4",
    "training.max_epochs=3",
    "training.steps_per_epoch=3",
    "training.tokens_per_batch=1500",
    "training.accelerator=cpu",
    "reference.num_references=1",
    "evaluation.reference_s=30",
    "evaluation.origin_step_s=4",
    "evaluation.fewest_spikes=0",
]
# What may stand on stderr beside the error.
PROGRESS = ("run folder: ", "epoch ")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    for index, name in enumerate(("first", "second")):
        recording = waving_recording(
            num_units=5 + 2 * index, duration_s=130.0, seed=index, name=name
        )
        write_recording(recording, folder / f"{name}.h5")
    return folder


@pytest.fixture(scope="module")
def run(recordings, tmp_path_factory):
    """Return a run that was trained without interruption."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main([*train(recordings), "--out", str(folder)]) == 0
    return folder


def train(recordings, *overrides):
    return ["train", "nwb", f"data.recordings={recordings}", *SMALL, *overrides]


def snapshot(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refuse(tmp_path, capsys):
    """Return a function that gives a command, expects a refusal, and returns its line."""

    def give(*tokens):
        before = snapshot(tmp_path)
        code = main([str(token) for token in tokens])
        said = capsys.readouterr().err
        lines = [line for line in said.splitlines() if not line.startswith(PROGRESS)]
        assert code == 2, said
        assert len(lines) == 1, said
        assert lines[0].startswith("error: ")
        assert snapshot(tmp_path) == before
        return lines[0]

    return give


# -- recordings ------------------------------------------------------------------------------


def change_spikes(path, *, times=lambda t: t, units=lambda u: u):
    with h5py.File(path, "r+") as file:
        for name, change in (("spikes/timestamps", times), ("spikes/unit_index", units)):
            values = change(file[name][:])
            del file[name]
            file[name] = values


def write_foreign(path):
    with h5py.File(path, "w") as file:
        file["weather"] = np.zeros(3)


def replaced(values, position, value):
    values[position] = value
    return values


DAMAGES = {
    "missing": (lambda path: path.unlink(), "no such file", ""),
    "truncated": (
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        "truncated HDF5 file",
        "copy or download it again",
    ),
    "something else": (write_foreign, "no spikes", "expected the groups spikes/timestamps"),
    "no HDF5": (
        lambda path: path.write_text("spikes"),
        "not an HDF5 file",
        "neurohorizon data prepare",
    ),
    "unsorted": (
        lambda path: change_spikes(path, times=lambda t: t[::-1]),
        "spike times are not sorted: spike 1 at",
        "sort times and unit indices together",
    ),
    "not finite": (
        lambda path: change_spikes(path, times=lambda t: replaced(t, 5, np.nan)),
        "1 spike times are not finite (the first is spike 5)",
        "leave these spikes out",
    ),
    "negative": (
        lambda path: change_spikes(path, times=lambda t: t - 2.0),
        "before 0",
        "shift the session's clock",
    ),
    "unknown unit": (
        lambda path: change_spikes(path, units=lambda u: replaced(u, 0, 5)),
        "unit indices run from 0 to 5, expected 0 to 4",
        "number units from 0",
    ),
    "unit below 0": (
        lambda path: change_spikes(path, units=lambda u: replaced(u, 0, -1)),
        "unit indices run from -1 to 4",
        "number units from 0",
    ),
    "empty": (
        lambda path: change_spikes(path, times=lambda t: t[:0], units=lambda u: u[:0]),
        "spikes",
        "",
    ),
}


@pytest.fixture
def recording(tmp_path, recordings):
    """Return a copy of a recording, to damage."""
    return Path(shutil.copy(recordings / "first.h5", tmp_path / "first.h5"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_recording_that_cannot_be_used(recording, tmp_path, run, refuse, damage):
    spoil, what, mend = DAMAGES[damage]
    spoil(recording)
    for command in (
        ["data", "show", recording, "--out", tmp_path / "card.png"],
        ["features", recording, "--reference-s", "30", "--out", tmp_path / "features.csv"],
        ["forecast", run, recording, "--reference-s", "30", "--out", tmp_path / "rates.npz"],
        [*train(recording), "--out", tmp_path / "run"],
    ):
        line = refuse(*command)
        assert what in line
        assert mend in line
        assert "first" in line


@pytest.mark.parametrize("damage", DAMAGES)
def test_validation_says_the_same(recording, capsys, damage):
    spoil, what, mend = DAMAGES[damage]
    spoil(recording)
    assert main(["data", "validate", str(recording)]) == 2
    captured = capsys.readouterr()
    (line,) = (captured.out + captured.err).splitlines()
    assert line.startswith("error: ")
    assert what in line
    assert mend in line
    assert "first" in line


def test_one_spike_is_shown_and_not_trained_on(recording, tmp_path, capsys, refuse):
    change_spikes(recording, times=lambda t: t[:1], units=lambda u: u[:1])
    assert main(["data", "validate", str(recording)]) == 2
    assert "error: first: only one spike" in capsys.readouterr().out
    line = refuse(*train(recording), "--out", tmp_path / "run")
    assert "5 units and 1 spike: a population forecast needs at least 2 of each" in line
    assert main(["data", "show", str(recording)]) == 0


NPZ_DAMAGES = {
    "unsorted": ({"spike_times": np.linspace(100, 0, 400)}, "not sorted", "sort times"),
    "not finite": ({"spike_times": np.full(400, np.nan)}, "400 spike times are not", "leave"),
    "infinite": ({"spike_times": np.append(np.arange(399.0), np.inf)}, "not finite", "leave"),
    "negative": ({"spike_times": np.linspace(-1, 99, 400)}, "before 0", "shift"),
    "unknown unit": ({"num_units": 2}, "expected 0 to 1 (2 units)", "number units from 0"),
    "unit below 0": ({"unit_index": np.arange(400) % 4 - 1}, "run from -1 to 2", "from 0"),
    "not integers": ({"unit_index": np.ones(400)}, "unit_index is float64", "integers"),
    "not seconds": ({"spike_times": np.arange(400)}, "spike_times is int64", "seconds"),
    "other length": ({"unit_index": np.ones(3, int)}, "of shape (3,)", "one a spike"),
    "empty": (
        {"spike_times": np.empty(0), "unit_index": np.empty(0, int)},
        "empty recording: no spikes",
        "nothing can be forecast",
    ),
    "one spike": (
        {"spike_times": np.ones(1), "unit_index": np.ones(1, int)},
        "only one spike",
        "nothing can be learned",
    ),
    "too short": ({"spike_times": np.linspace(0, 4, 400)}, "too short to split", "leave it out"),
    "pickled": ({"spike_times": np.array([None])}, "pickled objects", "save plain arrays"),
}


def write_npz(path, **arrays):
    usual = {"spike_times": np.linspace(0, 100, 400), "unit_index": np.arange(400) % 4}
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **(usual | arrays))
    return path


@pytest.mark.parametrize("damage", NPZ_DAMAGES)
def test_spikes_that_cannot_be_prepared(tmp_path, refuse, damage):
    arrays, what, mend = NPZ_DAMAGES[damage]
    path = write_npz(tmp_path / "in" / "mine.npz", **arrays)
    line = refuse("data", "prepare", "npz", path, "--out", tmp_path / "out")
    assert what in line
    assert mend in line
    assert str(path) in line


@pytest.mark.parametrize("source", ["npz", "nwb"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "something else", "no archive"])
def test_a_file_that_cannot_be_prepared(tmp_path, refuse, source, damage):
    path = tmp_path / f"mine.{source}"
    if damage == "no archive":
        path.write_text("spikes")
    elif damage != "missing":
        write_foreign(path)
        if damage == "truncated":
            path.write_bytes(path.read_bytes()[:900])
    line = refuse("data", "prepare", source, path, "--out", tmp_path / "out")
    assert str(path) in line
    if damage == "missing":
        assert "no such file" in line
    else:
        assert f"not a readable .{source} file" in line or "NWB" in line


def test_one_unit_is_prepared_and_not_trained_on(tmp_path, capsys, refuse):
    path = write_npz(tmp_path / "in" / "mine.npz", unit_index=np.zeros(400, int))
    out = tmp_path / "out"
    assert main(["data", "prepare", "npz", str(path), "--out", str(out)]) == 0
    assert "warning: mine: only one unit" in capsys.readouterr().out
    assert main(["data", "validate", str(out)]) == 0
    assert main(["data", "show", str(out / "mine.h5")]) == 0
    assert main(["features", str(out), "--reference-s", "30"]) == 0
    capsys.readouterr()
    line = refuse(*train(out), "--out", tmp_path / "run")
    assert "1 unit and 400 spikes: a population forecast needs at least 2 of each" in line
    assert "data.leave_out" in line


def test_recordings_with_too_few_spikes_to_score_are_told_of(recordings, tmp_path, capsys):
    strict = [token for token in train(recordings) if "fewest_spikes" not in token]
    assert main([*strict, "evaluation.fewest_spikes=100000", "--out", str(tmp_path / "run")]) == 0
    for verb in ("evaluate", "report"):
        assert main([verb, str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "later time of the training sessions: nothing was scored: " in said
    assert "fewer than 100000 (evaluation.fewest_spikes)" in said
    assert "nan" not in said


# -- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "what", "mend"),
    [
        (["window.horizon_s=0.25"], "no whole number of 0.02 s bins", "choose 0.24 or 0.26 s"),
        (["window.bin_s=0"], "window.bin_s: expected at least 0.001", "got 0"),
        (["model.widht=32"], "unknown key 'model.widht'", "did you mean model.width?"),
        (["modle.width=32"], "unknown key 'modle'", "did you mean model"),
        (["model.width=wide"], "model.width: expected a whole number", "got 'wide'"),
        (["model.identity=face"], "model.identity: expected", "'functional'"),
        (["model.width"], "'model.width'", "expected key=value"),
        (["training.learning_rate=-1"], "training.learning_rate: expected more than 0", "got -1"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, refuse, overrides, what, mend):
    for recipe in ("default", "nwb"):
        line = refuse("train", recipe, *overrides, "--out", tmp_path / "run")
        assert what in line
        assert mend in line


def test_a_recipe_that_is_not_there(tmp_path, refuse):
    assert "did you mean default?" in refuse("train", "defualt", "--out", tmp_path / "run")
    path = tmp_path / "mine.yaml"
    assert f"{path}: no such recipe file" in refuse("train", path, "--out", tmp_path / "run")
    path.write_text("model: [1, 2\n")
    assert f"{path}, line 2: not a valid recipe" in refuse("train", path, "--out", tmp_path / "run")


def test_a_context_longer_than_the_recording(recording, tmp_path, run, refuse):
    long = [f"{key}=260" for key in ("shortest_s", "longest_s")]
    line = refuse(
        *[token for token in train(recording) if "reference" not in token],
        "window.context_s=200",
        "evaluation.reference_s=260",
        *[f"reference.{setting}" for setting in long],
        "--out",
        tmp_path / "run",
    )
    assert "130 s recorded are shorter than one window (200 s of context" in line
    assert "shorten window.context_s" in line
    assert str(recording) in line
    line = refuse("forecast", run, recording, "--reference-s", 200, "--out", tmp_path / "a.npz")
    assert "nothing is left behind a reference of 200 s (130 s were recorded)" in line
    assert "give a shorter --reference-s" in line


# -- checkpoints -----------------------------------------------------------------------------


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def spoilt(run, tmp_path):
    """Return a copy of the run, to spoil."""
    return Path(shutil.copytree(run, tmp_path / "spoilt"))


def offer_another_system(path, trap):
    save_file({"weight": torch.zeros(2)}, path, metadata={"system": "poyo"})


CHECKPOINTS = {
    "missing": (lambda path, trap: path.unlink(), "no checkpoint there"),
    "another system's": (offer_another_system, "a checkpoint of 'poyo', expected 'horizon'"),
    "a stranger's": (
        lambda path, trap: save_file({"weight": torch.zeros(2)}, path),
        "a checkpoint of 'an unknown model'",
    ),
    "truncated": (lambda path, trap: path.write_bytes(path.read_bytes()[:-50]), "damaged"),
    "pickled": (
        lambda path, trap: path.write_bytes(pickle.dumps(Trap(trap), protocol=2)),
        "a pickle, which is never opened",
    ),
    "torch.save": (
        lambda path, trap: torch.save({"weight": Trap(trap)}, path),
        "a pickle, which is never opened",
    ),
}


@pytest.mark.parametrize("offered", CHECKPOINTS)
def test_a_checkpoint_that_is_none_of_ours(spoilt, recordings, tmp_path, refuse, offered):
    spoil, what = CHECKPOINTS[offered]
    model, trap = spoilt / "model.safetensors", tmp_path / "sprung"
    spoil(model, trap)
    out = tmp_path / "rates.npz"
    for command in (
        ["forecast", spoilt, recordings / "second.h5", "--out", out],
        ["forecast", model, recordings / "second.h5", "--out", out],
        ["evaluate", spoilt],
    ):
        line = refuse(*command)
        assert what in line
        assert str(model) in line
        assert "neurohorizon train" in line
    assert not trap.exists()


def test_a_checkpoint_of_other_settings_is_no_run_of_this_one(spoilt, recordings, refuse):
    for changed in ("model.width=32", "window.context_s=0.4", "run.seed=1"):
        kept = [t for t in train(recordings) if t.partition("=")[0] != changed.partition("=")[0]]
        line = refuse(*kept, changed, "--out", spoilt)
        assert f"holds another run ({changed.partition('=')[0]} is" in line
        assert "choose another folder with --out" in line


@pytest.mark.parametrize("offered", ["pickled", "torch.save", "of another model"])
def test_a_resume_point_that_is_none(spoilt, recordings, tmp_path, refuse, offered):
    resume_point, trap = spoilt / "last.ckpt", tmp_path / "sprung"
    (spoilt / "training.json").unlink()
    if offered == "of another model":
        other = tmp_path / "other"
        wider = [t for t in train(recordings) if "width" not in t]
        assert main([*wider, "model.width=32", "--out", str(other)]) == 0
        shutil.copy(other / "last.ckpt", resume_point)
    else:
        CHECKPOINTS[offered][0](resume_point, trap)
    line = refuse(*train(recordings), "--resume", "--out", spoilt)
    assert f"{resume_point}: cannot resume from it" in line
    assert "train into another folder" in line
    assert not trap.exists()


@pytest.mark.parametrize(
    ("verb", "what", "mend"),
    [
        ("evaluate", "no run there", "neurohorizon train"),
        ("report", "no run there", "neurohorizon train"),
        ("compare", "no run there", "neurohorizon train"),
    ],
)
def test_a_folder_without_a_run(tmp_path, refuse, verb, what, mend):
    line = refuse(verb, tmp_path / "runs")
    assert str(tmp_path / "runs") in line
    assert what in line
    assert mend in line


# -- a full disk -----------------------------------------------------------------------------


@contextmanager
def files_no_larger_than(num_bytes):
    """Have the system refuse to write more than so many bytes into any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_space_left():
    """Fail where a finished file takes its name, as where space is allotted late."""

    def replace_nothing(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurohorizon.ops.files.os.replace", replace_nothing)
        yield


DISKS = {
    "full at once": lambda: files_no_larger_than(10),
    "full soon": lambda: files_no_larger_than(9000),
    "full at the end": no_space_left,
}


@pytest.mark.parametrize("disk", DISKS)
def test_a_full_disk_leaves_nothing(run, recordings, tmp_path, refuse, disk):
    path = write_npz(tmp_path / "in" / "mine.npz")
    recording = recordings / "second.h5"
    for command in (
        ["data", "prepare", "npz", path, "--out", tmp_path / "out"],
        ["data", "show", recording, "--out", tmp_path / "cards" / "card.png"],
        ["forecast", run, recording, "--reference-s", "30", "--out", tmp_path / "rates.npz"],
        [*train(recordings), "--out", tmp_path / "run"],
    ):
        with DISKS[disk]():
            line = refuse(*command)
        assert "No space left on device" in line or "File too large" in line
        assert any(m in line for m in ("free some space", "choose another place", "check the"))
        assert str(tmp_path) in line
        assert ".part" not in line


def test_a_disk_that_takes_no_resume_point_takes_no_run(run, recordings, tmp_path, refuse):
    command = [*train(recordings), "--out", tmp_path / "run"]
    with files_no_larger_than((run / "model.safetensors").stat().st_size + 100):
        assert f"{tmp_path / 'run' / 'last.ckpt'} (" in refuse(*command)
    assert main([str(token) for token in command]) == 0


def test_a_disk_that_fills_later_costs_one_epoch(run, recordings, tmp_path, capsys):
    folder = tmp_path / "run"
    command = [*train(recordings), "--out", str(folder)]
    # A resume point grows with the log of epochs that it holds.
    with files_no_larger_than((run / "last.ckpt").stat().st_size - 1):
        assert main(command) == 2
    assert f"{folder / 'last.ckpt'} (" in capsys.readouterr().err
    assert not [path for path in folder.iterdir() if ".part" in path.name]
    assert main([*command, "--resume"]) == 0
    assert read_log(folder) == read_log(run)


def test_a_full_disk_while_evaluating(spoilt, refuse, capsys):
    for disk in (no_space_left, lambda: files_no_larger_than(2000)):
        with disk():
            line = refuse("evaluate", spoilt)
        assert str(spoilt / "results") in line
        assert "No space left on device" in line or "File too large" in line
    assert main(["evaluate", str(spoilt)]) == 0


def test_a_full_disk_does_not_crash_the_process(tmp_path):
    path = write_npz(tmp_path / "mine.npz")
    code = "import sys; from neurohorizon.cli.app import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "data", "prepare", "npz", path, "--out", tmp_path / "out"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


# -- an interruption -------------------------------------------------------------------------


def interrupt_at(monkeypatch, step):
    """Press Ctrl-C in the middle of a step, counted from 1."""
    take, steps = ForecastModule.training_step, iter(range(1, 1000))

    def take_or_stop(self, *arguments):
        if next(steps) == step:
            raise KeyboardInterrupt
        return take(self, *arguments)

    monkeypatch.setattr(ForecastModule, "training_step", take_or_stop)


def read_log(folder):
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("step", [4, 5, 9])
def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(
    run, recordings, tmp_path, monkeypatch, capsys, refuse, step
):
    folder = tmp_path / "run"
    command = [*train(recordings), "--out", str(folder)]
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        assert main(command) == 130
    said = capsys.readouterr().err
    assert f"{folder}: go on with the same command and --resume" in said
    assert said.splitlines()[-1] == "interrupted"
    assert not (folder / "training.json").exists()
    assert "holds an unfinished run: go on with it with --resume" in refuse(*command)

    assert main([*command, "--resume"]) == 0
    assert "resumed, 3 epochs" in capsys.readouterr().out
    assert read_log(folder) == read_log(run)
    weights, expected = (load_forecaster(path)[0].state_dict() for path in (folder, run))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert main(command) == 0
    assert "finished already" in capsys.readouterr().out


def test_an_interruption_before_the_first_epoch_ends_leaves_nothing(
    recordings, tmp_path, monkeypatch, capsys
):
    interrupt_at(monkeypatch, 2)
    assert main([*train(recordings), "--out", str(tmp_path / "run")]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert list(tmp_path.iterdir()) == []


def test_what_is_spoilt_here_is_sound_before(recordings, run, tmp_path, capsys):
    assert main(["data", "validate", str(recordings)]) == 0
    path = write_npz(tmp_path / "mine.npz")
    assert main(["data", "prepare", "npz", str(path), "--out", str(tmp_path / "out")]) == 0
    out = tmp_path / "rates.npz"
    assert (
        main(
            [
                "forecast",
                str(run),
                str(path.with_name("out") / "mine.h5"),
                "--out",
                str(out),
                "--reference-s",
                "30",
            ]
        )
        == 0
    )
