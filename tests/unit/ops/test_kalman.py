"""The steady filter and smoother against the textbook recursions, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from neurohorizon.ops.kalman import SteadyFilter, diagonalise, make_stable, recurse, smooth


@pytest.fixture(scope="module")
def system() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    transition = make_stable(0.5 * generator.standard_normal((3, 3)))
    return {
        "loadings": generator.standard_normal((6, 3)),
        "transition": transition,
        "step_noise": 0.3 * np.eye(3),
        "count_noise": generator.uniform(0.5, 2.0, 6),
    }


def test_recursion_is_the_loop(system):
    inputs = np.random.default_rng(1).standard_normal((50, 3))
    states, state = [], np.zeros(3)
    for row in inputs:
        state = system["transition"] @ state + row
        states.append(state)
    np.testing.assert_allclose(recurse(system["transition"], inputs), states, atol=1e-10)


def test_filter_and_smoother_agree_with_the_textbook(system):
    observed = np.random.default_rng(2).standard_normal((400, 6))
    a, c, q, r = (system[name] for name in ("transition", "loadings", "step_noise", "count_noise"))
    mean, covariance = np.zeros(3), SteadyFilter.of(**system).filtered
    means, covariances, ahead = [], [], []
    for row in observed:
        predicted = a @ covariance @ a.T + q
        gain = predicted @ c.T @ np.linalg.inv(c @ predicted @ c.T + np.diag(r))
        mean = a @ mean + gain @ (row - c @ a @ mean)
        covariance = predicted - gain @ c @ predicted
        means.append(mean)
        covariances.append(covariance)
        ahead.append(predicted)
    filtered = SteadyFilter.of(**system)
    np.testing.assert_allclose(filtered.filtered, covariance, atol=1e-8)
    by_recursion = recurse(filtered.step, observed @ filtered.inputs.T)
    np.testing.assert_allclose(by_recursion, means, atol=1e-7)
    # Backward. The last states are known less well; the smoother takes the inner ones' spread.
    smoothed, spread, spreads = [means[-1]], covariances[-1], []
    for step in range(len(observed) - 2, -1, -1):
        back = covariances[step] @ a.T @ np.linalg.inv(ahead[step + 1])
        smoothed.append(means[step] + back @ (smoothed[-1] - a @ means[step]))
        spread = covariances[step] + back @ (spread - ahead[step + 1]) @ back.T
        spreads.append(spread)
    moments, states = smooth([observed], filtered, a), np.array(smoothed[::-1])
    every = states.T @ states + len(observed) * spreads[200]
    np.testing.assert_allclose(moments.every, every, atol=1e-6)
    lagged = covariances[200] @ a.T @ np.linalg.inv(ahead[200])
    across = states[1:].T @ states[:-1] + (len(observed) - 1) * spreads[200] @ lagged.T
    np.testing.assert_allclose(moments.across, across, atol=1e-6)
    with_counts = states.T @ observed
    np.testing.assert_allclose(moments.with_counts, with_counts, atol=1e-6)


def test_matrices_with_too_few_eigenvectors_are_nudged():
    poles, modes = diagonalise(np.array([[0.9, 1.0], [0.0, 0.9]]))
    assert np.linalg.cond(modes) < 1e8
    np.testing.assert_allclose(poles, 0.9, atol=0.02)


def test_unstable_transitions_are_scaled_inside_the_circle():
    assert np.abs(np.linalg.eigvals(make_stable(2.0 * np.eye(2)))).max() < 1.0
    calm = 0.5 * np.eye(2)
    np.testing.assert_array_equal(make_stable(calm), calm)
