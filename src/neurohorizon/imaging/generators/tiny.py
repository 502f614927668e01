"""The offline default: a small flow that was trained here, on a CPU, in minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.generator import Progress, check_request
from neurohorizon.imaging.generators.trained import (
    TrainedGenerator,
    as_floats,
    as_pictures,
    read_needs,
)
from neurohorizon.imaging.spaces import columns_of
from neurohorizon.models.pictures.direct import DirectNetwork
from neurohorizon.models.pictures.files import load_generator
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.sampling import Sampling, follow, noise_of
from neurohorizon.models.pictures.standard import to_pixels, to_values


class TinyGenerator(TrainedGenerator):
    """Draw pictures by a small flow that was trained here.

    Parameters
    ----------
    path : path
        Of `neurohorizon bridge train-generator`.
    sampling : Sampling, optional
        Steps and guidance.
    device : str
    batch_size : int
        Pictures at a time.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or no flow.
    ConfigError
        If the device is not there.
    """

    name = "tiny"
    needs_starts = False

    def __init__(
        self,
        path: Path | str,
        *,
        sampling: Sampling | None = None,
        device: str = "cpu",
        batch_size: int = 64,
    ) -> None:
        saved = load_generator(path)
        if not isinstance(saved.network, FlowNetwork):
            raise CheckpointError(f"{saved.path}: a direct decoder, expected a flow")
        super().__init__(saved, device=device, batch_size=batch_size)
        self.sampling = sampling or Sampling()
        self.network = saved.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._start: DirectNetwork | None = None
        if saved.start is not None:
            self._start = saved.start.network.to(self.device)
            self._start_columns = start_columns(saved.start.needs, self.needs, saved.path)

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the pictures."""
        return self._fingerprint(self.size_px, asdict(self.sampling))

    @property
    def size_px(self) -> int:
        """Width and height of the pictures."""
        return self.network.size_px

    @property
    def has_start(self) -> bool:
        """Whether flows start at pictures, which a direct decoder draws of the embeddings."""
        return self._start is not None

    def generate(
        self,
        embeddings_ID: NDArray[np.float32],
        seeds: Sequence[int],
        *,
        starts_ISS3: NDArray[np.uint8] | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.uint8]:
        """Draw pictures, as :meth:`Generator.generate` says."""
        num_dimensions = self.network.num_dimensions
        check_request(
            embeddings_ID, seeds, starts_ISS3, num_dimensions=num_dimensions, start_px=None
        )
        pictures = np.empty((len(seeds), self.size_px, self.size_px, 3), np.uint8)
        for first in range(0, len(seeds), self.batch_size):
            batch = slice(first, min(first + self.batch_size, len(seeds)))
            told = as_floats(embeddings_ID[batch]).to(self.device)
            values = follow(
                self.network,
                told,
                noise_of(seeds[batch], size_px=self.size_px).to(self.device),
                sampling=self.sampling,
                start_B3SS=self._starts(told),
            )
            pictures[batch] = as_pictures(values)
            if progress:
                progress("draw", batch.stop, len(seeds))
        return pictures

    def draw_starts(self, embeddings_ID: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Draw the pictures that flows start at, (I, S, S, 3).

        Raises
        ------
        ConfigError
            If they start at noise.
        """
        drawn = [
            as_pictures(values)
            for first in range(0, len(embeddings_ID), self.batch_size)
            if (values := self._starts(as_floats(embeddings_ID[first : first + self.batch_size])))
            is not None
        ]
        if not self.has_start:
            raise ConfigError(f"{self.path}: starts at noise, not at pictures")
        return np.concatenate([np.empty((0, self.size_px, self.size_px, 3), np.uint8), *drawn])

    def _starts(self, told_BD: Tensor) -> Tensor | None:
        """Return what flows start at, in the levels of pictures, as in training."""
        if self._start is None:
            return None
        with torch.inference_mode():
            shown = to_pixels(self._start(told_BD.to(self.device)[:, self._start_columns]))
        return to_values(shown)


def start_columns(start_needs: str, needs: Fingerprint, path: Path) -> list[int] | slice:
    """Return which of the embeddings of a flow its start reads.

    Raises
    ------
    CheckpointError
        If the file does not say it.
    """
    try:
        columns = columns_of(read_needs(start_needs, path), needs)
    except DataError as error:
        raise CheckpointError(f"{path}: its start reads other embeddings: {error}") from error
    return slice(None) if columns is None else columns
