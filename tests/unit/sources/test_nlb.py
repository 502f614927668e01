import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

import nlb_world
from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.ops.intervals import as_intervals, contains
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.validate import validate_recording
from neurohorizon.sources import nlb
from neurohorizon.sources.nlb import convert
from neurohorizon.sources.nlb.benchmark import DATASETS, held_out, windows
from neurohorizon.sources.nlb.source import find_files, list_sessions
from neurohorizon.sources.prepare import prepare
from neurohorizon.sources.split_plan import SplitPlan

pytest.importorskip("pynwb")
EVERY = sorted(DATASETS)


def spikes_of(recording, row):
    return recording.spike_times[recording.spike_unit_index == row]


def binned(recording, start_s, num_bins):
    """Count by hand: spikes of the world lie in the middle of a millisecond."""
    counts = np.zeros((num_bins, recording.num_units))
    bins = np.floor((recording.spike_times - start_s) / 0.005 + 1e-6).astype(int)
    inside = (bins >= 0) & (bins < num_bins)
    np.add.at(counts, (bins[inside], recording.spike_unit_index[inside]), 1)
    return counts


class TestConvert:
    @pytest.mark.parametrize("name", EVERY)
    @pytest.mark.parametrize("part", ["train", "test"])
    def test_spikes_come_back_exactly(self, tmp_path, name, part):
        path, trains, _ = nlb_world.write_nlb(tmp_path, name, part)
        recording = convert(path)
        assert recording.id == f"{name}_{part}"
        assert recording.source == "nlb"
        assert recording.subject == DATASETS[name].subject
        assert recording.units.id.tolist() == [f"unit_{unit}" for unit in trains]
        assert np.all(np.diff(recording.spike_times) >= 0)
        for row, times in enumerate(trains.values()):
            np.testing.assert_array_equal(spikes_of(recording, row), times)
        errors = [x for x in validate_recording(recording) if x.severity == "error"]
        assert not errors

    def test_behaviour_is_on_the_spikes_clock(self, tmp_path):
        recording = convert(nlb_world.write_nlb(tmp_path, "mc_maze_small")[0])
        assert set(recording.series) == {"cursor_pos", "eye_pos", "hand_pos", "hand_vel"}
        for name, series in recording.series.items():
            expected = nlb_world.behaviour(name, series.timestamps)
            np.testing.assert_allclose(series.values, expected)
        assert recording.series["hand_vel"].unit == "mm/s"

    @pytest.mark.parametrize(
        ("name", "series"),
        [
            ("mc_rtt", {"cursor_pos", "finger_pos", "finger_vel", "target_pos"}),
            ("area2_bump", {"force", "hand_pos", "hand_vel", "joint_ang"}),
            ("dmfc_rsg", set()),
        ],
    )
    def test_every_data_set_has_its_behaviour(self, tmp_path, name, series):
        recording = convert(nlb_world.write_nlb(tmp_path, name)[0])
        assert set(recording.series) == series
        for word in DATASETS[name].behaviour:
            assert word in recording.series or word in recording.tables["trials"].columns

    def test_domain_is_what_was_observed(self, tmp_path):
        path, _, trials = nlb_world.write_nlb(tmp_path, "mc_maze")
        recording = convert(path)
        rows = np.column_stack([trials["start_time"], trials["stop_time"]])
        np.testing.assert_array_equal(recording.domain, rows)
        assert contains(recording.domain, recording.spike_times).all()

    def test_trials_keep_their_split_and_columns(self, tmp_path):
        path, _, trials = nlb_world.write_nlb(tmp_path, "mc_maze_large")
        table = convert(path).tables["trials"]
        assert table.columns["split_indicator"].tolist() == trials["split"].tolist()
        np.testing.assert_array_equal(table.columns["go_cue_time"], trials["go_cue_time"])
        assert table.columns["active_target_pos"][:3].tolist() == [[0, 0], [5, 6], [20, -2]]

    def test_area_comes_from_the_id_where_the_electrodes_lie(self, tmp_path):
        units = convert(nlb_world.write_nlb(tmp_path, "mc_maze_small")[0]).units
        assert units.area.tolist() == ["PMd", "M1", "PMd", "M1", "M1", "PMd"]
        assert np.isnan(units.position_um).all()

    def test_names_without_a_session_are_taken(self, tmp_path):
        path, _, _ = nlb_world.write_nlb(tmp_path, "mc_rtt")
        assert convert(path.rename(tmp_path / "sub-Indy_desc-train.nwb")).id == "mc_rtt_train"


class TestHidden:
    def test_held_out_units_are_known(self, tmp_path):
        path, trains, _ = nlb_world.write_nlb(tmp_path, "mc_maze_small")
        recording = convert(path)
        expected = [row in nlb_world.HELD_OUT for row in range(len(trains))]
        assert held_out(recording).tolist() == expected
        assert recording.units.columns["held_out"].dtype == bool
        assert "heldout" not in recording.units.columns
        assert not any("held" in key for key in recording.metadata)

    def test_they_survive_file_and_selection(self, tmp_path):
        recording = convert(nlb_world.write_nlb(tmp_path, "mc_rtt")[0])
        again = open_recording(write_recording(recording, tmp_path / "a.h5"))
        chosen = again.select_units(np.array([4, 0, 1]))
        assert held_out(chosen).tolist() == [True, False, True]

    @pytest.mark.parametrize("name", EVERY)
    def test_the_test_recording_holds_only_what_was_published(self, tmp_path, name):
        train = convert(nlb_world.write_nlb(tmp_path, name)[0])
        test = convert(nlb_world.write_nlb(tmp_path, name, "test")[0])
        seen = train.units.id[~held_out(train)]
        assert test.units.id.tolist() == seen.tolist()
        assert not held_out(test).any()
        assert not test.series
        assert set(test.tables["trials"].columns["split_indicator"]) == {"test"}

    def test_another_recording_is_refused(self, tmp_path):
        recording = convert(nlb_world.write_nlb(tmp_path, "mc_rtt")[0])
        with pytest.raises(DataError, match="convert it with the source nlb"):
            held_out(replace(recording, units=replace(recording.units, columns={})))
        with pytest.raises(DataError, match="convert it with that source"):
            windows(replace(recording, metadata={}), "val")
        with pytest.raises(DataError, match="unknown split 'valid': choose train, val"):
            windows(recording, "valid")


class TestBenchmark:
    def test_windows_are_those_of_nlb_tools(self):
        parameters = pytest.importorskip("nlb_tools.make_tensors").PARAMS
        assert set(DATASETS) == set(parameters)
        for name, benchmark in DATASETS.items():
            theirs = parameters[name]
            make, scored = theirs["make_params"], theirs["eval_make_params"]
            align = "start_time" if benchmark.align == "start" else benchmark.align
            assert make["align_field"] == scored["align_field"] == align
            window_ms = tuple(round(1000 * edge) for edge in benchmark.window_s)
            assert make["align_range"] == window_ms
            assert scored.get("align_range", window_ms) == window_ms
            assert scored.get("start_field", "") == benchmark.scored_from
            assert benchmark.num_bins == (window_ms[1] - window_ms[0]) // 5
            assert benchmark.num_forward_bins == theirs["fp_len"] // 5 == 40
            lag_s = None if benchmark.lag_s is None else round(1000 * benchmark.lag_s)
            assert theirs.get("lag") == lag_s
            field = theirs["behavior_field"]
            assert benchmark.behaviour == tuple([field] if isinstance(field, str) else field)

    @pytest.mark.parametrize("name", ["mc_maze_small", "mc_rtt", "area2_bump"])
    def test_counts_are_those_of_nlb_tools(self, tmp_path, monkeypatch, name):
        tools = pytest.importorskip("nlb_tools.make_tensors")
        path, _, _ = nlb_world.write_nlb(tmp_path, name)
        # Some gaps of the world cut a window; nlb_tools would stack windows of other lengths.
        recording, benchmark = convert(path), DATASETS[name]
        dataset = tools.NWBDataset(str(path), skip_fields=list(nlb_world.LAYOUTS[name].series))
        # nlb_tools writes into an array that newer pandas keep read-only: let it have a copy.
        nan_to_num = np.nan_to_num
        monkeypatch.setattr(np, "nan_to_num", lambda values, copy=True: nan_to_num(values))
        dataset.resample(5)
        rows = windows(recording, "train")
        whole = contains(recording.domain, rows[:, 0]) & contains(
            recording.domain, rows[:, 1] + benchmark.forward_s - 1e-6
        )
        trials = recording.tables["trials"].columns["split_indicator"] == "train"
        trials[np.flatnonzero(trials)[~whole]] = False
        theirs = tools.make_train_input_tensors(
            dataset, name, trial_split=trials, save_file=False, include_forward_pred=True
        )
        num_bins = benchmark.num_bins + benchmark.num_forward_bins
        ours = np.array([binned(recording, start, num_bins) for start, _ in rows[whole]])
        assert len(ours) >= 3
        # nlb_tools puts units in the order of their ids.
        order = np.argsort([int(name.removeprefix("unit_")) for name in recording.units.id])
        hidden = held_out(recording)[order]
        for word, units in (("heldin", order[~hidden]), ("heldout", order[hidden])):
            np.testing.assert_array_equal(
                ours[:, : benchmark.num_bins, units], theirs[f"train_spikes_{word}"]
            )
            np.testing.assert_array_equal(
                ours[:, benchmark.num_bins :, units], theirs[f"train_spikes_{word}_forward"]
            )

    def test_trials_without_the_aligned_moment_are_left_out(self, tmp_path):
        path, _, trials = nlb_world.write_nlb(tmp_path, "mc_maze_small")
        with h5py.File(path, "r+") as file:
            file["intervals/trials/move_onset_time"][2] = np.nan
        num_val = np.count_nonzero(trials["split"] == "val")
        assert windows(convert(path), "val").shape == (num_val - 1, 2)


class TestSplit:
    def test_the_benchmarks_own_split(self, tmp_path):
        path, _, trials = nlb_world.write_nlb(tmp_path / "in", "mc_maze_small")
        plan = SplitPlan("trials.split_indicator", guard_s=0.0)
        made = prepare(nlb.SOURCE, path, tmp_path / "out", split=plan)
        assert not made.failed
        recording = open_recording(made.written[0])
        split = recording.require_split()
        assert split.interleaved
        for word, part in (("train", "train"), ("val", "valid")):
            rows = trials["split"] == word
            expected = as_intervals(
                np.column_stack([trials["start_time"], trials["stop_time"]])[rows]
            )
            np.testing.assert_array_equal(split.domain(part), expected)
        assert len(split.test) == 0
        again = prepare(nlb.SOURCE, path, tmp_path / "out", split=plan)
        assert len(again.skipped) == 1
        other = prepare(nlb.SOURCE, path, tmp_path / "out", split=SplitPlan("interleaved"))
        assert len(other.written) + len(other.failed) == 1

    def test_a_test_file_has_a_test_domain_alone(self, tmp_path):
        path, _, trials = nlb_world.write_nlb(tmp_path / "in", "mc_maze_small", "test")
        plan = SplitPlan("trials.split_indicator")
        made = prepare(nlb.SOURCE, path, tmp_path / "out", split=plan)
        assert not made.failed
        split = open_recording(made.written[0]).require_split()
        assert (len(split.train), len(split.valid), split.interleaved) == (0, 0, False)
        rows = np.column_stack([trials["start_time"], trials["stop_time"]])
        np.testing.assert_array_equal(split.test, as_intervals(rows))
        (findings,) = made.findings.values()
        assert {"the train domain is empty", "the valid domain is empty"} <= {
            finding.what for finding in findings if finding.severity == "warning"
        }


class TestTorchBrain:
    def test_both_readers_agree(self, tmp_path):
        # The pipeline looks for "test" in the whole path, which this folder's name holds.
        folder = tmp_path / "a test"
        path, _, _ = nlb_world.write_nlb(folder, "mc_maze_small")
        own, theirs = convert(path), convert(path, reader="torch_brain")
        np.testing.assert_array_equal(own.spike_times, theirs.spike_times)
        for row in range(own.num_units):  # the pipeline orders spikes of one moment otherwise
            np.testing.assert_array_equal(spikes_of(own, row), spikes_of(theirs, row))
        assert own.units.id.tolist() == theirs.units.id.tolist()
        assert held_out(theirs).tolist() == held_out(own).tolist()
        for name in ("hand_pos", "hand_vel", "eye_pos"):
            ours, series = own.series[name], theirs.series[name]
            known = np.isfinite(series.values).all(axis=1)
            np.testing.assert_allclose(series.timestamps[known], ours.timestamps)
            np.testing.assert_array_equal(series.values[known], ours.values)
        assert set(theirs.tables["torch_brain_split"].columns["part"]) == {"train", "valid", "test"}
        assert theirs.split is None
        assert len(theirs.tables["nlb_eval_intervals"]) == 12

    def test_test_file(self, tmp_path):
        path, trains, _ = nlb_world.write_nlb(tmp_path, "mc_maze_small", "test")
        recording = convert(path, reader="torch_brain")
        for row, times in enumerate(trains.values()):
            np.testing.assert_array_equal(spikes_of(recording, row), times)

    def test_it_covers_one_data_set(self, tmp_path):
        path, _, _ = nlb_world.write_nlb(tmp_path, "mc_maze_large")
        with pytest.raises(DataError, match="covers mc_maze_small only"):
            convert(path, reader="torch_brain")
        with pytest.raises(DataError, match="unknown reader 'mine'"):
            convert(path, reader="mine")

    def test_it_opens_and_slices_what_we_write(self, tmp_path):
        from torch_brain.data import Data

        path, _, trials = nlb_world.write_nlb(tmp_path, "mc_maze_medium")
        recording = convert(path)
        written = write_recording(recording, tmp_path / "a.h5")
        same = write_recording(convert(path), tmp_path / "b.h5")
        assert written.read_bytes() == same.read_bytes()
        start, end = trials["start_time"][3], trials["stop_time"][3]
        with h5py.File(written) as file:
            data = Data.from_hdf5(file, lazy=True).slice(start, end, reset_origin=False)
            times, _ = recording.between(start, end)
            np.testing.assert_array_equal(data.spikes.timestamps, times)
            np.testing.assert_allclose(
                data.hand_vel.values, nlb_world.behaviour("hand_vel", data.hand_vel.timestamps)
            )
            assert data.trials.split_indicator.astype(str).tolist() == [trials["split"][3]]


class TestRefusals:
    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            convert(tmp_path / "none.nwb")

    def test_damaged(self, tmp_path):
        path, _, _ = nlb_world.write_nlb(tmp_path, "mc_rtt")
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(DataError, match="not a readable NWB file") as caught:
            convert(path)
        assert "\n" not in str(caught.value)

    def test_another_animal(self, tmp_path):
        path, _, _ = nlb_world.write_perich(tmp_path)
        with pytest.raises(
            DataError, match=r"subject 'C' and session .* are of no data set of nlb"
        ):
            convert(path)

    @pytest.mark.parametrize("member", ["heldout", "obs_intervals", "obs_intervals_index"])
    def test_missing_member(self, tmp_path, member):
        path, _, _ = nlb_world.write_nlb(tmp_path, "mc_rtt")
        with h5py.File(path, "r+") as file:
            columns = [x for x in file["units"].attrs["colnames"] if not member.startswith(x)]
            if member.startswith("obs"):
                del file["units/obs_intervals"], file["units/obs_intervals_index"]
            else:
                del file["units/heldout"]
            file["units"].attrs["colnames"] = columns
        with pytest.raises(DataError, match="expected units with heldout and obs_intervals"):
            convert(path)

    def test_no_split(self, tmp_path):
        path, _, _ = nlb_world.write_nlb(tmp_path, "mc_rtt")
        with h5py.File(path, "r+") as file:
            del file["intervals/trials/split"]
            file["intervals/trials"].attrs["colnames"] = ["start_time", "stop_time"]
        with pytest.raises(DataError, match="no column `split`"):
            convert(path)

    def test_without_pynwb(self, tmp_path, monkeypatch):
        path, _, _ = nlb_world.write_nlb(tmp_path, "mc_rtt")
        monkeypatch.setitem(sys.modules, "pynwb", None)
        with pytest.raises(MissingExtraError, match=r"neurohorizon\[nwb\]"):
            convert(path)


def publish(dandi, dandiset, *paths):
    """Publish a version of a data set with these files, as its listing shows them."""
    number, _, version = dandiset.partition("/")
    ids = [dandi.add(number, path, 7 + len(path), sha256="aa") for path in paths]
    answers = dandi.server.answers
    draft = answers.pop(f"/api/dandisets/{number}/versions/draft/assets/")
    answers[f"/api/dandisets/{number}/versions/{version}/assets/"] = draft
    return ids


class TestSessions:
    @pytest.fixture
    def archive(self, dandi):
        return {
            name: publish(
                dandi,
                one.dandiset,
                "dandiset.yaml",
                f"sub-{one.subject}/sub-{one.subject}_ses-{one.session}_desc-test_ecephys.nwb",
                f"sub-{one.subject}/sub-{one.subject}_desc-train_behavior+ecephys.nwb",
            )
            for name, one in DATASETS.items()
        }

    def test_all(self, tmp_path, archive):
        sessions = nlb.SOURCE.list_sessions(tmp_path)
        assert len(sessions) == nlb.SOURCE.num_recordings == 14
        expected = sorted(f"{name}_{part}" for name in EVERY for part in ("train", "test"))
        assert [session.id for session in sessions] == expected

    def test_one(self, tmp_path, archive):
        test, train = list_sessions(tmp_path, dataset="mc_rtt")
        assert (test.id, train.id) == ("mc_rtt_test", "mc_rtt_train")
        (file,) = train.files
        assert file.path == "000129/sub-Indy/sub-Indy_desc-train_behavior+ecephys.nwb"
        assert (file.num_bytes, file.sha256) == (train.num_bytes, "aa")
        assert file.url.endswith(f"/assets/{archive['mc_rtt'][2]}/download/")
        assert train.about["subject"] == "Indy"

    def test_unknown(self, tmp_path):
        with pytest.raises(DataError, match="unknown dataset 'maze': choose all, mc_maze"):
            list_sessions(tmp_path, dataset="maze")


def test_files_are_found(tmp_path):
    path, _, _ = nlb_world.write_nlb(tmp_path, "mc_rtt")
    assert find_files(tmp_path) == find_files(path) == [path]
