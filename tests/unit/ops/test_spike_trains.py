from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohorizon.ops import spike_trains
from neurohorizon.ops.spike_trains import (
    coincidences,
    count_spikes,
    expected_shared,
    refractory_violations,
    silent_stretches,
    twin_pairs,
)


def poisson(rates, seconds, seed=0):
    rng = np.random.default_rng(seed)
    num = rng.poisson(np.asarray(rates) * seconds)
    times = rng.uniform(0, seconds, num.sum())
    units = np.repeat(np.arange(len(rates)), num)
    order = np.argsort(times)
    return times[order], units[order]


@contextmanager
def block_of(num_spikes):
    before, spike_trains.BLOCK_SPIKES = spike_trains.BLOCK_SPIKES, num_spikes
    try:
        yield
    finally:
        spike_trains.BLOCK_SPIKES = before


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 7, 50]))
@settings(max_examples=60, deadline=None)
def test_blocks_of_any_size_give_the_same(seed, block):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 60, rng.integers(0, 60)).round(1))
    units = rng.integers(0, 4, len(times))
    domain = np.array([[0.0, 20.0], [25.0, 61.0]])

    def results():
        return (
            count_spikes(units, num_units=4),
            refractory_violations(times, units, num_units=4, refractory_s=0.35),
            silent_stretches(times, domain, least_s=1.0, times_expected=1.0, times_typical=1.1),
        )

    whole = results()
    with block_of(block):
        for one, other in zip(whole, results(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
    assert whole[0].sum() == len(times)


class TestRefractory:
    def test_counts_only_short_intervals_of_one_unit(self):
        times = np.array([0.0, 0.001, 0.0015, 0.5, 0.501, 0.502])
        units = np.array([0, 1, 0, 0, 1, 2])
        share = refractory_violations(times, units, num_units=4, refractory_s=0.0016)
        assert share[:2].tolist() == [0.5, 0.0]
        assert np.isnan(share[2:]).all()

    def test_random_firing_gives_its_own_rate(self):
        times, units = poisson([20.0, 100.0], 2000)
        share = refractory_violations(times, units, num_units=2, refractory_s=0.0015)
        assert share == pytest.approx(1 - np.exp(-np.array([20, 100]) * 0.0015), rel=0.05)


class TestCoincidences:
    @given(st.integers(0, 10_000), st.sampled_from([3, 7, 500_000]))
    @settings(max_examples=60, deadline=None)
    def test_equals_the_definition(self, seed, block):
        rng = np.random.default_rng(seed)
        times = np.sort(rng.uniform(0, 1, 60).round(2))
        units = rng.integers(0, 4, 60)
        window = 0.01 + 1e-9
        close = np.abs(times[:, None] - times[None, :]) <= window
        near = np.stack([(close & (units == unit)[None, :]).any(1) for unit in range(4)], 1)
        near[np.arange(60), units] = False
        with block_of(block):
            matched, num_shared = coincidences(times, units, num_units=4, window_s=window)
        expected = np.stack([near[units == unit].sum(0) for unit in range(4)])
        np.testing.assert_array_equal(matched, expected)
        assert num_shared == near.any(1).sum()

    def test_chance_is_what_independent_units_show(self):
        times, units = poisson([50.0, 5.0, 200.0], 500)
        _, num_shared = coincidences(times, units, num_units=3)
        chance = expected_shared(np.bincount(units), duration_s=500)
        assert num_shared / len(times) == pytest.approx(chance, rel=0.03)

    def test_no_spikes(self):
        matched, num_shared = coincidences(np.empty(0), np.empty(0, int), num_units=2)
        assert matched.sum() == 0
        assert num_shared == 0
        assert expected_shared(np.zeros(2, int), duration_s=1) == 0


class TestTwins:
    def test_same_train_twice_is_found_and_others_are_not(self):
        times, units = poisson([5.0, 5.0, 30.0], 300)
        own = times[units == 0] + 0.00005
        times = np.concatenate([times, own])
        units = np.concatenate([units, np.full(len(own), 3)])
        order = np.argsort(times)
        times, units = times[order], units[order]
        matched, _ = coincidences(times, units, num_units=4)
        assert twin_pairs(matched, np.bincount(units)) == [(0, 3)]

    def test_part_of_a_busy_unit_is_no_twin(self):
        """All of b's spikes lie in a's train, but a fires much more."""
        matched = np.array([[0, 10], [10, 0]])
        assert twin_pairs(matched, np.array([1000, 10])) == []


class TestSilences:
    def test_hole_in_steady_firing(self):
        times, _ = poisson([5.0] * 20, 600)
        times = times[(times < 200) | (times > 230)]
        silences = silent_stretches(times, np.array([[0.0, 600.0]]))
        assert silences == pytest.approx(np.array([[200.0, 230.0]]), abs=0.2)

    def test_hole_outside_the_domain_is_none(self):
        times, _ = poisson([5.0] * 20, 600)
        times = times[(times < 200) | (times > 230)]
        assert len(silent_stretches(times, np.array([[0.0, 200.0], [230.0, 600.0]]))) == 0

    def test_silent_end(self):
        times, _ = poisson([5.0] * 20, 300)
        silences = silent_stretches(times, np.array([[0.0, 400.0]]))
        assert silences == pytest.approx(np.array([[300.0, 400.0]]), abs=0.2)

    def test_waves_are_silent_as_a_matter_of_course(self):
        rng = np.random.default_rng(0)
        waves = np.arange(10, 600, 40) + rng.uniform(-5, 5, 15)
        times = np.sort((waves[:, None] + rng.uniform(0, 2, (15, 100))).ravel())
        assert len(silent_stretches(times, np.array([[0.0, 600.0]]))) == 0

    def test_hardly_any_spikes(self):
        assert len(silent_stretches(np.empty(0), np.empty((0, 2)))) == 0
        assert silent_stretches(np.empty(0), np.array([[0.0, 9.0]])).tolist() == [[0.0, 9.0]]
