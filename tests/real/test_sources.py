"""The public data sets, whole: counts as the catalogue says, traps as their notes say."""

from collections import Counter

import h5py
import numpy as np
import pytest

from neurohorizon.recordings.splits import hold_out
from neurohorizon.recordings.store import open_recording
from neurohorizon.recordings.validate import validate_recording
from neurohorizon.sources import ca1_maze, nwb, retinal_waves
from neurohorizon.sources.manifest import read_manifest
from neurohorizon.sources.prepare import prepare


@pytest.fixture(scope="module")
def retina(real_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("retinal_waves")
    return prepare(retinal_waves.SOURCE, real_data("retinal_waves"), out)


@pytest.fixture(scope="module")
def maze(real_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("ca1_maze")
    return prepare(ca1_maze.SOURCE, real_data("ca1_maze"), out)


@pytest.mark.parametrize("name", ["retina", "maze"])
def test_counts_are_those_of_the_catalogue(name, request):
    prepared = request.getfixturevalue(name)
    source = {"retina": retinal_waves, "maze": ca1_maze}[name].SOURCE
    entries = read_manifest(prepared.folder)["recordings"]
    assert not prepared.failed
    assert len(entries) == source.num_recordings
    assert sum(entry["num_units"] for entry in entries) == source.num_units
    assert sum(entry["num_spikes"] for entry in entries) == source.num_spikes


@pytest.mark.parametrize("source", [retinal_waves.SOURCE, ca1_maze.SOURCE], ids=lambda s: s.name)
def test_sizes_are_those_that_a_download_expects(source, real_data):
    folder = real_data(source.name)
    files = [file for session in source.list_sessions(folder) for file in session.files]
    assert files
    for file in files:
        assert (folder / file.path).stat().st_size == file.num_bytes


class TestRetinalWaves:
    def test_spikes_are_those_of_the_source(self, retina, real_data):
        for name in ("Xu2011/Xu2011_20NOV2007R3-31", "Kirkby2013/Kirkby2013_04_WT_P5"):
            recording = open_recording(retina.folder / f"{name.split('/')[1]}.h5")
            with h5py.File(real_data("retinal_waves") / f"{name}.h5") as file:
                ends = np.cumsum(file["sCount"][:])
                for unit in (0, 7, len(ends) - 1):
                    start = ends[unit] - file["sCount"][unit]
                    train = recording.spike_times[recording.spike_unit_index == unit]
                    np.testing.assert_array_equal(train, file["spikes"][start : ends[unit]])
                    np.testing.assert_array_equal(
                        recording.units.position_um[unit, :2], file["epos"][:, unit]
                    )

    def test_doubled_spikes_are_found_where_they_are(self, retina):
        blamed = {
            name
            for name, findings in retina.findings.items()
            if any("of another unit's" in finding.what for finding in findings)
        }
        assert len(blamed) == 14
        assert all(name.startswith("Kirkby2013") for name in blamed)

    def test_whole_animals_are_held_out_of_every_laboratory(self, retina):
        entries = read_manifest(retina.folder)["recordings"]
        groups = {entry["id"]: entry["group"] for entry in entries}
        strata = {entry["id"]: entry["stratum"] for entry in entries}
        assert Counter(strata.values()) == {"Demas2003": 20, "Xu2011": 20, "Kirkby2013": 14}
        train, held_out = hold_out(groups, strata=strata, fraction=0.3, seed=0)
        assert not {groups[name] for name in train} & {groups[name] for name in held_out}
        shares = Counter(strata[name] for name in held_out)
        assert shares["Demas2003"] in (5, 6, 7)
        assert shares["Xu2011"] in (5, 6, 7)
        assert shares["Kirkby2013"] in (3, 4, 5)


class TestCa1Maze:
    def test_shapes_of_the_sessions(self, maze):
        track = open_recording(maze.folder / "linear-track.h5")
        w_maze = open_recording(maze.folder / "w-maze.h5")
        assert (track.num_units, w_maze.num_units) == (31, 25)
        assert track.duration_s / 60 == pytest.approx(33, abs=0.5)
        assert w_maze.duration_s / 60 == pytest.approx(72, abs=0.5)
        for recording in (track, w_maze):
            position = recording.series["position"]
            assert np.median(np.diff(position.timestamps)) == pytest.approx(1 / 60, rel=0.01)
            assert position.unit == "px"
            assert 0 < np.nanmin(position.values) < np.nanmax(position.values) < 640

    def test_unsorted_cluster_is_marked(self, maze):
        recording = open_recording(maze.folder / "w-maze.h5")
        unsorted = np.flatnonzero(recording.units.quality == "unsorted")
        assert len(unsorted) == 1
        assert recording.rate_hz[unsorted[0]] == pytest.approx(107, abs=1)
        share = np.mean(recording.spike_unit_index == unsorted[0])
        assert share == pytest.approx(0.89, abs=0.01)
        whats = [finding.what for finding in maze.findings["w-maze"]]
        assert any("unsorted activity, and marked so" in what for what in whats)

    def test_one_cell_sorted_thrice_is_found(self, maze):
        whats = " ".join(finding.what for finding in maze.findings["w-maze"])
        for pair in ("cluster01 = tetrode10_cluster09", "cluster09 = tetrode10_cluster10"):
            assert f"tetrode10_{pair}" in whats


def test_small_nwb_file(real_data):
    recording = nwb.convert(real_data("nwb") / "A8604-211122.nwb")
    assert recording.num_units == 3
    assert len(recording.spike_times) == 21_354
    assert recording.tables["epochs"].columns["tags"].tolist() == ["wake"]
    severities = {finding.severity for finding in validate_recording(recording)}
    assert "error" not in severities
