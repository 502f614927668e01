import errno
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest
from torch_brain.data import ArrayDict, Data, Interval, IrregularTimeSeries, RegularTimeSeries

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording, Series, Split, Table, Units
from neurohorizon.recordings.store import list_recordings, open_recording, write_recording


def make_recording(num_spikes=2000, num_units=5, seed=0):
    rng = np.random.default_rng(seed)
    seconds = 100.0
    return Recording(
        id="mouse1_day2",
        subject="mouse1",
        source="tests",
        spike_times=np.sort(rng.uniform(0, seconds, num_spikes)),
        spike_unit_index=rng.integers(0, num_units, num_spikes),
        units=Units(
            id=np.array([f"u{i}" for i in range(num_units)]),
            area=np.array(["CA1", "", "V1", "V1", "CA3"][:num_units]),
            position_um=rng.normal(size=(num_units, 3)),
            quality=np.array(["good"] * num_units),
            columns={
                "snr": rng.normal(size=num_units),
                "held_out": np.arange(num_units) % 2 == 1,
                "features": rng.normal(size=(num_units, 3)),
                "sorter": np.array(["a", "b", "a", "a", "b"][:num_units]),
            },
        ),
        domain=np.array([[0.0, 40.0], [41.0, seconds]]),
        series={
            "position": Series(np.arange(0, 100, 0.02), rng.normal(size=(5000, 2)), unit="px"),
            "cursor.pos": Series(np.arange(0, 100, 0.1), rng.normal(size=(1000, 2)), unit="µm"),
            "cursor.vel": Series(np.arange(0, 100, 0.1), rng.normal(size=(1000, 2))),
            "pupil": Series(np.array([1.0, 2.0]), np.array([[np.nan], [3.0]])),
        },
        tables={
            "trials": Table(
                np.array([1.0, 5.0]),
                np.array([4.0, 8.0]),
                {"kind": np.array(["go", "stop"]), "angle": np.array([0.0, np.nan])},
            ),
            "overlapping": Table(np.array([1.0, 5.0]), np.array([9.0, 8.0])),
        },
        split=Split(
            train=np.array([[0.0, 40.0]]),
            valid=np.array([[42.0, 50.0]]),
            test=np.array([[52.0, 70.0], [71.0, 100.0]]),
        ),
        metadata={"age": "P5", "citation": "Müller et al. 2013", "species": "mouse"},
    )


def assert_same(left: Recording, right: Recording):
    assert (left.id, left.subject, left.source) == (right.id, right.subject, right.source)
    np.testing.assert_array_equal(left.spike_times, right.spike_times)
    np.testing.assert_array_equal(left.spike_unit_index, right.spike_unit_index)
    for name in ("id", "area", "position_um", "quality"):
        np.testing.assert_array_equal(getattr(left.units, name), getattr(right.units, name))
    assert set(left.units.columns) == set(right.units.columns)
    for name, values in left.units.columns.items():
        np.testing.assert_array_equal(values, right.units.columns[name])
        assert values.dtype.kind == right.units.columns[name].dtype.kind
    np.testing.assert_array_equal(left.domain, right.domain)
    assert dict(left.metadata) == dict(right.metadata)
    assert set(left.series) == set(right.series)
    for name, one in left.series.items():
        np.testing.assert_array_equal(one.timestamps, right.series[name].timestamps)
        np.testing.assert_array_equal(one.values, right.series[name].values)
        assert one.unit == right.series[name].unit
    assert set(left.tables) == set(right.tables)
    for name, one in left.tables.items():
        np.testing.assert_array_equal(one.start, right.tables[name].start)
        np.testing.assert_array_equal(one.end, right.tables[name].end)
        assert set(one.columns) == set(right.tables[name].columns)
        for key, values in one.columns.items():
            np.testing.assert_array_equal(values, right.tables[name].columns[key])
    assert (left.split is None) == (right.split is None)
    if left.split is not None and right.split is not None:
        for part in ("train", "valid", "test"):
            np.testing.assert_array_equal(left.split.domain(part), right.split.domain(part))
        assert left.split.interleaved == right.split.interleaved


@pytest.fixture
def written(tmp_path):
    return write_recording(make_recording(), tmp_path / "a.h5")


def change(path, name, change_values):
    with h5py.File(path, "r+") as file:
        file[name][...] = change_values(file[name][:])


class TestRoundTrip:
    def test_everything_comes_back_exactly(self, written):
        assert_same(open_recording(written), make_recording())

    def test_interleaved_is_remembered(self, tmp_path):
        recording = make_recording()
        split = replace(recording.split, interleaved=True)
        path = write_recording(replace(recording, split=split), tmp_path / "a.h5")
        assert open_recording(path).split.interleaved

    def test_bare_recording(self, tmp_path):
        bare = replace(make_recording(), series={}, tables={}, split=None, metadata={})
        assert_same(open_recording(write_recording(bare, tmp_path / "a.h5")), bare)

    @pytest.mark.parametrize("num_spikes", [0, 1])
    def test_hardly_any_spikes(self, tmp_path, num_spikes):
        recording = make_recording(num_spikes=num_spikes)
        assert_same(open_recording(write_recording(recording, tmp_path / "a.h5")), recording)

    def test_spikes_stay_on_disk(self, written):
        recording = open_recording(written)
        assert isinstance(recording.spike_times, np.memmap)
        assert isinstance(recording.spike_unit_index, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            recording.spike_times[0] = 1.0

    def test_compressed_spikes_are_read(self, written):
        with h5py.File(written, "r+") as file:
            times = file["spikes/timestamps"][:]
            del file["spikes/timestamps"]
            file.create_dataset("spikes/timestamps", data=times, compression="gzip")
        recording = open_recording(written)
        assert not isinstance(recording.spike_times, np.memmap)
        np.testing.assert_array_equal(recording.spike_times, make_recording().spike_times)

    def test_equal_recordings_give_equal_bytes(self, tmp_path):
        first = write_recording(make_recording(), tmp_path / "a.h5").read_bytes()
        assert write_recording(make_recording(), tmp_path / "b.h5").read_bytes() == first

    def test_pickled_recording_still_works(self, written):
        recording = open_recording(written)
        assert_same(pickle.loads(pickle.dumps(recording)), recording)

    def test_worker_process_reads_the_same(self, written):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            times = pool.submit(open_recording, written).result().spike_times
        np.testing.assert_array_equal(times, open_recording(written).spike_times)


class TestTorchBrain:
    def test_lazy_slice_gives_our_spikes(self, written):
        ours = open_recording(written)
        rng = np.random.default_rng(1)
        with h5py.File(written, "r") as file:
            data = Data.from_hdf5(file, lazy=True)
            for start in rng.uniform(0, 98, 20):
                window = data.slice(start, start + 1.5)
                times, units = ours.between(start, start + 1.5)
                np.testing.assert_allclose(window.spikes.timestamps, times - start, atol=1e-9)
                np.testing.assert_array_equal(window.spikes.unit_index, units)

    def test_names_are_where_its_users_look(self, written):
        with h5py.File(written, "r") as file:
            data = Data.from_hdf5(file, lazy=False)
        assert data.session.id == "mouse1_day2"
        assert data.subject.id == "mouse1"
        assert data.brainset.id == "tests"
        assert data.units.id.tolist() == ["u0", "u1", "u2", "u3", "u4"]
        assert data.cursor.vel.shape == (1000, 2)
        assert data.trials.kind.tolist() == ["go", "stop"]
        assert data.test_domain.start.tolist() == [52.0, 71.0]
        assert data.metadata.citation == "Müller et al. 2013"

    def test_its_own_file_opens(self, tmp_path):
        data = Data(
            spikes=IrregularTimeSeries(
                timestamps=np.array([0.1, 0.5, 3.0]), unit_index=np.array([1, 0, 1])
            ),
            units=ArrayDict(id=np.array(["x", "y"]), brain_region=np.array(["M1", "PMd"])),
            cursor=IrregularTimeSeries(timestamps=np.array([0.0, 1.0]), pos=np.ones((2, 2))),
            eye=RegularTimeSeries(sampling_rate=10.0, pos=np.zeros((30, 2)), domain_start=0.5),
            movement=Data(
                hold=Interval(start=np.array([0.0]), end=np.array([1.0])),
                domain=Interval(0.0, 4.0),
            ),
            train_domain=Interval(0.0, 2.0),
            domain=Interval(0.0, 4.0),
        )
        with h5py.File(tmp_path / "foreign.h5", "w") as file:
            data.to_hdf5(file)
        recording = open_recording(tmp_path / "foreign.h5")
        assert recording.id == "foreign"
        assert recording.units.area.tolist() == ["M1", "PMd"]
        assert set(recording.series) == {"cursor.pos", "eye.pos"}
        np.testing.assert_allclose(recording.series["eye.pos"].timestamps[:2], [0.5, 0.6])
        assert recording.tables["movement.hold"].end.tolist() == [1.0]
        split = recording.require_split()
        assert split.train.tolist() == [[0.0, 2.0]]
        assert len(split.test) == 0

    def test_least_possible_file(self, tmp_path):
        with h5py.File(tmp_path / "least.h5", "w") as file:
            file["spikes/timestamps"] = np.array([1.0, 2.0])
            file["spikes/unit_index"] = np.array([0, 1], dtype=np.uint32)
            file["units/unit_number"] = np.array([7, 9])
        recording = open_recording(tmp_path / "least.h5")
        assert recording.num_units == 2
        assert recording.split is None
        assert recording.subject == "unknown"
        assert recording.domain[0, 0] == 1.0
        assert recording.domain[0, 1] > 2.0
        assert np.bincount(recording.spike_unit_index).tolist() == [1, 1]

    def test_columns_that_no_table_holds(self, written):
        """Waveforms a unit, references and other codings cost themselves, not the recording."""
        lists = np.empty(5, dtype=object)
        lists[:] = [np.arange(n, dtype=float) for n in range(5)]
        with h5py.File(written, "r+") as file:
            units = file["units"]
            units.create_dataset("spike_widths", data=lists, dtype=h5py.vlen_dtype(float))
            units.create_dataset("technician", data=np.array([b"Bj\xf6rn"] * 5))
            units.create_dataset("shape", (5,), dtype=np.dtype([("a", "f4"), ("b", "i4")]))
            length = len(file["trials/start"])
            trace = np.empty(length, dtype=object)
            trace[:] = [np.zeros(2)] * length
            file["trials"].create_dataset("trace", data=trace, dtype=h5py.vlen_dtype(float))
        recording = open_recording(written)
        assert not {"spike_widths", "shape"} & set(recording.units.columns)
        assert recording.units.columns["technician"][0] == "Bj\ufffdrn"
        assert "trace" not in recording.tables["trials"].columns


class TestBadFiles:
    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            open_recording(tmp_path / "none.h5")

    def test_folder(self, tmp_path):
        with pytest.raises(DataError, match="a folder, expected one recording file"):
            open_recording(tmp_path)

    def test_text_file(self, tmp_path):
        (tmp_path / "a.h5").write_text("spikes!")
        with pytest.raises(DataError, match="not an HDF5 file"):
            open_recording(tmp_path / "a.h5")

    @pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
    def test_truncated(self, written, share):
        written.write_bytes(written.read_bytes()[: int(written.stat().st_size * share)])
        with pytest.raises(DataError, match="truncated HDF5 file"):
            open_recording(written)

    def test_something_else(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["weather"] = np.zeros(3)
        with pytest.raises(DataError, match=r"no spikes .* found weather"):
            open_recording(tmp_path / "a.h5")

    def test_no_units(self, written):
        with h5py.File(written, "r+") as file:
            del file["units"]
        with pytest.raises(DataError, match="no units"):
            open_recording(written)

    @pytest.mark.parametrize(
        ("name", "damage", "reason"),
        [
            ("spikes/timestamps", lambda t: t[::-1], "not sorted: spike 1 at"),
            ("spikes/timestamps", lambda t: np.where(t == t[7], np.nan, t), "not finite"),
            ("spikes/timestamps", lambda t: np.where(t == t[-1], np.inf, t), "not finite"),
            ("spikes/timestamps", lambda t: t - 3, "before 0"),
            ("spikes/unit_index", lambda u: u + 1, "run from 1 to 5, expected 0 to 4"),
            ("spikes/unit_index", lambda u: u - 1, "run from -1 to 3"),
        ],
    )
    def test_unusable_spikes(self, written, name, damage, reason):
        change(written, name, damage)
        with pytest.raises(DataError, match=reason) as caught:
            open_recording(written)
        assert str(written) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert open_recording(written, check=False).num_units == 5

    @pytest.mark.parametrize(
        ("name", "values", "reason"),
        [
            ("spikes/unit_index", np.zeros(3, int), "2000 spike times but unit indices"),
            ("spikes/unit_index", np.zeros(2000), "unit_index is float64, expected integers"),
            ("spikes/timestamps", np.zeros(2000, int), "timestamps is int64"),
            ("units/area", np.array([b"x"] * 4), "columns of `units` differ in length"),
            ("cursor/pos", np.zeros((9, 2)), "series cursor.pos has 9 values at 1000 times"),
        ],
    )
    def test_columns_that_do_not_fit(self, written, name, values, reason):
        with h5py.File(written, "r+") as file:
            del file[name]
            file[name] = values
        with pytest.raises(DataError, match=reason):
            open_recording(written)

    def test_group_in_place_of_an_array(self, written):
        with h5py.File(written, "r+") as file:
            del file["spikes/timestamps"]
            file.create_group("spikes/timestamps")
        with pytest.raises(DataError, match="is not an array"):
            open_recording(written)


class TestRefusesToWrite:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"id": "Rätin"}, "session id 'Rätin' is not ASCII"),
            ({"subject": "µ"}, "subject 'µ' is not ASCII"),
            ({"source": ""}, "source is empty"),
            ({"units": Units.numbered(5, prefix="µ")}, "unit id 'µ_0000' is not ASCII"),
            ({"units": Units.numbered(4)}, "unit indices run from 0 to 4, expected 0 to 3"),
            (
                {"units": replace(Units.numbered(5), columns={"area": np.zeros(5)})},
                "a column of units cannot be called 'area'",
            ),
            (
                {"units": replace(Units.numbered(5), columns={"snr": np.zeros(4)})},
                r"column 'snr' of units has shape \(4,\), expected one row for each of 5",
            ),
            ({"domain": np.empty((0, 2))}, "domain is empty"),
            ({"series": {"spikes": make_recording().series["pupil"]}}, "cannot be called 'spikes'"),
            ({"tables": {"slice": Table(np.zeros(1), np.ones(1))}}, "cannot be called 'slice'"),
            ({"metadata": {"domain": "x"}}, "cannot be called 'domain'"),
            (
                {
                    "series": {
                        "cursor.pos": Series(np.arange(3.0), np.zeros((3, 1))),
                        "cursor.vel": Series(np.arange(4.0), np.zeros((4, 1))),
                    }
                },
                "cursor.vel has other times",
            ),
            ({"series": {"trials": make_recording().series["pupil"]}}, "both called 'trials'"),
        ],
    )
    def test_reason(self, tmp_path, change, reason):
        with pytest.raises(DataError, match=reason):
            write_recording(replace(make_recording(), **change), tmp_path / "a.h5")
        assert list(tmp_path.iterdir()) == []

    def test_unsorted(self, tmp_path):
        recording = make_recording()
        recording = replace(recording, spike_times=recording.spike_times[::-1])
        with pytest.raises(DataError, match="not written: spike times are not sorted"):
            write_recording(recording, tmp_path / "a.h5")

    def test_full_disk_leaves_nothing(self, tmp_path, monkeypatch):
        def full(self, file, **_):
            file["half"] = np.zeros(10)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Data, "to_hdf5", full)
        with pytest.raises(DataError, match="No space left on device"):
            write_recording(make_recording(), tmp_path / "a.h5")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
    @pytest.mark.parametrize("most_bytes", [0, 1000, 20_000, 33_000, 300_000])
    def test_a_disk_that_really_runs_full(self, tmp_path, most_bytes):
        """In a process of its own, which must end as if nothing had happened."""
        code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_store import make_recording
from neurohorizon.errors import DataError
from neurohorizon.recordings.store import write_recording
recording = make_recording(20_000)
resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes}))
try:
    write_recording(recording, {str(tmp_path / "a.h5")!r})
except DataError as error:
    print(error)
"""
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "could not be written (File too large); nothing was left behind" in ran.stdout
        assert list(tmp_path.iterdir()) == []

    def test_existing_file_survives_a_failure(self, written, monkeypatch):
        before = written.read_bytes()
        monkeypatch.setattr(Data, "to_hdf5", lambda *a, **k: (_ for _ in ()).throw(OSError("x")))
        with pytest.raises(DataError):
            write_recording(make_recording(seed=3), written)
        assert written.read_bytes() == before


class TestList:
    def test_sorted_files(self, tmp_path):
        for name in ("b.h5", "a.h5", ".c.part.h5", "manifest.json"):
            (tmp_path / name).touch()
        assert [path.name for path in list_recordings(tmp_path)] == ["a.h5", "b.h5"]

    def test_one_file(self, written):
        assert list_recordings(written) == [written]

    def test_empty_folder(self, tmp_path):
        with pytest.raises(DataError, match="holds no recordings"):
            list_recordings(tmp_path)

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="no such file or folder"):
            list_recordings(tmp_path / "x")
