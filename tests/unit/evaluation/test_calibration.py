"""Where counts fall in their forecasts: uniform if drawn from them, and told if not."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest, nbinom, poisson

from neurohorizon.evaluation.calibration import (
    COVERAGE_LEVELS,
    PIT_EDGES,
    CountBounds,
    coverage,
    pit_histogram,
    poisson_bounds,
    sample_bounds,
)
from neurohorizon.nn.likelihoods import make_likelihood

LIKELIHOODS = ["poisson", "negative_binomial", "zero_inflated_poisson", "categorical"]
NUM = 20_000


def density(bounds: CountBounds) -> np.ndarray:
    histogram = pit_histogram(bounds)
    return histogram / histogram.sum() * len(histogram)


def spread(number: int) -> float:
    """Five standard deviations of a part's density, if counts are independent."""
    return 5 * np.sqrt(20 / number)


def test_poisson_bounds_equal_scipy():
    counts, expected = np.arange(12), np.linspace(0.01, 9.0, 12)
    bounds = poisson_bounds(counts, expected)
    np.testing.assert_allclose(bounds.below, poisson.cdf(counts - 1, expected), atol=1e-12)
    np.testing.assert_allclose(bounds.here, poisson.pmf(counts, expected), rtol=1e-10)


def test_the_histogram_is_the_mean_over_the_randomised_transform():
    generator = np.random.default_rng(0)
    expected = generator.gamma(2.0, 1.0, size=50)
    bounds = poisson_bounds(generator.poisson(expected), expected)
    level = bounds.below + bounds.here * generator.random((20_000, 50))
    drawn = np.histogram(level, PIT_EDGES)[0] / 20_000
    np.testing.assert_allclose(pit_histogram(bounds), drawn, atol=0.05)
    assert pit_histogram(bounds).sum() == pytest.approx(50)


def test_counts_drawn_from_their_forecasts_are_uniform():
    generator = np.random.default_rng(1)
    expected = generator.gamma(1.0, 2.0, size=NUM) + 0.05
    bounds = poisson_bounds(generator.poisson(expected), expected)
    assert np.abs(density(bounds) - 1).max() < spread(NUM)
    for level in COVERAGE_LEVELS:
        assert coverage(pit_histogram(bounds), level) == pytest.approx(level, abs=0.015)
    # The same said by the randomised transform and a test of its own.
    level = bounds.below + bounds.here * generator.random(NUM)
    assert kstest(level, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("factor", "dispersion", "what"),
    [(1.0, 0.7, "too narrow"), (2.0, 0.0, "too low"), (0.5, 0.0, "too high")],
)
def test_a_misspecified_forecast_is_told_by_its_shape(factor, dispersion, what):
    generator = np.random.default_rng(2)
    expected = np.full(NUM, 4.0)
    rate = factor * expected
    if dispersion:
        rate = rate * generator.gamma(1 / dispersion, dispersion, size=NUM)
    told = density(poisson_bounds(generator.poisson(rate), expected))
    low, middle, high = told[:2].mean(), told[8:12].mean(), told[-2:].mean()
    if what == "too narrow":
        assert min(low, high) > 1.5 * middle
        assert coverage(told, 0.9) < 0.75
    elif what == "too low":
        assert high > 2.0 > low
    else:
        assert low > 2.0 > high
    assert np.abs(told - 1).max() > spread(NUM)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("num_samples", [7, 64])
def test_ranks_among_samples_are_uniform_for_every_likelihood(name, num_samples):
    """However few samples; and under every distribution of counts that a model can have."""
    likelihood, generator = make_likelihood(name, num_classes=4), torch.Generator().manual_seed(3)
    parameters = 0.7 * torch.randn(NUM, likelihood.num_parameters, generator=generator)
    every = parameters.expand(num_samples + 1, *parameters.shape)
    drawn = likelihood.sample(every, generator=generator).long().numpy()
    bounds = sample_bounds(drawn[0], drawn[1:])
    assert np.abs(density(bounds) - 1).max() < spread(NUM)
    assert coverage(pit_histogram(bounds), 0.8) == pytest.approx(0.8, abs=0.02)


def test_ranks_among_samples_of_another_distribution_are_not():
    """A forecast of independent counts, of sums whose parts go together."""
    generator = np.random.default_rng(4)
    gain = generator.gamma(2.0, 0.5, size=(NUM, 1))
    together = generator.poisson(0.2 * gain * np.ones((NUM, 50))).sum(axis=1)
    apart = generator.poisson(0.2, size=(64, NUM, 50)).sum(axis=2)
    told = density(sample_bounds(together, apart))
    assert min(told[0], told[-1]) > 2.0
    assert coverage(told, 0.9) < 0.6
    right = nbinom(2.0, 2.0 / (2.0 + 10.0)).rvs(size=(64, NUM), random_state=5)
    assert np.abs(density(sample_bounds(together, right)) - 1).max() < spread(NUM)


def test_many_samples_give_the_bounds_of_the_distribution():
    generator = np.random.default_rng(6)
    expected = np.array([0.1, 1.0, 5.0])
    counts = np.array([0, 2, 4])
    ranked = sample_bounds(counts, generator.poisson(expected, size=(100_000, 3)))
    exact = poisson_bounds(counts, expected)
    np.testing.assert_allclose(ranked.below, exact.below, atol=0.01)
    np.testing.assert_allclose(ranked.here, exact.here, atol=0.01)


def test_nothing_covers_nothing():
    assert np.isnan(coverage(np.zeros(20), 0.9))
