"""What tells Stable Diffusion what to draw: a token adapter trained here, or an IP-Adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.imaging.fingerprint import Fingerprint, Setting
from neurohorizon.imaging.generators.trained import as_floats, read_needs
from neurohorizon.imaging.quiet import quiet
from neurohorizon.imaging.stable_diffusion import DiffusionBase
from neurohorizon.models.pictures.files import load_adapter
from neurohorizon.models.pictures.response_head import ResponseHead
from neurohorizon.ops.files import checksum

IMAGE_ENCODER, READOUT = "clip-vit-h14", "projected"
PUBLISHED = "ip-adapter_sd15.safetensors, in models/ of the hub's h94/IP-Adapter"
_NUM_DIMENSIONS = 1024  # of ViT-H/14


class Conditioning(Protocol):
    """Turns embeddings into what a pipeline of diffusers is called with."""

    needs: Fingerprint
    known: frozenset[str]
    num_dimensions: int
    size_px: int
    needs_text: bool
    head: ResponseHead | None

    def settings(self, base: DiffusionBase) -> dict[str, Setting]:
        """Return what enters the fingerprint of what is drawn."""
        ...

    def check_base(self, base: DiffusionBase) -> None:
        """Refuse a base that the weights are not of, before any of it is loaded."""
        ...

    def attach(self, pipeline: Any, base: DiffusionBase, device: torch.device) -> None:
        """Put weights where they are wanted."""
        ...

    def words(self, embeddings_BD: NDArray[np.float32], *, guided: bool) -> dict[str, Any]:
        """Return the arguments of the pipeline; `guided` asks for those without embedding, too."""
        ...


class TokenConditioning:
    """Tokens of a trained adapter in place of those of a text.

    Parameters
    ----------
    path : path
        Of `neurohorizon bridge train-adapter`.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged.
    """

    needs_text = False

    def __init__(self, path: Path | str) -> None:
        saved = load_adapter(path)
        self.path, self.base_digest, self.about = saved.path, saved.base, saved.about
        self.known = saved.trained_on
        self.needs = read_needs(saved.needs, saved.path)
        self.network = saved.network
        self.num_dimensions = saved.network.num_dimensions
        self.size_px = saved.size_px
        self.head = saved.head
        self._digest = saved.digest
        self._dtype = torch.float32

    def settings(self, base: DiffusionBase) -> dict[str, Setting]:
        """Return what enters the fingerprint of what is drawn."""
        return {"conditioning": "token adapter", "conditioning_weights": self._digest}

    def check_base(self, base: DiffusionBase) -> None:
        """Refuse another diffusion model than the adapter was trained through.

        Raises
        ------
        CheckpointError
        """
        if self.base_digest != base.digest:
            raise CheckpointError(
                f"{self.path}: was trained through another diffusion model (weights "
                f"{self.base_digest[:12]}) than {base.folder} (weights {base.digest[:12]}): give "
                "that one, or train an adapter through this one"
            )

    def attach(self, pipeline: Any, base: DiffusionBase, device: torch.device) -> None:
        """Move the adapter to the device."""
        self.network = self.network.to(device)
        self._dtype = pipeline.unet.dtype

    def words(self, embeddings_BD: NDArray[np.float32], *, guided: bool) -> dict[str, Any]:
        """Return the tokens of embeddings, and those of none."""
        device = self.network.nothing_D.device
        told = self.network.tell(as_floats(embeddings_BD).to(device))
        words = {"prompt_embeds": self.network(told).to(self._dtype)}
        if guided:
            nothing = self.network(self.network.nothing_D.expand_as(told))
            words["negative_prompt_embeds"] = nothing.to(self._dtype)
        return words


class ImagePromptConditioning:
    """The published IP-Adapter of Stable Diffusion 1.5, beside an empty text.

    Parameters
    ----------
    path : path
        A file of the published layout: `image_proj` with one linear map and a layer norm, and
        `ip_adapter` with keys and values of each cross-attention.
    needs : Fingerprint
        Of the bank that pictures will be drawn from: projected embeddings of ViT-H/14. (The file
        does not say which weights made the embeddings that it was trained with.)
    scale : float
        How much the picture's tokens count beside those of the empty text.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, pickled, or of another layout.
    DataError
        If the bank is of another encoder.
    ConfigError
        If the scale is out of its bounds.

    References
    ----------
    Ye et al. 2023, "IP-Adapter: text compatible image prompt adapter".
    """

    needs_text = True
    head: ResponseHead | None = None
    known: frozenset[str] = frozenset()
    size_px = 512

    def __init__(self, path: Path | str, needs: Fingerprint, *, scale: float = 1.0) -> None:
        if not 0 < scale <= 2:
            raise ConfigError(f"scale is {scale}: expected above 0, at most 2")
        self.path, self.scale = Path(path), scale
        self.needs = needs.space
        readout = self.needs.settings.get("readout")
        if self.needs.encoder != IMAGE_ENCODER or readout != READOUT:
            raise DataError(
                f"{path}: the IP-Adapter reads {READOUT} embeddings of {IMAGE_ENCODER}, the bank "
                f"holds {readout} ones of {self.needs.encoder}: embed the pictures with "
                f"`neurohorizon data embed PICTURES --encoder {IMAGE_ENCODER}`"
            )
        self._weights = _read_ip_adapter(self.path)
        self.num_dimensions = _NUM_DIMENSIONS
        self._dtype, self._device = torch.float32, torch.device("cpu")

    def settings(self, base: DiffusionBase) -> dict[str, Setting]:
        """Return what enters the fingerprint of what is drawn."""
        return {
            "conditioning": "IP-Adapter",
            "conditioning_weights": checksum(self.path),
            "text_weights": base.text_digest,
            "scale": self.scale,
        }

    def check_base(self, base: DiffusionBase) -> None:
        """Refuse a denoiser that reads tokens of another width.

        Raises
        ------
        CheckpointError
        """
        width = self._weights["image_proj"]["norm.weight"].numel()
        if width != base.token_width:
            raise CheckpointError(
                f"{self.path}: makes tokens of width {width}, {base.folder} reads "
                f"{base.token_width}: give the file for Stable Diffusion 1.5 ({PUBLISHED})"
            )

    def attach(self, pipeline: Any, base: DiffusionBase, device: torch.device) -> None:
        """Give the denoiser the adapter's weights.

        Raises
        ------
        CheckpointError
            If they do not fit it.
        """
        try:
            with quiet("transformers", "diffusers"):
                pipeline.load_ip_adapter(
                    self._weights, subfolder="", weight_name="", image_encoder_folder=None
                )
                pipeline.set_ip_adapter_scale(self.scale)
        except (KeyError, ValueError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CheckpointError(
                f"{self.path}: does not fit the denoiser of {base.folder} ({reason}); expected "
                f"{PUBLISHED}"
            ) from error
        self._dtype, self._device = pipeline.unet.dtype, device

    def words(self, embeddings_BD: NDArray[np.float32], *, guided: bool) -> dict[str, Any]:
        """Return an empty text for each picture, and its embedding after one of zeros."""
        told = as_floats(embeddings_BD).to(self._device, self._dtype)[:, None]
        if guided:
            told = torch.cat([torch.zeros_like(told), told])
        return {"prompt": [""] * len(embeddings_BD), "ip_adapter_image_embeds": [told]}


def _read_ip_adapter(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the two groups of weights of the published file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected {PUBLISHED}")
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: only .safetensors files are opened; expected {PUBLISHED}")
    groups: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                group, _, rest = name.partition(".")
                groups.setdefault(group, {})[rest] = file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged, or no safetensors file; get it again") from error
    projection = groups["image_proj"]
    names = {"proj.weight", "proj.bias", "norm.weight", "norm.bias"}
    if len(groups) > 2 or set(projection) != names or not groups["ip_adapter"]:
        raise CheckpointError(
            f"{path}: not of the layout of the plain IP-Adapter (others, as plus or full, read "
            f"no projected embedding); expected {PUBLISHED}"
        )
    found = projection["proj.weight"].shape[1]
    if found != _NUM_DIMENSIONS:
        raise CheckpointError(
            f"{path}: reads embeddings of {found} dimensions, expected {_NUM_DIMENSIONS} of "
            f"ViT-H/14; get {PUBLISHED}"
        )
    return groups
