"""``neurohorizon data ...`` as a user meets it: exit codes, lines, files."""

import json
import re
import shlex
from dataclasses import replace

import h5py
import numpy as np
import pytest
from PIL import Image

import nlb_world
from neurohorizon.cli.app import main
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.ops.files import checksum
from neurohorizon.recordings.schema import Recording, Series, Units
from neurohorizon.recordings.store import list_recordings, open_recording, write_recording
from neurohorizon.sources import catalogue, npz
from neurohorizon.sources.manifest import read_manifest
from neurohorizon.sources.source import RemoteFile, RemoteSession
from servers import FileServer, status


def write_npz(path, *, seed=0, **arrays):
    rng = np.random.default_rng(seed)
    trains = [np.cumsum(0.003 + rng.exponential(0.2, 800)) for _ in range(4)]
    times = np.concatenate([train[train < 120] for train in trains])
    units = np.repeat(np.arange(4), [np.sum(train < 120) for train in trains])
    order = np.argsort(times)
    defaults = {"spike_times": times[order], "unit_index": units[order], "subject": f"m{seed}"}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **(defaults | arrays))
    return path


@pytest.fixture
def prepared(tmp_path, capsys):
    write_npz(tmp_path / "in" / "a.npz")
    write_npz(tmp_path / "in" / "b.npz", seed=1)
    assert (
        main(["data", "prepare", "npz", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    )
    capsys.readouterr()
    return tmp_path / "out"


def test_list_and_card(capsys, only_error):
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    for name in ("retinal_waves", "ca1_maze", "nwb", "npz"):
        assert name in out
    assert main(["data", "card", "retinal_waves"]) == 0
    out = capsys.readouterr().out
    assert "GPL-2" in out
    assert "10.1186/2047-217X-3-3" in out
    assert "neurohorizon data fetch retinal_waves" in out
    assert re.search(r"^recordings +54$", out, re.M)
    assert main(["data", "card", "nothing"]) == 2
    assert "choose one of ibl, allen, " in only_error()


def test_prepare_says_what_it_made(tmp_path, capsys):
    write_npz(tmp_path / "in" / "a.npz", subject="m1")
    command = ["data", "prepare", "npz", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert "1 recordings (0 were there already), 0 files failed" in capsys.readouterr().out
    assert main(command) == 0
    assert "1 recordings (1 were there already)" in capsys.readouterr().out
    assert not open_recording(tmp_path / "out" / "a.h5").require_split().interleaved
    assert main([*command, "--split", "interleaved"]) == 0
    assert open_recording(tmp_path / "out" / "a.h5").require_split().interleaved
    assert read_manifest(tmp_path / "out")["split"]["kind"] == "interleaved"


def test_prepare_splits_by_a_table(tmp_path, capsys, only_error):
    pytest.importorskip("pynwb")
    nlb_world.write_nlb(tmp_path / "in", "mc_maze_small")
    nlb_world.write_nlb(tmp_path / "in", "mc_maze_small", "test")
    out = tmp_path / "out"
    command = ["data", "prepare", "nlb", str(tmp_path / "in"), "--out", str(out)]
    assert main([*command, "--split", "trials.split_indicator", "--guard-s", "0.5"]) == 0
    printed = capsys.readouterr().out
    assert "mc_maze_small_test, split: the train domain is empty" in printed
    split = open_recording(out / "mc_maze_small_train.h5").require_split()
    assert split.interleaved
    assert len(split.train)
    assert len(split.valid)
    test = open_recording(out / "mc_maze_small_test.h5").require_split()
    assert len(test.test)
    assert not len(test.train)
    assert main([*command, "--split", "random"]) == 2
    assert "choose time or interleaved, or name a table" in only_error()
    fetch = ["data", "fetch", "nlb", "--split", "random", "--out", str(out)]
    assert main(fetch) == 2  # before the archive is asked for anything
    assert "choose time or interleaved, or name a table" in only_error()


def test_prepare_ends_with_the_command_that_comes_next(tmp_path, capsys):
    write_npz(tmp_path / "in" / "a.npz")
    out = tmp_path / "my recordings"
    assert main(["data", "prepare", "npz", str(tmp_path / "in"), "--out", str(out)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    program, *words = shlex.split(last.removeprefix("next: "))
    assert program == "neurohorizon"
    assert words == ["train", "nwb", f"data.recordings={out}"]
    assert main([*words, "--dry-run", "--out", str(tmp_path / "run")]) == 0
    assert "1 to train on, 0 held out" in capsys.readouterr().out


def test_guard_reaches_the_split(tmp_path):
    path = write_npz(tmp_path / "a.npz")
    command = ["data", "prepare", "npz", str(path), "--out", str(tmp_path / "out")]
    assert main([*command, "--guard-s", "4"]) == 0
    split = open_recording(tmp_path / "out" / "a.h5").require_split()
    assert split.valid[0, 0] - split.train[-1, 1] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"spike_times": np.array([3.0, 1.0]), "unit_index": np.array([0, 1])}, "not sorted"),
        ({"spike_times": np.array([1.0, np.nan]), "unit_index": np.array([0, 1])}, "not finite"),
        ({"spike_times": np.array([-1.0, 1.0]), "unit_index": np.array([0, 1])}, "before 0"),
        ({"num_units": 3}, "unit indices run from 0 to 3, expected 0 to 2"),
        ({"spike_times": np.empty(0), "unit_index": np.empty(0, int)}, "empty recording"),
        ({"spike_times": np.ones(1), "unit_index": np.ones(1, int)}, "only one spike"),
        ({"spike_times": np.array([object()])}, "pickled objects"),
    ],
)
def test_bad_input_gives_one_line_and_leaves_nothing(tmp_path, only_error, arrays, reason):
    path = write_npz(tmp_path / "in" / "bad.npz", **arrays)
    code = main(["data", "prepare", "npz", str(path), "--out", str(tmp_path / "out")])
    assert code == 2
    line = only_error()
    assert reason in line
    assert "bad.npz" in line
    assert not (tmp_path / "out").exists()


def test_missing_input(tmp_path, only_error):
    assert main(["data", "prepare", "nwb", str(tmp_path / "x"), "--out", str(tmp_path / "o")]) == 2
    assert "no such file or folder" in only_error()
    assert main(["data", "prepare", "npz", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "nothing here that npz can be made of" in only_error()


def test_validate_good_recordings(prepared, capsys):
    assert main(["data", "validate", str(prepared)]) == 0
    assert "note: a: missing metadata: area, position, species" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["truncated", "foreign", "text", "unsorted"])
def test_validate_names_what_is_broken(prepared, capsys, damage, only_error):
    path = prepared / "a.h5"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif damage == "text":
        path.write_text("spikes")
    else:
        with h5py.File(path, "r+" if damage == "unsorted" else "w") as file:
            if damage == "unsorted":
                file["spikes/timestamps"][...] = file["spikes/timestamps"][:][::-1]
            else:
                file["weather"] = np.zeros(3)
    assert main(["data", "validate", str(prepared)]) == 2
    out = capsys.readouterr().out
    reason = {
        "truncated": "truncated HDF5 file",
        "foreign": "no spikes",
        "text": "not an HDF5 file",
        "unsorted": "spike times are not sorted",
    }[damage]
    errors = [line for line in out.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert reason in errors[0]
    assert "note: b:" in out
    assert main(["data", "show", str(path)]) == 2
    assert reason in only_error()
    assert not path.with_suffix(".png").exists()


def test_validate_missing_path(tmp_path, only_error):
    assert main(["data", "validate", str(tmp_path / "x")]) == 2
    assert "no such file or folder" in only_error()
    assert main(["data", "validate", str(tmp_path)]) == 2
    assert "holds no recordings" in only_error()


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_show(prepared, tmp_path, capsys, suffix):
    figure = tmp_path / f"card.{suffix}"
    assert main(["data", "show", str(prepared / "a.h5"), "--out", str(figure)]) == 0
    assert capsys.readouterr().out.strip() == str(figure)
    assert figure.stat().st_size > 10_000


def test_show_names_the_formats(prepared, tmp_path, only_error):
    code = main(["data", "show", str(prepared / "a.h5"), "--out", str(tmp_path / "card.bmp")])
    assert code == 2
    assert "written as .png or .svg" in only_error()


def test_fetch_a_format(tmp_path, only_error):
    assert main(["data", "fetch", "npz", "--out", str(tmp_path / "x")]) == 2
    assert "npz: nothing that can be downloaded from here" in only_error()


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A public data set of two sessions on a server of this machine, the second one lost."""
    with FileServer() as server:
        for seed, name in enumerate("ab"):
            path = write_npz(tmp_path / "server" / f"{name}.npz", seed=seed)
            server.files[f"/{name}.npz"] = path.read_bytes()

        def list_sessions(folder):
            return [
                RemoteSession(
                    name, len(content), (RemoteFile(name, server.url(f"/{name}"), len(content)),)
                )
                for name, content in ((path[1:], held) for path, held in server.files.items())
            ]

        source = replace(npz.SOURCE, name="toy", list_sessions=list_sessions, licence="none")
        monkeypatch.setattr(catalogue, "DATA_SETS", (source,))
        monkeypatch.setenv("NEUROHORIZON_CACHE", str(tmp_path / "cache"))
        yield server


def test_fetch_ends_with_recordings(toy, tmp_path, capsys, only_error):
    out = tmp_path / "out"
    assert main(["data", "fetch", "toy", "--out", str(out), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^a.npz +0.0 MB$", said, re.M)
    assert "2 sessions, 2 to download: 0.1 MB, into" in said
    assert not out.exists()
    assert not toy.requests
    toy.tricks["/b.npz"] = [status(404)]
    assert main(["data", "fetch", "toy", "--out", str(out)]) == 2
    assert "b.npz: not there (the server answers 404)" in only_error()
    assert [path.name for path in list_recordings(out)] == ["a.h5"]
    # Given again, it does what is missing.
    assert main(["data", "fetch", "toy", "--out", str(out)]) == 0
    assert [path.name for path in list_recordings(out)] == ["a.h5", "b.h5"]
    assert [path for path, _ in toy.requests] == ["/a.npz", "/b.npz", "/b.npz"]
    assert read_manifest(out)["source"]["licence"] == "none"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["toy", "--max-gb", "1e-6"], "more than --max-gb 1e-06"),
        (["toy", "--sessions", "c.npz"], "no session 'c.npz': did you mean"),
        (["toy", "label=1"], "this source has no settings"),
        (["toys"], "unknown source 'toys'"),
    ],
)
def test_fetch_refuses_before_it_downloads(toy, tmp_path, only_error, words, reason):
    assert main(["data", "fetch", *words, "--out", str(tmp_path / "out")]) == 2
    assert reason in only_error()
    assert not toy.requests
    assert not (tmp_path / "out").exists()


def test_a_folder_and_its_features_at_a_glance(prepared, tmp_path, capsys, only_error):
    assert main(["data", "show", str(prepared), "--out", str(tmp_path / "page.svg")]) == 0
    assert "2 recordings of 2 subjects" in (tmp_path / "page.svg").read_text()
    report = tmp_path / "findings.json"
    assert main(["data", "validate", str(prepared), "--out", str(report)]) == 0
    assert json.loads(report.read_text())["units"] == 8
    statistics = tmp_path / "statistics.json"
    words = ["features", str(prepared), "--reference-s", "30"]
    assert main([*words, "--statistics", str(statistics), "--leave-out", "b"]) == 0
    assert list(json.loads(statistics.read_text())["recordings"]) == ["a"]
    capsys.readouterr()
    assert main([*words, "--statistics", str(statistics), "--leave-out", "c"]) == 2
    assert "--leave-out c: no recording of this id" in only_error()
    assert main([*words, "--statistics", str(statistics), "--out", str(tmp_path / "x.csv")]) == 2
    assert "give one of them a call" in only_error()
    assert not (tmp_path / "x.csv").exists()


def test_features_of_another_length_keep_what_is_done(prepared, capsys):
    """Rewritten files are still those that `data prepare` made."""
    before = open_recording(prepared / "a.h5")
    assert main(["features", str(prepared), "--reference-s", "20", "--store"]) == 0
    after = open_recording(prepared / "a.h5")
    assert before.metadata["reference_features_s"] != after.metadata["reference_features_s"] == "20"
    np.testing.assert_array_equal(before.spike_times, after.spike_times)
    for entry in read_manifest(prepared)["recordings"]:
        assert entry["sha256"] == checksum(prepared / entry["file"])


def test_signals_are_shown(tmp_path, capsys):
    times = np.arange(900) / 30
    units = Units.numbered(3)
    recording = Recording(
        id="calcium",
        subject="mouse",
        source="tests",
        spike_times=np.empty(0),
        spike_unit_index=np.empty(0, dtype=np.int64),
        units=units,
        domain=np.array([[0.0, 30.0]]),
        signals={"dff": Series(times, np.random.default_rng(0).normal(size=(900, 3)))},
    )
    path = write_recording(recording, tmp_path / "a.h5")
    assert main(["data", "show", str(path)]) == 0
    assert path.with_suffix(".png").is_file()
    assert main(["data", "validate", str(path)]) == 0
    assert "no spikes" not in capsys.readouterr().out


def test_embed_a_folder_of_pictures(tmp_path, capsys, only_error):
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{number}.png")
    words = ["data", "embed", str(folder), "--encoder", "layout", "--out", str(tmp_path / "bank")]
    assert main(words) == 0
    assert "3 pictures, 1056 numbers each, by layout" in capsys.readouterr().out
    assert len(EmbeddingBank.load(tmp_path / "bank")) == 3
    (folder / "3.png").write_bytes(b"no picture")
    assert main(words) == 2
    assert "3.png: cannot be decoded as a picture" in only_error()
    assert len(EmbeddingBank.load(tmp_path / "bank")) == 3
