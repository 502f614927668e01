"""KID, FID and IS against their formulas; refusals where they would tell nothing."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.special import rel_entr, softmax

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.distributions import (
    distribution_scores,
    frechet_distance,
    inception_score,
    kernel_distance,
)

RNG = np.random.default_rng(0)


def discrepancy(x, y):
    """Return the unbiased estimate of Gretton et al. 2012, equation 3, by loops."""

    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    num = len(x)
    same = sum(kernel(z[i], z[j]) for z in (x, y) for i in range(num) for j in range(num) if i != j)
    return same / (num * (num - 1)) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_one_subset_of_all_is_the_unbiased_discrepancy():
    x, y = RNG.normal(size=(25, 6)), RNG.normal(0.4, 1.2, size=(25, 6))
    found = kernel_distance(x, y, subset_size=25, num_subsets=1)
    assert found.value == pytest.approx(discrepancy(x, y))
    assert found.spread == 0


def test_kid_is_unbiased_at_any_number_and_sees_a_difference():
    values = [
        kernel_distance(RNG.normal(size=(40, 8)), RNG.normal(size=(40, 8)), num_subsets=20).value
        for _ in range(60)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
    x = RNG.normal(size=(100, 8))
    other = RNG.normal(0.7, 1, size=(80, 8))
    moved = kernel_distance(x, other)
    assert moved.value > 5 * np.std(values)
    assert moved.spread > 0
    assert moved == kernel_distance(x, other), "the same subsets every time"


def test_fid_is_the_formula_and_zero_of_itself():
    mixing = RNG.normal(size=(10, 10))
    x, y = RNG.normal(size=(2500, 10)) @ mixing, RNG.normal(0.3, 1.5, size=(2300, 10))
    gap = x.mean(axis=0) - y.mean(axis=0)
    here, there = np.cov(x.T), np.cov(y.T)
    expected = gap @ gap + np.trace(here + there - 2 * sqrtm(here @ there).real)
    assert frechet_distance(x, y).value == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(x, x).value == pytest.approx(0, abs=1e-6)


def test_is_is_the_formula():
    probability = softmax(3 * RNG.normal(size=(2100, 7)), axis=1)
    parts = np.array_split(probability, 3)
    each = [np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()) for part in parts]
    found = inception_score(probability, num_splits=3)
    assert (found.value, found.spread) == pytest.approx((np.mean(each), np.std(each)))
    certain = np.tile(np.eye(7), (300, 1))
    assert inception_score(certain, num_splits=1).value == pytest.approx(7)
    assert inception_score(np.full((2100, 7), 1 / 7)).value == pytest.approx(1)


def test_a_hundred_pictures_have_kid_and_no_fid():
    found, truth = RNG.normal(size=(2, 100, 5)).astype(np.float32)
    probability = softmax(RNG.normal(size=(100, 4)), axis=1)
    scores = distribution_scores(found, truth, probability=probability)
    assert list(scores) == ["KID", "FID", "IS"]
    assert np.isfinite(scores["KID"].value)
    assert scores["KID"].refused == ""
    for name in ("FID", "IS"):
        assert np.isnan(scores[name].value)
        assert scores[name].refused.startswith(f"{name} of 100 pictures would tell")
        assert "2,048" in scores[name].refused
    assert list(distribution_scores(found, truth)) == ["KID", "FID"]


def test_what_makes_no_sense_is_refused():
    many = np.zeros((2100, 3000), np.float32)
    with pytest.raises(DataError, match=r"FID of 2,100 pictures .* needs 3,001"):
        frechet_distance(many, many)
    with pytest.raises(DataError, match="KID of 19 pictures"):
        kernel_distance(np.zeros((19, 3)), np.zeros((50, 3)))
    with pytest.raises(DataError, match="subsets of 60 pictures out of 50"):
        kernel_distance(np.zeros((50, 3)), np.zeros((70, 3)), subset_size=60)
    with pytest.raises(DataError, match="same layer"):
        kernel_distance(np.zeros((50, 3)), np.zeros((50, 4)))
    with pytest.raises(DataError, match="not finite"):
        kernel_distance(np.full((50, 3), np.nan), np.zeros((50, 3)))
    with pytest.raises(DataError, match="sum to 1"):
        inception_score(np.ones((2100, 3)))
