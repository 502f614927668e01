import numpy as np
import pytest

from bridge_worlds import answers, embeddings_of, picture_hashes, shared_noise
from neurohorizon.evaluation.retrieval.ceilings import (
    has_trials,
    noise_whitening,
    reliability,
    spearman_brown,
    split_half_identification,
    split_halves,
)
from neurohorizon.evaluation.retrieval.identification import identified
from neurohorizon.recordings.pictured.pairs import PicturePairs
from neurohorizon.recordings.schema import Units


def trials(num_pictures=40, num_trials=6, noise=1.0):
    pictures = np.tile(np.arange(num_pictures), num_trials)
    values = answers(embeddings_of(num_pictures)[pictures], noise=noise, seed=5)
    return PicturePairs(
        id="one",
        subject="animal",
        units=Units.numbered(16),
        values=values,
        picture=pictures,
        day=np.zeros(len(pictures), dtype=np.int64),
        hashes=np.array(picture_hashes(num_pictures)),
        category=np.full(num_pictures, ""),
        part=np.full(num_pictures, "test"),
        averaged=np.zeros(num_pictures, dtype=bool),
    )


def test_halves_share_no_trial_and_together_are_the_mean():
    pairs = trials(num_trials=6)
    one, other = split_halves(pairs, np.random.default_rng(0))
    assert np.allclose((one + other) / 2, pairs.mean_over_trials().values, atol=1e-5)
    odd = trials(num_trials=5)
    one, _ = split_halves(odd, np.random.default_rng(0))
    assert one.shape == (40, 16)


def test_reliability_is_that_of_the_mean():
    pairs = trials(num_pictures=600, num_trials=4, noise=2.0)
    signal = answers(embeddings_of(600), noise=0.0).var(axis=0)
    noise = 4.0 * (1 + shared_noise() ** 2) / 4  # its own and the shared one, over four trials
    assert reliability(pairs) == pytest.approx(signal / (signal + noise), abs=0.05)


def test_spearman_brown():
    assert spearman_brown(np.array([0.3]), 1.0)[0] == pytest.approx(0.3)
    assert spearman_brown(np.array([0.3]), 4.0)[0] == pytest.approx(1.2 / 1.9)


def test_split_half_identification_grows_with_trials_and_with_white_noise():
    found = {}
    for num_trials in (2, 8):
        better = split_half_identification(trials(num_trials=num_trials, noise=2.0))
        found[num_trials] = identified(better.ravel(), num_candidates=40).mean()
    assert 1 / 40 < found[2] < found[8]
    noisy = trials(num_trials=8, noise=2.0)
    white = split_half_identification(noisy, whiten=noise_whitening(trials(noise=2.0)))
    assert identified(white.ravel(), num_candidates=40).mean() > found[8]


def test_white_noise_is_white():
    pairs = trials(num_pictures=300, noise=2.0)
    whiten = noise_whitening(pairs, shrinkage=0.0)
    mean = pairs.mean_over_trials().values[pairs.picture]
    noise = (pairs.values - mean) @ whiten
    covariance = noise.T @ noise / (len(pairs) - 300)
    assert np.allclose(covariance, np.eye(16), atol=0.02)


def test_means_without_trials_have_no_ceiling():
    assert has_trials(trials(num_trials=2))
    assert not has_trials(trials(num_trials=1))
