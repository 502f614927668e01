"""Reduced-rank ridge regression: equal to its textbook solution, and the best of its rank."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neurohorizon.ops.regression import FoldedMoments, leading_factors, reduced_rank_ridge

RNG = np.random.default_rng(0)


def moments(num_inputs: int, num_targets: int):
    inputs = RNG.standard_normal((200, num_inputs)) @ RNG.standard_normal((num_inputs, num_inputs))
    targets = inputs[:, :3] @ RNG.standard_normal((3, num_targets))
    targets += RNG.standard_normal(targets.shape)
    return inputs, targets


@pytest.mark.parametrize(("num_inputs", "num_targets"), [(6, 20), (12, 5), (4, 4)])
@pytest.mark.parametrize("rank", [1, 3])
def test_it_is_the_textbook_solution(num_inputs, num_targets, rank):
    """Mukherjee & Zhu: project the ridge fit of the augmented data onto its leading directions."""
    inputs, targets = moments(num_inputs, num_targets)
    gram, cross = inputs.T @ inputs, inputs.T @ targets
    components, weights = reduced_rank_ridge(gram, cross, rank=rank, ridge=7.0)
    ridge = np.linalg.solve(gram + 7.0 * np.eye(num_inputs), cross)
    augmented = np.vstack([inputs, np.sqrt(7.0) * np.eye(num_inputs)])
    _, _, right = np.linalg.svd(augmented @ ridge, full_matrices=False)
    expected = ridge @ right[:rank].T @ right[:rank]
    assert np.allclose(components @ weights, expected, rtol=1e-9, atol=1e-12)


def test_a_rank_that_is_no_limit_gives_ridge_regression():
    inputs, targets = moments(6, 4)
    gram, cross = inputs.T @ inputs, inputs.T @ targets
    components, weights = reduced_rank_ridge(gram, cross, rank=50, ridge=2.0)
    assert components.shape == (6, 4)
    assert weights.shape == (4, 4)
    assert np.allclose(components @ weights, np.linalg.solve(gram + 2.0 * np.eye(6), cross))


def test_factors_of_a_lower_rank_are_the_first_ones():
    matrix = RNG.standard_normal((8, 30))
    left, right = leading_factors(matrix, 5)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    for rank in range(1, 6):
        best = (u[:, :rank] * s[:rank]) @ vt[:rank]
        assert np.allclose(left[:, :rank] @ right[:rank], best)


class TestFoldedMoments:
    def data(self):
        generator = np.random.default_rng(0)
        inputs = generator.standard_normal((400, 6))
        weights = np.zeros((6, 5))
        weights[:2, :2] = 0.5
        return inputs, inputs @ weights + generator.standard_normal((400, 5))

    def solve(self, inputs, targets, ridges, group):
        moments = FoldedMoments(6, 5, num_folds=4)
        for fold in range(4):
            for first in range(100 * fold, 100 * fold + 100, 50):
                rows = slice(first, first + 50)
                moments.add(fold, inputs[rows], targets[rows])
        return moments.solve(ridges, group=group)

    def test_equals_ridge_with_the_penalty_that_cross_validation_chooses(self):
        inputs, targets = self.data()
        ridges, group = (1.0, 30.0, 1000.0), np.array([0, 0, 1, 1, 2])
        weights, skill = self.solve(inputs, targets, ridges, group)
        errors = np.zeros((3, 3))
        for row, ridge in enumerate(ridges):
            for fold in range(4):
                left_out = np.arange(400) // 100 == fold
                model = Ridge(alpha=ridge, fit_intercept=False)
                model.fit(inputs[~left_out], targets[~left_out])
                missed = (targets[left_out] - model.predict(inputs[left_out])) ** 2
                errors[row] += np.bincount(group, weights=missed.sum(axis=0))
        power = np.bincount(group, weights=(targets**2).sum(axis=0))
        np.testing.assert_allclose(skill, np.maximum(1 - errors.min(axis=0) / power, 0), atol=1e-9)
        for target in range(5):
            model = Ridge(alpha=ridges[errors.argmin(axis=0)[group[target]]], fit_intercept=False)
            expected = model.fit(inputs, targets[:, target]).coef_ * (skill[group[target]] > 0)
            np.testing.assert_allclose(weights[:, target], expected, atol=1e-9)

    def test_what_nothing_foretells_is_left_at_zero(self):
        inputs, targets = self.data()
        weights, skill = self.solve(inputs, targets, (1.0,), np.arange(5))
        assert skill[:2].min() > 0.1
        assert (skill[2:] == 0).all()
        assert not weights[:, 2:].any()
