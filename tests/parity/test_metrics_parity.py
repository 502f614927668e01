"""Metrics are equal to those of the benchmarks and libraries they are named after."""

import numpy as np
import pytest
from scipy import stats

from neurohorizon.evaluation.baselines.glm import fit_poisson
from neurohorizon.evaluation.metrics import (
    d2_from_counts,
    mtm_from_counts,
    nlb_from_counts,
    poisson_log_likelihood,
    psth_r2,
)


@pytest.fixture
def forecast() -> tuple[np.ndarray, np.ndarray]:
    """Expected counts and counts, (trials, bins, units) as NLB orders them; one unit silent."""
    generator = np.random.default_rng(0)
    expected = generator.gamma(1.5, 0.2, size=(30, 40, 12))
    counts = generator.poisson(expected).astype(float)
    counts[:, :, 4] = 0.0
    return expected * generator.uniform(0.7, 1.3, size=expected.shape), counts


def test_nlb(forecast):
    evaluation = pytest.importorskip("nlb_tools.evaluation")
    expected, counts = forecast
    # nlb_tools changes its first argument in place.
    theirs = evaluation.bits_per_spike(expected.copy(), counts.copy())
    assert nlb_from_counts(expected, counts) == pytest.approx(theirs, rel=1e-6)
    expected[0, 0, 0] = 0.0
    theirs = evaluation.bits_per_spike(expected.copy(), counts.copy())
    assert nlb_from_counts(expected, counts) == pytest.approx(theirs, rel=1e-6)
    assert expected[0, 0, 0] == 0.0


def test_nlb_with_missing_counts(forecast):
    evaluation = pytest.importorskip("nlb_tools.evaluation")
    expected, counts = forecast
    counts[3:5, :, :] = np.nan
    theirs = evaluation.bits_per_spike(expected.copy(), counts.copy())
    assert nlb_from_counts(expected, counts) == pytest.approx(theirs, rel=1e-6)


def test_mtm_is_the_mean_of_nlb_over_units(forecast):
    evaluation = pytest.importorskip("nlb_tools.evaluation")
    expected, counts = forecast
    expected[:, :, 7] *= 200.0
    theirs = [
        evaluation.bits_per_spike(expected[:, :, [unit]].copy(), counts[:, :, [unit]].copy())
        for unit in range(12)
        if unit != 4
    ]
    assert min(theirs) < -10
    floored = np.where(np.array(theirs) <= -10, -5.0, theirs)
    assert mtm_from_counts(expected, counts) == pytest.approx(floored.mean(), rel=1e-6)


def test_brain_wide_bench(forecast):
    torch = pytest.importorskip("torch")
    bench = pytest.importorskip("ibl_bwb_eval.metrics")
    expected, counts = forecast
    flat, flat_counts = expected.reshape(-1, 12), counts.reshape(-1, 12)
    for metric, ours in ((bench.PoissonD2Score(), d2_from_counts), (bench.BPS(), nlb_from_counts)):
        metric.update(torch.tensor(np.log(flat)).double(), torch.tensor(flat_counts).double())
        units = [unit for unit in range(12) if unit != 4]
        # Its bits per spike leave a silent unit's expected counts out; NLB's do not.
        chosen = (
            (expected, counts)
            if ours is d2_from_counts
            else (flat[:, units], counts[:, :, units].reshape(-1, 11))
        )
        assert ours(*chosen) == pytest.approx(metric.compute().item(), rel=1e-4)


def test_psth_r2_is_scikit_learns(forecast):
    metrics = pytest.importorskip("sklearn.metrics")
    expected, counts = (values.mean(axis=0) for values in forecast)
    active = [unit for unit in range(12) if unit != 4]
    ours = psth_r2(expected, counts)
    assert np.isnan(ours[4])
    assert ours[active].mean() == pytest.approx(
        metrics.r2_score(counts[:, active], expected[:, active])
    )


def test_log_likelihood_is_scipys(forecast):
    expected, counts = forecast
    assert np.allclose(
        poisson_log_likelihood(counts, expected), stats.poisson(expected).logpmf(counts)
    )


@pytest.mark.parametrize("penalty", [0.0, 0.03, 1.0])
def test_poisson_regression_is_scikit_learns(penalty):
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = np.random.default_rng(1)
    features = generator.standard_normal((4000, 4)) * [1.0, 3.0, 0.2, 1.0] + [0.0, 5.0, 0.0, -1.0]
    log_offset = generator.normal(-1.0, 0.4, 4000)
    log_rate = log_offset + (features - features.mean(axis=0)) @ [0.5, -0.1, 1.0, 0.0]
    counts = generator.poisson(np.exp(log_rate))
    ours = fit_poisson(features, counts, log_offset, penalty=penalty, tolerance=1e-13)

    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    exposure = np.exp(log_offset)
    # An offset is a weight for rates; scikit-learn divides the sum by the sum of weights.
    alpha = penalty * counts.sum() / exposure.sum()
    theirs = linear_model.PoissonRegressor(alpha=alpha, tol=1e-10, max_iter=2000)
    theirs.fit(standard, counts / exposure, sample_weight=exposure)
    assert np.allclose(ours.weights, theirs.coef_, atol=1e-4)
    assert ours.intercept == pytest.approx(theirs.intercept_, abs=1e-4)
