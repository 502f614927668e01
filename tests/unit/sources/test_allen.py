import shutil

import h5py
import numpy as np
import pytest

import allen_world as world
from neurohorizon.errors import DataError
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.validate import validate_recording
from neurohorizon.sources import dandi_archive, nwb
from neurohorizon.sources.allen import SOURCE, convert, find_files, list_sessions, templates
from range_server import serving

pytest.importorskip("pynwb")

PASSING = [index for index, unit in enumerate(world.UNITS) if unit[-1]]
EVERYTHING = {
    "quality": "",
    "isi_violations": np.inf,
    "amplitude_cutoff": np.inf,
    "presence_ratio": 0.0,
    "out_of_brain": True,
}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("allen")
    name = f"sub-{world.SUBJECT}_ses-{world.SESSION}.nwb"
    return world.write_session(folder / f"sub-{world.SUBJECT}" / name)


@pytest.fixture
def copy(session, tmp_path):
    return shutil.copy(session, tmp_path / "a.nwb")


def assert_trains(recording, expected):
    assert np.all(np.diff(recording.spike_times) >= 0)
    assert recording.num_units == len(expected)
    for unit, times in enumerate(expected):
        own = recording.spike_times[recording.spike_unit_index == unit]
        np.testing.assert_array_equal(own, times)


class TestUnits:
    def test_the_filter_keeps_what_allensdk_keeps(self, session):
        recording = convert(session)
        assert recording.units.id.tolist() == [f"unit_{world.UNITS[i][0]}" for i in PASSING]
        assert "7 of 10 units by the unit filter" in recording.metadata["left_out"]
        assert recording.metadata["unit_filter"] == (
            "quality good, isi_violations <= 0.5, amplitude_cutoff <= 0.1, "
            "presence_ratio >= 0.95, in the brain"
        )

    def test_spikes_come_back_exactly(self, session):
        trains = world.trains()
        assert_trains(convert(session), [trains[index] for index in PASSING])

    def test_settings_loosen_it_one_by_one(self, session):
        assert convert(session, quality="noise").num_units == 1
        assert convert(session, isi_violations=0.6).num_units == len(PASSING) + 1
        assert convert(session, amplitude_cutoff=0.3).num_units == len(PASSING) + 1
        assert convert(session, presence_ratio=0.9).num_units == len(PASSING) + 1
        assert convert(session, out_of_brain=True).num_units == len(PASSING) + 1
        assert_trains(convert(session, **EVERYTHING), world.trains())

    def test_areas_and_positions_are_the_peak_channels(self, session):
        units = convert(session).units
        assert units.area.tolist() == ["VISp", "CA1", "CA1"]
        assert units.position_um[0].tolist() == [8000.0, 1200.0, 7900.0]
        outside = convert(session, **EVERYTHING).units
        assert outside.area[6] == ""
        assert np.isnan(outside.position_um[6]).all()

    def test_metrics_of_the_kept_units_are_columns(self, session, tmp_path):
        recording = convert(session)
        columns = recording.units.columns
        assert set(columns) == {
            "firing_rate",
            "snr",
            "isi_violations",
            "presence_ratio",
            "amplitude_cutoff",
        }
        assert columns["snr"].tolist() == [world.snr(index) for index in PASSING]
        assert columns["isi_violations"].tolist() == [world.UNITS[i][3] for i in PASSING]
        trains = world.trains()
        expected = [len(trains[index]) / world.DURATION_S for index in PASSING]
        assert columns["firing_rate"].tolist() == expected
        assert np.isnan(convert(session, **EVERYTHING).units.columns["amplitude_cutoff"][8])
        again = open_recording(write_recording(recording, tmp_path / "a.h5")).units
        for name, values in columns.items():
            np.testing.assert_array_equal(again.columns[name], values)

    def test_only_numbers_with_one_value_a_unit_are_metrics(self, copy):
        with h5py.File(copy, "r+") as file:
            for name, values in (
                ("d_prime", np.zeros((len(world.UNITS), 3))),
                ("spread", np.zeros(len(world.UNITS) + 1)),
                ("l_ratio", np.array([b"high"] * len(world.UNITS))),
                ("max_drift", np.arange(len(world.UNITS), dtype=np.int32)),
            ):
                file[f"units/{name}"] = values
        columns = convert(copy).units.columns
        assert {"d_prime", "spread", "l_ratio"}.isdisjoint(columns)
        assert columns["max_drift"].tolist() == PASSING

    def test_it_agrees_with_the_format_nwb(self, session):
        ours, generic = convert(session, **EVERYTHING), nwb.convert(session)
        np.testing.assert_array_equal(ours.spike_times, generic.spike_times)
        np.testing.assert_array_equal(ours.spike_unit_index, generic.spike_unit_index)
        np.testing.assert_array_equal(ours.domain, generic.domain)
        assert set(ours.tables) == set(generic.tables)
        for name, values in ours.units.columns.items():
            np.testing.assert_array_equal(generic.units.columns[name], values)
        movie = "natural_movie_one_presentations"
        np.testing.assert_array_equal(ours.tables[movie].start, generic.tables[movie].start)

    def test_times_that_are_no_times_are_dropped_and_counted(self, copy):
        with h5py.File(copy, "r+") as file:
            file["units/spike_times"][:2] = [-1.0, np.nan]
        recording = convert(copy)
        assert len(recording.spike_times) == sum(len(world.trains()[i]) for i in PASSING) - 2
        assert "2 spikes before 0 or without a time" in recording.metadata["left_out"]


class TestBehaviour:
    @pytest.mark.parametrize("first_layout", [False, True])
    def test_running_is_at_the_middle_of_its_intervals(self, copy, first_layout):
        if first_layout:
            world.to_first_layout(copy)
        speed = convert(copy).series["running_speed"]
        assert speed.unit == "cm/s"
        expected = world.running_speed(speed.timestamps)
        np.testing.assert_allclose(speed.values[:, 0], expected, atol=1e-9)
        assert speed.timestamps[0] == pytest.approx(0.5 + world.FRAME_S / 2)

    def test_pupil_and_gaze_are_the_filtered_ones(self, session):
        series = convert(session).series
        pupil, gaze = series["pupil_area"], series["gaze"]
        expected = world.pupil_area(pupil.timestamps)
        expected[10] = np.nan
        np.testing.assert_allclose(pupil.values[:, 0], expected)
        np.testing.assert_allclose(gaze.values, world.gaze(gaze.timestamps))
        assert gaze.unit == "deg"

    def test_ellipses_give_the_pupil_where_the_mapping_is_missing(self, copy):
        with h5py.File(copy, "r+") as file:
            del file["processing/filtered_gaze_mapping"]
            del file["processing/raw_gaze_mapping"]
        pupil = convert(copy).series["pupil_area"]
        np.testing.assert_allclose(pupil.values[:, 0], world.pupil_area(pupil.timestamps))

    def test_without_an_eye_camera(self, tmp_path):
        recording = convert(world.write_session(tmp_path / "a.nwb", eye=False))
        assert set(recording.series) == {"running_speed", "running_wheel_rotation"}

    def test_spikes_alone(self, session):
        recording = convert(session, behaviour=False)
        assert not recording.series
        assert not recording.tables
        np.testing.assert_array_equal(recording.domain, convert(session).domain)


class TestStimuli:
    def test_movie_frames_and_onsets(self, session):
        movie = convert(session).tables["natural_movie_one_presentations"]
        assert len(movie) == world.NUM_FRAMES * world.NUM_REPEATS
        assert movie.columns["frame"].dtype.kind == "i"
        np.testing.assert_array_equal(
            movie.columns["frame"], np.tile(np.arange(world.NUM_FRAMES), world.NUM_REPEATS)
        )
        onsets = world.MOVIE_START_S + np.arange(len(movie)) * world.FRAME_S
        np.testing.assert_allclose(movie.start, onsets)
        assert set(movie.columns["stimulus_name"]) == {"natural_movie_one"}
        assert "timeseries" not in movie.columns

    def test_blank_scenes_keep_their_number(self, session):
        scenes = convert(session).tables["natural_scenes_presentations"]
        assert scenes.columns["frame"].tolist() == [-1, *range(19)]

    def test_numbers_written_as_text_become_numbers(self, session):
        gratings = convert(session).tables["drifting_gratings_presentations"].columns
        assert gratings["spatial_frequency"].tolist()[:3] == [0.04] * 3
        assert np.isnan(gratings["spatial_frequency"][3])
        assert gratings["orientation"].tolist()[:3] == [0.0, 45.0, 90.0]
        assert gratings["phase"][0] == "[0.1, 0.2]"

    def test_all_tables(self, session):
        tables = convert(session).tables
        assert {"spontaneous_presentations", "invalid_times", "optogenetic_stimulation"} < set(
            tables
        )
        assert tables["optogenetic_stimulation"].columns["condition"].tolist() == ["a pulse"]

    def test_templates_are_read_by_the_frame(self, tmp_path):
        path = world.write_session(tmp_path / "a.nwb", templates=True)
        for name, frames in templates(path):
            assert isinstance(frames, h5py.Dataset)
            assert (name, frames.shape) == ("natural_movie_one", (world.NUM_FRAMES, 6, 8))
            assert frames[1].tolist() == np.arange(48, 96).reshape(6, 8).tolist()

    def test_a_movie_of_the_sdk(self, tmp_path):
        with h5py.File(tmp_path / "natural_movie_3.h5", "w") as file:
            file["data"] = np.zeros((5, 4, 3), dtype=np.uint8)
        found = [
            (name, frames.shape) for name, frames in templates(tmp_path / "natural_movie_3.h5")
        ]
        assert found == [("natural_movie_3", (5, 4, 3))]

    def test_no_templates(self, session):
        with pytest.raises(DataError, match="files of their own"):
            list(templates(session))


class TestRecording:
    def test_who_and_when(self, session):
        recording = convert(session)
        assert (recording.id, recording.subject) == (world.SESSION, world.SUBJECT)
        assert recording.metadata["stimuli"] == "brain_observatory_1.1"
        assert recording.metadata["species"] == "Mus musculus"
        assert "Siegle" in recording.metadata["citation"]

    def test_invalid_times_are_cut_out(self, session, tmp_path):
        low, high = world.INVALID
        assert convert(session).domain.tolist() == [[0.0, low], [high, 60.0]]
        whole = convert(world.write_session(tmp_path / "a.nwb", invalid=False))
        assert whole.domain.tolist() == [[0.0, 60.0]]

    def test_validation_finds_no_error(self, session):
        assert not [f for f in validate_recording(convert(session)) if f.severity == "error"]

    def test_the_same_bytes_twice(self, session, tmp_path):
        first = write_recording(convert(session), tmp_path / "1.h5").read_bytes()
        assert write_recording(convert(session), tmp_path / "2.h5").read_bytes() == first
        again = open_recording(tmp_path / "1.h5")
        assert again.tables["natural_movie_one_presentations"].columns["frame"][91] == 1

    def test_files_of_probes_are_not_sessions(self, session):
        folder = session.parent.parent
        (folder / "sub-1_ses-2_probe-3_ecephys.nwb").write_bytes(b"")
        assert find_files(folder) == [session]
        assert find_files(session) == [session]


class TestRefusals:
    def test_no_unit_passes(self, session):
        with pytest.raises(DataError, match=r"none of 10 units passes \(quality superb"):
            convert(session, quality="superb")

    def test_a_file_of_a_probe(self, tmp_path):
        with h5py.File(tmp_path / "probe.nwb", "w") as file:
            file["acquisition"] = 1
        with pytest.raises(DataError, match="expected a session's file, not one of a probe"):
            convert(tmp_path / "probe.nwb")

    @pytest.mark.parametrize(
        "name",
        ["units/presence_ratio", "units/peak_channel_id", "general/extracellular_ephys"],
    )
    def test_another_layout(self, copy, name):
        with h5py.File(copy, "r+") as file:
            del file[name]
        with pytest.raises(DataError, match=f"no {name}") as caught:
            convert(copy)
        assert "\n" not in str(caught.value)

    def test_damaged(self, copy):
        content = copy.read_bytes()
        copy.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match="not a readable NWB file"):
            convert(copy)


def test_of_a_remote_file_only_what_is_needed_is_read(tmp_path):
    pytest.importorskip("remfile")
    path = world.write_session(tmp_path / "a.nwb", raw_samples=8_000_000, eye=False)
    world.with_more_spikes(path, 200_000)
    with serving() as server:
        server.files["/b/a.nwb"] = path.read_bytes()
        recording = convert(f"{server.url}/b/a.nwb", behaviour=False)
        # Times of 3 of 10 units: 5 of the file's 50 MB, and what reading ahead adds.
        needed = recording.spike_times.nbytes
        assert needed < server.num_bytes_sent < 3 * needed < path.stat().st_size / 3
    local = convert(path, behaviour=False)
    np.testing.assert_array_equal(recording.spike_times, local.spike_times)
    np.testing.assert_array_equal(recording.units.area, local.units.area)
    assert recording.metadata["address"].endswith("/b/a.nwb")


class TestManifest:
    def test_sessions_of_both_data_sets(self, dandi):
        dandi.add("000021", "sub-2/sub-2_ses-20.nwb", 7, sha256="f" * 64)
        dandi.add("000021", "sub-2/sub-2_ses-20_probe-5_ecephys.nwb", 99)
        dandi.add("000021", "sub-1/sub-1_ses-10.nwb", 5)
        dandi.add("000022", "sub-3/sub-3_ses-30.nwb", 6)
        sessions = list_sessions(None)
        assert [session.id for session in sessions] == ["10", "20", "30"]
        assert [session.num_bytes for session in sessions] == [5, 7, 6]
        assert sessions[1].files[0].path == "sub-2/sub-2_ses-20.nwb"
        assert sessions[1].files[0].sha256 == "f" * 64
        assert sessions[1].files[0].url.endswith("/download/")
        assert sessions[1].about["stimuli"] == "brain_observatory_1.1"
        only = list_sessions(None, stimuli="functional_connectivity")
        assert [session.id for session in only] == ["30"]

    def test_other_stimuli(self):
        with pytest.raises(DataError, match=r"choose all, brain_observatory_1\.1 or functional"):
            list_sessions(None, stimuli="movies")

    def test_without_a_network(self, monkeypatch):
        pytest.importorskip("dandi")
        monkeypatch.setattr(dandi_archive, "API_URL", "http://127.0.0.1:9/api")
        with pytest.raises(
            DataError, match=r"DANDI cannot be reached .*check the network"
        ) as caught:
            list_sessions(None)
        assert "\n" not in str(caught.value)


def test_the_source_says_whose_data_they_are():
    assert SOURCE.num_recordings == 58
    assert "terms of use" in SOURCE.licence
    assert set(SOURCE.convert_settings) == {*EVERYTHING, "behaviour"}
