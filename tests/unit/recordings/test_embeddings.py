"""What was shown, as embeddings: in memory, in a file, to torch_brain, to validation."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from torch_brain.data import Data

from neurohorizon.errors import DataError
from neurohorizon.recordings.embeddings import ShownImages, shown_problem
from neurohorizon.recordings.schema import Table
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.survey import survey
from neurohorizon.recordings.validate import validate_recording
from worlds import poisson_recording


def make_shown(*, num_presentations=40, num_pictures=6, dimensions=5, seed=0):
    rng = np.random.default_rng(seed)
    start = 2.0 + np.arange(num_presentations)
    return ShownImages(
        table="scenes",
        start=start,
        end=start + 0.25,
        row=rng.integers(-1, num_pictures, num_presentations),
        vectors=rng.normal(size=(num_pictures, dimensions)).astype(np.float32),
        hashes=np.array([f"{number:064x}" for number in range(num_pictures)]),
        fingerprint='{"encoder": "layout"}',
    )


def make_recording(**embeddings):
    rows = np.array([1.0, 5.0])
    recording = poisson_recording()
    return replace(
        recording,
        tables={"trials": Table(rows, rows + 1, {"kind": np.array(["go", "stop"])})},
        embeddings=embeddings,
    )


def test_between_gives_what_came_on_and_no_blank():
    shown = replace(
        make_shown(num_presentations=4),
        start=np.array([1.0, 2.0, 3.0, 4.0]),
        end=np.array([2.0, 3.0, 4.0, 5.0]),
        row=np.array([5, -1, 0, 5]),
    )
    onsets, vectors = shown.between(1.0, 4.0)
    assert onsets.tolist() == [1.0, 3.0]
    np.testing.assert_array_equal(vectors, shown.vectors[[5, 0]])
    onsets, vectors = shown.between(1.5, 2.5)
    assert onsets.shape == (0,)
    assert vectors.shape == (0, 5)


def test_what_is_written_comes_back_exactly(tmp_path):
    recording = make_recording(layout=make_shown(), clip=make_shown(dimensions=3, seed=1))
    opened = open_recording(write_recording(recording, tmp_path / "a.h5"))
    assert set(opened.embeddings) == {"layout", "clip"}
    for name, shown in opened.embeddings.items():
        assert shown.equals(recording.embeddings[name])
        assert isinstance(shown.vectors, np.memmap)
    # They are neither tables nor series of the recording.
    assert set(opened.tables) == {"trials"}
    assert opened.series == {}
    again = write_recording(opened, tmp_path / "b.h5")
    assert again.read_bytes() == (tmp_path / "a.h5").read_bytes()


def test_torch_brain_opens_and_slices_them(tmp_path):
    shown = make_shown()
    path = write_recording(make_recording(layout=shown), tmp_path / "a.h5")
    with h5py.File(path, "r") as file:
        data = Data.from_hdf5(file, lazy=True)
        for start_s in (0.0, 7.5, 30.0):
            window = data.slice(start_s, start_s + 10.0, reset_origin=False)
            layout = window.embeddings.layout
            row = layout.presentations.row
            onsets, vectors = shown.between(start_s, start_s + 10.0)
            inside = (layout.presentations.start >= start_s) & (row >= 0)
            np.testing.assert_array_equal(layout.presentations.start[inside], onsets)
            np.testing.assert_array_equal(layout.images.vector[row[inside]], vectors)
            assert window.embeddings.layout.images.hash.tolist() == shown.hashes.tolist()
    eager = Data.load(path, lazy=False)
    assert eager.embeddings.layout.table == "scenes"
    assert eager.embeddings.layout.fingerprint == shown.fingerprint


def test_presentations_that_end_out_of_order_are_kept(tmp_path):
    shown = make_shown()
    end = shown.end.copy()
    end[3] += 20
    recording = make_recording(layout=replace(shown, end=end))
    opened = open_recording(write_recording(recording, tmp_path / "a.h5"))
    np.testing.assert_array_equal(opened.embeddings["layout"].end, end)


def test_units_and_other_parts_change_without_them():
    recording = make_recording(layout=make_shown())
    chosen = recording.select_units(np.array([2, 0]))
    assert chosen.embeddings is recording.embeddings
    assert replace(recording, subject="m").embeddings is recording.embeddings


def test_anothers_group_of_that_name_is_read_as_ever(tmp_path):
    path = write_recording(make_recording(), tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.copy(file["trials"], file.create_group("embeddings"), name="trials")
        file["embeddings"].attrs["object"] = "Data"
    opened = open_recording(path)
    assert opened.embeddings == {}
    assert "embeddings.trials" in opened.tables


BROKEN = {
    "rows run from": {"row": np.full(40, 6)},
    "from -2": {"row": np.full(40, -2)},
    "row has 39": {"row": np.zeros(39, dtype=int)},
    "end has 3": {"end": np.arange(3.0)},
    "not sorted": {"start": np.arange(40.0)[::-1], "end": np.arange(40.0)[::-1] + 1},
    "ends before": {"end": np.zeros(40)},
    "not finite": {"start": np.full(40, np.nan)},
    "rows are float64": {"row": np.zeros(40)},
    "vectors are float64": {"vectors": np.zeros((6, 5))},
    "5 hashes for 6": {"hashes": np.array(list("abcde"))},
    "two vectors": {"hashes": np.array(list("aabcde"))},
    "a vector is not": {"vectors": np.full((6, 5), np.inf, dtype=np.float32)},
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_said_in_one_line_and_never_written(tmp_path, what):
    shown = replace(make_shown(), **BROKEN[what])
    assert what in shown_problem(shown)
    recording = make_recording(layout=shown)
    with pytest.raises(DataError, match=f"embeddings 'layout' not written: .*{what}"):
        write_recording(recording, tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []
    (finding,) = [f for f in validate_recording(recording) if f.severity == "error"]
    assert what in finding.what
    assert "embeddings layout" in finding.where


def test_validation_finds_a_row_that_a_file_does_not_have(tmp_path):
    path = write_recording(make_recording(layout=make_shown()), tmp_path / "a.h5")
    assert shown_problem(make_shown()) is None
    with h5py.File(path, "r+") as file:
        file["embeddings/layout/presentations/row"][7] = 6
    (row,) = survey([path])
    assert [f.what for f in row.findings if f.severity == "error"] == [
        "rows run from -1 to 6, expected -1 (no picture) to 5 (6 pictures)"
    ]


@pytest.mark.parametrize("name", ["a.b", "slice", "bäume", "units", "_hidden", "a/b", ""])
def test_names_that_the_format_cannot_hold_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="embeddings cannot be called"):
        write_recording(make_recording(**{name: make_shown()}), tmp_path / "a.h5")
