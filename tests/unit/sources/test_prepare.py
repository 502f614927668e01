import errno
import hashlib
import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from torch_brain.data import Data

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.feature_table import stretch_features
from neurohorizon.recordings.schema import Table
from neurohorizon.recordings.store import list_recordings, open_recording
from neurohorizon.sources import npz
from neurohorizon.sources.lock import LOCK
from neurohorizon.sources.manifest import read_manifest
from neurohorizon.sources.prepare import REFERENCE_S, prepare
from neurohorizon.sources.split_plan import SplitPlan


def write(path, *, seed=0, **arrays):
    rng = np.random.default_rng(seed)
    defaults = {
        "spike_times": np.sort(rng.uniform(0, 100, 500)),
        "unit_index": rng.integers(0, 4, 500),
        "subject": f"mouse{seed}",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **(defaults | arrays))
    return path


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        write(tmp_path / "in" / f"s{seed}.npz", seed=seed)
    return tmp_path / "in"


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_recordings_and_manifest(folder, tmp_path):
    steps = []
    result = prepare(
        npz.SOURCE, folder, tmp_path / "out", progress=lambda *step: steps.append(step)
    )
    assert [path.name for path in result.written] == ["s0.h5", "s1.h5", "s2.h5"]
    assert not result.failed
    assert steps[0] == (0, 3, "s0.npz")
    assert steps[-1] == (3, 3, "")
    manifest = read_manifest(tmp_path / "out")
    assert manifest["groups"] == {"mouse0": ["s0"], "mouse1": ["s1"], "mouse2": ["s2"]}
    for entry, path in zip(manifest["recordings"], list_recordings(tmp_path / "out"), strict=True):
        recording = open_recording(path)
        assert entry["id"] == recording.id
        assert entry["num_spikes"] == len(recording.spike_times)
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert recording.require_split().train[0].tolist() == [0.0, 58.2]
        features, read_s = stretch_features(recording, reference_s=REFERENCE_S)
        np.testing.assert_array_equal(recording.units.columns["reference_features"], features)
        assert recording.metadata["reference_features_s"] == f"{read_s:g}"


def test_second_run_skips_and_changes_nothing(folder, tmp_path):
    out = tmp_path / "out"
    prepare(npz.SOURCE, folder, out)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()}
    again = prepare(npz.SOURCE, folder, out)
    assert len(again.skipped) == 3
    assert not again.written
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.iterdir()} == before


def test_changed_input_changed_split_and_lost_file_are_made_again(folder, tmp_path):
    out = tmp_path / "out"
    prepare(npz.SOURCE, folder, out)
    write(folder / "s1.npz", seed=7)
    (out / "s2.h5").unlink()
    result = prepare(npz.SOURCE, folder, out)
    assert [path.name for path in result.written] == ["s1.h5", "s2.h5"]
    assert read_manifest(out)["groups"] == {"mouse0": ["s0"], "mouse7": ["s1"], "mouse2": ["s2"]}
    result = prepare(npz.SOURCE, folder, out, split=SplitPlan("interleaved", block_s=5.0))
    assert len(result.written) == 3
    assert open_recording(out / "s0.h5").require_split().interleaved


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"spike_times": np.linspace(100, 0, 500)}, "not sorted"),
        ({"spike_times": np.full(500, np.nan)}, "not finite"),
        ({"spike_times": np.linspace(-5, 100, 500)}, "before 0"),
        ({"num_units": 2}, "expected 0 to 1"),
        ({"spike_times": np.empty(0), "unit_index": np.empty(0, int), "num_units": 2}, "empty"),
        (
            {"spike_times": np.ones(1), "unit_index": np.ones(1, int), "num_units": 2},
            "only one spike",
        ),
        ({"spike_times": np.linspace(0, 1, 500)}, "too short to split"),
        ({"subject": np.array([None])}, "pickled objects"),
    ],
)
def test_bad_file_gives_one_line_and_stops_nothing_else(folder, tmp_path, arrays, reason):
    bad = write(folder / "bad.npz", **arrays)
    result = prepare(npz.SOURCE, folder, tmp_path / "out")
    assert len(result.written) == 3
    (line,) = result.failed.values()
    assert reason in line
    assert "\n" not in line
    assert list(result.failed) == [str(bad)]
    assert names(tmp_path / "out") == ["manifest.json", "s0.h5", "s1.h5", "s2.h5"]


def test_only_bad_files_leave_nothing(tmp_path):
    write(tmp_path / "in" / "bad.npz", spike_times=np.linspace(100, 0, 500))
    result = prepare(npz.SOURCE, tmp_path / "in", tmp_path / "out")
    assert len(result.failed) == 1
    assert not (tmp_path / "out").exists()


def test_two_files_for_one_recording(tmp_path):
    for day in ("day1", "day2"):
        write(tmp_path / "in" / day / "s.npz", seed=len(day))
    result = prepare(npz.SOURCE, tmp_path / "in", tmp_path / "out")
    assert len(result.written) == 1
    assert "becomes s.h5, as" in next(iter(result.failed.values()))
    again = prepare(npz.SOURCE, tmp_path / "in", tmp_path / "out")
    assert len(again.skipped) == 1
    assert len(again.failed) == 1


def test_full_disk_leaves_what_was_whole(folder, tmp_path, monkeypatch):
    prepare(npz.SOURCE, folder / "s0.npz", tmp_path / "out")

    def full(self, file, **_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Data, "to_hdf5", full)
    result = prepare(npz.SOURCE, folder, tmp_path / "out")
    assert all("No space left on device" in line for line in result.failed.values())
    assert names(tmp_path / "out") == ["manifest.json", "s0.h5"]


def test_interrupted_run_goes_on(folder, tmp_path):
    def interrupt(done, total, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(npz.SOURCE, folder, tmp_path / "out", progress=interrupt)
    result = prepare(npz.SOURCE, folder, tmp_path / "out")
    assert len(result.skipped) == 2
    assert len(result.written) == 1


def test_nothing_to_prepare(tmp_path):
    with pytest.raises(DataError, match="nothing here that npz can be made of"):
        prepare(npz.SOURCE, tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="no such file or folder"):
        prepare(npz.SOURCE, tmp_path / "none", tmp_path / "out")


def test_output_inside_the_input_is_not_input(folder):
    prepare(npz.SOURCE, folder, folder / "out")
    write(folder / "out" / "stray.npz")
    assert len(prepare(npz.SOURCE, folder, folder / "out").skipped) == 3


def test_folder_of_another_source(folder, tmp_path):
    prepare(npz.SOURCE, folder, tmp_path / "out")
    with pytest.raises(DataError, match="holds recordings of npz; choose another --out"):
        prepare(replace(npz.SOURCE, name="other"), folder, tmp_path / "out")


def test_damaged_manifest(folder, tmp_path):
    with pytest.raises(DataError, match="no manifest"):
        read_manifest(tmp_path)
    prepare(npz.SOURCE, folder, tmp_path / "out")
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text()[:50])
    with pytest.raises(DataError, match="damaged manifest"):
        prepare(npz.SOURCE, folder, tmp_path / "out")
    manifest.write_text(json.dumps([]))
    with pytest.raises(DataError, match="damaged manifest"):
        read_manifest(tmp_path / "out")


@pytest.mark.parametrize("kind", ["random", "trials.", ".part", ""])
def test_unknown_split(kind):
    with pytest.raises(ConfigError, match=r"choose time or interleaved, or name a table"):
        SplitPlan(kind)


def convert_with_blocks(path):
    recording = npz.convert(path)
    start = np.arange(0.0, 100.0, 10.0)
    part = np.array(["train", "train", "val", "train", "test"] * 2)
    blocks = Table(start, start + 10.0, {"part": part})
    return replace(recording, tables={"task.blocks": blocks})


def test_split_by_a_table(folder, tmp_path):
    source = replace(npz.SOURCE, convert=convert_with_blocks)
    out = tmp_path / "out"
    made = prepare(source, folder, out, split=SplitPlan("task.blocks.part", guard_s=2.0))
    assert not made.failed
    split = open_recording(made.written[0]).require_split()
    assert split.test.tolist() == [[40.0, 50.0], [90.0, 100.0]]
    assert split.train.tolist() == [[0.0, 18.0], [32.0, 38.0], [52.0, 68.0], [82.0, 88.0]]
    assert split.interleaved
    assert read_manifest(out)["split"]["kind"] == "task.blocks.part"
    # The column and the guard are part of what was done.
    again = prepare(source, folder, out, split=SplitPlan("task.blocks.part", guard_s=2.0))
    assert len(again.skipped) == 3
    changed = prepare(source, folder, out, split=SplitPlan("task.blocks.part", guard_s=0.0))
    assert len(changed.written) == 3


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (SplitPlan("trials.part"), "no table 'trials' to split by; tables here: task.blocks"),
        (SplitPlan("task.blocks.kind"), "table 'task.blocks': no column 'kind' to split by"),
        (SplitPlan("task.blocks.part", guard_s=20.0), "nothing is left of valid after the guard"),
    ],
)
def test_a_table_that_cannot_split_is_told_in_one_line(folder, tmp_path, plan, reason):
    source = replace(npz.SOURCE, convert=convert_with_blocks)
    made = prepare(source, folder / "s0.npz", tmp_path / "out", split=plan)
    (line,) = made.failed.values()
    assert reason in line
    assert line.startswith(str(folder / "s0.npz"))
    assert "\n" not in line
    assert not (tmp_path / "out").exists()


def test_workers_give_the_same_as_one_process(folder, tmp_path):
    write(folder / "bad.npz", spike_times=np.linspace(100, 0, 500))
    alone = prepare(npz.SOURCE, folder, tmp_path / "alone")
    steps = []
    many = prepare(
        npz.SOURCE,
        folder,
        tmp_path / "many",
        num_workers=3,
        progress=lambda *step: steps.append(step),
    )
    assert [path.name for path in many.written] == [path.name for path in alone.written]
    assert many.failed == alone.failed
    assert many.findings == alone.findings
    assert names(many.folder) == names(alone.folder)
    for path in many.folder.iterdir():
        assert path.read_bytes() == (alone.folder / path.name).read_bytes()
    assert [done for done, _, _ in steps] == [0, 1, 2, 3, 4]


def test_the_first_of_two_for_one_name_keeps_it_whoever_is_faster(tmp_path):
    # The first takes longer: its file is large.
    rng = np.random.default_rng(0)
    first = write(
        tmp_path / "in" / "day1" / "s.npz",
        spike_times=np.sort(rng.uniform(0, 1000, 3_000_000)),
        unit_index=rng.integers(0, 4, 3_000_000),
    )
    second = write(tmp_path / "in" / "day2" / "s.npz", seed=1)
    result = prepare(npz.SOURCE, tmp_path / "in", tmp_path / "out", num_workers=2)
    assert result.failed == {str(second): f"{second}: becomes s.h5, as {first} did; rename one"}
    assert open_recording(tmp_path / "out" / "s.h5").subject == "mouse0"
    (entry,) = read_manifest(tmp_path / "out")["recordings"]
    assert entry["num_spikes"] == 3_000_000
    assert names(tmp_path / "out") == ["manifest.json", "s.h5"]


def test_a_killed_run_leaves_nothing_half_and_goes_on(folder, tmp_path):
    for seed in range(3, 8):
        write(folder / f"s{seed}.npz", seed=seed)
    code = (
        "import os, signal, sys\n"
        "from neurohorizon.sources import npz\n"
        "from neurohorizon.sources.prepare import prepare\n"
        "def kill(done, total, name):\n"
        "    if done == 4: os.killpg(os.getpgrp(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    prepare(npz.SOURCE, sys.argv[1], sys.argv[2], num_workers=2, progress=kill)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    out = tmp_path / "out"
    killed = subprocess.run(
        [sys.executable, script, folder, out], start_new_session=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    whole = [path for path in out.glob("*.h5") if not path.name.startswith(".")]
    assert len(whole) >= 4
    for path in whole:
        open_recording(path)
    (out / ".s9.0123abcd.part.h5").write_bytes(b"left behind")
    result = prepare(npz.SOURCE, folder, out)
    assert len(result.skipped) == 4
    assert len(result.written) == 4
    assert names(out) == ["manifest.json", *[f"s{seed}.h5" for seed in range(8)]]


def test_one_at_a_time_in_a_folder(folder, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out"
    out.mkdir()
    with (out / LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="somebody else is writing recordings there"):
            prepare(npz.SOURCE, folder, out)
    assert len(prepare(npz.SOURCE, folder, out).written) == 3


def test_settings_are_part_of_what_was_done(folder, tmp_path):
    source = replace(npz.SOURCE, convert=convert_late)
    assert len(prepare(source, folder, tmp_path / "out").written) == 3
    assert len(prepare(source, folder, tmp_path / "out").skipped) == 3
    late = prepare(source, folder, tmp_path / "out", settings={"shift_s": 1.0})
    assert len(late.written) == 3
    assert read_manifest(tmp_path / "out")["settings"] == {"shift_s": 1.0}
    assert open_recording(late.written[0]).spike_times[0] > 1.0


def convert_late(path, *, shift_s=0.0):
    recording = npz.convert(path)
    times, domain = recording.spike_times + shift_s, recording.domain + shift_s
    return replace(recording, spike_times=times, domain=domain)


def test_what_no_reader_foresaw_stops_nothing_else(folder, tmp_path):
    source = replace(npz.SOURCE, convert=stumble)
    result = prepare(source, folder, tmp_path / "out")
    assert [path.name for path in result.written] == ["s0.h5", "s2.h5"]
    (line,) = result.failed.values()
    assert "s1.npz: cannot be converted (KeyError: 'gone', in test_prepare.py, line" in line
    assert "please report" in line


def stumble(path):
    if path.stem == "s1":
        raise KeyError("gone")
    return npz.convert(path)
