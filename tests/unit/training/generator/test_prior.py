"""The map from predicted to true embeddings: found, spread restored, refused."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.training.generator.prior import fit_ridge_prior


def pairs(num=400, dims=4, noise=0.5, seed=0):
    generator = np.random.default_rng(seed)
    true = generator.normal(2, 1, (num, dims)) * [3, 1, 1, 0.5]
    mixed = 0.3 * true @ generator.normal(size=(dims, dims)) - 1
    return (mixed + noise * generator.normal(size=mixed.shape) * mixed.std(axis=0)), true


def test_a_linear_map_is_undone():
    predicted, true = pairs(noise=0.0)
    prior = fit_ridge_prior(predicted[:300], true[:300])
    assert np.allclose(prior(predicted[300:]), true[300:], atol=0.05)


def test_noisy_predictions_come_nearer_and_keep_the_spread():
    predicted, true = pairs(noise=0.5)
    held = slice(300, None)
    shrunk = fit_ridge_prior(predicted[:300], true[:300], keep_spread=False)
    kept = fit_ridge_prior(predicted[:300], true[:300])
    error = [
        np.square(each - true[held]).mean()
        for each in (predicted[held], kept(predicted[held]), shrunk(predicted[held]))
    ]
    # Least squares is nearest; stretched to the true spread it is farther, but no mean picture.
    assert error[2] < error[1] < error[0]
    assert np.allclose(kept(predicted[:300]).std(axis=0), true[:300].std(axis=0), rtol=1e-3)
    assert np.all(shrunk(predicted[:300]).std(axis=0) < true[:300].std(axis=0))
    assert np.allclose(kept(predicted[:300]).mean(axis=0), true[:300].mean(axis=0), atol=1e-4)


def test_predictions_that_know_nothing_become_the_mean():
    generator = np.random.default_rng(1)
    predicted, true = generator.normal(size=(400, 3)), generator.normal(5, 1, (400, 3))
    shrunk = fit_ridge_prior(predicted, true, keep_spread=False)(generator.normal(size=(50, 3)))
    assert np.abs(shrunk - true.mean(axis=0)).max() < 0.5
    flat = fit_ridge_prior(np.zeros((40, 3)), true[:40])(np.zeros((5, 3)))
    assert np.allclose(flat, true[:40].mean(axis=0), atol=1e-5)


def test_what_does_not_belong_together_is_refused():
    predicted, true = pairs()
    for one, other in ((predicted[:30], true[:31]), (predicted[:5], true[:5])):
        with pytest.raises(DataError, match="expected the same, of 20 pictures or more"):
            fit_ridge_prior(one, other)
