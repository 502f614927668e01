from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import nlb_world
from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import as_intervals, total_s
from neurohorizon.recordings.splits import assert_no_leakage
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.validate import validate_recording
from neurohorizon.sources import brainsets, perich_miller
from neurohorizon.sources.perich_miller import convert
from neurohorizon.sources.split_plan import SplitPlan

pytest.importorskip("pynwb")
PATHS = (
    "sub-C/sub-C_ses-CO-20161013_behavior+ecephys.nwb",
    "sub-C/sub-C_ses-RT-20131009_behavior+ecephys.nwb",
    "sub-M/sub-M_ses-CO-20140203_behavior+ecephys.nwb",
)


class TestCenterOut:
    @pytest.fixture(scope="class")
    def made(self, tmp_path_factory):
        path, trains, trials = nlb_world.write_perich(tmp_path_factory.mktemp("co"))
        return convert(path), trains, trials

    def test_spikes_come_back_exactly(self, made):
        recording, trains, _ = made
        assert recording.id == "c_20161021_center_out_reaching"
        assert (recording.subject, recording.source) == ("c", "perich_miller")
        assert np.all(np.diff(recording.spike_times) >= 0)
        for row, times in enumerate(trains):
            own = recording.spike_times[recording.spike_unit_index == row]
            np.testing.assert_array_equal(own, times)

    def test_areas_are_mended_and_ids_are_the_pipelines(self, made):
        recording, _, _ = made
        assert recording.units.area.tolist() == ["M1", "PMd", "M1", "PMd", "PMd", "M1"]
        assert recording.units.id[1] == "group_electrode_group_PMd/elec5/unit_1"

    def test_cursor_is_on_the_spikes_clock(self, made):
        recording, _, _ = made
        for name, unit, column in (
            ("cursor.pos", "cm", 0),
            ("cursor.vel", "cm/s", 1),
            ("cursor.acc", "cm/s^2", 2),
        ):
            series = recording.series[name]
            expected = nlb_world.cursor(series.timestamps)[column]
            np.testing.assert_allclose(series.values, expected, atol=1e-9)
            assert series.unit == unit

    def test_trials_and_reaches(self, made):
        recording, _, trials = made
        table = recording.tables["trials"]
        assert table.start.tolist() == trials["target_on_time"].tolist()
        good = np.ones(20, dtype=bool)
        good[[3, 5]] = False  # a failed one, one without a target
        assert table.columns["is_valid"].tolist() == good.tolist()
        reach = recording.tables["movement_phases.reach_period"]
        np.testing.assert_array_equal(reach.start, trials["go_cue_time"][good])
        np.testing.assert_array_equal(reach.end, trials["stop_time"][good])

    def test_the_pipelines_split_is_kept_as_a_table(self, made):
        recording, _, trials = made
        assert recording.split is None
        table = recording.tables["torch_brain_split"]
        parts = table.columns["part"]
        # 18 good trials: 20 % are for tests, and 10 of the 80 % that remain for validation.
        assert [np.count_nonzero(parts == word) for word in ("valid", "test")] == [2, 4]
        held = np.isin(parts, ["valid", "test"])
        assert np.isin(table.start[held], trials["target_on_time"]).all()
        for start, end in zip(table.start[~held], table.end[~held], strict=True):
            apart = np.maximum(table.start[held] - end, start - table.end[held])
            assert apart.min() > 1.0 - 1e-9

    def test_the_pipelines_split_can_be_the_recordings(self, made):
        recording, _, _ = made
        table = recording.tables["torch_brain_split"]
        parts = table.columns["part"]
        plans = (SplitPlan("torch_brain_split.part", guard_s=guard_s) for guard_s in (0.0, 1.5))
        decoding, forecasting = (plan.apply(recording).require_split() for plan in plans)
        assert decoding.interleaved
        for word in ("train", "valid", "test"):
            rows = np.column_stack([table.start, table.end])[parts == word]
            np.testing.assert_array_equal(decoding.domain(word), as_intervals(rows))
        assert total_s(forecasting.train) < total_s(decoding.train)
        assert_no_leakage(forecasting, context_s=0.5, horizon_s=1.0)

    def test_it_is_valid_and_says_where_it_comes_from(self, made):
        recording, _, _ = made
        assert not [x for x in validate_recording(recording) if x.severity == "error"]
        assert recording.metadata["licence"] == "CC-BY-4.0"
        assert recording.metadata["species"] == "Macaca mulatta"
        assert recording.metadata["task"] == "center_out_reaching"
        assert recording.metadata["origin_version"] == "dandi/000688/0.250122.1735"

    def test_torch_brain_opens_and_slices_what_we_write(self, made, tmp_path):
        from torch_brain.datasets import PerichMillerPopulation2018

        recording, _, trials = made
        path = write_recording(recording, tmp_path / "set" / f"{recording.id}.h5")
        again = open_recording(path)
        assert again.units.area.tolist() == recording.units.area.tolist()
        dataset = PerichMillerPopulation2018(root=str(tmp_path), dirname="set")
        data = dataset.get_recording(recording.id)
        start, end = trials["go_cue_time"][2], trials["stop_time"][2]
        times, _ = recording.between(start, end)
        window = data.slice(start, end, reset_origin=False)
        np.testing.assert_array_equal(window.spikes.timestamps, times)
        np.testing.assert_allclose(
            window.cursor.vel, nlb_world.cursor(window.cursor.timestamps)[1], atol=1e-9
        )


class TestRandomTarget:
    def test_the_folder_does_not_decide_the_task(self, tmp_path):
        # The pipeline looks for "CO" in the whole path, which this folder's name holds.
        path, trains, trials = nlb_world.write_perich(tmp_path / "COHORT", task="RT")
        recording = convert(path)
        assert recording.id == "c_20161021_random_target_reaching"
        assert len(recording.spike_times) == sum(len(times) for times in trains)
        np.testing.assert_array_equal(recording.tables["trials"].start, trials["start_time"])
        hold = recording.tables["movement_phases.hold_period"]
        np.testing.assert_array_equal(hold.end, trials["go_cue_time_array"][:, 0])

    def test_one_array_and_any_file_name(self, tmp_path):
        path, _, _ = nlb_world.write_perich(tmp_path, task="RT", subject="M", areas=("M1",))
        recording = convert(path.rename(tmp_path / "a.nwb"))
        assert recording.subject == "m"
        assert set(recording.units.area) == {"M1"}


def test_the_cursor_outside_the_workspace_is_marked(tmp_path):
    path, _, _ = nlb_world.write_perich(tmp_path, outlier_s=20.0)
    recording = convert(path)
    outliers = recording.tables["cursor_outlier_segments"]
    assert len(outliers) == 1
    assert outliers.start[0] <= 20.0 < 22.9 <= outliers.end[0]
    for name in ("hold_period", "reach_period", "return_period"):
        phase = recording.tables[f"movement_phases.{name}"]
        assert not np.any((phase.start < outliers.end[0]) & (phase.end > outliers.start[0]))


def test_the_same_bytes_twice(tmp_path):
    path, _, _ = nlb_world.write_perich(tmp_path)
    first = write_recording(convert(path), tmp_path / "a.h5")
    assert first.read_bytes() == write_recording(convert(path), tmp_path / "b.h5").read_bytes()


class TestRefusals:
    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            convert(tmp_path / "none.nwb")

    def test_damaged(self, tmp_path):
        path, _, _ = nlb_world.write_perich(tmp_path)
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(DataError, match="not a readable NWB file"):
            convert(path)

    def test_another_data_set(self, tmp_path):
        path, _, _ = nlb_world.write_nlb(tmp_path, "mc_rtt")
        with pytest.raises(DataError, match="no session of perich_miller: expected a session id"):
            convert(path)

    def test_missing_member(self, tmp_path):
        path, _, _ = nlb_world.write_perich(tmp_path)
        with h5py.File(path, "r+") as file:
            del file["processing/behavior/Velocity"]
        with pytest.raises(DataError, match=r"cannot read it \(KeyError: .*Velocity") as caught:
            convert(path)
        assert "\n" not in str(caught.value)


class TestSessions:
    @pytest.fixture
    def archive(self, dandi):
        for number, path in enumerate(PATHS):
            dandi.add("000688", path, 100 + number)
        answers = dandi.server.answers
        rows = answers.pop("/api/dandisets/000688/versions/draft/assets/")
        answers[f"/api/dandisets/000688/versions/{perich_miller.VERSION}/assets/"] = rows

    def test_names_are_those_of_the_pipelines_manifest(self, tmp_path, archive, monkeypatch):
        sessions = perich_miller.list_sessions(tmp_path)
        pipeline = brainsets.load_pipeline(perich_miller.PIPELINE)
        listed = [SimpleNamespace(path=path, download_url="url") for path in PATHS]
        names = pipeline.get_manifest.__func__.__globals__
        monkeypatch.setitem(names, "get_nwb_asset_list", lambda dandiset: listed)
        rows = brainsets.list_manifest(pipeline, tmp_path)
        assert [session.id for session in sessions] == [row.Index for row in rows]
        assert [session.files[0].path for session in sessions] == [row.path for row in rows]

    def test_task_and_subject(self, tmp_path, archive):
        (only,) = perich_miller.list_sessions(tmp_path, task="random_target_reaching")
        assert only.id == "c_20131009_random_target_reaching"
        assert only.num_bytes == 101
        (only,) = perich_miller.list_sessions(tmp_path, subject="M")
        assert only.about == {"subject": "m", "date": "20140203", "task": "center_out_reaching"}

    def test_none(self, tmp_path, archive):
        with pytest.raises(DataError, match="no session of subject 'x'"):
            perich_miller.list_sessions(tmp_path, subject="x")
        with pytest.raises(DataError, match="unknown task 'co': choose all, center_out_reaching"):
            perich_miller.list_sessions(tmp_path, task="co")
