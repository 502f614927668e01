"""Pictures without colour, seen by any encoder: what is found without it is not found by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurohorizon.imaging.encoders import ImageEncoder
from neurohorizon.imaging.fingerprint import Fingerprint


class GreyEncoder:
    """Encode pictures as if they had been shown in grey.

    Parameters
    ----------
    encoder : ImageEncoder
        Sees each picture's luma (ITU-R 601) in all three channels. A picture is still known by
        the hash of its coloured pixels.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder = encoder
        self.batch_size = encoder.batch_size

    @property
    def fingerprint(self) -> Fingerprint:
        """What made the embeddings."""
        inner = self.encoder.fingerprint
        return replace(inner, settings={**inner.settings, "grey": True})

    @property
    def num_dimensions(self) -> int:
        """Length of an embedding."""
        return self.encoder.num_dimensions

    def encode(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Turn (H, W, 3) pictures into a (B, D) array."""
        return self.encoder.encode([to_grey(picture) for picture in pictures])

    def saw(self, hashes: Iterable[str]) -> list[str]:
        """Return which of some pictures it was trained on, in colour."""
        return self.encoder.saw(hashes)


def to_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture's luma in all three channels, (H, W, 3)."""
    luma = Image.fromarray(np.ascontiguousarray(picture)).convert("L")
    return np.asarray(luma.convert("RGB"))
