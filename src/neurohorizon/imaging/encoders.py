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

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError, MissingExtraError
from neurohorizon.imaging.checkpoints import find_checkpoint, find_weights, hash_weights
from neurohorizon.imaging.device import open_device
from neurohorizon.imaging.fingerprint import Fingerprint, library_versions
from neurohorizon.imaging.layout import LayoutEncoder
from neurohorizon.imaging.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    read_preprocessing,
)
from neurohorizon.imaging.quiet import quiet
from neurohorizon.imaging.small import SmallEncoder

if TYPE_CHECKING:
    import torch


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


@dataclass(frozen=True)
class _Family:
    """How networks of one kind are built and read."""

    model_types: tuple[str, ...]
    readouts: tuple[str, ...]
    preprocessing: Preprocessing


@dataclass(frozen=True)
class _Known:
    """A checkpoint that is known by name."""

    family: str
    hub_id: str
    architecture: Mapping[str, int] = field(default_factory=dict)


_FAMILIES = {
    "clip": _Family(("clip", "clip_vision_model"), ("projected", "cls"), Preprocessing()),
    "dinov2": _Family(
        ("dinov2",), ("cls",), Preprocessing(256, 224, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    ),
}
_KNOWN = {
    "clip-vit-l14": _Known(
        "clip",
        "openai/clip-vit-large-patch14",
        {"hidden_size": 1024, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768},
    ),
    "clip-vit-h14": _Known(
        "clip",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        {"hidden_size": 1280, "num_hidden_layers": 32, "patch_size": 14, "projection_dim": 1024},
    ),
    "dinov2": _Known("dinov2", "facebook/dinov2-base"),
    "clip": _Known("clip", ""),
}
ENCODERS = (LayoutEncoder.name, SmallEncoder.name, *_KNOWN)
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
    if name not in _KNOWN:
        raise ConfigError(f"unknown image encoder {name!r}: choose {', '.join(ENCODERS)}")
    return NetworkEncoder(
        name,
        checkpoint=checkpoint or _KNOWN[name].hub_id,
        readout=readout or _FAMILIES[_KNOWN[name].family].readouts[0],
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


class NetworkEncoder:
    """Encode pictures with a frozen CLIP or DINOv2 of transformers, in float32.

    Parameters
    ----------
    name : str
        "clip-vit-l14", "clip-vit-h14", "dinov2", or "clip" for any other CLIP.
    checkpoint : path or str
        A folder, or a hub id.
    readout : {"projected", "cls"}
    device : str
    batch_size : int

    Raises
    ------
    ConfigError, DataError, MissingExtraError
        As :func:`open_encoder`.

    References
    ----------
    Radford et al. (2021), Learning transferable visual models from natural language
    supervision. Cherti et al. (2023), Reproducible scaling laws for contrastive language-image
    learning. Oquab et al. (2023), DINOv2: learning robust visual features without supervision.
    """

    def __init__(
        self,
        name: str,
        *,
        checkpoint: Path | str,
        readout: str,
        device: str = "cpu",
        batch_size: int = 32,
    ) -> None:
        known = _KNOWN[name]
        family = _FAMILIES[known.family]
        if readout not in family.readouts:
            raise ConfigError(
                f"{name} has no embedding {readout!r}: choose {', '.join(family.readouts)}"
            )
        if not checkpoint:
            raise ConfigError(f"{name} needs a checkpoint: a folder or a hub id")
        try:
            import transformers  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "transformers", extra="vision", purpose=f"embed pictures with {name}"
            ) from error
        self.name = name
        self.readout = readout
        self.batch_size = batch_size
        self.device = open_device(device)
        self.folder = find_checkpoint(checkpoint)
        self.preprocessing = read_preprocessing(self.folder, default=family.preprocessing)
        weights = find_weights(self.folder)
        self.network = _load(self.folder, known.family).to(self.device).eval()
        self.network.requires_grad_(False)
        architecture = _architecture(self.network.config)
        _check_architecture(name, architecture, self.folder)
        self._fingerprint = Fingerprint(
            encoder=name,
            weights=hash_weights(weights),
            settings={"readout": readout, **architecture, **self.preprocessing.settings()},
            versions=library_versions("pillow", "torch", "transformers"),
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """What made the embeddings."""
        return self._fingerprint

    @property
    def num_dimensions(self) -> int:
        """Length of an embedding."""
        config = self.network.config
        return config.projection_dim if self.readout == "projected" else config.hidden_size

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

        rows = [np.empty((0, self.num_dimensions), np.float32)]
        with torch.inference_mode():
            for first in range(0, len(pictures), self.batch_size):
                batch = self.preprocessing(pictures[first : first + self.batch_size])
                rows.append(self._read(torch.from_numpy(batch).to(self.device)).cpu().numpy())
        return np.concatenate(rows)

    def saw(self, hashes: Iterable[str]) -> list[str]:
        """Return none: which pictures of ours a public network was trained on, nobody knows."""
        return []

    def _read(self, pixel_values: torch.Tensor) -> torch.Tensor:
        if self.readout == "projected":
            return self.network(pixel_values=pixel_values).image_embeds
        # CLIP's summary token is normalised inside its vision tower, before the projection.
        tower = getattr(self.network, "vision_model", self.network)
        return tower(pixel_values=pixel_values).pooler_output


def _load(folder: Path, family: str) -> Any:
    """Load a vision network, every weight of which must be in the checkpoint."""
    import torch
    import transformers
    from safetensors import SafetensorError

    config_file = folder / "config.json"
    try:
        described = json.loads(config_file.read_text(encoding="utf-8"))
        found = described["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{config_file}: not the config of a checkpoint ({error!r}); give a folder that "
            "transformers wrote"
        ) from error
    expected = _FAMILIES[family].model_types
    if found not in expected:
        raise DataError(f"{folder}: a network of type {found!r}, expected {' or '.join(expected)}")
    try:
        if family == "clip":
            # With output_loading_info a pair is returned, which the library's types do not say.
            kind: Any = transformers.CLIPVisionModelWithProjection
            config = transformers.CLIPVisionConfig.from_pretrained(folder, local_files_only=True)
            # Some whole CLIPs tell the width of their projection only outside the vision part.
            if "vision_config" in described and "projection_dim" in described:
                config.projection_dim = described["projection_dim"]
        else:
            kind = transformers.Dinov2Model
            config = transformers.Dinov2Config.from_pretrained(folder, local_files_only=True)
        with quiet("transformers"):
            network, report = kind.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are told below, in one line
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{folder}: the checkpoint cannot be loaded ({reason}); get it again"
        ) from error
    # transformers fills what is missing with random numbers and only logs it.
    missing = {*report["missing_keys"], *(row[0] for row in report["mismatched_keys"])}
    if missing:
        raise DataError(
            f"{folder}: {len(missing)} of the network's weights are missing or of another size, "
            f"the first {min(missing)}: give a checkpoint of the whole vision part"
        )
    return network


def _architecture(config: Any) -> dict[str, str | int | float]:
    """Return what of a config changes the numbers beside the weights, and can be compared."""
    names = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "patch_size",
        "image_size",
        "hidden_act",
        "layer_norm_eps",
        "projection_dim",
    )
    return {name: getattr(config, name) for name in names if hasattr(config, name)}


def _check_architecture(name: str, found: Mapping[str, Any], folder: Path) -> None:
    for what, expected in _KNOWN[name].architecture.items():
        if found[what] != expected:
            raise DataError(
                f"{folder}: not {name}: its {what} is {found[what]}, expected {expected}; for "
                "another CLIP choose the encoder clip"
            )
