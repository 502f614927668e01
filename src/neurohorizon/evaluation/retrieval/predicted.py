"""How near embeddings that were predicted from responses lie to those of the pictures shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.retrieval.identification import count_better, identified, two_way
from neurohorizon.recordings.schema import FloatArray

GALLERY = 100


@dataclass(frozen=True)
class Share:
    """A mean over pictures.

    Parameters
    ----------
    value, error : float
        The mean and its standard error.
    """

    value: float
    error: float


@dataclass(frozen=True)
class PredictionScore:
    """How good predicted embeddings are.

    Parameters
    ----------
    num_pictures : int
    right : Share
        Cosine of a prediction with its own picture, both less the training pictures' mean.
    other : Share
        With another picture of the same part.
    explained : float
        Share of the embeddings' variance around the training pictures' mean.
    two_way : Share
        How often its own picture is nearer than another one; chance is one half.
    top : Share
        How often it is the nearest of `gallery` pictures; chance is 1 in so many.
    gallery : int
    """

    num_pictures: int
    right: Share
    other: Share
    explained: float
    two_way: Share
    top: Share
    gallery: int


def score_predictions(
    predicted: NDArray[np.floating],
    shown: NDArray[np.floating],
    *,
    centre: NDArray[np.floating],
) -> PredictionScore:
    """Score predicted embeddings of different pictures.

    Parameters
    ----------
    predicted, shown : (I, D) array
        I is 2 or more.
    centre : (D,) array
        Mean embedding of the training pictures.
    """
    mine, theirs = _unit(predicted - centre), _unit(shown - centre)
    cosine_II = mine @ theirs.T
    num = len(cosine_II)
    right = np.diag(cosine_II)
    other = (cosine_II.sum(axis=1) - right) / (num - 1)
    better = count_better(cosine_II, np.arange(num))
    gallery = min(GALLERY, num)
    left = np.sum((np.asarray(predicted, dtype=np.float64) - shown) ** 2)
    return PredictionScore(
        num_pictures=num,
        right=_share(right),
        other=_share(other),
        explained=float(1 - left / np.sum((np.asarray(shown, dtype=np.float64) - centre) ** 2)),
        two_way=_share(two_way(better, num_candidates=num)),
        top=_share(identified(better, num_candidates=num, gallery=gallery)),
        gallery=gallery,
    )


def _unit(rows: NDArray[np.floating]) -> FloatArray:
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _share(values: FloatArray) -> Share:
    return Share(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))
