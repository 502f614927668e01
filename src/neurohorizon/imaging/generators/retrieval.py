"""The control that every generator must beat: the training picture that fits best."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.find import find_pictures
from neurohorizon.imaging.fingerprint import Fingerprint, library_versions
from neurohorizon.imaging.generators.generator import Progress, check_request
from neurohorizon.imaging.small import stack_pictures

_AT_ONCE = 256


class RetrievalGenerator:
    """Show the nearest training picture, or the mean of several.

    Parameters
    ----------
    bank : EmbeddingBank
        True embeddings.
    hashes : sequence of str
        Training pictures, all in the bank.
    places : sequence of path
        Where the pictures are, see :func:`~neurohorizon.imaging.find.find_pictures`. They are read
        when they are wanted.
    size_px : int
    num_nearest : int
        1: the nearest picture. Above it, the mean of so many.
    temperature : float
        Of the softmax over cosines that weighs them.

    Raises
    ------
    ConfigError
        If a setting is out of its bounds.
    DataError
        If there are no training pictures, or the bank lacks one.

    Notes
    -----
    Nearest by cosine after the mean of the training pictures is taken away, as bridges compare.
    """

    name = "retrieval"
    needs_starts = False

    def __init__(
        self,
        bank: EmbeddingBank,
        hashes: Sequence[str],
        *,
        places: Sequence[Path | str],
        size_px: int = 32,
        num_nearest: int = 1,
        temperature: float = 0.05,
    ) -> None:
        if not 1 <= num_nearest <= len(hashes):
            raise ConfigError(
                f"num_nearest is {num_nearest}: expected 1 to {len(hashes)}, as many pictures as "
                "there are to choose from"
            )
        if not temperature > 0 or size_px < 1:
            raise ConfigError(
                f"temperature is {temperature}, size_px {size_px}: expected both above 0"
            )
        self.hashes = tuple(hashes)
        self.places = tuple(places)
        self.size_px = size_px
        self.num_nearest = num_nearest
        self.temperature = temperature
        self.needs = bank.fingerprint
        embeddings = bank.select(self.hashes)
        self._mean_D = embeddings.mean(axis=0, dtype=np.float64)
        self._gallery_ND = _unit(embeddings - self._mean_D)
        name_of = dict(zip(bank.hashes, bank.names, strict=True))
        self._names = tuple(name_of[one] for one in self.hashes)
        self._read: dict[str, NDArray[np.uint8]] = {}

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the pictures."""
        settings = {
            "size_px": self.size_px,
            "num_nearest": self.num_nearest,
            "temperature": self.temperature if self.num_nearest > 1 else None,
            "needs": self.needs.to_json(),
        }
        gallery = hashlib.sha256("\n".join(sorted(self.hashes)).encode()).hexdigest()
        return Fingerprint(self.name, gallery, settings, library_versions("numpy", "pillow"))

    @property
    def known(self) -> frozenset[str]:
        """Hashes of the pictures that it takes its own from."""
        return frozenset(self.hashes)

    def nearest(
        self, embeddings_ID: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the rows of the nearest training pictures, (I, K), and their weights, (I, K)."""
        rows, weights = [], []
        for first in range(0, len(embeddings_ID), _AT_ONCE):
            asked = _unit(embeddings_ID[first : first + _AT_ONCE] - self._mean_D)
            cosine = asked @ self._gallery_ND.T
            row = np.argsort(-cosine, axis=1, kind="stable")[:, : self.num_nearest]
            share = np.take_along_axis(cosine, row, axis=1)
            share = np.exp((share - share[:, :1]) / self.temperature)
            rows.append(row)
            weights.append(share / share.sum(axis=1, keepdims=True))
        none = np.empty((0, self.num_nearest))
        return np.concatenate([none.astype(np.int64), *rows]), np.concatenate([none, *weights])

    def generate(
        self,
        embeddings_ID: NDArray[np.float32],
        seeds: Sequence[int],
        *,
        starts_ISS3: NDArray[np.uint8] | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.uint8]:
        """Show pictures, as :meth:`Generator.generate` says; seeds change nothing."""
        check_request(
            embeddings_ID,
            seeds,
            starts_ISS3,
            num_dimensions=self._gallery_ND.shape[1],
            start_px=None,
        )
        row_IK, weight_IK = self.nearest(embeddings_ID)
        self._find(np.unique(row_IK))
        pictures = np.empty((len(row_IK), self.size_px, self.size_px, 3), np.uint8)
        for number, (row_K, weight_K) in enumerate(zip(row_IK, weight_IK, strict=True)):
            found = np.stack([self._read[self.hashes[row]] for row in row_K])
            pictures[number] = np.rint(np.tensordot(weight_K, found.astype(np.float64), 1))
            if progress:
                progress("draw", number + 1, len(row_IK))
        return pictures

    def _find(self, rows: NDArray[np.int64]) -> None:
        """Read the pictures of some rows, unless they were read before."""
        wanted = [row for row in rows.tolist() if self.hashes[row] not in self._read]
        hashes = {self.hashes[row] for row in wanted}
        if not hashes:
            return
        found = find_pictures(self.places, hashes, paths=[self._names[row] for row in wanted])
        missing = [row for row in wanted if self.hashes[row] not in found]
        if missing:
            raise DataError(
                f"{', '.join(map(str, self.places))}: {len(missing)} training pictures are not "
                f"there, the first {self._names[missing[0]]}: give the folder that was embedded"
            )
        for one, pixels in found.items():
            self._read[one] = stack_pictures([pixels], size_px=self.size_px)[0]


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
