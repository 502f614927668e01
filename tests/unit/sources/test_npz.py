import numpy as np
import pytest

from neurohorizon.errors import DataError
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
