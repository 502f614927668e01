"""Drives: what is planted is what the spikes show, and no other unit moves."""

import numpy as np
import pytest

from neurohorizon.simulate.drives import draw_drives, picture_kernel
from neurohorizon.simulate.population import simulate_session
from neurohorizon.simulate.world import PopulationWorld

WORLD = PopulationWorld()


@pytest.fixture(scope="module")
def session():
    return simulate_session(WORLD, num_units=60, duration_s=300.0, seed=4, driven=True)


def binned(session, bin_s):
    edges = np.arange(0, session.duration_s + bin_s / 2, bin_s)
    return np.stack(
        [
            np.histogram(session.spike_times[session.spike_unit_index == unit], edges)[0]
            for unit in range(session.num_units)
        ],
        axis=1,
    )


def test_drives_change_no_other_draw(session):
    still = simulate_session(WORLD, num_units=60, duration_s=300.0, seed=4)
    np.testing.assert_array_equal(still.latents, session.latents)
    np.testing.assert_array_equal(still.units.loading, session.units.loading)
    drives = session.drives
    cold = ~((drives.running_weight != 0) | (drives.picture_weight != 0).any(axis=1))
    np.testing.assert_array_equal(still.rate_hz[:, cold], session.rate_hz[:, cold])
    # The spikes themselves are drawn from one stream: they differ in time alone.
    assert not np.array_equal(still.rate_hz[:, ~cold], session.rate_hz[:, ~cold])


def test_shares_and_shapes(session):
    drives = session.drives
    runs, sees = drives.running_weight != 0, (drives.picture_weight != 0).any(axis=1)
    assert 0.15 < runs.mean() < 0.45
    assert 0.15 < sees.mean() < 0.45
    assert drives.running.std() == pytest.approx(1.0, abs=0.2)
    tuning = (drives.pictures @ drives.picture_weight[sees, 1:].T).std(axis=0)
    np.testing.assert_allclose(tuning, WORLD.picture_tuning, rtol=1e-6)


def test_running_moves_the_spikes_of_its_units(session):
    drives, counts = session.drives, binned(session, 0.5)
    running = drives.running.reshape(-1, 50).mean(axis=1)
    correlation = np.array([np.corrcoef(running, column)[0, 1] for column in counts.T])
    runs = drives.running_weight != 0
    assert np.corrcoef(correlation[runs], drives.running_weight[runs])[0, 1] > 0.8
    assert np.abs(correlation[~runs]).mean() < 0.1 < np.abs(correlation[runs]).mean()


def test_a_response_begins_after_its_latency_and_ends():
    kernel = picture_kernel(WORLD)
    assert not kernel[: round(WORLD.picture_latency_s / WORLD.grid_s) + 1].any()
    assert kernel.max() == pytest.approx(1.0, abs=0.01)
    assert kernel[-1] < 0.05


def test_nothing_is_shown_twice_at_once():
    drives = draw_drives(WORLD, num_rows=6000, num_units=3, rng=np.random.default_rng(0))
    pause = drives.presentation_start_s[1:] - drives.presentation_end_s[:-1]
    assert pause.min() > WORLD.picture_pause_s[0] - 0.02
    assert drives.presentation_end_s[-1] < 60.0
