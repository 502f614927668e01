"""Intervals: paired, honest about what was resampled, and with the coverage they claim."""

import numpy as np
import pytest

from neurohorizon.evaluation.bootstrap import bootstrap

LN2 = np.log(2)


def test_the_value_is_the_ratio_of_sums():
    gain = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])]
    spikes = [np.array([[10, 20], [10, 20]]), np.array([[5, 50]])]
    interval = bootstrap(gain, spikes)
    assert np.allclose(interval.value, [9 / 25 / LN2, 12 / 90 / LN2])


def test_blocks_are_drawn_within_few_sessions_and_sessions_if_there_are_many():
    generator = np.random.default_rng(0)
    gain = [generator.normal(1.0, 1.0, size=(6, 1)) for _ in range(8)]
    spikes = [np.full((6, 1), 10) for _ in range(8)]
    assert (bootstrap(gain, spikes).over, bootstrap(gain, spikes).num_resampled) == ("sessions", 8)
    few = bootstrap(gain[:7], spikes[:7])
    assert (few.over, few.num_resampled) == ("blocks", 42)


def test_too_little_to_resample_gives_no_interval():
    interval = bootstrap([np.ones((4, 2))], [np.ones((4, 2), dtype=int)])
    assert np.isnan(interval.low).all()
    assert np.isnan(interval.high).all()
    assert not interval.above.any()
    assert not interval.below.any()


def test_the_same_draws_every_time():
    generator = np.random.default_rng(1)
    gain, spikes = [generator.normal(size=(20, 3))], [np.full((20, 3), 10)]
    first, second = bootstrap(gain, spikes), bootstrap(gain, spikes)
    assert np.array_equal(first.low, second.low)
    assert not np.array_equal(first.low, bootstrap(gain, spikes, seed=1).low)


def test_intervals_cover_the_truth_about_as_often_as_they_claim():
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        spikes = generator.poisson(50, size=(24, 1))
        gain = generator.normal(0.1 * spikes, 3.0)
        interval = bootstrap([gain], [spikes], num_draws=400)
        covered += bool(interval.low[0] <= 0.1 / LN2 <= interval.high[0])
    assert 0.88 <= covered / 200 <= 0.99


@pytest.mark.parametrize(("num_sessions", "num_blocks"), [(7, 2), (3, 6), (1, 8)])
def test_few_blocks_claim_little(num_sessions, num_blocks):
    """Noise is called a difference about as often as it may be, with few blocks in a session."""
    generator, called = np.random.default_rng(4), 0
    spikes = [np.full((num_blocks, 1), 100)] * num_sessions
    for _ in range(400):
        gain = [generator.normal(size=(num_blocks, 1)) for _ in range(num_sessions)]
        interval = bootstrap(gain, spikes, num_draws=300)
        called += bool(interval.above[0] or interval.below[0])
    assert 0.01 < called / 400 < 0.14


def test_sessions_of_one_block_are_drawn_together():
    generator = np.random.default_rng(5)
    gain = [generator.normal(size=(1, 1)) for _ in range(5)]
    spikes = [np.full((1, 1), 10)] * 5
    assert np.isnan(bootstrap(gain, spikes).low).all()
    whole = np.concatenate([*gain, generator.normal(size=(6, 1))])
    beside, together = (
        bootstrap(each, [np.full((len(rows), 1), 10) for rows in each])
        for each in ([*gain, whole[5:]], [whole[:5], whole[5:]])
    )
    width = [(each.high - each.low)[0] for each in (beside, together)]
    assert width[0] == pytest.approx(width[1], rel=0.1)


def test_a_clear_difference_is_above_and_noise_is_not():
    generator = np.random.default_rng(3)
    spikes = [np.full((30, 1), 100)]
    clear = bootstrap([generator.normal(2.0, 1.0, size=(30, 1))], spikes)
    assert clear.above.all()
    assert bootstrap([-np.abs(generator.normal(2.0, 1.0, size=(30, 1)))], spikes).below.all()
    noise = generator.normal(0.0, 1.0, size=(30, 1))
    assert not bootstrap([noise - noise.mean()], spikes).above.any()


def test_blocks_without_spikes_do_no_harm():
    gain, spikes = np.zeros((9, 1)), np.zeros((9, 1), dtype=int)
    gain[0], spikes[0] = 5.0, 10
    interval = bootstrap([gain], [spikes])
    assert np.isfinite([interval.value, interval.low, interval.high]).all()
    assert np.isnan(bootstrap([np.zeros((9, 1))], [np.zeros((9, 1), dtype=int)]).value).all()
