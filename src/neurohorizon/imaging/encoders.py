"""Frozen image encoders behind one interface: CLIP, DINOv2, and two without a download.

===============  ==============================================  =====================
encoder          checkpoint                                      embeddings
===============  ==============================================  =====================
``layout``       none: colour layout and oriented energy         1,056
``small``        what ``bridge train-encoder`` wrote             128 projected, 192 pooled
``clip-vit-l14`` openai/clip-vit-large-patch14                   768 projected, 1,024 cls
``clip-vit-h14`` laion/CLIP-ViT-H-14-laion2B-s32B-b79K           1,024 projected, 1,280 cls
``dinov2``       facebook/dinov2-base, or any size of it         768 cls
``clip``         any CLIP that is given                          projected, cls
===============  ==============================================  =====================

*projected* lies in the space that pictures and captions share; it is what retrieval and the
IP-Adapter use (that of Stable Diffusion 1.5 wants ``clip-vit-h14``). *cls* is the network's
own summary token after its last normalisation, before any projection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.layout import LayoutEncoder
from neurohorizon.imaging.network_encoder import NETWORKS, NetworkEncoder
from neurohorizon.imaging.small import SmallEncoder


class ImageEncoder(Protocol):
    """What turns pictures into vectors, always in the same way."""

    batch_size: int

    @property
    def fingerprint(self) -> Fingerprint:
        """What made the embeddings."""
        ...

    @property
    def num_dimensions(self) -> int:
        """Length of an embedding."""
        ...

    def encode(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Turn (H, W, 3) pictures into a (B, D) array."""
        ...

    def saw(self, hashes: Iterable[str]) -> list[str]:
        """Return which of some pictures, by their hashes, it is known to be trained on."""
        ...


ENCODERS = (LayoutEncoder.name, SmallEncoder.name, *NETWORKS)
"""Names that :func:`open_encoder` takes."""


def open_encoder(
    name: str,
    *,
    checkpoint: Path | str | None = None,
    readout: str | None = None,
    device: str | None = None,
    batch_size: int = 32,
) -> ImageEncoder:
    """Return an image encoder by name.

    Parameters
    ----------
    name : str
        One of :data:`ENCODERS`.
    checkpoint : path or str, optional
        A folder with a checkpoint of transformers, from which alone is read then; or a hub id
        ("owner/model"), which is downloaded once. Default: that of the name. Of ``small``: the
        file that was trained.
    readout : {"projected", "cls", "pooled"}, optional
        Which embedding. Default: cls for DINOv2, else projected.
    device : str, optional
        "cpu" (the default), "cuda", "cuda:1", "mps".
    batch_size : int
        Pictures at a time.

    Raises
    ------
    ConfigError
        If there is no such encoder or embedding, the device is not there, or a setting would
        have no effect.
    DataError, CheckpointError
        If the checkpoint is missing, damaged, pickled, or of another network.
    MissingExtraError
        If transformers is needed and not installed.
    """
    if batch_size < 1:
        raise ConfigError(f"a batch of {batch_size} pictures: expected at least 1")
    if name == LayoutEncoder.name:
        for what, value in (("checkpoint", checkpoint), ("readout", readout), ("device", device)):
            if value is not None:
                raise ConfigError(f"{what} {value}: the encoder layout has none; leave it out")
        return LayoutEncoder(batch_size=batch_size)
    if name == SmallEncoder.name:
        if checkpoint is None:
            raise ConfigError(
                "the encoder small needs a checkpoint: train one with "
                "`neurohorizon bridge train-encoder PICTURES --out FILE` and give that file"
            )
        return SmallEncoder(
            checkpoint,
            readout=readout or "projected",
            device=device or "cpu",
            batch_size=batch_size,
        )
    if name not in NETWORKS:
        raise ConfigError(f"unknown image encoder {name!r}: choose {', '.join(ENCODERS)}")
    return NetworkEncoder(
        name,
        checkpoint=checkpoint,
        readout=readout,
        device=device or "cpu",
        batch_size=batch_size,
    )


def open_encoder_of(
    space: Fingerprint,
    *,
    checkpoint: Path | str | None = None,
    device: str | None = None,
    batch_size: int = 32,
) -> ImageEncoder:
    """Return the image encoder that made some embeddings, to embed more pictures by it.

    Parameters
    ----------
    space : Fingerprint
        Of true embeddings.
    checkpoint, device, batch_size
        As of :func:`open_encoder`; the layout, which is not a network, has no device.

    Raises
    ------
    ConfigError, DataError, CheckpointError, MissingExtraError
        As :func:`open_encoder`, and if it is not what made them.
    """
    if space.encoder not in ENCODERS:
        raise ConfigError(
            f"embeddings that were made by {space.encoder}: no encoder that more pictures could be "
            f"embedded by; known are {', '.join(ENCODERS)}"
        )
    readout = space.settings.get("readout")
    encoder = open_encoder(
        space.encoder,
        checkpoint=checkpoint,
        readout=None if readout is None else str(readout),
        device=None if space.encoder == LayoutEncoder.name else device,
        batch_size=batch_size,
    )
    if difference := space.difference(encoder.fingerprint):
        raise ConfigError(
            f"{checkpoint or space.encoder}: not the encoder that made the embeddings: {difference}"
        )
    return encoder
