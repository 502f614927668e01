import numpy as np
import pytest
from scipy.io import savemat

from neurohorizon.errors import DataError
from neurohorizon.sources.ca1_maze import convert, find_files

HEADER = b"<Start settings>\nclockrate: 30000\nFields: ...\n<End settings>\n"


def cluster(times):
    return {
        "time": np.array(times, dtype=float).reshape(-1, 1),
        "timerange": np.array([[10.0, 40.0]]),
        "meanrate": np.array([[1.0]]),
    }


def cells(*items):
    row = np.empty((1, len(items)), dtype=object)
    row[0, :] = items
    return row


def write(folder, *, tetrodes=None, rows=((330_000, 5, 6), (300_000, 0, 0)), header=HEADER):
    folder.mkdir(parents=True)
    if tetrodes is None:
        tetrodes = cells(
            cells(cluster([12.0, 11.0]), np.empty((1, 0)), cluster([])),
            np.empty((1, 0)),
            cells(cluster([10.5])),
            cells(cluster(np.linspace(10, 39, 3000))),
        )
    savemat(folder / "spikes.mat", {"spikes": cells(cells(tetrodes))})
    record = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("x2", "<u2"), ("y2", "<u2")])
    body = np.array([(*row, 0, 0) for row in rows], dtype=record).tobytes()
    (folder / "trajectory.videoPositionTracking").write_bytes(header + body)
    return folder


def test_clusters_and_position(tmp_path):
    recording = convert(write(tmp_path / "w-maze"))
    assert recording.id == "w-maze"
    assert recording.subject == "ca1_maze_rat"
    assert recording.domain.tolist() == [[10.0, 40.0]]
    assert recording.units.id.tolist() == [
        "tetrode01_cluster01",
        "tetrode03_cluster01",
        "tetrode04_cluster01",
    ]
    assert np.bincount(recording.spike_unit_index).tolist() == [2, 1, 3000]
    assert np.all(np.diff(recording.spike_times) >= 0)
    position = recording.series["position"]
    assert position.timestamps.tolist() == [10.0, 11.0]
    np.testing.assert_array_equal(position.values, [[np.nan, np.nan], [5, 6]])


def test_unsorted_activity_is_kept_and_marked(tmp_path):
    recording = convert(write(tmp_path / "w-maze"))
    assert recording.units.quality.tolist() == ["sorted", "sorted", "unsorted"]


def test_time_off_the_maze_is_told_apart(tmp_path):
    at = np.arange(0, 200, 0.1)
    x = np.where((at > 50) & (at < 90), 7, 100 + np.round(at * 10) % 50).astype(int)
    x[at > 180] = 9
    rows = [(round(t * 30_000), place, 6) for t, place in zip(at.tolist(), x.tolist(), strict=True)]
    recording = convert(write(tmp_path / "w-maze", rows=rows))
    table = recording.tables["on_maze"]
    # A stop of 20 s, the last, counts too; one of less would not.
    np.testing.assert_allclose(table.start, [0.0, 99.9], atol=0.11)
    np.testing.assert_allclose(table.end, [40.1, 199.9], atol=0.11)


def test_running_is_told_from_resting(tmp_path):
    at = np.arange(0, 120, 1 / 60)
    x = np.where(at < 40, 50 * at, np.where(at < 80, 2000 + at % 2, 2000 + 60 * (at - 80)))
    rows = [(round(t * 30_000), round(place), 6) for t, place in zip(at, x, strict=True)]
    table = convert(write(tmp_path / "w-maze", rows=rows)).tables["running"]
    np.testing.assert_allclose(table.start, [0.0, 80.0], atol=0.3)
    np.testing.assert_allclose(table.end, [40.0, 120.0], atol=0.3)


def test_folders_are_found(tmp_path):
    write(tmp_path / "w-maze")
    write(tmp_path / "linear-track")
    (tmp_path / "other").mkdir()
    assert [path.name for path in find_files(tmp_path)] == ["linear-track", "w-maze"]
    assert find_files(tmp_path / "w-maze" / "spikes.mat") == [tmp_path / "w-maze"]


def test_damage_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected a header ending with <End settings>"):
        convert(write(tmp_path / "a", header=b"<Start settings>\n"))
    folder = write(tmp_path / "b")
    (folder / "trajectory.videoPositionTracking").write_bytes(HEADER + b"123")
    with pytest.raises(DataError, match="records of 12 bytes"):
        convert(folder)
    (folder / "spikes.mat").write_bytes(b"nonsense" * 50)
    with pytest.raises(DataError, match="not a readable spike file"):
        convert(folder)
    (folder / "spikes.mat").unlink()
    with pytest.raises(DataError, match=r"spikes\.mat: no such file"):
        convert(folder)


def test_no_spikes_at_all(tmp_path):
    with pytest.raises(DataError, match="no cluster with spikes"):
        convert(write(tmp_path / "a", tetrodes=cells(cells(cluster([]), cluster([])))))
