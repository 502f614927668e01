import tracemalloc
from dataclasses import replace

import h5py
import numpy as np
import pytest
from torch_brain.data import Data

from neurohorizon.errors import DataError
from neurohorizon.ops.files import checksum
from neurohorizon.recordings.pictures import picture_hash
from neurohorizon.recordings.responses import (
    Images,
    ResponseRecording,
    Responses,
    presentation_clock,
)
from neurohorizon.recordings.responses_store import (
    StoredValues,
    is_response_file,
    open_responses,
    write_responses,
)
from neurohorizon.recordings.responses_validate import validate_responses
from neurohorizon.recordings.schema import Units
from neurohorizon.recordings.store import open_recording


def make(values=None, *, bin_edges_s=None, sha256=None, statistics=None, area=None, **changed):
    if values is None:
        values = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    num_shown, num_units = values.shape[:2]
    start, end = presentation_clock(num_shown)
    hashes = [f"{number:064x}" for number in range(num_shown)] if sha256 is None else sha256
    columns = {
        "image": np.arange(num_shown),
        "part": np.where(np.arange(num_shown) % 4 == 3, "test", "train"),
        "repeat": np.zeros(num_shown, dtype=np.int64),
        "day": np.arange(num_shown) // 10,
    }
    return ResponseRecording(
        id="session",
        subject="monkeyF",
        source="source",
        units=replace(
            Units.numbered(num_units),
            area=np.full(num_units, "V4") if area is None else np.array(area),
            columns=statistics or {},
        ),
        responses=Responses(values, start, end, **{**columns, **changed}, bin_edges_s=bin_edges_s),
        images=Images(
            name=np.array([f"image{number}" for number in range(num_shown)]),
            path=np.array([f"a/image{number}.jpg" for number in range(num_shown)]),
            sha256=np.array(hashes),
            category=np.full(num_shown, "a"),
        ),
        metadata={"species": "macaque"},
    )


def whats(recording, severity=None):
    return [
        finding.what
        for finding in validate_responses(recording)
        if severity in (None, finding.severity)
    ]


class Lazy:
    """Rows that exist only when they are asked for."""

    def __init__(self, shape):
        self.shape, self.dtype, self.most = shape, np.dtype(np.float32), 0

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.most = max(self.most, rows.stop - rows.start)
        number = np.arange(rows.start, rows.stop, dtype=np.float32)
        unit = 1 + np.arange(self.shape[1], dtype=np.float32) / 7
        values = np.sin(number[:, None] * unit)
        return np.repeat(values[:, :, None], self.shape[2], axis=2)


@pytest.mark.parametrize("bins", [None, np.array([-0.1, 0.0, 0.05, 0.2])])
def test_what_is_written_comes_back(tmp_path, bins):
    shape = (40, 6) if bins is None else (40, 6, 3)
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    values[3, 2] = np.nan
    statistics = {"snr": np.arange(6) / 7, "array": np.arange(6)}
    wrote = make(values, bin_edges_s=bins, statistics=statistics)
    path = write_responses(wrote, tmp_path / "new" / "session.h5")
    read = open_responses(path)
    assert isinstance(read.responses.values, np.memmap)
    np.testing.assert_array_equal(read.responses.values, values)
    for name in ("start", "end", "image", "part", "repeat", "day"):
        np.testing.assert_array_equal(getattr(read.responses, name), getattr(wrote.responses, name))
    for name in ("name", "path", "sha256", "category"):
        np.testing.assert_array_equal(getattr(read.images, name), getattr(wrote.images, name))
    if bins is None:
        assert read.responses.bin_edges_s is None
    else:
        np.testing.assert_array_equal(read.responses.bin_edges_s, bins)
    assert read.units.columns.keys() == statistics.keys()
    for name, numbers in statistics.items():
        np.testing.assert_array_equal(read.units.columns[name], numbers)
    assert read.units.area.tolist() == ["V4"] * 6
    assert (read.id, read.subject, read.source) == ("session", "monkeyF", "source")
    assert read.metadata == {"species": "macaque"}


def test_torch_brain_opens_the_file(tmp_path):
    recording = make(statistics={"snr": np.arange(6.0)})
    path = write_responses(recording, tmp_path / "session.h5")
    with h5py.File(path) as file:
        data = Data.from_hdf5(file)
        cut = data.slice(10.0, 13.0)
        np.testing.assert_array_equal(cut.responses.values, recording.responses.values[10:13])
        assert cut.responses.image.tolist() == [10, 11, 12]
        assert data.responses.part[:4].tolist() == ["train", "train", "train", "test"]
        np.testing.assert_array_equal(data.units.snr, np.arange(6.0))
        assert data.images.path[7] == "a/image7.jpg"
        assert data.session.id == "session"


def test_same_bytes_twice(tmp_path):
    paths = [write_responses(make(), tmp_path / f"{number}.h5") for number in range(2)]
    assert checksum(paths[0]) == checksum(paths[1])


def test_values_are_never_whole_in_memory(tmp_path):
    values = Lazy((4096, 1024, 6))
    recording = make(values, bin_edges_s=np.arange(7) / 10, image=np.zeros(4096, dtype=int))
    tracemalloc.start()
    path = write_responses(recording, tmp_path / "session.h5")
    read = open_responses(path)
    findings = [finding.severity for finding in validate_responses(read)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values.most < 4096
    assert peak < 72 * 2**20  # 96 MiB of values
    assert "error" not in findings
    np.testing.assert_array_equal(read.responses.values[4000:4003], values[4000:4003])


def test_values_in_pieces_are_read_by_slices(tmp_path):
    recording = make()
    path = write_responses(recording, tmp_path / "session.h5")
    with h5py.File(path, "a") as file:
        values = file["responses/values"][:]
        del file["responses/values"]
        file.create_dataset("responses/values", data=values, chunks=(7, 6), compression="gzip")
    read = open_responses(path)
    assert isinstance(read.responses.values, StoredValues)
    np.testing.assert_array_equal(read.responses.values[5:9], values[5:9])
    assert read.responses.values.shape == (40, 6)


def test_other_files_are_told_apart(tmp_path):
    path = write_responses(make(), tmp_path / "session.h5")
    assert is_response_file(path)
    with pytest.raises(DataError, match="no spikes"):
        open_recording(path)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["spikes/timestamps"] = [1.0]
    assert not is_response_file(other)
    with pytest.raises(DataError, match=r"no responses \(expected responses/values, found spikes"):
        open_responses(other)
    with pytest.raises(DataError, match=r"absent\.h5: no such file"):
        open_responses(tmp_path / "absent.h5")


def test_damaged_files_are_refused(tmp_path):
    path = write_responses(make(), tmp_path / "session.h5")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="truncated") as caught:
        open_responses(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="HDF5"):
        open_responses(path)


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (make(bin_edges_s=np.array([0.0, 0.1])), r"expected \(40, 6, 1\)"),
        (make(image=np.full(40, 99)), "images are numbered 99 to 99, expected 0 to 39"),
        (make(np.full((40, 6), "much")), "values are <U4, expected numbers"),
        (make(part=np.full(40, "valid")), "part is 'valid'"),
        (make(repeat=np.zeros(3, dtype=int)), "40 presentations, but columns of"),
        (make(statistics={"snr": np.zeros(5)}), "column 'snr' of units has shape"),
        (make(statistics={"a/b": np.zeros(6)}), "column of units cannot be called"),
        (make(sha256=["é"] * 40), "not ASCII"),
        (replace(make(), id=""), "session id is empty"),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path, recording, words):
    with pytest.raises(DataError, match=words):
        write_responses(recording, tmp_path / "session.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(DataError, match="make room or choose another disk"):
        write_responses(make(), tmp_path / "new" / "session.h5")
    assert list(tmp_path.iterdir()) == []


def test_picture_hash_knows_shape_and_pixels():
    pixels = np.zeros((2, 3, 3), np.uint8)
    assert picture_hash(pixels).startswith("83f4458e")
    assert picture_hash(pixels) != picture_hash(pixels.reshape(3, 2, 3))
    changed = pixels.copy()
    changed[1, 2, 0] = 1
    assert picture_hash(pixels) != picture_hash(changed)
    assert picture_hash(changed[::-1, ::-1]) == picture_hash(changed[::-1, ::-1].copy())


class TestValidation:
    def test_a_sound_recording_has_no_findings(self):
        assert whats(make()) == []

    def test_missing_values_are_counted_and_left_out(self):
        values = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
        values[:, 1] = values[:, 0]  # found in spite of what is missing
        values[2, 0] = values[5, 1] = values[5, 2] = np.nan
        found = whats(make(values), "warning")
        assert found[0].startswith("3 values (1.25%) are missing (NaN), in 3 units and 2 pres")
        assert "unit_0000 = unit_0001" in found[1]
        assert len(found) == 2

    def test_dead_electrodes(self):
        values = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
        values[:, 1], values[:, 2], values[:, 3] = 0, 5, np.nan
        found = " / ".join(whats(make(values), "warning"))
        assert "1 of 6 units have no values at all: unit_0003" in found
        assert "1 of 6 units are silent (always 0): unit_0001" in found
        assert "1 of 6 units never change: unit_0002" in found
        assert "nearly the same" not in found

    def test_one_signal_on_two_channels(self):
        values = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
        values[:, 4] = 3 * values[:, 2] + 1
        values[:, 5] = values[:, 0] + 0.5 * values[:, 1]
        (found,) = whats(make(values), "warning")
        assert found.startswith("1 pairs of units are nearly the same")
        assert "unit_0002 = unit_0004" in found

    def test_pictures_shared_by_train_and_test(self):
        hashes = [f"{number:064x}" for number in range(40)]
        hashes[3] = hashes[0]
        found = validate_responses(make(sha256=hashes))
        assert [finding.severity for finding in found] == ["warning", "note"]
        assert found[0].what == "1 of 10 test images were shown in training too: image3"
        assert "1 of 40 images are pictures that another row holds too" in found[1].what
        same_row = make(image=np.minimum(np.arange(40), 38), sha256=[""] * 40)
        assert any("test images were shown in training" in what for what in whats(same_row))

    def test_pictures_not_at_hand(self):
        found = whats(make(sha256=[""] * 40), "note")
        assert found == ["40 of 40 images that were shown have no picture at hand"]

    def test_swapped_areas(self):
        area = ["V1", "V1", "V4", "V4", "IT", "IT"]
        right = np.array([0.04, 0.05, 0.06, np.nan, 0.09, 0.1])
        assert whats(make(area=area, statistics={"latency_s": right})) == []
        swapped = make(area=area, statistics={"latency_s": right[[0, 1, 4, 5, 2, 3]]})
        (found,) = validate_responses(swapped)
        assert found.what == "median latency is not V1 < V4 < IT: V1 45 ms, V4 95 ms, IT 60 ms"
        assert found.severity == "warning"

    def test_what_is_broken_comes_first_and_alone(self):
        recording = make(image=np.full(40, 99))
        assert [finding.severity for finding in validate_responses(recording)] == ["error"]
        twice = replace(make(), units=replace(make().units, id=np.full(6, "a")))
        assert whats(twice, "error") == ["unit ids are not unique: a"]

    def test_unknown_subject_and_missing_metadata(self):
        bare = replace(make(area=[""] * 6), subject="unknown", metadata={})
        assert whats(bare) == ["the subject is unknown", "missing metadata: area, species"]
