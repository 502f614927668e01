"""What generators that `neurohorizon bridge train-generator` trained have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.imaging.device import open_device
from neurohorizon.imaging.fingerprint import Fingerprint, Setting, library_versions
from neurohorizon.models.pictures.files import SavedGenerator
from neurohorizon.models.pictures.standard import to_pixels


class TrainedGenerator:
    """A network from a file, what it was trained with, and where it computes.

    Parameters
    ----------
    saved : SavedGenerator
    device : str
    batch_size : int
        Pictures at a time.
    """

    name = ""

    def __init__(self, saved: SavedGenerator, *, device: str, batch_size: int) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}: expected 1 or more")
        self.path, self.known, self.about = saved.path, saved.trained_on, saved.about
        self.batch_size = batch_size
        self.device = open_device(device)
        self._digest = saved.digest
        self.needs = read_needs(saved.needs, saved.path)

    def _fingerprint(self, size_px: int, settings: dict[str, Setting]) -> Fingerprint:
        return Fingerprint(
            encoder=self.name,
            weights=self._digest,
            settings={"size_px": size_px, "needs": self.needs.to_json(), **settings},
            versions=library_versions("torch"),
        )


def read_needs(text: str, path: Path) -> Fingerprint:
    """Return the fingerprint in the header of a file, of what it was trained with.

    Raises
    ------
    CheckpointError
        If it is none.
    """
    try:
        return Fingerprint.from_json(text)
    except DataError as error:
        raise CheckpointError(
            f"{path}: does not say what embeddings it was trained with: train it again"
        ) from error


def as_floats(embeddings: NDArray[np.float32]) -> Tensor:
    """Return embeddings as a tensor on the CPU."""
    return torch.from_numpy(np.ascontiguousarray(embeddings, dtype=np.float32))


def as_pictures(values_B3SS: Tensor) -> NDArray[np.uint8]:
    """Return values as pictures, (B, S, S, 3)."""
    return to_pixels(values_B3SS).permute(0, 2, 3, 1).cpu().numpy()
