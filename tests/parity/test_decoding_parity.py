"""Scores and simple decoders are equal to those of other libraries, or of plain computations."""

import itertools

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import pearsonr, poisson
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, r2_score

from decoding_cases import wandering_case
from neurohorizon.evaluation.decoding import metrics
from neurohorizon.evaluation.decoding.bayes import Maps, forward_backward
from neurohorizon.evaluation.decoding.grid import bin_values, lagged
from neurohorizon.evaluation.decoding.kalman import StateSpace
from neurohorizon.evaluation.decoding.wiener import Design, ridge_path


def test_scores_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(200, 3)) * [1.0, 5.0, 0.2] + 30.0
    decoded = values + generator.normal(size=values.shape)
    raw = r2_score(values, decoded, multioutput="raw_values")
    assert np.allclose(metrics.r2(values, decoded), raw)
    weighted = r2_score(values, decoded, multioutput="variance_weighted")
    assert metrics.r2_weighted(values, decoded) == pytest.approx(weighted)
    theirs = [pearsonr(*pair)[0] for pair in zip(values.T, decoded.T, strict=True)]
    assert np.allclose(metrics.correlation(values, decoded), theirs)
    truth, said = generator.integers(0, 4, size=(2, 200))
    counts = metrics.confusion(truth, said, num_classes=4)
    assert np.array_equal(counts, confusion_matrix(truth, said))
    assert metrics.accuracy(counts) == pytest.approx(accuracy_score(truth, said))
    assert metrics.balanced_accuracy(counts) == pytest.approx(balanced_accuracy_score(truth, said))


def test_ridge_is_that_of_scikit_learn():
    data = wandering_case(length_s=120.0).fit_data()
    design, penalty = Design(0.1, 2), 0.3
    binned = data.activity.binned(data.train.stretches, design.bin_s)
    values, weights = bin_values(data.train, design.bin_s)
    ((_, fitted),) = ridge_path(binned, values, weights, design, (penalty,))
    scaled = [(each - fitted.mean) / fitted.deviation for each in binned]
    inputs = np.concatenate([lagged(each, design.num_lags) for each in scaled])
    targets, weight = np.concatenate(values), np.concatenate(weights)
    known = weight > 0
    # Their penalty is on the sum over rows, ours on the weighted mean.
    theirs = Ridge(alpha=penalty * weight.sum())
    theirs.fit(inputs[known], targets[known], sample_weight=weight[known])
    ours = np.concatenate(list(fitted.by_bin(binned)))
    assert np.allclose(ours, theirs.predict(inputs), atol=1e-4)


def dense(space: StateSpace, observed: np.ndarray, lag: int, smooth: bool) -> np.ndarray:
    """Condition the joint Gaussian of all states and observations on what was observed."""
    length, size = len(observed), len(space.transition)
    covariance = np.zeros((length * size, length * size))
    powers = [np.linalg.matrix_power(space.transition, k) for k in range(length)]
    variance = space.start
    for step in range(length):
        for later in range(step, length):
            block = powers[later - step] @ variance
            rows, columns = slice(later * size, (later + 1) * size), slice(step * size, None)
            columns = slice(step * size, (step + 1) * size)
            covariance[rows, columns] = block
            covariance[columns, rows] = block.T
        variance = space.transition @ variance @ space.transition.T + space.step_noise
    found = np.zeros((length, size))
    for step in range(length):
        used = [
            each for each in range(length) if 0 <= each - lag < length and (smooth or each <= step)
        ]
        if not used:
            continue
        loadings = np.zeros((len(used) * observed.shape[1], length * size))
        for row, each in enumerate(used):
            rows = slice(row * observed.shape[1], (row + 1) * observed.shape[1])
            loadings[rows, each * size : (each + 1) * size] = space.loadings
        noise = np.kron(np.eye(len(used)), space.noise)
        told = np.concatenate([observed[each - lag] for each in used])
        total = loadings @ covariance @ loadings.T + noise
        mean = covariance @ loadings.T @ np.linalg.solve(total, told)
        found[step] = mean[step * size : (step + 1) * size]
    return found


@pytest.mark.parametrize("lag", [0, 2, -2])
@pytest.mark.parametrize("smooth", [False, True])
def test_kalman_is_the_conditional_mean(lag, smooth):
    generator = np.random.default_rng(1)
    rotation = np.array([[0.9, -0.2], [0.2, 0.85]])
    half = generator.normal(size=(3, 3))
    space = StateSpace(
        transition=rotation,
        step_noise=np.diag([0.1, 0.3]),
        loadings=generator.normal(size=(3, 2)),
        noise=half @ half.T + np.eye(3),
        start=np.array([[1.0, 0.2], [0.2, 0.7]]),
    )
    observed = [generator.normal(size=(length, 3)) for length in (9, 5, 7)]
    ours = space.states(observed, lag=lag, smooth=smooth)
    for one, each in zip(ours, observed, strict=True):
        assert np.allclose(one, dense(space, each, lag, smooth), atol=1e-8)


def test_bayes_is_that_of_enumeration():
    generator = np.random.default_rng(2)
    rate_hz = generator.uniform(0.5, 20.0, size=(4, 3))
    share = np.array([0.5, 0.3, 0.2])
    maps = Maps(np.eye(3), rate_hz, share)
    counts = generator.poisson(2.0, size=(6, 4)).astype(float)
    evidence = maps.log_likelihood(counts, np.full(6, 0.3))
    posterior = softmax(evidence + np.log(share), axis=1)
    for row, each in enumerate(counts):
        joint = [share[s] * poisson.pmf(each, 0.3 * rate_hz[:, s]).prod() for s in range(3)]
        assert np.allclose(posterior[row], np.array(joint) / np.sum(joint))
    chain = generator.dirichlet(np.ones(3), size=3)
    told = np.exp(evidence)
    marginal = np.zeros((6, 3))
    for path in itertools.product(range(3), repeat=6):
        weight = share[path[0]] * told[0, path[0]]
        for step in range(1, 6):
            weight *= chain[path[step - 1], path[step]] * told[step, path[step]]
        marginal[np.arange(6), list(path)] += weight
    marginal /= marginal.sum(axis=1, keepdims=True)
    # Beside a shorter stretch, which ends earlier.
    both = forward_backward([evidence, evidence[:4]], chain, share)
    assert np.allclose(both[0], marginal)
    assert np.allclose(both[1], forward_backward([evidence[:4]], chain, share)[0])
    assert not np.allclose(both[1], marginal[:4])
