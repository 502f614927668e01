"""The simulated population: same seed same spikes, switches, and the laws it claims to obey."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.simulate.population import simulate_population, simulate_session
from neurohorizon.simulate.world import PopulationWorld

WORLD = PopulationWorld()
SMALL = {"num_units": 12, "duration_s": 40.0, "seed": 7}
NO_HISTORY = replace(
    WORLD, refractory_weight=(0.0, 0.0), adaptation_weight=(0.0, 0.0), burst_fraction=0.0
)


@pytest.fixture(scope="module")
def small():
    return simulate_session(WORLD, **SMALL)


@pytest.fixture(scope="module")
def poissonian():
    """A session long enough for statistics, whose spikes do not act on one another."""
    return simulate_session(NO_HISTORY, num_units=40, duration_s=300.0, seed=2)


def test_same_seed_same_session(small):
    again = simulate_session(WORLD, **SMALL)
    np.testing.assert_array_equal(again.spike_times, small.spike_times)
    np.testing.assert_array_equal(again.spike_unit_index, small.spike_unit_index)
    np.testing.assert_array_equal(again.rate_hz, small.rate_hz)
    np.testing.assert_array_equal(again.velocity, small.velocity)


def test_other_seed_other_session(small):
    other = simulate_session(WORLD, **{**SMALL, "seed": 8})
    assert not np.array_equal(other.latents, small.latents)
    assert not np.array_equal(other.units.loading, small.units.loading)


def test_spikes_are_sorted_and_inside(small):
    assert np.all(np.diff(small.spike_times) >= 0)
    assert small.spike_times[0] >= 0
    assert small.spike_times[-1] < small.duration_s
    assert set(small.spike_unit_index) == set(range(12))


def test_a_session_does_not_depend_on_how_many_there_are():
    settings = {"units_range": (5, 20), "duration_s": 5.0, "seed": 3}
    few = list(simulate_population(WORLD, num_sessions=2, **settings))
    more = list(simulate_population(WORLD, num_sessions=4, **settings))
    for left, right in zip(few, more, strict=False):
        assert left.num_units == right.num_units
        np.testing.assert_array_equal(left.spike_times, right.spike_times)
    assert len({session.num_units for session in more}) > 1
    assert len({len(session.spike_times) for session in more}) == 4


def test_a_session_of_a_population_can_be_made_alone():
    settings = {"units_range": (5, 20), "duration_s": 5.0}
    third = list(simulate_population(WORLD, num_sessions=3, seed=3, **settings))[2]
    alone = simulate_session(WORLD, num_units=third.num_units, duration_s=5.0, seed=third.seed)
    np.testing.assert_array_equal(alone.spike_times, third.spike_times)


def test_without_drift_gains_and_slow_latent_stand_still(small):
    still = simulate_session(WORLD, **SMALL, drift=False)
    assert np.all(still.units.log_gain == 0)
    assert np.all(still.latents[:, 7] == 0)
    np.testing.assert_array_equal(still.latents[:, :7], small.latents[:, :7])
    assert small.units.log_gain.std() > 0.1
    assert small.latents[:, 7].std() > 0.1


def test_without_bursts_only_the_burst_kernel_goes(small):
    calm = simulate_session(WORLD, **SMALL, bursts=False)
    assert small.units.is_burster.any()
    assert not calm.units.is_burster.any()
    assert np.all(calm.units.history_weight[:, 1] == 0)
    np.testing.assert_array_equal(
        calm.units.history_weight[:, [0, 2]], small.units.history_weight[:, [0, 2]]
    )
    np.testing.assert_array_equal(calm.rate_hz, small.rate_hz)


def test_without_trials_only_noise_moves_the_planes():
    resting = simulate_session(WORLD, num_units=3, duration_s=400.0, seed=1, trials=False)
    assert len(resting.trials) == 0
    # What is left of the random start of preparation and transient is nothing.
    assert np.all(resting.latents[:, [0, 1, 6]] == 0)
    for plane, (noise, decay_s) in enumerate(
        zip(WORLD.plane_noise, WORLD.plane_decay_s, strict=True)
    ):
        stationary_sd = noise / np.sqrt(1 - np.exp(-2 * WORLD.grid_s / decay_s))
        measured = resting.latents[:, 2 + 2 * plane : 4 + 2 * plane].std()
        assert measured == pytest.approx(stationary_sd, rel=0.1)


def test_without_behavior_the_spikes_are_the_same(small):
    silent = simulate_session(WORLD, **SMALL, behavior=False)
    assert silent.velocity is None
    assert silent.velocity_timestamps is None
    np.testing.assert_array_equal(silent.spike_times, small.spike_times)


def test_velocity_is_the_first_plane_gated_by_the_transient(small):
    wanted = small.latents[:, 2:4] * (0.3 + small.latents[:, 6:7])
    residual = small.velocity - wanted
    assert residual.std() == pytest.approx(WORLD.velocity_noise, rel=0.05)
    assert small.velocity_timestamps[0] == pytest.approx(0.005)


def test_trials_keep_their_times(poissonian):
    trials = poissonian.trials
    preparation_s = trials.movement_onset_s - trials.preparation_start_s
    pause_s = trials.preparation_start_s[1:] - trials.end_s[:-1]
    np.testing.assert_allclose(trials.end_s - trials.movement_onset_s, 0.6)
    assert preparation_s.min() >= 0.35 - 1e-9
    assert pause_s.min() >= 0.4 - 1e-9
    assert preparation_s.mean() == pytest.approx(0.55, abs=4 * 0.2 / np.sqrt(len(trials)))
    assert pause_s.mean() == pytest.approx(1.0, abs=4 * 0.6 / np.sqrt(len(trials)))
    assert set(trials.direction_index) == set(range(8))


def test_latents_prepare_and_kick_the_direction_of_the_trial(poissonian):
    trials, latents = poissonian.trials, poissonian.latents
    angle = 2 * np.pi * trials.direction_index / 8
    onset = np.round(trials.movement_onset_s / WORLD.grid_s).astype(int)
    target = 1.3 * np.column_stack([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(latents[onset - 1, :2], target, atol=0.12)

    # Averaged over trials, the state after the kick is its push, rotated and damped.
    lag_s = np.arange(15) * WORLD.grid_s
    for plane, kick_angle in enumerate((angle, 2 * angle + 1)):
        rotation = 2j * np.pi * WORLD.plane_hz[plane] - 1 / WORLD.plane_decay_s[plane]
        push = WORLD.plane_kick[plane] * WORLD.grid_s * np.exp(rotation * lag_s).sum()
        state = latents[onset + 14] @ np.eye(8)[:, [2 + 2 * plane, 3 + 2 * plane]] @ [1, 1j]
        assert np.mean(state * np.exp(-1j * kick_angle)) == pytest.approx(push, abs=0.25)


def test_rates_follow_from_latents_loadings_and_gains(small):
    log_rate = (
        small.units.base_log_rate + small.latents @ small.units.loading.T + small.units.log_gain
    )
    np.testing.assert_allclose(
        small.rate_hz, np.minimum(np.exp(log_rate), WORLD.max_rate_hz), rtol=1e-5
    )


def test_spikes_around_movement_onset_recover_the_rates(poissonian):
    num_bins, rows_per_bin = 24, 5  # 50 ms bins, from 0.4 s before to 0.8 s after onset
    onset = np.round(poissonian.trials.movement_onset_s / WORLD.grid_s).astype(int)
    onset = onset[(onset > 40) & (onset < len(poissonian.latents) - 80)]
    row = np.floor(poissonian.spike_times / WORLD.grid_s + 1e-6).astype(int)
    spikes = np.zeros(poissonian.rate_hz.shape)
    np.add.at(spikes, (row, poissonian.spike_unit_index), 1)
    expected = 5 * (1 - np.exp(-poissonian.rate_hz.astype(float) * WORLD.spike_step_s))

    window = onset[:, None] + np.arange(-40, 80)

    def histogram(per_row):
        return per_row[window].sum(axis=0).reshape(num_bins, rows_per_bin, -1).sum(axis=1)

    deviation = (histogram(spikes) - histogram(expected)) / np.sqrt(histogram(expected))
    assert abs(deviation.mean()) < 0.15
    assert deviation.std() == pytest.approx(1.0, abs=0.1)
    by_bin = histogram(expected).sum(axis=1)
    assert by_bin.max() > 1.3 * by_bin.min()  # there was something to recover


def test_units_fire_as_in_the_study():
    rates = np.concatenate(
        [
            np.bincount(session.spike_unit_index, minlength=session.num_units) / 60.0
            for session in simulate_population(WORLD, num_sessions=4, duration_s=60.0, seed=0)
        ]
    )
    assert 4.2 < rates.mean() < 5.6
    assert rates.min() > 0.3
    assert rates.max() < 30


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"num_units": 0}, "at least 1 unit"), ({"duration_s": 0.001}, "0.01 s")],
)
def test_nothing_to_simulate_is_refused(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        simulate_session(WORLD, **{**SMALL, **settings})


def test_an_empty_range_of_units_is_refused():
    with pytest.raises(ConfigError, match="units_range"):
        next(simulate_population(WORLD, num_sessions=1, units_range=(9, 3), seed=0))
