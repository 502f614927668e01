"""AllenSDK needs a numpy that cannot live here: a stand-in answers what the pipeline asks it.

The stand-in follows AllenSDK's `BrainObservatoryCache` and `BrainObservatoryNwbDataSet`
(documentation: https://allensdk.readthedocs.io/en/latest/brain_observatory.html); everything
from the answers to the HDF5 file is torch_brain's own pipeline.
"""

import sys
from dataclasses import replace
from datetime import datetime
from types import ModuleType, SimpleNamespace

import h5py
import numpy as np
import pytest

from neurohorizon.cli.app import main
from neurohorizon.errors import DataError
from neurohorizon.recordings.store import write_recording
from neurohorizon.sources import allen_ophys
from neurohorizon.sources.allen_ophys import TRACES, convert
from neurohorizon.sources.source import RemoteSession

RATE_HZ, NUM_FRAMES, NUM_CELLS = 30.0, 3000, 4
SESSION = "501574836"


def traces(times):
    return np.sin(2 * np.pi * 0.3 * times + np.arange(NUM_CELLS)[:, None])


class Experiment:
    """One session A: drifting gratings twice, two movies, running, no eye camera."""

    times = 10.0 + np.arange(NUM_FRAMES) / RATE_HZ

    def get_metadata(self):
        return {
            "experiment_container_id": 511510753,
            "age_days": 104,
            "sex": "male",
            "cre_line": "Cux2-CreERT2/wt",
            "session_start_time": datetime(2016, 2, 4, 10, 25, 24),
            "session_type": "three_session_A",
            "imaging_depth_um": 175,
            "targeted_structure": "VISp",
        }

    def get_dff_traces(self):
        return self.times, traces(self.times)

    def get_roi_ids(self):
        return np.arange(NUM_CELLS) + 517399188

    def get_roi_mask(self):
        masks = []
        for cell in range(NUM_CELLS):
            plane = np.zeros((32, 32))
            plane[cell : cell + 3, 5:9] = 1
            masks.append(SimpleNamespace(get_mask_plane=lambda plane=plane: plane))
        return masks

    def get_running_speed(self):
        speed = 5 * np.cos(self.times)
        speed[7] = np.nan
        return speed, self.times

    def get_pupil_location(self):
        raise sys.modules["allensdk.core.brain_observatory_nwb_data_set"].NoEyeTrackingException

    def get_stimulus_table(self, name):
        import pandas as pd

        first, last = {
            "drifting_gratings": (0, 900),
            "natural_movie_one": (1200, 1500),
            "natural_movie_three": (1500, 2400),
        }[name]
        start = np.arange(first, last, 60)
        table = {"start": start, "end": start + 50}
        if name == "drifting_gratings":
            number = np.arange(len(start))
            table["temporal_frequency"] = np.resize([1.0, 2.0, 15.0], len(start))
            table["orientation"] = 45.0 * (number % 8)
            table["blank_sweep"] = (number == 4).astype(float)
        else:
            table |= {"frame": np.arange(len(start)), "repeat": 0}
        return pd.DataFrame(table)

    def get_stimulus_epoch_table(self):
        import pandas as pd

        rows = [
            ("drifting_gratings", 0, 450),
            ("drifting_gratings", 460, 900),
            ("natural_movie_one", 1200, 1500),
            ("natural_movie_three", 1500, 2400),
            ("spontaneous", 2450, 2900),
        ]
        return pd.DataFrame(rows, columns=["stimulus", "start", "end"])


class Cache:
    def __init__(self, manifest_file):
        manifest_file.write_text("{}")

    def get_ophys_experiment_data(self, file_name, ophys_experiment_id):
        assert ophys_experiment_id == int(SESSION)
        file_name.write_text("downloaded")
        return Experiment()


@pytest.fixture
def sdk(monkeypatch):
    package, core = ModuleType("allensdk"), ModuleType("allensdk.core")
    cache = ModuleType("allensdk.core.brain_observatory_cache")
    cache.BrainObservatoryCache, cache.BrainObservatoryNwbDataSet = Cache, Experiment
    data_set = ModuleType("allensdk.core.brain_observatory_nwb_data_set")
    for name in ("EpochSeparationException", "NoEyeTrackingException"):
        setattr(data_set, name, type(name, (Exception,), {}))
    for module in (package, core, cache, data_set):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def path(sdk, tmp_path):
    session = RemoteSession(SESSION)
    return allen_ophys.SOURCE.download(session, tmp_path, lambda done, total: None)


class TestConvert:
    def test_traces_come_back_exactly(self, path):
        recording = convert(path)
        assert path.name == f"{SESSION}.h5"
        assert (recording.id, recording.subject) == (SESSION, "511510753")
        assert len(recording.spike_times) == 0
        series = recording.signals[TRACES]
        assert TRACES not in recording.series
        np.testing.assert_allclose(series.timestamps, Experiment.times, atol=1e-9)
        np.testing.assert_allclose(series.values, traces(Experiment.times).T)
        assert recording.domain[0, 0] == 10.0
        assert recording.domain[0, 1] > series.timestamps[-1]

    def test_units_are_the_regions_of_interest(self, path):
        units = convert(path).units
        assert units.id.tolist() == [str(517399188 + cell) for cell in range(NUM_CELLS)]
        assert set(units.area) == {"VISp"}

    def test_the_recipe_of_a_decoder_is_ready_for_it(self, path, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_recording(replace(convert(path), source="allen_ophys"), tmp_path / "data" / "a.h5")
        settings = ["data.recordings=data", "data.split.block_s=20.0", "training.num_workers=0"]
        assert main(["train", "allen-ophys-running", "--dry-run", *settings]) == 0

    def test_running_is_on_the_traces_clock(self, path):
        running = convert(path).series["running.running_speed"]
        np.testing.assert_allclose(running.values[:, 0], 5 * np.cos(running.timestamps), rtol=1e-6)
        assert len(running.timestamps) == NUM_FRAMES - 1

    def test_stimuli_and_split(self, path):
        tables = convert(path).tables
        gratings = tables["drifting_gratings"]
        assert len(gratings) == 14  # one of the 15 sweeps is blank
        assert gratings.start[1] == Experiment.times[60]
        assert gratings.columns["orientation_id"][:5].tolist() == [0, 1, 2, 3, 5]
        assert len(tables["drifting_gratings_domain"]) == 2
        assert set(tables["torch_brain_split"].columns["part"]) == {"train", "valid", "test"}

    def test_metadata(self, path):
        metadata = convert(path).metadata
        assert metadata["genotype"] == "Cux2_CreERT2"
        assert metadata["imaging_depth_um"] == "175"


class TestSessions:
    def test_those_of_poyo_plus(self, tmp_path):
        sessions = allen_ophys.list_sessions(tmp_path)
        assert len(sessions) == allen_ophys.SOURCE.num_recordings
        assert SESSION in {session.id for session in sessions}

    def test_without_allensdk_the_way_out_is_named(self, tmp_path):
        with pytest.raises(DataError, match="brainsets prepare allen_visual_coding_ophys_2016"):
            allen_ophys.download(RemoteSession(SESSION), tmp_path, lambda done, total: None)


class TestRefusals:
    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="no such file"):
            convert(tmp_path / "a.h5")

    def test_another_file(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["values"] = [1, 2]
        with pytest.raises(DataError, match="not a file of torch_brain's pipeline") as caught:
            convert(tmp_path / "a.h5")
        assert "\n" not in str(caught.value)

    def test_damaged(self, path):
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(DataError, match="not a file of torch_brain's pipeline"):
            convert(path)

    def test_missing_member(self, path):
        with h5py.File(path, "r+") as file:
            del file["rois"]
        with pytest.raises(DataError, match="rois"):
            convert(path)
