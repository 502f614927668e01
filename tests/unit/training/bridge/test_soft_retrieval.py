"""Embeddings by retrieval: a mean of training pictures, as sharp as held-out pictures want it."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.training.bridge.soft_retrieval import SHARPNESS, fit_soft_retrieval


def similar(noise, seed=0):
    """Return similarities of noisy views of 300 pictures with 500 others, and embeddings."""
    random = np.random.default_rng(seed)
    gallery, true = random.normal(size=(500, 3)), random.normal(size=(300, 3))
    seen = true + noise * random.normal(size=true.shape)
    distance = ((seen[:, None] - gallery) ** 2).sum(axis=2)
    return -7.0 * distance, gallery, true


def test_the_better_pictures_are_told_apart_the_sharper_the_mean():
    found = []
    for noise in (0.1, 0.7, 3.0):
        similarity, gallery, true = similar(noise)
        retrieval = fit_soft_retrieval([similarity], [gallery], [true])
        error = np.square(true - retrieval(similarity, gallery)).sum()
        expected = 1 - error / np.square(true - gallery.mean(axis=0)).sum()
        assert retrieval.explained == pytest.approx(expected, rel=1e-4)
        found.append((retrieval.sharpness, retrieval.explained))
    assert found[0][0] > found[1][0] > found[2][0]
    assert found[0][1] > 0.9
    # What is weighted is no worse than the mean where almost nothing is known.
    assert found[2][1] > -0.05


def test_units_of_the_similarity_do_not_matter():
    similarity, gallery, true = similar(0.7)
    one = fit_soft_retrieval([similarity], [gallery], [true])
    other = fit_soft_retrieval([1000 * similarity + 5], [gallery], [true])
    assert one.sharpness == pytest.approx(1000 * other.sharpness)
    np.testing.assert_allclose(
        one(similarity, gallery), other(1000 * similarity + 5, gallery), rtol=1e-3, atol=1e-4
    )
    scale = np.sqrt(np.var(similarity, axis=1).mean())
    assert min(abs(one.sharpness * scale - each) for each in SHARPNESS) < 1e-6


def test_what_does_not_fit_is_refused():
    similarity, gallery, true = similar(0.7)
    with pytest.raises(DataError, match="no held-out pictures"):
        fit_soft_retrieval([similarity[:0]], [gallery], [true[:0]])
    with pytest.raises(DataError, match=r"expected \(300, 500\)"):
        fit_soft_retrieval([similarity[:, :9]], [gallery], [true])
