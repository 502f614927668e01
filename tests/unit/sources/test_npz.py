from typing import ClassVar

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.recordings.store import write_recording
from neurohorizon.recordings.validate import validate_recording
from neurohorizon.sources.npz import convert, find_files


def write(path, **arrays):
    defaults = {"spike_times": np.array([0.5, 1.0, 2.5]), "unit_index": np.array([0, 2, 0])}
    np.savez(path, **{key: v for key, v in (defaults | arrays).items() if v is not None})
    return path


def test_least_file(tmp_path):
    recording = convert(write(tmp_path / "my session.npz"))
    assert recording.id == "my_session"
    assert recording.num_units == 3
    assert recording.domain.tolist() == [[0.0, 3.0]]
    assert recording.subject == "unknown"
    assert np.bincount(recording.spike_unit_index).tolist() == [2, 0, 1]


def test_everything_given(tmp_path):
    path = write(
        tmp_path / "a.npz",
        num_units=5,
        domain=np.array([0.0, 60.0]),
        subject="mouse 7",
        waveforms=np.zeros(3),
    )
    recording = convert(path)
    assert recording.num_units == 5
    assert recording.domain.tolist() == [[0.0, 60.0]]
    assert recording.subject == "mouse_7"
    assert recording.metadata["left_out"] == "waveforms"


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"spike_times": None}, "no array 'spike_times', found unit_index"),
        ({"unit_index": None}, "no array 'unit_index'"),
        ({"spike_times": np.array([1, 2, 3])}, "spike_times is int64"),
        ({"spike_times": np.zeros((3, 1))}, r"spike_times is float64 of shape \(3, 1\)"),
        ({"unit_index": np.zeros(3)}, "unit_index is float64"),
        ({"unit_index": np.zeros(2, int)}, r"of shape \(2,\), expected integers of shape \(3,\)"),
        ({"spike_times": np.array([1.0, None, 2.0], dtype=object)}, "pickled objects"),
        ({"num_units": 2.5}, "expected one positive integer"),
        ({"num_units": 0}, "expected one positive integer"),
        ({"domain": np.array([5.0, 1.0])}, "must be finite, sorted and disjoint"),
        ({"domain": np.array([1.0])}, r"domain is float64 of shape \(1,\)"),
    ],
)
def test_refusals(tmp_path, arrays, reason):
    with pytest.raises(DataError, match=reason) as caught:
        convert(write(tmp_path / "a.npz", **arrays))
    assert "\n" not in str(caught.value)


def test_other_files(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        convert(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        convert(tmp_path / "text.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        convert(tmp_path / "array.npy")


def test_damaged_files(tmp_path):
    path = write(tmp_path / "a.npz")
    content = path.read_bytes()
    path.write_bytes(content[:200])
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        convert(path)
    path.write_bytes(content.replace(np.array([0.5, 1.0, 2.5]).tobytes(), bytes(24)))
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        convert(path)


def test_files_are_found(tmp_path):
    write(tmp_path / "b.npz")
    write(tmp_path / "a.npz")
    assert [path.name for path in find_files(tmp_path)] == ["a.npz", "b.npz"]


@pytest.mark.filterwarnings("ignore")  # about its own short trains
class TestPynapple:
    """Files that pynapple's own TsGroup.save wrote."""

    TRAINS: ClassVar = {7: [0.5, 2.5, 9.0], 3: [1.0], 12: []}

    def save(self, path, **change):
        nap = pytest.importorskip("pynapple")
        support = nap.IntervalSet(start=[0.0, 6.0], end=[5.0, 10.0])
        group = nap.TsGroup(
            {key: nap.Ts(np.array(times)) for key, times in self.TRAINS.items()},
            time_support=support,
            **change,
        )
        group.save(str(path))
        return path

    def test_a_group(self, tmp_path):
        recording = convert(self.save(tmp_path / "rat 1.npz"))
        assert recording.id == "rat_1"
        assert recording.units.id.tolist() == ["unit_3", "unit_7", "unit_12"]
        assert recording.spike_times.tolist() == [0.5, 1.0, 2.5, 9.0]
        assert recording.spike_unit_index.tolist() == [1, 0, 1, 1]
        assert recording.domain.tolist() == [[0.0, 5.0], [6.0, 10.0]]

    def test_pickled_areas_are_left_out_and_named(self, tmp_path):
        path = self.save(tmp_path / "a.npz", metadata={"location": np.array(["V1", "CA1", "V1"])})
        recording = convert(path)
        assert recording.units.area.tolist() == ["", "", ""]
        assert "metadata of units (pickled" in recording.metadata["left_out"]

    def test_plain_areas_of_earlier_versions_are_read(self, tmp_path):
        with np.load(self.save(tmp_path / "a.npz"), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name != "_metadata"}
        np.savez(tmp_path / "b.npz", **arrays, location=np.array(["V1", "CA1", "V1"]))
        assert convert(tmp_path / "b.npz").units.area.tolist() == ["V1", "CA1", "V1"]

    def test_it_can_be_written(self, tmp_path):
        recording = convert(self.save(tmp_path / "a.npz"))
        first = write_recording(recording, tmp_path / "1.h5").read_bytes()
        again = convert(tmp_path / "a.npz")
        assert write_recording(again, tmp_path / "2.h5").read_bytes() == first
        assert not [f for f in validate_recording(recording) if f.severity == "error"]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"keys": None}, "a TsGroup without keys"),
            ({"index": np.array([7, 3, 7, 99])}, "times of units that it does not list"),
            ({"index": np.array([7])}, "times and index do not fit"),
        ],
    )
    def test_damaged_groups(self, tmp_path, change, reason):
        with np.load(self.save(tmp_path / "a.npz"), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name != "_metadata"}
        np.savez(
            tmp_path / "b.npz", **{k: v for k, v in (arrays | change).items() if v is not None}
        )
        with pytest.raises(DataError, match=reason):
            convert(tmp_path / "b.npz")
