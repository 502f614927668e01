"""The offline default: a small flow that was trained here, on a CPU, in minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.errors import CheckpointError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.generator import Progress, check_request
from neurohorizon.imaging.generators.trained import TrainedGenerator, as_floats, as_pictures
from neurohorizon.models.pictures.files import load_generator
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.sampling import Sampling, follow, noise_of
from neurohorizon.models.pictures.standard import to_values


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

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the pictures."""
        return self._fingerprint(self.size_px, asdict(self.sampling))

    @property
    def size_px(self) -> int:
        """Width and height of the pictures."""
        return self.network.size_px

    @property
    def needs_starts(self) -> bool:
        """Whether it starts at pictures that are given."""
        return self.network.has_start

    def generate(
        self,
        embeddings_ID: NDArray[np.float32],
        seeds: Sequence[int],
        *,
        starts_ISS3: NDArray[np.uint8] | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.uint8]:
        """Draw pictures, as :meth:`Generator.generate` says."""
        check_request(
            embeddings_ID,
            seeds,
            starts_ISS3,
            num_dimensions=self.network.num_dimensions,
            start_px=self.size_px if self.needs_starts else None,
        )
        pictures = np.empty((len(seeds), self.size_px, self.size_px, 3), np.uint8)
        for first in range(0, len(seeds), self.batch_size):
            batch = slice(first, min(first + self.batch_size, len(seeds)))
            start = None
            if starts_ISS3 is not None:
                shown = torch.from_numpy(np.ascontiguousarray(starts_ISS3[batch]))
                start = to_values(shown.permute(0, 3, 1, 2)).to(self.device)
            values = follow(
                self.network,
                as_floats(embeddings_ID[batch]).to(self.device),
                noise_of(seeds[batch], size_px=self.size_px).to(self.device),
                sampling=self.sampling,
                start_B3SS=start,
            )
            pictures[batch] = as_pictures(values)
            if progress:
                progress("draw", batch.stop, len(seeds))
        return pictures
