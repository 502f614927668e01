"""``neurohorizon data embed ... --attach`` as a user meets it: files, manifest, lines, codes."""

import errno
import hashlib
import os
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from neurohorizon.cli.app import main
from neurohorizon.imaging.attach import attach
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.pictures import FramePictures
from neurohorizon.recordings.responses_store import open_responses, write_responses
from neurohorizon.recordings.schema import Table
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.sources.manifest import read_manifest
from worlds import poisson_recording

MOVIE = np.random.default_rng(0).integers(0, 256, (12, 24, 32), dtype=np.uint8)
SHOWN = np.array([*range(12), *range(12), -1])


def scenes(frame=SHOWN):
    start = 2.0 + 0.5 * np.arange(len(frame))
    return Table(start, start + 0.5, {"frame": np.asarray(frame)})


def write_session(path, name, **tables):
    recording = replace(poisson_recording(name=name), tables=tables)
    return write_recording(recording, path / f"{name}.h5")


@pytest.fixture
def movie(tmp_path):
    np.save(tmp_path / "movie.npy", MOVIE)
    return tmp_path / "movie.npy"


@pytest.fixture
def prepared(tmp_path, capsys):
    """Return a prepared folder with a manifest; its recordings have a table of scenes."""
    pytest.importorskip("pynwb")
    import allen_world

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allen_world, "NUM_FRAMES", 12)
        allen_world.write_session(tmp_path / "in" / "a.nwb", eye=False)
    command = ["data", "prepare", "allen", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    capsys.readouterr()
    return tmp_path / "out", command


@pytest.fixture
def embed(tmp_path, movie):
    def run(recordings, *words, encoder="layout", out="bank", pictures=movie):
        command = ["data", "embed", str(pictures), "--encoder", encoder]
        return main([*command, "--out", str(tmp_path / out), "--attach", str(recordings), *words])

    return run


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_prepared_folder_keeps_its_manifest_true(prepared, embed, tmp_path, capsys):
    folder, prepare = prepared
    table = "natural_movie_one_presentations"
    (file,) = folder.glob("*.h5")
    before = open_recording(file)
    assert embed(folder, "--table", table) == 0
    assert f"{file}: bank attached: 12 pictures in 36 presentations of {table}" in (
        capsys.readouterr().out
    )
    bank, hashes = EmbeddingBank.load(tmp_path / "bank"), FramePictures(MOVIE).hashes()
    shown = open_recording(file).embeddings["bank"]
    frame = before.tables[table].columns["frame"]
    np.testing.assert_array_equal(
        shown.vectors[shown.row], bank.select([hashes[int(each)] for each in frame])
    )
    # Just what writing the recording from Python makes.
    attached = attach(before, bank, hashes, name="bank", table=table)
    assert write_recording(attached, tmp_path / "same.h5").read_bytes() == file.read_bytes()
    (entry,) = read_manifest(folder)["recordings"]
    assert entry["num_bytes"] == file.stat().st_size
    assert entry["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()

    after = content(folder)
    assert embed(folder, "--table", table) == 0
    assert "was there already" in capsys.readouterr().out
    assert main(prepare) == 0
    assert "1 were there already" in capsys.readouterr().out
    assert content(folder) == after
    assert main(["data", "validate", str(file)]) == 0


def test_a_manifest_that_an_interruption_left_behind_is_mended(prepared, embed):
    folder, _ = prepared
    manifest = (folder / "manifest.json").read_bytes()
    assert embed(folder, "--table", "natural_movie_one_presentations") == 0
    after = content(folder)
    (folder / "manifest.json").write_bytes(manifest)
    assert embed(folder, "--table", "natural_movie_one_presentations") == 0
    assert content(folder) == after


def test_several_tables_have_to_be_chosen_from(prepared, embed, only_error):
    folder, _ = prepared
    before = content(folder)
    assert embed(folder) == 2
    line = only_error()
    assert "2 tables have a column 'frame'; choose one with --table: " in line
    assert "natural_movie_one_presentations, natural_scenes_presentations" in line
    assert content(folder) == before
    # Scenes up to 18 in a set of 12.
    assert embed(folder, "--table", "natural_scenes_presentations") == 2
    assert "picture 18 was shown, but the set has 12 (0 to 11)" in only_error()
    assert content(folder) == before


def test_a_recording_without_the_table_is_told_and_skipped(embed, tmp_path, capsys, only_error):
    folder = tmp_path / "sessions"
    write_session(folder, "a", scenes=scenes())
    other = write_session(folder, "b", trials=Table(np.array([1.0]), np.array([2.0])))
    untouched = other.read_bytes()
    assert embed(folder, "--name", "layout") == 0
    out = capsys.readouterr().out
    assert f"{other}: left out: no table has a column 'frame'" in out.splitlines()
    assert other.read_bytes() == untouched
    assert set(open_recording(folder / "a.h5").embeddings) == {"layout"}
    assert not (folder / "manifest.json").exists()
    assert embed(other) == 2
    assert "nothing to attach to: no table has a column 'frame'" in only_error()
    assert embed(folder, "--table", "movie") == 2
    assert "no table 'movie' with a column 'frame'; tables that have it: scenes" in only_error()
    assert embed(tmp_path / "nowhere") == 2
    assert "no such file or folder" in only_error()


def test_another_encoder_needs_another_name_or_replace(embed, tmp_path, only_error):
    file = write_session(tmp_path / "sessions", "a", scenes=scenes(), more=scenes([0, 1]))
    assert embed(file, "--table", "scenes") == 0
    before = file.read_bytes()
    assert embed(file, "--table", "more") == 2
    assert "table scenes against more; give these another name, or replace" in only_error()
    assert file.read_bytes() == before
    assert embed(file, "--table", "more", "--name", "second") == 0
    assert set(open_recording(file).embeddings) == {"bank", "second"}
    assert embed(file, "--table", "more", "--replace") == 0
    assert open_recording(file).embeddings["bank"].table == "more"


def test_settings_without_attach_are_refused(movie, tmp_path, only_error):
    words = ["data", "embed", str(movie), "--encoder", "layout", "--out", str(tmp_path / "bank")]
    assert main([*words, "--table", "scenes"]) == 2
    assert "need --attach" in only_error()
    assert not (tmp_path / "bank.npz").exists()


@pytest.mark.parametrize("disk", ["refuses the name", "dies"])
def test_an_interrupted_write_leaves_the_old_file(embed, tmp_path, monkeypatch, capsys, disk):
    file = write_session(tmp_path / "sessions", "a", scenes=scenes())
    before = file.read_bytes()
    replace_file = os.replace

    def fail(source, target):
        if str(target).endswith("a.h5"):
            if disk == "dies":
                raise KeyboardInterrupt
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
        replace_file(source, target)

    monkeypatch.setattr("neurohorizon.ops.files.os.replace", fail)
    assert embed(file) != 0
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert ".part" not in err
    assert content(file.parent) == {"a.h5": before}
    monkeypatch.undo()
    assert embed(file) == 0
    assert "bank" in open_recording(file).embeddings


def test_what_another_program_stored_is_not_lost(embed, tmp_path, only_error):
    file = write_session(tmp_path / "sessions", "a", scenes=scenes())
    with h5py.File(file, "r+") as opened:
        opened["units/waveforms"] = np.zeros((6, 3, 4))
    before = file.read_bytes()
    assert embed(file) == 2
    assert "1 of its arrays would be lost (units/waveforms" in only_error()
    assert content(file.parent) == {"a.h5": before}


def test_a_damaged_recording_is_one_line_and_stops_before_anything(embed, tmp_path, only_error):
    folder = tmp_path / "sessions"
    file = write_session(folder, "a", scenes=scenes())
    shutil.copy(file, folder / "b.h5")
    os.truncate(folder / "b.h5", 3000)
    before = file.read_bytes()
    assert embed(folder) == 2
    assert "b.h5: truncated HDF5 file" in only_error()
    assert file.read_bytes() == before
    assert not (tmp_path / "bank.npz").exists()


def test_responses_are_joined_by_hash(embed, tmp_path, capsys, only_error):
    from neurohorizon.sources.tvsd import convert
    from tvsd_world import World, write_monkey, write_pictures

    world = World(num_train=6, num_test=2)
    pictures = write_pictures(tmp_path / "images", world)
    recording = convert(write_monkey(tmp_path / "monkeyF", world), images=str(pictures))
    file = write_responses(recording, tmp_path / "sessions" / "monkeyF.h5")
    assert embed(file, pictures=pictures) == 0
    assert "8 pictures in" in capsys.readouterr().out
    opened = open_responses(file)
    shown = opened.embeddings["bank"]
    np.testing.assert_array_equal(
        shown.hashes[shown.row], opened.images.sha256[opened.responses.image]
    )
    np.testing.assert_array_equal(
        opened.responses.values[:], recording.responses.values[: len(shown)]
    )
    before = file.read_bytes()
    assert embed(file, pictures=pictures) == 0
    assert file.read_bytes() == before
    assert embed(file, out="movie_bank") == 2
    assert "of 8 images that were shown, 0 have no known picture" in only_error()
    assert file.read_bytes() == before


def test_a_full_disk_leaves_the_old_file_and_names_it(embed, tmp_path, movie, only_error):
    resource = pytest.importorskip("resource")
    file = write_session(tmp_path / "sessions", "a", scenes=scenes())
    before = file.read_bytes()
    words = ["--encoder", "layout", "--out", str(tmp_path / "bank")]
    assert main(["data", "embed", str(movie), *words]) == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1000, hard))
    try:
        assert embed(file) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    line = only_error()
    assert f"{file}: could not be written" in line
    assert ".part" not in line
    assert content(file.parent) == {"a.h5": before}
