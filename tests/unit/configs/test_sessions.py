"""Which recordings a run reads: found, split, divided; and refused with their reason."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.configs.build import protocol
from neurohorizon.configs.load import load_config
from neurohorizon.configs.records import describe_data
from neurohorizon.configs.sessions import open_sessions, prepare_recording
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.recordings.store import write_recording
from worlds import poisson_recording


def config(folder, *overrides):
    files = ["data.name=files", f"data.recordings={folder}", "evaluation.observer=null"]
    return load_config("default", [*files, *overrides]).config


def ids(sessions):
    return [session.recording.id for session in sessions]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six recordings of four subjects in two laboratories."""
    folder = tmp_path_factory.mktemp("recordings")
    for index, (subject, laboratory) in enumerate(
        [("m1", "A"), ("m1", "A"), ("m2", "A"), ("m3", "B"), ("m4", "B"), ("m4", "B")]
    ):
        recording = poisson_recording(num_units=3, seed=index, name=f"r{index}")
        recording = replace(
            recording,
            subject=subject,
            source="other" if index == 5 else "mine",
            metadata={"laboratory": laboratory},
        )
        write_recording(recording, folder / f"r{index}.h5")
    return folder


def test_all_recordings_train_unless_something_is_held_out(folder):
    sessions = open_sessions(config(folder))
    assert ids(sessions.training) == [f"r{index}" for index in range(6)]
    assert sessions.held_out == ()
    one = open_sessions(config(folder / "r2.h5"))
    assert (ids(one.training), one.folder) == (["r2"], folder)


def test_recordings_of_several_folders_train_together(folder, tmp_path):
    for number in (7, 8):
        name = f"r{number}"
        write_recording(poisson_recording(num_units=3, name=name), tmp_path / "more" / f"{name}.h5")
    both = config(f"[{folder / 'r2.h5'},{tmp_path / 'more'}]", "data.hold_out={by: id, ids: [r8]}")
    sessions = open_sessions(both)
    assert ids(sessions.training) == ["r2", "r7"]
    assert ids(sessions.held_out) == ["r8"]
    assert all(session.path.is_relative_to(sessions.folder) for session in sessions.training)
    record = describe_data(sessions, tmp_path / "run")
    for entry, session in zip(record["training"], sessions.training, strict=True):
        assert (sessions.folder / entry["file"]).samefile(session.path)
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        open_sessions(config(f"[{folder},{tmp_path / 'nowhere'}]"))
    with pytest.raises(ConfigError, match=r"data\.recordings"):
        config("[]")


def test_units_of_a_quality_that_is_left_out_are_not_read(tmp_path):
    recording = poisson_recording(num_units=5, name="r0")
    quality = np.array(["good", "mua", "unsorted", "good", "mua"])
    write_recording(
        replace(recording, units=replace(recording.units, quality=quality)), tmp_path / "r0.h5"
    )
    for given, left in (
        ([], ["good", "mua", "good", "mua"]),
        (["data.left_out_qualities=[unsorted, mua]"], ["good", "good"]),
        (["data.left_out_qualities=[]"], quality.tolist()),
    ):
        settings = config(tmp_path, *given)
        (session,) = open_sessions(settings).training
        assert session.recording.units.quality.tolist() == left
        assert protocol(settings).left_out_qualities == settings.data.left_out_qualities


def test_recordings_are_held_out_by_id(folder):
    sessions = open_sessions(config(folder, "data.hold_out={by: id, ids: [r3, r1]}"))
    assert ids(sessions.held_out) == ["r1", "r3"]
    assert ids(sessions.training) == ["r0", "r2", "r4", "r5"]


def test_no_subject_is_on_both_sides_and_each_laboratory_is_on_one_of_them(folder):
    for seed in range(5):
        sessions = open_sessions(
            config(
                folder,
                "data.hold_out={by: subject, fraction: 0.4, stratify_by: laboratory}",
                f"data.hold_out.seed={seed}",
            )
        )
        subjects = [
            {session.recording.subject for session in side}
            for side in (sessions.training, sessions.held_out)
        ]
        assert not subjects[0] & subjects[1]
        assert {s.recording.metadata["laboratory"] for s in sessions.held_out} == {"A", "B"}


def test_a_source_and_single_recordings_are_chosen(folder):
    assert ids(open_sessions(config(folder, "data.source=other")).training) == ["r5"]
    assert "r1" not in ids(open_sessions(config(folder, "data.leave_out=[r1]")).training)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.source=nobody"], "the files hold mine, other"),
        (["data.leave_out=[r7]"], "data.leave_out: no recording is called r7: there are r0, r1"),
        (["data.hold_out={by: id, ids: [x]}"], "data.hold_out.ids: no recording is called x"),
        (["data.hold_out={by: id, ids: [r0, r1, r2, r3, r4, r5]}"], "names every recording"),
        (["data.hold_out={by: subject, stratify_by: lab}"], "no recording has such metadata"),
        (["window.context_s=100", "reference.shortest_s=200"], "shorter than one window"),
        (["data.split={name: time, fractions: [0.5, 0.1, 0.1]}"], "data.split: fractions are"),
    ],
)
def test_a_choice_that_cannot_be_met_is_refused(folder, overrides, words):
    with pytest.raises((ConfigError, DataError)) as caught:
        open_sessions(config(folder, *overrides))
    assert words in str(caught.value)


def test_a_missing_folder_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError, match="neurohorizon data prepare retinal_waves PATH --out"):
        open_sessions(config(tmp_path / "none", "data.source=retinal_waves"))


def test_unknown_subjects_cannot_be_held_out(tmp_path):
    recording = replace(poisson_recording(), subject="unknown")
    write_recording(recording, tmp_path / "a.h5")
    with pytest.raises(DataError, match=r"data\.hold_out\.by=recording"):
        open_sessions(config(tmp_path, "data.hold_out.by=subject"))


def test_two_files_of_one_recording_are_refused(tmp_path):
    for name in ("a", "b"):
        write_recording(poisson_recording(), tmp_path / f"{name}.h5")
    with pytest.raises(DataError, match=r"b.h5: holds a recording called poisson, as .*a.h5 does"):
        open_sessions(config(tmp_path))


def test_the_configured_split_replaces_the_stored_one(folder):
    for rule in ("{name: time, fractions: [0.5, 0.2, 0.3]}", "{name: interleaved, block_s: 5}"):
        (session, *_) = open_sessions(config(folder, f"data.split={rule}")).training
        split = session.recording.require_split()
        assert split.interleaved == ("interleaved" in rule)
        assert split.train[0, 1] < 32.0


def test_the_guard_grows_with_the_window(folder):
    wide = config(folder, "data.split.name=time", "window.context_s=2")
    split = open_sessions(wide).training[0].recording.require_split()
    assert split.valid[0, 0] - split.train[-1, 1] == pytest.approx(3.0)
    with pytest.raises(DataError, match=r"split leaks.*or let the run split anew"):
        open_sessions(config(folder, "window.context_s=2"))


def test_recordings_that_are_too_small_are_refused(folder, tmp_path):
    settings = config(folder)
    one_unit = poisson_recording(num_units=1)
    empty = replace(one_unit, spike_times=np.empty(0), spike_unit_index=np.empty(0, np.int64))
    short = replace(poisson_recording(), domain=np.array([[0.0, 1.2]]))
    unsplit = replace(poisson_recording(), split=None)
    for recording, words in (
        (one_unit, "1 unit and"),
        (empty, "1 unit and 0 spikes"),
        (short, r"1\.2 s recorded are shorter than one window"),
        (unsplit, r"holds no split: set data\.split\.name=time"),
    ):
        with pytest.raises(DataError, match=words):
            prepare_recording(recording, settings, path=tmp_path / "a.h5")


def test_held_out_sessions_of_a_world_do_not_depend_on_the_training_sessions(tmp_path):
    small = [
        "data.minutes=0.8",
        "data.units=[3, 4]",
        "data.num_held_out=1",
        f"data.folder={tmp_path}",
    ]
    found = [
        open_sessions(load_config("default", [*small, f"data.num_sessions={n}"]).config)
        for n in (1, 2)
    ]
    assert found[0].folder == found[1].folder
    assert found[0].held_out[0].path == found[1].held_out[0].path
    assert ids(found[1].training)[:1] == ids(found[0].training)
    split = split_in_time(np.array([[0.0, 48.0]]))
    np.testing.assert_array_equal(found[0].training[0].recording.require_split().test, split.test)
