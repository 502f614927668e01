"""Metrics on numbers that can be checked by hand, and the traps they must not fall into."""

import numpy as np
import pytest
from scipy import stats

from neurohorizon.errors import DataError
from neurohorizon.evaluation.metrics import (
    bits_per_spike,
    calibration_curve,
    correlation_from_moments,
    d2,
    d2_over_recordings,
    log_likelihood_kernel,
    mtm,
    mtm_from_counts,
    nlb_from_counts,
    own_mean_log_likelihood,
    poisson_log_likelihood,
    psth_r2,
    r2_from_moments,
)


def test_the_log_likelihood_is_the_logarithm_of_the_probability():
    counts, expected = np.array([0, 1, 3, 7]), np.array([0.1, 1.0, 2.5, 40.0])
    assert np.allclose(
        poisson_log_likelihood(counts, expected), stats.poisson(expected).logpmf(counts)
    )
    probability = np.exp(poisson_log_likelihood(np.arange(60), 4.2))
    assert np.isclose(probability.sum(), 1.0)


def test_one_bit_per_spike_is_a_factor_of_two_at_the_spikes():
    # Two bins of one spike in two; the forecast puts all the rate where the spike is.
    counts, null = np.array([1, 0]), np.array([0.5, 0.5])
    forecast = np.array([1.0, 1e-12])
    gain = log_likelihood_kernel(counts, forecast).sum()
    assert np.isclose(bits_per_spike(gain, log_likelihood_kernel(counts, null).sum(), 1), 1.0)


def test_the_score_is_a_ratio_of_sums_not_a_mean_of_ratios():
    gain, spikes = np.array([100.0, -3.0]), np.array([1000, 3])
    pooled = bits_per_spike(gain.sum(), 0.0, spikes.sum())
    averaged = bits_per_spike(gain, 0.0, spikes).mean()
    assert np.isclose(pooled, 97.0 / 1003 / np.log(2))
    assert averaged < 0 < pooled
    assert np.isnan(bits_per_spike(0.0, 0.0, 0))


def test_the_mean_of_the_scored_window_as_null_punishes_a_perfect_model():
    # A stationary unit at 12 Hz in 20 ms bins, forecast with its true rate, against a null
    # computed window by window, for windows of 100 ms and of 1 s: what is lost is about
    # half a nat a window, and it looks like a bad model.
    generator = np.random.default_rng(0)
    counts = generator.poisson(0.24, size=(40_000, 50))
    for num_bins, expected in ((5, -0.70), (50, -0.061)):
        window = counts[:, :num_bins]
        own = own_mean_log_likelihood(window.sum(axis=1), num_bins).sum()
        perfect = log_likelihood_kernel(window, 0.24).sum()
        against_own = float(bits_per_spike(perfect, own, window.sum()))
        assert against_own == pytest.approx(expected, rel=0.03)
        fixed = log_likelihood_kernel(window, counts.mean()).sum()
        assert abs(bits_per_spike(perfect, fixed, window.sum())) < 1e-3


def test_mtm_floors_units_and_leaves_silent_ones_out():
    # The first unit is 1 bit/spike above its mean, the second far below, the third silent.
    spikes, entries = np.array([10.0, 10.0, 0.0]), np.full(3, 100)
    null = own_mean_log_likelihood(spikes, entries)
    log_likelihood = null + np.array([10.0, -200.0, 0.0]) * np.log(2)
    assert np.isclose(mtm(log_likelihood, spikes, entries), (1.0 - 5.0) / 2)
    assert np.isnan(mtm(np.zeros(2), np.zeros(2), np.full(2, 10)))


def test_deviance_explained_keeps_its_sign_until_recordings_are_averaged():
    spikes, entries = np.array([4.0]), np.array([10.0])
    saturated, null = np.array([-4.0]), own_mean_log_likelihood(4.0, 10.0)
    assert d2(saturated, saturated, spikes, entries) == 1.0
    assert np.isclose(d2(null[None], saturated, spikes, entries), 0.0)
    worse = d2(null[None] - 1.0, saturated, spikes, entries)
    assert worse < 0
    assert d2_over_recordings([0.4, worse, np.nan]) == pytest.approx(0.2)


def test_rates_in_hz_are_no_counts():
    generator = np.random.default_rng(1)
    counts = generator.poisson(0.1, size=(500, 4))
    assert nlb_from_counts(np.full(counts.shape, 0.1), counts) > -0.05
    assert nlb_from_counts(np.full(counts.shape, 5.0), counts) < -5
    assert mtm_from_counts(np.full(counts.shape, 5.0), counts) == -5.0


def test_arguments_are_not_changed_and_must_agree_in_shape():
    expected, counts = np.zeros((3, 2)), np.ones((3, 2))
    nlb_from_counts(expected, counts)
    assert np.all(expected == 0)
    with pytest.raises(DataError, match=r"shape \(3, 2\), counts \(2, 2\)"):
        nlb_from_counts(expected, counts[:2])


def test_moments_give_correlation_and_r2():
    generator = np.random.default_rng(2)
    p = generator.gamma(2.0, size=400)
    y = generator.poisson(p).astype(float)
    moments = [p.sum(), y.sum(), (p * p).sum(), (y * y).sum(), (p * y).sum()]
    assert np.isclose(correlation_from_moments(400, *moments), np.corrcoef(p, y)[0, 1])
    residual = np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2)
    _, sum_y, sum_pp, sum_yy, sum_py = moments
    assert np.isclose(r2_from_moments(400, sum_y, sum_pp, sum_yy, sum_py), 1 - residual)


def test_what_does_not_vary_has_no_correlation():
    constant = np.full(100, 0.1)
    y = np.arange(100.0)
    moments = [constant.sum(), y.sum(), (constant**2).sum(), (y * y).sum(), (constant * y).sum()]
    assert np.isnan(correlation_from_moments(100, *moments))


def test_psth_r2_is_one_for_the_truth_and_nothing_for_a_flat_unit():
    observed = np.column_stack([np.sin(np.arange(20.0)) + 2, np.ones(20)])
    assert psth_r2(observed, observed)[0] == 1.0
    assert np.isnan(psth_r2(observed, observed)[1])
    assert psth_r2(np.full((20, 2), 2.0), observed)[0] < 0.05


def test_a_calibrated_forecast_lies_on_the_diagonal():
    generator = np.random.default_rng(3)
    values = np.array([0.05, 0.5, 2.0])
    draws = generator.poisson(values, size=(20_000, 3))
    expected, observed, error = calibration_curve(
        np.full(3, 20_000.0), 20_000 * values, draws.sum(axis=0).astype(float)
    )
    assert np.allclose(expected, values)
    assert np.all(np.abs(observed - expected) < 4 * error)
    assert np.isnan(calibration_curve(np.zeros(1), np.zeros(1), np.zeros(1))[0])
