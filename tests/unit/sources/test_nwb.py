import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.sources.nwb import convert, find_files

pynwb = pytest.importorskip("pynwb")

TRAINS = ([0.5, 3.0, 9.0], [1.0, 2.0], [4.0])


def new_file(**change):
    arguments = {
        "session_description": "tests",
        "identifier": "id-1",
        "session_start_time": datetime(2024, 1, 2, tzinfo=UTC),
        "lab": "Müller",
        "subject": pynwb.file.Subject(subject_id="mouse 3", species="Mus musculus", sex="F"),
    }
    return pynwb.NWBFile(**(arguments | change))


def add_electrodes(file):
    device = file.create_device("probe")
    group = file.create_electrode_group("shank", "one", "left", device)
    for area, x in (("CA1", 10.0), ("V1", 20.0), ("V1", 30.0)):
        file.add_electrode(location=area, group=group, x=x, y=1.0, z=2.0)


def save(file, path):
    with pynwb.NWBHDF5IO(str(path), "w") as writer:
        writer.write(file)
    return path


def plain_units(file):
    for times in TRAINS:
        file.add_unit(spike_times=times)


@pytest.fixture
def full(tmp_path):
    file = new_file()
    add_electrodes(file)
    file.add_unit_column("quality", "from the sorter")
    for index, times in enumerate(TRAINS):
        file.add_unit(
            spike_times=times,
            electrodes=[2 - index],
            quality=("good", "mua", "good")[index],
            obs_intervals=[[0.0, 5.0], [6.0, 10.0]] if index else [[0.0, 10.0]],
        )
    behavior = file.create_processing_module("behavior", "all of it")
    position = pynwb.behavior.Position(name="Position")
    position.create_spatial_series(
        name="hand",
        data=np.arange(10.0).reshape(5, 2),
        timestamps=np.arange(5.0),
        reference_frame="screen",
        unit="meters",
        conversion=0.01,
    )
    behavior.add(position)
    behavior.add(pynwb.TimeSeries(name="domain", data=np.ones(4), rate=2.0, unit="V"))
    file.add_acquisition(
        pynwb.TimeSeries(name="video", data=np.zeros((4, 90)), rate=1.0, unit="au")
    )
    file.add_trial_column("kind", "of trial")
    file.add_trial_column("angle", "of target")
    file.add_trial(start_time=1.0, stop_time=2.0, kind="gö", angle=45.0)
    file.add_trial(start_time=3.0, stop_time=4.0, kind="stop", angle=90.0)
    file.add_epoch(0.0, 9.0, ["wake", "light"])
    file.add_invalid_time_interval(start_time=2.5, stop_time=2.75)
    return save(file, tmp_path / "sub-3.ses 1.nwb")


class TestEverything:
    def test_spikes(self, full):
        recording = convert(full)
        assert recording.id == "sub-3_ses_1"
        assert recording.spike_times.tolist() == sorted(np.concatenate(TRAINS))
        assert recording.spike_unit_index.tolist() == [0, 1, 1, 0, 2, 0]

    def test_units(self, full):
        units = convert(full).units
        assert units.area.tolist() == ["V1", "V1", "CA1"]
        assert units.quality.tolist() == ["good", "mua", "good"]
        assert units.position_um.tolist() == [[30, 1, 2], [20, 1, 2], [10, 1, 2]]

    def test_domain_is_when_all_units_were_observed(self, full):
        assert convert(full).domain.tolist() == [[0.0, 2.5], [2.75, 5.0], [6.0, 10.0]]

    def test_behaviour(self, full):
        recording = convert(full)
        assert set(recording.series) == {"hand", "domain_"}
        hand = recording.series["hand"]
        np.testing.assert_allclose(hand.values, np.arange(10.0).reshape(5, 2) * 0.01)
        assert hand.unit == "meters"
        assert recording.series["domain_"].timestamps.tolist() == [0.0, 0.5, 1.0, 1.5]
        assert "video (4 x 90 values are too many for behaviour)" in recording.metadata["left_out"]

    def test_tables(self, full):
        tables = convert(full).tables
        assert tables["trials"].start.tolist() == [1.0, 3.0]
        assert tables["trials"].columns["kind"].tolist() == ["go", "stop"]
        assert tables["trials"].columns["angle"].tolist() == [45.0, 90.0]
        assert tables["epochs"].columns["tags"].tolist() == ["wake,light"]

    def test_metadata(self, full):
        recording = convert(full)
        assert recording.subject == "mouse_3"
        assert recording.metadata["species"] == "Mus musculus"
        assert recording.metadata["laboratory"] == "Müller"

    def test_can_be_written_and_read(self, full, tmp_path):
        recording = convert(full)
        again = open_recording(write_recording(recording, tmp_path / "a.h5"))
        assert again.tables["trials"].columns["kind"].tolist() == ["go", "stop"]
        np.testing.assert_array_equal(again.spike_times, recording.spike_times)


class TestStimuli:
    @pytest.fixture
    def recording(self, tmp_path):
        file = new_file()
        plain_units(file)
        table = pynwb.epoch.TimeIntervals(name="gratings", description="as shown")
        table.add_column("orientation", "degrees")
        table.add_row(start_time=1.0, stop_time=2.0, orientation=45.0)
        file.add_stimulus(table)
        blocks = pynwb.epoch.TimeIntervals(name="movie_presentations", description="as shown")
        blocks.add_column("frame", "index")
        clock = pynwb.TimeSeries(name="clock", data=np.arange(5.0), rate=1.0, unit="s")
        file.add_stimulus(clock)
        for frame in range(3):
            blocks.add_interval(
                start_time=3.0 + frame, stop_time=4.0 + frame, timeseries=[clock], frame=frame
            )
        file.add_time_intervals(blocks)
        pictures = pynwb.base.Images(
            name="pictures",
            images=[
                pynwb.image.GrayscaleImage(name=f"p{i}", data=np.zeros((2, 2))) for i in (0, 1)
            ],
        )
        pictures.order_of_images = pynwb.base.ImageReferences(
            name="order_of_images", data=list(pictures.images.values())
        )
        file.add_stimulus_template(pictures)
        file.add_stimulus(
            pynwb.image.IndexSeries(
                name="shown",
                data=np.array([1, 0, 1], dtype=np.uint32),
                indexed_images=pictures,
                timestamps=[1.0, 2.0, 2.5],
                unit="N/A",
            )
        )
        return convert(save(file, tmp_path / "a.nwb"))

    def test_tables_of_presentations(self, recording):
        assert recording.tables["gratings"].columns["orientation"].tolist() == [45.0]
        movie = recording.tables["movie_presentations"]
        assert movie.start.tolist() == [3.0, 4.0, 5.0]
        assert movie.columns["frame"].tolist() == [0, 1, 2]
        assert "movie_presentations.timeseries" in recording.metadata["left_out"]

    def test_pictures_by_their_index(self, recording):
        shown = recording.tables["shown"]
        assert shown.start.tolist() == [1.0, 2.0, 2.5]
        assert shown.end.tolist() == [2.0, 2.5, 3.25]
        assert shown.columns["frame"].tolist() == [1, 0, 1]

    def test_numeric_stimuli_are_series(self, recording):
        assert recording.series["clock"].values.ravel().tolist() == [0, 1, 2, 3, 4]


def test_what_pynwb_refuses_is_one_short_line(full):
    import h5py

    with h5py.File(full, "r+") as file:
        hand = file["processing/behavior/Position/hand"]
        about = dict(hand["timestamps"].attrs)
        del hand["timestamps"]
        hand["timestamps"] = np.zeros((2, 5))
        hand["timestamps"].attrs.update(about)
    with pytest.raises(DataError, match="incorrect shape for timestamps") as caught:
        convert(full)
    assert len(str(caught.value)) < 400


class TestLittle:
    def test_units_alone(self, tmp_path):
        file = new_file(subject=None)
        plain_units(file)
        recording = convert(save(file, tmp_path / "a.nwb"))
        assert recording.num_units == 3
        assert recording.subject == "unknown"
        assert recording.domain.tolist() == [[0.0, 10.0]]
        assert not recording.series
        assert np.isnan(recording.units.position_um).all()

    def test_unit_without_spikes(self, tmp_path):
        file = new_file()
        for times in ([], [1.0], []):
            file.add_unit(spike_times=times)
        recording = convert(save(file, tmp_path / "a.nwb"))
        assert recording.num_units == 3
        assert recording.spike_unit_index.tolist() == [1]

    def test_area_in_the_units_table_comes_first(self, tmp_path):
        file = new_file()
        file.add_unit_column("brain_area", "where")
        for times, area in zip(TRAINS, ("A", "B", "C"), strict=True):
            file.add_unit(spike_times=times, brain_area=area)
        recording = convert(save(file, tmp_path / "a.nwb"))
        assert recording.units.area.tolist() == ["A", "B", "C"]

    def test_peak_channel_names_the_electrode(self, tmp_path):
        file = new_file()
        add_electrodes(file)
        file.add_unit_column("peak_channel_id", "electrode id")
        for times, channel in zip(TRAINS, (0, 2, 99), strict=True):
            file.add_unit(spike_times=times, peak_channel_id=channel)
        recording = convert(save(file, tmp_path / "a.nwb"))
        assert recording.units.area.tolist() == ["CA1", "V1", ""]
        assert np.isnan(recording.units.position_um[2]).all()


class TestUnitColumns:
    @pytest.fixture
    def columns(self, tmp_path):
        """Columns of every kind: numbers, truth values, ids, text, lists, and taken names."""
        file = new_file()
        add_electrodes(file)
        names = {
            "snr": [1.5, np.nan, 3.0],
            "depth (um)": [10, 20, 30],
            "depth_um": [1.0, 2.0, 3.0],
            "is sua": [True, False, True],
            "label": [1.0, 0.5, 1.0],  # read as the quality
            "cluster_id": [4, 5, 6],
            "kind": ["a", "b", "c"],
            "keys": [0, 1, 2],
            "position_um": [7, 8, 9],
        }
        for name in names:
            file.add_unit_column(name, "no description")
        file.add_unit_column("lags", "a list a unit", index=True)
        file.add_unit_column("pair", "two values a unit")
        for row, times in enumerate(TRAINS):
            file.add_unit(
                spike_times=times,
                electrodes=[row],
                waveform_mean=np.zeros((4, 2)),
                obs_intervals=[[0.0, 10.0]],
                lags=[1.0] * (row + 1),
                pair=[0.0, 1.0],
                **{name: values[row] for name, values in names.items()},
            )
        recording = convert(save(file, tmp_path / "a.nwb"))
        again = open_recording(write_recording(recording, tmp_path / "a.h5"))
        assert set(again.units.columns) == set(recording.units.columns)
        for name, values in recording.units.columns.items():
            np.testing.assert_array_equal(again.units.columns[name], values)
            assert again.units.columns[name].dtype == values.dtype
        return again.units.columns

    def test_numbers_and_truth_values_are_kept(self, columns):
        np.testing.assert_array_equal(columns["snr"], [1.5, np.nan, 3.0])
        assert columns["is_sua"].tolist() == [True, False, True]
        assert columns["is_sua"].dtype == bool

    def test_names_are_such_as_a_file_can_hold(self, columns):
        assert columns["depth_um"].tolist() == [10, 20, 30]
        assert columns["depth_um_"].tolist() == [1.0, 2.0, 3.0]
        assert columns["keys_"].tolist() == [0, 1, 2]
        assert columns["position_um_"].tolist() == [7, 8, 9]

    def test_nothing_else_is(self, columns):
        assert len(columns) == 6
        assert not {"label", "cluster_id", "kind", "lags", "pair"} & set(columns)


class TestRefusals:
    def test_no_units(self, tmp_path):
        with pytest.raises(DataError, match="no units with spike times"):
            convert(save(new_file(), tmp_path / "a.nwb"))

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            convert(tmp_path / "none.nwb")

    @pytest.mark.parametrize("share", [0.0, 0.5])
    def test_not_nwb(self, full, share):
        content = full.read_bytes()
        full.write_bytes(content[: int(len(content) * share)] or b"text")
        with pytest.raises(DataError, match="not a readable NWB file") as caught:
            convert(full)
        assert "\n" not in str(caught.value)

    def test_without_pynwb(self, full, monkeypatch):
        monkeypatch.setitem(sys.modules, "pynwb", None)
        with pytest.raises(MissingExtraError, match=r"neurohorizon\[nwb\]"):
            convert(full)


def test_files_are_found(full):
    assert find_files(full.parent) == [full]
    assert find_files(full) == [full]
