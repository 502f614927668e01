"""Ceilings: looked up by origin, and known only for what was simulated."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.constant import Mean, ReferenceRate
from neurohorizon.evaluation.ceilings import Ceiling, ideal_observers, reached
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.evaluation.summary import pooled, strongest
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.simulate.population import simulate_session
from neurohorizon.simulate.session import SimulatedSession
from neurohorizon.simulate.world import PopulationWorld
from worlds import poisson_recording

PROTOCOL = Protocol(reference_s=30.0, fewest_spikes=100)


@pytest.fixture(scope="module")
def session() -> SimulatedSession:
    return simulate_session(PopulationWorld(), num_units=25, duration_s=60.0, seed=3)


def recording_of(session: SimulatedSession) -> Recording:
    domain = np.array([[0.0, session.duration_s]])
    return Recording(
        id="simulated",
        subject="nobody",
        source="simulated",
        spike_times=session.spike_times,
        spike_unit_index=session.spike_unit_index,
        units=Units.numbered(session.num_units),
        domain=domain,
        split=split_in_time(domain),
    )


def test_the_observers_are_ceilings_above_the_mean(session):
    case = prepare_case(recording_of(session), PROTOCOL, held_out=True).thin(2)
    told = []
    observers = ideal_observers(
        {"simulated": session},
        [case],
        num_particles=300,
        num_rollouts=60,
        progress=lambda done, total: told.append((done, total)),
    )
    result = evaluate([Mean(), ReferenceRate(), *observers], [case])
    names = ["ideal observer (gains known)", "ideal observer (reference gains)"]
    assert result.names("ceiling") == names
    assert told == [(1, 2), (2, 2)]
    for name in names:
        assert np.all(pooled(result, name).value > 0.05)
        assert strongest(result, 0.1) != name
        assert np.allclose(reached(result, name, name), 1.0)
        assert np.all(np.abs(reached(result, "mean", name)) < 1e-9)


def test_in_several_processes_observers_forecast_the_same(session, monkeypatch):
    case = prepare_case(recording_of(session), PROTOCOL, held_out=True).thin(8)
    expected = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        observers = ideal_observers(
            {"simulated": session}, [case], num_particles=20, num_rollouts=5
        )
        expected.append([observer.expected_counts(case) for observer in observers])
    np.testing.assert_array_equal(expected[0], expected[1])


def test_windows_are_found_in_any_order():
    case = prepare_case(poisson_recording(), PROTOCOL, held_out=True)
    shape = (len(case.origins_s), case.recording.num_units, 50)
    everything = np.arange(np.prod(shape), dtype=float).reshape(shape)
    ceiling = Ceiling("known", lambda _: everything)
    reader = WindowReader(case.recording, PROTOCOL.spec)
    rows = np.array([5, 1, 3])
    windows = reader.read(case.origins_s[rows], start_rate_hz=case.reference.rate_hz)
    assert np.array_equal(ceiling.forecast(case, windows), everything[rows])


def test_real_recordings_have_no_ceiling(session):
    case = prepare_case(poisson_recording(), PROTOCOL, held_out=True)
    with pytest.raises(DataError, match="poisson: no simulated session of this id"):
        ideal_observers({"simulated": session}, [case])
    with pytest.raises(DataError, match="has 25 units, the recording 6"):
        ideal_observers({"poisson": session}, [case])
