"""Embeddings by retrieval: the mean of training pictures' own, weighted by how well they fit.

A regression answers in straight lines, and nearer to the mean than any picture is. Where bridges
compare responses with pictures, the comparison itself is an answer: how well each training picture
fits, as the weights of a mean over their true embeddings (a kernel regression in the space in which
the bridge compares; Nadaraya 1964, Watson 1964).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray

#: Sharpness of the softmax, in standard deviations of the similarities.
SHARPNESS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_AT_ONCE = 256
Array = NDArray[np.floating]


@dataclass(frozen=True)
class SoftRetrieval:
    """How similarities are turned into weights.

    Parameters
    ----------
    sharpness : float
        By which similarities are multiplied.
    explained : float
        Share of the variance of the embeddings that it was chosen on which it explains.
    """

    sharpness: float
    explained: float

    def __call__(self, similarity_KI: Array, gallery_ID: Array) -> NDArray[np.float32]:
        """Return the weighted means, (K, D)."""
        means = [_softmax(self.sharpness * rows) @ gallery_ID for rows in _in_parts(similarity_KI)]
        none = np.empty((0, gallery_ID.shape[1]))
        return np.concatenate([none, *means]).astype(np.float32)


def fit_soft_retrieval(
    similarities: Sequence[Array], galleries: Sequence[Array], true: Sequence[Array]
) -> SoftRetrieval:
    """Choose the sharpness with which most of true embeddings is explained.

    Parameters
    ----------
    similarities : sequence of (K, I) array
        Of responses with the pictures of a gallery, one a fold, by bridges that were fitted to
        other responses.
    galleries : sequence of (I, D) array
        Embeddings of the pictures, none of which the responses are to.
    true : sequence of (K, D) array
        Embeddings of the pictures that the responses are to.

    Raises
    ------
    DataError
        If there are none, or they do not belong together.
    """
    if not sum(len(each) for each in true):
        raise DataError("no held-out pictures to choose the sharpness of a retrieval on")
    for similarity, gallery, own in zip(similarities, galleries, true, strict=True):
        if similarity.shape != (len(own), len(gallery)):
            raise DataError(
                f"similarities of shape {similarity.shape}: expected {(len(own), len(gallery))}"
            )
    scale = np.sqrt(np.mean([np.var(each, axis=1).mean() for each in similarities]))
    centre = np.concatenate(list(galleries)).mean(axis=0)
    total = sum(float(np.square(own - centre).sum()) for own in true)
    best = SoftRetrieval(0.0, -np.inf)
    for each in SHARPNESS:
        candidate = SoftRetrieval(float(each / max(scale, 1e-12)), 0.0)
        error = sum(
            float(np.square(own - candidate(similarity, gallery)).sum())
            for similarity, gallery, own in zip(similarities, galleries, true, strict=True)
        )
        explained = 1 - error / max(total, 1e-12)
        if explained > best.explained:
            best = SoftRetrieval(candidate.sharpness, explained)
    return best


def _in_parts(values: Array) -> Iterator[Array]:
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]


def _softmax(values: Array) -> FloatArray:
    shares = np.exp(values - values.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
