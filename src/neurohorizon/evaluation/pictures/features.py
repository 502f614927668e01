r"""Comparison of pictures by what a network sees in them.

A network is given as the arrays that it makes of pictures. Row i of what was reconstructed, f_i,
belongs to row i of the truth, t_i:

- *two-way identification* (MindEye2's): with :math:`r_{ij}` the Pearson correlation of f_i and t_j,
  the share of the other true pictures j with :math:`r_{ij} < r_{ii}`;
- *identification among n*: the chance of t_i being the first (or one of the first five) among n
  true pictures, itself and others drawn at random; exact, without drawing
  (:func:`~neurohorizon.evaluation.retrieval.identification.identified`);
- *correlation distance*, :math:`1 - r_{ii}`, as published for EfficientNet and SwAV;
- *cosine similarity* of f_i and t_i, as published for CLIP.

All are one number a picture, so that intervals and paired differences are over pictures. Two-way
identification is MindEye2's but for ties, which count half here: features that never change are
at chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.imaging.encoders import ImageEncoder
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.small import stack_pictures
from neurohorizon.recordings.schema import FloatArray

Features = NDArray[np.floating[Any]]
#: Smaller than any spread that features have.
_NOTHING = 1e-12


class FeatureNetwork(Protocol):
    """What sees something in pictures, layer by layer."""

    @property
    def name(self) -> str:
        """As tables call it."""
        ...

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the features."""
        ...

    def features(self, pictures: Sequence[NDArray[np.uint8]]) -> Mapping[str, Features]:
        """Turn (H, W, 3) pictures into (n, D) arrays, by layer."""
        ...


class EncoderFeatures:
    """An image encoder as a feature network of one layer.

    Parameters
    ----------
    encoder : ImageEncoder
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder = encoder

    @property
    def name(self) -> str:
        """That of the encoder."""
        return self.encoder.fingerprint.encoder

    @property
    def fingerprint(self) -> Fingerprint:
        """That of the encoder."""
        return self.encoder.fingerprint

    def features(self, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, Features]:
        """Return the embeddings, (n, D), by the name of the readout."""
        layer = str(self.fingerprint.settings.get("readout", "embedding"))
        return {layer: self.encoder.encode(pictures)}


class PixelFeatures:
    """The pixels of small pictures: no network, where the one at hand made the embeddings.

    Parameters
    ----------
    size_px : int
        Width and height to which pictures are made.
    """

    name = "pixels"

    def __init__(self, *, size_px: int = 16) -> None:
        self.size_px = size_px

    @property
    def fingerprint(self) -> Fingerprint:
        """Their size."""
        return Fingerprint(self.name, settings={"size_px": self.size_px})

    def features(self, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, Features]:
        """Return the pixels, (n, 3 size_px²)."""
        small = stack_pictures(pictures, size_px=self.size_px)
        return {self.name: small.reshape(len(small), -1).astype(np.float64)}


def correlations(found: Features, truth: Features) -> FloatArray:
    """Return the correlation of every reconstructed picture with every true one, (Q, Q).

    Parameters
    ----------
    found, truth : (Q, D) array
        Features of reconstructed pictures (rows of the result) and of true ones (columns).

    Raises
    ------
    DataError
        If they do not belong together, or are not finite.
    """
    require_pairs(found, truth)
    return _standardised(found) @ _standardised(truth).T


def count_closer(found: Features, truth: Features) -> FloatArray:
    """Count the true pictures that a reconstructed one is more like than the right one, (Q,)."""
    return count_better(correlations(found, truth), np.arange(len(truth)))


def correlation_distance(found: Features, truth: Features) -> FloatArray:
    """Return 1 minus the correlation of each reconstructed picture with the true one, (Q,).

    Examples
    --------
    >>> found, truth = np.array([[1.0, 2, 3], [1, 2, 3]]), np.array([[2.0, 4, 6], [3, 2, 1]])
    >>> correlation_distance(found, truth).round(6)
    array([0., 2.])
    """
    require_pairs(found, truth)
    distance = 1 - (_standardised(found) * _standardised(truth)).sum(axis=1)
    return np.clip(distance, 0.0, 2.0)


def cosine_similarity(found: Features, truth: Features) -> FloatArray:
    """Return the cosine of each reconstructed picture's features with the true one's, (Q,)."""
    require_pairs(found, truth)
    return (_unit(found) * _unit(truth)).sum(axis=1)


def require_pairs(found: Features, truth: Features) -> None:
    """Make sure that features of reconstructed and of true pictures belong together.

    Raises
    ------
    DataError
        If their shapes differ, or a value is not finite.
    """
    if found.ndim != 2 or found.shape != truth.shape:
        raise DataError(
            f"features of reconstructed pictures are {found.shape}, of true ones {truth.shape}: "
            "expected the same pictures through the same layer, (pictures, values)"
        )
    if not (np.isfinite(found).all() and np.isfinite(truth).all()):
        raise DataError("features are not finite: the network that made them is damaged")


def _standardised(features: Features) -> FloatArray:
    values = features.astype(np.float64)
    return _unit(values - values.mean(axis=1, keepdims=True))


def _unit(features: Features) -> FloatArray:
    values = features.astype(np.float64)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), _NOTHING)
