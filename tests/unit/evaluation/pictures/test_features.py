"""Identification and distances of features against loops over pictures."""

import numpy as np
import pytest
from scipy.spatial.distance import correlation, cosine

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.features import (
    EncoderFeatures,
    PixelFeatures,
    correlation_distance,
    correlations,
    cosine_similarity,
    count_closer,
)
from neurohorizon.evaluation.retrieval.identification import two_way
from neurohorizon.imaging.layout import LayoutEncoder

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(30, 12)) + 1
FOUND = TRUTH + 1.5 * RNG.normal(size=TRUTH.shape)


def test_two_way_is_the_share_below_the_diagonal_by_column():
    # Rows are true pictures, columns reconstructed ones, as MindEye2 lays them out.
    both = np.corrcoef(TRUTH, FOUND)[:30, 30:]
    expected = (both < np.diag(both)).sum(axis=0) / 29
    found = two_way(count_closer(FOUND, TRUTH), num_candidates=30)
    assert found == pytest.approx(expected)
    assert 0.6 < found.mean() < 1
    np.testing.assert_allclose(correlations(FOUND, TRUTH), both.T, atol=1e-12)


def test_distances_are_those_of_scipy():
    pairs = list(zip(FOUND, TRUTH, strict=True))
    expected = [correlation(one, other) for one, other in pairs]
    assert correlation_distance(FOUND, TRUTH) == pytest.approx(expected)
    expected = [1 - cosine(one, other) for one, other in pairs]
    assert cosine_similarity(FOUND, TRUTH) == pytest.approx(expected)


def test_pictures_that_are_all_the_same_are_at_chance():
    same = np.repeat(RNG.normal(size=(1, 12)), 30, axis=0)
    assert two_way(count_closer(same, TRUTH), num_candidates=30).mean() == pytest.approx(0.5)
    nothing = np.full((30, 12), 3.0)
    assert two_way(count_closer(nothing, TRUTH), num_candidates=30) == pytest.approx(0.5)
    assert correlation_distance(nothing, TRUTH) == pytest.approx(1)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(DataError, match=r"\(29, 12\), of true ones \(30, 12\)"):
        count_closer(FOUND[1:], TRUTH)
    damaged = FOUND.copy()
    damaged[3, 4] = np.nan
    with pytest.raises(DataError, match="not finite"):
        cosine_similarity(damaged, TRUTH)


def test_any_image_encoder_is_a_feature_network():
    network = EncoderFeatures(LayoutEncoder())
    pictures = RNG.integers(256, size=(3, 24, 24, 3), dtype=np.uint8)
    features = network.features(list(pictures))
    assert network.name == network.fingerprint.encoder == "layout"
    (layer,) = features
    np.testing.assert_array_equal(features[layer], LayoutEncoder().encode(list(pictures)))


def test_pixels_identify_without_a_network():
    pictures = list(RNG.integers(0, 256, (6, 40, 48, 3), dtype=np.uint8))
    network = PixelFeatures(size_px=8)
    found = network.features(pictures)["pixels"]
    assert found.shape == (6, 192)
    assert network.fingerprint.difference(PixelFeatures().fingerprint)
    brighter = [(picture // 2 + 60).astype(np.uint8) for picture in pictures]
    closer = count_closer(network.features(brighter)["pixels"], found)
    assert two_way(closer, num_candidates=6).min() == 1
