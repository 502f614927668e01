"""What a run folder says of itself, and what is checked when it is read again."""

import json
import shutil

import numpy as np
import pytest

from neurohorizon.configs import records
from neurohorizon.configs.load import load_config
from neurohorizon.configs.records import (
    describe_data,
    first_difference,
    left_out_qualities,
    load_run,
    open_run_sessions,
    run_state,
    write_records,
)
from neurohorizon.configs.sessions import open_sessions
from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.recordings.store import write_recording
from worlds import poisson_recording


@pytest.fixture
def run(tmp_path):
    """A run folder with its records, of three recordings, one of them held out."""
    for index in range(3):
        recording = poisson_recording(num_units=3, seed=index, name=f"r{index}")
        write_recording(recording, tmp_path / "data" / f"r{index}.h5")
    loaded = load_config(
        "nwb",
        [
            f"data.recordings={tmp_path / 'data'}",
            "data.hold_out={by: id, ids: [r1]}",
            "data.split.name=time",
            "window.context_s=1",
        ],
        folder=tmp_path / "runs" / "a",
    )
    folder = loaded.config.run.folder
    data = describe_data(open_sessions(loaded.config), folder)
    write_records(folder, loaded, data, command_line=["neurohorizon", "train"])
    return folder


def test_recordings_come_back_as_they_were_trained_on(run):
    sessions = open_run_sessions(load_run(run))
    assert [s.recording.id for s in sessions.training] == ["r0", "r2"]
    assert [s.recording.id for s in sessions.held_out] == ["r1"]
    again = open_sessions(load_run(run).config)
    for one, other in zip(sessions.training, again.training, strict=True):
        np.testing.assert_array_equal(
            one.recording.require_split().train, other.recording.require_split().train
        )


def test_a_run_and_its_recordings_can_be_moved_together_or_apart(run, tmp_path):
    shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}_moved")
    moved = tmp_path.parent / f"{tmp_path.name}_moved"
    sessions = open_run_sessions(load_run(moved / "runs" / "a"))
    assert sessions.training[0].path.is_relative_to(moved)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="are not there"):
        open_run_sessions(load_run(run))
    sessions = open_run_sessions(load_run(run), recordings=tmp_path / "elsewhere")
    assert len(sessions.training) == 2


def test_a_recording_that_changed_is_noticed(run, tmp_path):
    write_recording(poisson_recording(num_units=3, seed=9, name="r0"), tmp_path / "data" / "r0.h5")
    with pytest.raises(DataError, match=r"r0\.h5: has changed since"):
        open_run_sessions(load_run(run))
    open_run_sessions(load_run(run), verify=False)


def test_provenance_and_origin_are_kept(run):
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["command_line"] == ["neurohorizon", "train"]
    assert {"torch", "numpy", "torch_brain"} <= set(provenance["libraries"])
    assert len(provenance["data_sha256"]) == 64
    origin = json.loads((run / "origin.json").read_text())
    assert origin["window.context_s"] == "command line"
    assert load_run(run).config.window.context_s == 1


def test_a_commit_is_told_only_of_the_package_s_own_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "__file__", str(tmp_path / "records.py"))
    assert records._commit() is None


def test_how_far_a_run_is(run, tmp_path):
    assert run_state(tmp_path / "none") == "new"
    assert run_state(run) == "unfinished"
    (run / "training.json").write_text("{}")
    assert run_state(run) == "finished"
    with pytest.raises(ConfigError, match="holds files, but no run"):
        run_state(tmp_path)
    with pytest.raises(ConfigError, match="is a file"):
        run_state(run / "config.yaml")


def test_a_run_says_which_qualities_it_leaves_out(run, tmp_path):
    text = (run / "config.yaml").read_text()
    assert left_out_qualities(run) == ("unsorted",)
    (run / "config.yaml").write_text(text.replace("  - unsorted\n", "  - mua\n  - noise\n"))
    assert left_out_qualities(run) == ("mua", "noise")
    assert left_out_qualities(tmp_path / "model.safetensors") == ("unsorted",)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("config.yaml", "model: {colour: red}\n", "model.colour: Extra inputs"),
        ("data.json", "{}", "data.json is incomplete"),
        ("data.json", "{", "Expecting property name"),
        ("data.json", None, "data.json is missing"),
    ],
)
def test_damaged_records_are_refused(run, name, text, reason):
    if text is None:
        (run / name).unlink()
    else:
        (run / name).write_text(text)
    with pytest.raises(CheckpointError, match="damaged or of another version") as caught:
        load_run(run)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.yaml is missing"):
        load_run(tmp_path)


def test_hardware_makes_no_other_run():
    one = load_config("default").config
    other = load_config("default", ["training.num_workers=3", "run.folder=b"]).config
    assert first_difference(one, other) == ""
    slower = load_config("default", ["training.learning_rate=1e-5"]).config
    assert first_difference(one, slower) == "training.learning_rate is 0.003 here and 1e-05 there"
    without = load_config("default", ["evaluation.observer=null"]).config
    assert "evaluation.observer" in first_difference(one, without)
