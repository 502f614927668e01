"""Poisson regression: its minimum, its limits, and its independence of scale."""

import numpy as np

from neurohorizon.evaluation.baselines.glm import LOG_LIMIT, fit_poisson


def data(num_rows: int = 5000, seed: int = 0):
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((num_rows, 3))
    log_offset = generator.normal(-1.0, 0.5, num_rows)
    log_rate = log_offset + 0.3 + features @ np.array([0.5, -0.4, 0.0])
    return features, generator.poisson(np.exp(log_rate)), log_offset


def test_it_finds_the_weights_that_made_the_counts():
    features, counts, log_offset = data(40_000)
    fit = fit_poisson(features, counts, log_offset, penalty=0.0)
    assert np.allclose(fit.weights / fit.scale, [0.5, -0.4, 0.0], atol=0.03)
    assert np.isclose(fit.log_ratio(np.zeros(3)), 0.3, atol=0.03)


def test_the_gradient_vanishes_at_the_fit():
    features, counts, log_offset = data()
    fit = fit_poisson(features, counts, log_offset, penalty=0.1, tolerance=1e-14)
    residual = np.exp(fit.log_ratio(features) + log_offset) - counts
    standard = (features - fit.mean) / fit.scale
    gradient = standard.T @ residual + 0.1 * counts.sum() * fit.weights
    assert np.abs(gradient).max() < 1e-5 * counts.sum()
    assert abs(residual.sum()) < 1e-5 * counts.sum()


def test_units_of_a_feature_do_not_matter():
    features, counts, log_offset = data()
    fit = fit_poisson(features, counts, log_offset, penalty=0.05)
    scaled = features * np.array([1000.0, 0.01, 1.0]) + 7.0
    other = fit_poisson(scaled, counts, log_offset, penalty=0.05)
    assert np.allclose(fit.log_ratio(features), other.log_ratio(scaled), atol=1e-6)


def test_a_start_changes_the_way_not_the_end():
    features, counts, log_offset = data()
    cold = fit_poisson(features, counts, log_offset, penalty=0.01, tolerance=1e-12)
    far = fit_poisson(-features, counts, log_offset, penalty=0.01)
    warm = fit_poisson(features, counts, log_offset, penalty=0.01, start=far, tolerance=1e-12)
    assert np.allclose(cold.weights, warm.weights, atol=1e-6)


def test_a_large_penalty_leaves_the_mean():
    features, counts, log_offset = data()
    fit = fit_poisson(features, counts, log_offset, penalty=1e6)
    assert np.abs(fit.weights).max() < 1e-5
    assert np.isclose(np.exp(fit.log_ratio(features) + log_offset).sum(), counts.sum(), rtol=1e-5)


def test_odd_data_give_finite_bounded_forecasts():
    features, _, log_offset = data(200)
    features[:, 1] = 3.0  # constant
    silent = fit_poisson(features, np.zeros(200, dtype=int), log_offset, penalty=0.01)
    assert np.all(np.isfinite(silent.log_ratio(features)))
    separable = (features[:, 0] > 1).astype(int) * 50
    fit = fit_poisson(features, separable, log_offset, penalty=1e-6)
    extreme = fit.log_ratio(1e6 * features)
    assert np.abs(extreme).max() <= LOG_LIMIT
