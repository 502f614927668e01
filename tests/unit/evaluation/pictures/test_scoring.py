"""Scores of pictures by metric, and the judge's, on cases that are known."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.judge import Judge, Judgement
from neurohorizon.evaluation.pictures.scoring import (
    PIXCORR,
    SSIM,
    identification_metrics,
    score_features,
    score_judged,
    score_pixels,
)
from neurohorizon.models.pictures.judge import JudgeNetwork

RNG = np.random.default_rng(0)


def named(scores):
    return {metric.name: (metric, values) for metric, values in scores.items()}


def test_pixels_are_scored_seed_by_seed():
    truth = list(RNG.integers(256, size=(3, 16, 16, 3), dtype=np.uint8))
    scores = score_pixels([truth, truth[::-1]], truth)
    assert scores[PIXCORR].shape == scores[SSIM].shape == (2, 3)
    assert scores[SSIM][0] == pytest.approx(1)
    assert scores[PIXCORR][1, 1] == pytest.approx(1), "the middle one stays in its place"
    assert scores[PIXCORR][1, 0] < 0.2


def test_features_have_all_metrics_and_their_chance():
    truth = RNG.normal(size=(60, 8))
    random = RNG.normal(size=(40, 60, 8))
    scores = named(score_features(list(random), truth, name="net layer"))
    assert list(scores) == [
        "net layer two-way",
        "net layer top 1 of 10",
        "net layer top 5 of 10",
        "net layer top 1 of 50",
        "net layer top 5 of 50",
        "net layer correlation distance",
        "net layer cosine",
    ]
    for metric, values in scores.values():
        assert values.shape == (40, 60)
        assert metric.share == (metric.chance is not None)
        if metric.chance is not None:
            assert values.mean() == pytest.approx(metric.chance, abs=0.03)
    distance = scores["net layer correlation distance"]
    assert distance[0].better == "lower"
    assert distance[1].mean() == pytest.approx(1, abs=0.05)


def test_galleries_are_those_that_there_are_pictures_for():
    names = [metric.name for metric in identification_metrics(100)]
    assert names[:2] == ["two-way", "top 1 of 10"]
    assert names[-1] == "top 5 of 100"
    assert [metric.name for metric in identification_metrics(7)] == ["two-way"]


def test_a_judge_is_right_picture_by_picture():
    probability = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]], np.float32)
    shape = Judgement(("disc", "star", "cross"), probability)
    hue = Judgement(("red", "green"), np.eye(2, dtype=np.float32)[[0, 1, 1]])
    truth = {"shape": np.array([0, 2, 0]), "hue": np.array([0, 1, 0])}
    scores = named(score_judged([{"shape": shape, "hue": hue}] * 2, truth))
    metric, values = scores["shape"]
    assert values.tolist() == [[1, 1, 0]] * 2
    assert metric.chance == pytest.approx(1 / 3)
    assert scores["hue"][1].tolist() == [[1, 1, 0]] * 2
    assert shape.accuracy(truth["shape"]) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="judges shape, not texture"):
        score_judged([{"shape": shape}], {"texture": np.array([0, 0, 0])})
    with pytest.raises(DataError, match="3 words for shape"):
        score_judged([{"shape": shape}], {"shape": np.array([0, 3, 0])})


def test_a_judge_is_a_feature_network_too():
    judge = Judge(JudgeNetwork({"shape": ("disc", "star")}, size_px=32))
    other = Judge(JudgeNetwork({"shape": ("disc", "star")}, size_px=32))
    pictures = list(RNG.integers(256, size=(130, 32, 32, 3), dtype=np.uint8))
    hidden = judge.features(pictures)["hidden"]
    np.testing.assert_allclose(hidden[-1:], judge.features(pictures[-1:])["hidden"], atol=1e-4)
    # The answers follow from these features alone.
    said = judge(pictures)["shape"].probability
    logits = hidden @ judge.network.heads[0].weight.detach().numpy().T
    logits += judge.network.heads[0].bias.detach().numpy()
    odds = np.exp(logits[:, 0] - logits[:, 1])
    np.testing.assert_allclose(said[:, 0], odds / (1 + odds), atol=1e-4)
    assert judge.fingerprint == judge.fingerprint
    assert judge.fingerprint.difference(other.fingerprint).startswith("weights")
