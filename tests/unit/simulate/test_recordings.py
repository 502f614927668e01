"""Simulated sessions as files: written once, read back whole, their truth kept apart."""

from dataclasses import fields, replace

import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.store import list_recordings, open_recording
from neurohorizon.recordings.survey import survey_file
from neurohorizon.simulate import recordings
from neurohorizon.simulate.observer import IdealObserver
from neurohorizon.simulate.population import simulate_population
from neurohorizon.simulate.recordings import PopulationPlan, write_population
from neurohorizon.simulate.truth import load_truth, truth_path, write_truth

PLAN = PopulationPlan(units_range=(4, 6), duration_s=30.0, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("population")
    write_population(PLAN, folder, indices=range(2))
    return folder


def test_a_session_reads_back_as_it_was_simulated(folder):
    path = folder / "seed3_session0001.h5"
    session, truth = PLAN.simulate(1), load_truth(path)
    for one, other in ((session, truth), (session.units, truth.units)):
        for field in fields(one):
            value, again = getattr(one, field.name), getattr(other, field.name)
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, again)
                assert value.dtype == again.dtype
    assert (truth.world, truth.seed, truth.duration_s) == (session.world, (3, 1), 30.0)
    np.testing.assert_array_equal(truth.trials.end_s, session.trials.end_s)


def test_the_plan_s_sessions_are_those_of_simulate_population():
    arguments = {"units_range": (4, 6), "duration_s": 30.0, "seed": 3}
    for index, session in enumerate(simulate_population(PLAN.world, num_sessions=2, **arguments)):
        mine = PLAN.simulate(index)
        np.testing.assert_array_equal(mine.spike_times, session.spike_times)
        assert mine.num_units == session.num_units


def test_the_recording_tells_what_an_experimenter_would_know(folder):
    recording = open_recording(folder / "seed3_session0000.h5")
    session = PLAN.simulate(0)
    np.testing.assert_array_equal(recording.spike_times, session.spike_times)
    np.testing.assert_array_equal(recording.series["velocity"].values, session.velocity)
    trials = recording.tables["trials"]
    np.testing.assert_array_equal(trials.start, session.trials.preparation_start_s)
    np.testing.assert_array_equal(
        trials.columns["movement_onset_s"], session.trials.movement_onset_s
    )
    assert set(np.round(trials.columns["direction_rad"] / (np.pi / 4), 6)) <= set(range(8))
    assert recording.split is not None
    assert [
        f
        for f in list(survey_file(folder / "seed3_session0000.h5").findings)
        if f.severity == "error"
    ] == []


def test_switches_leave_out_what_they_name(tmp_path):
    plan = replace(PLAN, trials=False, behavior=False, drift=False, bursts=False)
    (path,) = write_population(plan, tmp_path, indices=[0])
    recording, truth = open_recording(path), load_truth(path)
    assert recording.series == {}
    assert recording.tables == {}
    assert truth.velocity is None
    assert not truth.units.log_gain.any()
    assert not truth.units.is_burster.any()


def test_driven_sessions_read_back_with_what_drove_them(tmp_path):
    plan = replace(PLAN, driven=True)
    (path,) = write_population(plan, tmp_path, indices=[0])
    recording, truth, session = open_recording(path), load_truth(path), plan.simulate(0)
    np.testing.assert_array_equal(truth.rate_hz, session.rate_hz)
    for field in fields(session.drives):
        value = getattr(session.drives, field.name)
        np.testing.assert_array_equal(getattr(truth.drives, field.name), value)
    shown = recording.embeddings["pictures"]
    onsets, vectors = shown.between(0.0, 30.0)
    np.testing.assert_array_equal(onsets, session.drives.presentation_start_s)
    np.testing.assert_allclose(vectors, session.drives.pictures_shown, rtol=1e-6)
    np.testing.assert_array_equal(recording.series["running"].values[:, 0], session.drives.running)
    with pytest.raises(ConfigError, match="the observer sees spikes alone"):
        IdealObserver(truth, reference_s=20.0)


def test_the_observer_forecasts_from_what_was_read_back(folder):
    forecasts = [
        IdealObserver(session, num_particles=50, num_rollouts=20, reference_s=20.0).forecast(
            [25.0, 26.0], num_bins=5
        )
        for session in (PLAN.simulate(0), load_truth(folder / "seed3_session0000.h5"))
    ]
    np.testing.assert_array_equal(forecasts[0], forecasts[1])


def test_what_is_there_is_not_simulated_again(tmp_path, monkeypatch):
    files = write_population(PLAN, tmp_path, indices=[0])
    before = files[0].stat().st_mtime_ns
    calls = []
    write_population(PLAN, tmp_path, indices=[0, 2], progress=lambda *call: calls.append(call))
    assert files[0].stat().st_mtime_ns == before
    assert calls == [(1, 2), (2, 2)]
    # Without its truth a recording is not whole.
    truth_path(files[0]).unlink()
    write_population(PLAN, tmp_path, indices=[0])
    assert truth_path(files[0]).is_file()


def test_an_interruption_leaves_whole_sessions_only(tmp_path, monkeypatch):
    def full_disk(recording, path):
        raise DataError(f"{path}: could not be written")

    write_population(PLAN, tmp_path, indices=[0])
    with monkeypatch.context() as patched:
        patched.setattr(recordings, "write_recording", full_disk)
        with pytest.raises(DataError):
            write_population(PLAN, tmp_path, indices=[0, 1])
    assert [path.stem for path in list_recordings(tmp_path)] == ["seed3_session0000"]
    assert len(write_population(PLAN, tmp_path, indices=[0, 1])) == 2
    load_truth(tmp_path / "seed3_session0001.h5")


def test_a_folder_holds_one_population(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"other settings \(bursts is True there, False here\)"):
        write_population(replace(PLAN, bursts=False), folder, indices=[0])
    (tmp_path / "mine.h5").write_bytes(b"")
    with pytest.raises(ConfigError, match="not simulated here"):
        write_population(PLAN, tmp_path, indices=[0])


def test_plans_that_differ_have_other_fingerprints():
    plans = [
        PLAN,
        replace(PLAN, seed=4),
        replace(PLAN, drift=False),
        replace(PLAN, world=replace(PLAN.world, gain_sd=0.3)),
    ]
    assert len({plan.fingerprint for plan in plans}) == len(plans)
    assert PLAN.fingerprint == PopulationPlan((4, 6), 30.0, 3).fingerprint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"units_range": (5, 3)}, "units_range is 5 to 3"),
        ({"seed": -1}, "seed is -1"),
        ({"duration_s": 5.0}, "too short to split"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(settings, words):
    with pytest.raises((ConfigError, DataError), match=words):
        PopulationPlan(**settings)


def test_a_truth_that_is_missing_damaged_or_of_another_session_is_refused(folder, tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes((folder / "seed3_session0000.h5").read_bytes())
    with pytest.raises(DataError, match=r"no truth beside it \(expected a\.truth\.npz\)"):
        load_truth(path)
    whole = truth_path(folder / "seed3_session0000.h5").read_bytes()
    truth_path(path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged or foreign"):
        load_truth(path)
    other = PLAN.simulate(0).num_units % 6 + 4
    plan = replace(PLAN, units_range=(other, other))
    write_truth(plan.simulate(0), truth_path(path))
    with pytest.raises(DataError, match="not of one session"):
        load_truth(path)
