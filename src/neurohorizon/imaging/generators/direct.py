"""The direct decoder: one picture an embedding, of least squared error, and blurry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.errors import CheckpointError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.generator import Progress, check_request
from neurohorizon.imaging.generators.trained import TrainedGenerator, as_floats, as_pictures
from neurohorizon.models.pictures.direct import DirectNetwork
from neurohorizon.models.pictures.files import load_generator


class DirectGenerator(TrainedGenerator):
    """Draw the picture of least squared error.

    Parameters
    ----------
    path : path
        Of `neurohorizon bridge train-generator --kind direct`.
    device : str
    batch_size : int
        Pictures at a time.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or no direct decoder.
    ConfigError
        If the device is not there.
    """

    name = "direct"
    needs_starts = False

    def __init__(self, path: Path | str, *, device: str = "cpu", batch_size: int = 64) -> None:
        saved = load_generator(path)
        if not isinstance(saved.network, DirectNetwork):
            raise CheckpointError(f"{saved.path}: a flow, expected a direct decoder")
        super().__init__(saved, device=device, batch_size=batch_size)
        self.network = saved.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the pictures."""
        return self._fingerprint(self.size_px, {})

    @property
    def size_px(self) -> int:
        """Width and height of the pictures."""
        return self.network.size_px

    def generate(
        self,
        embeddings_ID: NDArray[np.float32],
        seeds: Sequence[int],
        *,
        starts_ISS3: NDArray[np.uint8] | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.uint8]:
        """Draw pictures, as :meth:`Generator.generate` says; seeds change nothing."""
        num_dimensions = self.network.num_dimensions
        check_request(
            embeddings_ID, seeds, starts_ISS3, num_dimensions=num_dimensions, start_px=None
        )
        pictures = np.empty((len(seeds), self.size_px, self.size_px, 3), np.uint8)
        for first in range(0, len(seeds), self.batch_size):
            batch = slice(first, min(first + self.batch_size, len(seeds)))
            with torch.inference_mode():
                values = self.network(as_floats(embeddings_ID[batch]).to(self.device))
            pictures[batch] = as_pictures(values)
            if progress:
                progress("draw", batch.stop, len(seeds))
        return pictures
