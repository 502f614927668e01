"""Reduced-rank ridge regression: equal to its textbook solution, and the best of its rank."""

import numpy as np
import pytest

from neurohorizon.ops.regression import leading_factors, reduced_rank_ridge

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
