"""The image encoder that is trained here: no download, and it knows what it was taught."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.device import open_device
from neurohorizon.imaging.fingerprint import Fingerprint, library_versions

READOUTS = ("projected", "pooled")


class SmallEncoder:
    """Encode pictures with a small network that `bridge train-encoder` trained.

    Parameters
    ----------
    checkpoint : path or str
        The file, or a folder that holds it as ``model.safetensors``.
    readout : {"projected", "pooled"}
        What the losses saw in training, or what comes before the last linear map.
    device : str
    batch_size : int
        Pictures at a time.

    Raises
    ------
    ConfigError
        If there is no such embedding, or the device is not there.
    CheckpointError
        If the file is missing, damaged, pickled, or of another network.
    """

    name = "small"

    def __init__(
        self,
        checkpoint: Path | str,
        *,
        readout: str = "projected",
        device: str = "cpu",
        batch_size: int = 32,
    ) -> None:
        import torch

        from neurohorizon.models.pictures.files import load_encoder

        if readout not in READOUTS:
            raise ConfigError(f"small has no embedding {readout!r}: choose {', '.join(READOUTS)}")
        self.readout = readout
        self.batch_size = batch_size
        self.device = open_device(device)
        saved = load_encoder(checkpoint)
        self.path, self.trained_on = saved.path, saved.trained_on
        self.network = saved.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._fingerprint = Fingerprint(
            encoder=self.name,
            weights=saved.digest,
            settings={"readout": readout, "size_px": self.network.size_px},
            versions=library_versions("pillow", "torch"),
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """What made the embeddings."""
        return self._fingerprint

    @property
    def num_dimensions(self) -> int:
        """Length of an embedding."""
        if self.readout == "pooled":
            return self.network.widths[-1]
        return self.network.num_dimensions

    def encode(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode pictures, `batch_size` at a time.

        Parameters
        ----------
        pictures : sequence of (H, W, 3) arrays of uint8

        Returns
        -------
        (B, D) array of float32
            Not normalised. Numbers differ by rounding between devices and sizes of batches.
        """
        import torch

        read = self.network.pool if self.readout == "pooled" else self.network
        rows = [np.empty((0, self.num_dimensions), np.float32)]
        with torch.inference_mode():
            for first in range(0, len(pictures), self.batch_size):
                batch = stack_pictures(
                    pictures[first : first + self.batch_size], size_px=self.network.size_px
                )
                values = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2) / 255
                rows.append(read(values).float().cpu().numpy())
        return np.concatenate(rows)

    def saw(self, hashes: Iterable[str]) -> list[str]:
        """Return which of some pictures, by their hashes, the encoder was trained on."""
        return [each for each in hashes if each in self.trained_on]


def stack_pictures(pictures: Sequence[NDArray[np.uint8]], *, size_px: int) -> NDArray[np.uint8]:
    """Stretch pictures to squares of one size; nothing is cut off.

    Parameters
    ----------
    pictures : sequence of (H, W, 3) arrays of uint8
    size_px : int

    Returns
    -------
    (B, size_px, size_px, 3) array of uint8
        Pictures of that size already are as they were; others by Pillow's bicubic filter.
    """
    stacked = np.empty((len(pictures), size_px, size_px, 3), np.uint8)
    for row, picture in enumerate(pictures):
        if picture.shape[:2] != (size_px, size_px):
            image = Image.fromarray(np.ascontiguousarray(picture))
            picture = np.asarray(image.resize((size_px, size_px), Image.Resampling.BICUBIC))
        stacked[row] = picture
    return stacked
