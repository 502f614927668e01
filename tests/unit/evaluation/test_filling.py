"""Filling in hidden responses linearly, against scikit-learn, and the score of it."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neurohorizon.evaluation.filling import (
    LinearFilling,
    estimate_explained,
    explained_variance,
)


def correlated(num, seed):
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(num, 3))
    weight = np.random.default_rng(9).normal(size=(3, 12))
    return shared @ weight + 0.5 * generator.normal(size=(num, 12))


def test_each_mask_has_the_ridge_regression_of_its_own():
    learned, new = correlated(200, 0), correlated(5, 1)
    hidden = np.random.default_rng(2).random((5, 12)) < 0.4
    hidden[3] = False
    hidden[4] = True
    filled = LinearFilling(learned, 0.2).fill(new, hidden)
    expected = [np.empty(0)]
    for response, mask in zip(new[:4], hidden[:4], strict=True):
        if not mask.any():
            continue
        ridge = Ridge(alpha=0.2 * 200, fit_intercept=False)
        ridge.fit(learned[:, ~mask], learned[:, mask])
        expected.append(ridge.predict(response[None, ~mask])[0])
    expected.append(np.zeros(12))  # of nothing: the mean
    assert np.allclose(filled, np.concatenate(expected), atol=1e-10)


def test_the_mean_explains_nothing_and_the_truth_everything():
    target = np.random.default_rng(0).normal(size=50)
    assert explained_variance(np.zeros(50), target) == 0
    assert explained_variance(target, target) == 1
    assert explained_variance(-target, target) == pytest.approx(-3)
    assert np.isnan(explained_variance(np.zeros(3), np.zeros(3)))


def test_intervals_are_over_pictures_and_differences_are_paired():
    generator = np.random.default_rng(0)
    picture = np.repeat(np.arange(80), 5)
    easy = np.repeat(generator.random(80), 5)  # alike within a picture
    target = generator.normal(size=400)
    said = easy * target
    found = estimate_explained(said, target, picture)
    assert found.value == pytest.approx(explained_variance(said, target))
    assert found.low < found.value < found.high
    as_if_apart = estimate_explained(said, target, np.arange(400))
    assert found.high - found.low > 1.3 * (as_if_apart.high - as_if_apart.low)
    slightly_better = said + 0.05 * (target - said)
    step = estimate_explained(slightly_better, target, picture, minus_P=said)
    assert step.value == pytest.approx(explained_variance(slightly_better, target) - found.value)
    assert 0 < step.low < step.value < step.high
    assert step.high - step.low < 0.3 * (found.high - found.low)
