"""What a unit's own spikes do: drawn and measured alike, and undone by known answers."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.simulate.history import draw_spikes, history_effect, history_response
from neurohorizon.simulate.world import PopulationWorld

WORLD = PopulationWorld()


def constant_rate(rate_hz, *, duration_s, weight):
    num_units = len(weight)
    log_rate = np.full((round(duration_s / WORLD.grid_s), num_units), np.log(rate_hz))
    return draw_spikes(log_rate, weight, world=WORLD, rng=np.random.default_rng(3))


def test_without_kernels_spikes_are_drawn_at_the_rate():
    times, unit = constant_rate(8.0, duration_s=400.0, weight=np.zeros((10, 3)))
    expected = 10 * 400.0 / 0.002 * (1 - np.exp(-0.002 * 8.0))
    assert abs(len(times) - expected) < 4 * np.sqrt(expected)
    assert np.all(np.diff(times) >= 0)
    assert set(unit) == set(range(10))


def test_at_most_one_spike_a_step():
    weight = np.array([[-1.0, 1.3, 0.0]] * 3)
    times, unit = constant_rate(200.0, duration_s=5.0, weight=weight)
    step = np.floor(times / 0.002 + 1e-4).astype(int)
    assert len(np.unique(step * 3 + unit)) == len(step)


def test_refractoriness_shows_in_the_intervals():
    weight = np.array([[-3.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    times, unit = constant_rate(40.0, duration_s=400.0, weight=weight)
    short = [np.mean(np.diff(times[unit == index]) < 0.006) for index in (0, 1)]
    assert short[0] < 0.4 * short[1]


def test_bursts_and_adaptation_move_the_rate_their_way():
    weight = np.array([[0.0, 0.0, 0.0], [0.0, 1.3, 0.0], [0.0, 0.0, -0.35]])
    _, unit = constant_rate(15.0, duration_s=400.0, weight=weight)
    plain, bursting, adapting = np.bincount(unit, minlength=3)
    assert bursting > 1.15 * plain
    assert adapting < 0.75 * plain


def test_effect_equals_a_loop_over_spikes():
    weight = np.array([[-2.0, 0.9, -0.3], [-1.0, 0.0, -0.1]])
    times = np.array([0.0101, 0.0135, 0.0201, 0.031, 0.0525, 0.0575])
    unit = np.array([0, 0, 1, 0, 1, 1])
    effect = history_effect(times, unit, weight, num_rows=10, world=WORLD)

    spiked = np.floor(times / 0.002).astype(int)
    tau_s = np.array(WORLD.kernel_s)
    wanted = np.ones((50, 2))
    for step in range(50):
        for index in range(2):
            lags = step - spiked[(unit == index) & (spiked < step)]
            if len(lags):
                kernels = np.exp(-(lags[:, None] - 1) * 0.002 / tau_s)
                h = kernels[-1, :2] @ weight[index, :2] + kernels[:, 2].sum() * weight[index, 2]
                wanted[step, index] = np.exp(h)
    np.testing.assert_allclose(effect, wanted.reshape(10, 5, 2).mean(axis=1), rtol=1e-5)


def test_drawing_and_measuring_agree():
    """Integrated conditional intensity equals the number of spikes, for every kernel."""
    rng = np.random.default_rng(5)
    weight = np.column_stack(
        [rng.uniform(-4, -1, 20), rng.uniform(0, 1.3, 20), rng.uniform(-0.35, 0, 20)]
    )
    times, unit = constant_rate(20.0, duration_s=200.0, weight=weight)
    effect = history_effect(times, unit, weight, num_rows=20_000, world=WORLD)
    integral = effect.sum(axis=0) * 20.0 * WORLD.grid_s
    count = np.bincount(unit, minlength=20)
    # One spike a step at most: 20 Hz lose 2 % and no more.
    assert np.all(np.abs(count - integral) < 4 * np.sqrt(integral) + 0.03 * integral)
    assert abs(count.sum() / integral.sum() - 0.985) < 0.02


def test_past_effect_is_not_changed_by_later_spikes():
    weight = np.array([[-2.0, 0.9, -0.3]])
    early, both = np.array([0.011]), np.array([0.011, 0.0301])
    zeros = np.zeros(2, dtype=int)
    short = history_effect(early, zeros[:1], weight, num_rows=8, world=WORLD)
    long = history_effect(both, zeros, weight, num_rows=8, world=WORLD)
    np.testing.assert_array_equal(short[:3], long[:3])
    assert np.all(short[3:] != long[3:])


@pytest.mark.parametrize(("factor", "exponent"), [(0.8, 1.0), (1.3, 0.7), (0.5, 1.1)])
def test_response_recovers_a_power_law(factor, exponent):
    rate = np.exp(np.random.default_rng(0).normal(1.5, 0.8, (40_000, 1)))
    effect = factor * rate ** (exponent - 1)
    found_factor, found_exponent = history_response(rate, effect, step_s=0.01)
    assert found_factor[0] == pytest.approx(factor, rel=0.01)
    assert found_exponent[0] == pytest.approx(exponent, abs=0.005)


def test_response_to_a_rate_that_never_changes_is_a_ratio():
    rate, effect = np.full((500, 1), 6.0), np.full((500, 1), 0.75)
    factor, exponent = history_response(rate, effect, step_s=0.01)
    assert exponent[0] == pytest.approx(1.0)
    assert factor[0] == pytest.approx(0.75)


def test_a_grid_that_is_no_multiple_of_the_spike_step_is_refused():
    with pytest.raises(ValueError, match="whole multiple"):
        replace(WORLD, spike_step_s=0.003)
