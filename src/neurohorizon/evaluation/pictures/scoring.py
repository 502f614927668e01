"""Scores of the pictures of one row of one recording: by pixels, by features, by a judge.

Each function returns a score of every seed and picture, (S, Q), by metric. Published suites
correspond to layers: AlexNet's second and fifth, Inception's last pooling and CLIP's embedding by
two-way identification, EfficientNet and SwAV by correlation distance, CLIP by cosine as well. Any
network will do (:class:`~neurohorizon.evaluation.pictures.features.FeatureNetwork`); its numbers
are comparable with those of the same network alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.features import (
    Features,
    correlation_distance,
    cosine_similarity,
    count_closer,
)
from neurohorizon.evaluation.pictures.judge import Judgement
from neurohorizon.evaluation.pictures.pixels import pixel_scores
from neurohorizon.evaluation.pictures.results import PictureMetric
from neurohorizon.evaluation.retrieval.results import Metric
from neurohorizon.recordings.schema import FloatArray

Scores = dict[PictureMetric, FloatArray]
PIXCORR = PictureMetric("PixCorr", "pixels")
SSIM = PictureMetric("SSIM", "pixels")
#: Of identification among n pictures; n = 2 is two-way identification.
GALLERIES = (10, 50, 100, 500, 1000)
FIRSTS = (1, 5)


def score_pixels(
    by_seed: Sequence[Sequence[NDArray[np.uint8]]], truth: Sequence[NDArray[np.uint8]]
) -> Scores:
    """Score pictures by PixCorr and SSIM.

    Parameters
    ----------
    by_seed : sequence of sequence of (H, W, 3) arrays of uint8
        Of each seed, one picture for each true one.
    truth : sequence of (H, W, 3) arrays of uint8
    """
    found = [pixel_scores(pictures, truth) for pictures in by_seed]
    return {
        PIXCORR: np.array([pixcorr for pixcorr, _ in found]),
        SSIM: np.array([ssim for _, ssim in found]),
    }


def score_features(by_seed: Sequence[Features], truth: Features, *, name: str) -> Scores:
    """Score pictures by the features of a layer.

    Parameters
    ----------
    by_seed : sequence of (Q, D) array
    truth : (Q, D) array
    name : str
        Of the network and layer: metrics begin with it.

    Returns
    -------
    dict of PictureMetric to (S, Q) array
        Two-way identification first; then identification among as many of :data:`GALLERIES` as
        there are pictures for, correlation distance and cosine similarity.
    """
    num = len(truth)
    closer = [count_closer(found, truth) for found in by_seed]
    scores = {}
    for metric in identification_metrics(num):
        named = PictureMetric(
            f"{name} {metric.name}", "features", chance=metric.chance(num), share=True
        )
        scores[named] = np.array([metric.of(each, num) for each in closer])
    distance = PictureMetric(f"{name} correlation distance", "features", "lower")
    scores[distance] = np.array([correlation_distance(found, truth) for found in by_seed])
    cosine = PictureMetric(f"{name} cosine", "features")
    scores[cosine] = np.array([cosine_similarity(found, truth) for found in by_seed])
    return scores


def identification_metrics(num: int) -> list[Metric]:
    """Return the ways of identifying one among `num` pictures, two-way first."""
    return [Metric("two-way", 0, None)] + [
        Metric(f"top {first} of {gallery}", first, gallery)
        for gallery in GALLERIES
        if gallery <= num
        for first in FIRSTS
    ]


def score_judged(
    by_seed: Sequence[Mapping[str, Judgement]], truth: Mapping[str, NDArray[np.int64]]
) -> Scores:
    """Score pictures by whether an independent judge sees in them what is true.

    Parameters
    ----------
    by_seed : sequence of mapping of str to Judgement
        What the judge says of each seed's pictures, by what is judged, as in "shape".
    truth : mapping of str to (Q,) int
        What is true, as rows of the judge's words; only these are scored.

    Raises
    ------
    DataError
        If the judge has no word for what is true.
    """
    scores = {}
    for name, code in truth.items():
        known = by_seed[0].get(name)
        if known is None:
            raise DataError(f"the judge judges {', '.join(by_seed[0])}, not {name}")
        num_words = len(known.words)
        if not ((code >= 0) & (code < num_words)).all():
            raise DataError(f"the judge has {num_words} words for {name}: others are true here")
        metric = PictureMetric(name, "judge", chance=1 / num_words, share=True)
        scores[metric] = np.array([each[name].right(code) for each in by_seed])
    return scores
