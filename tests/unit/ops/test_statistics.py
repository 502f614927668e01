"""Shrinkage and correlation do what they say."""

import numpy as np

from neurohorizon.ops.statistics import gamma_prior, safe_correlation, shrink_rates


def test_shrunk_rates_are_closer_to_the_truth_than_raw_ones_for_short_exposures():
    generator = np.random.default_rng(0)
    truth = generator.gamma(2.0, 1.5, 400)
    counts = generator.poisson(truth * 4.0).astype(float)
    raw_error = np.mean((counts / 4.0 - truth) ** 2)
    assert np.mean((shrink_rates(counts, 4.0) - truth) ** 2) < 0.9 * raw_error


def test_shrinkage_vanishes_with_exposure_and_never_gives_zero():
    counts = np.array([0.0, 10.0, 4000.0])
    np.testing.assert_allclose(shrink_rates(counts * 1000, 1e6)[1:], counts[1:] / 1e3, rtol=0.02)
    assert (shrink_rates(np.zeros(3), 60.0) > 0).all()


def test_the_prior_recovers_the_population_it_was_drawn_from():
    generator = np.random.default_rng(1)
    counts = generator.poisson(generator.gamma(3.0, 2.0, 5000) * 10.0).astype(float)
    shape, rate_s = gamma_prior(counts, 10.0)
    assert np.isclose(shape, 3.0, rtol=0.15)
    assert np.isclose(shape / rate_s, 6.0, rtol=0.05)


def test_correlation_with_a_constant_is_zero():
    generator = np.random.default_rng(2)
    left = generator.standard_normal((50, 2))
    left[:, 1] = 3.0
    right = generator.standard_normal((50, 1))
    correlation = safe_correlation(left, right)
    assert np.isclose(correlation[0, 0], np.corrcoef(left[:, 0], right[:, 0])[0, 1])
    assert correlation[1, 0] == 0.0
