"""Frozen CLIP and DINOv2 networks of transformers, and the checkpoints that are known by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError, MissingExtraError
from neurohorizon.imaging.checkpoints import find_checkpoint, find_weights, hash_weights
from neurohorizon.imaging.device import open_device
from neurohorizon.imaging.fingerprint import Fingerprint, library_versions
from neurohorizon.imaging.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    read_preprocessing,
)
from neurohorizon.imaging.quiet import quiet

if TYPE_CHECKING:
    import torch


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
NETWORKS = tuple(_KNOWN)
"""Names that :class:`NetworkEncoder` takes."""


class NetworkEncoder:
    """Encode pictures with a frozen CLIP or DINOv2 of transformers, in float32.

    Parameters
    ----------
    name : str
        "clip-vit-l14", "clip-vit-h14", "dinov2", or "clip" for any other CLIP.
    checkpoint : path or str, optional
        A folder, or a hub id; by default that of the name.
    readout : {"projected", "cls"}, optional
        cls for DINOv2, else projected.
    device : str
    batch_size : int

    Raises
    ------
    ConfigError, DataError, MissingExtraError
        If there is no such embedding, the device is not there, the checkpoint is missing,
        damaged or of another network, or transformers is not installed.

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
        checkpoint: Path | str | None = None,
        readout: str | None = None,
        device: str = "cpu",
        batch_size: int = 32,
    ) -> None:
        known = _KNOWN[name]
        family = _FAMILIES[known.family]
        checkpoint = checkpoint or known.hub_id
        readout = readout or family.readouts[0]
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
