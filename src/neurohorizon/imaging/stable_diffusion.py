"""Stable Diffusion 1.5: where its files are, the hash of its weights, and its parts, frozen.

A checkpoint is a folder of diffusers' layout, or a hub id. Weights are safetensors alone.

==================  =================================================  =======================
part                files                                              wanted
==================  =================================================  =======================
``unet``            config.json, diffusion_pytorch_model.safetensors   always
``vae``             config.json, diffusion_pytorch_model.safetensors   always
``scheduler``       scheduler_config.json                              always
``tokenizer``       vocab.json, merges.txt                             for the empty text that
``text_encoder``    config.json, model.safetensors                     an IP-Adapter stands by
==================  =================================================  =======================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetensors import SafetensorError, safe_open

from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.imaging.checkpoints import find_checkpoint, hash_weights
from neurohorizon.imaging.quiet import quiet

if TYPE_CHECKING:
    import torch

HUB_ID = "stable-diffusion-v1-5/stable-diffusion-v1-5"
Prediction = Literal["epsilon", "v_prediction"]

_WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
_ALWAYS = (
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "scheduler/scheduler_config.json",
)
_FOR_TEXT = (
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
)
_BESIDE = ("tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json")
_LAYOUT: dict[str, dict[str, Any]] = {
    "unet": {
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
        "addition_embed_type": None,
    },
    "vae": {"latent_channels": 4, "down_block_types": ["DownEncoderBlock2D"] * 4},
}


@dataclass(frozen=True)
class DiffusionBase:
    """A checkpoint of Stable Diffusion 1.5's layout, of which nothing is loaded yet.

    Parameters
    ----------
    folder : Path
        From :func:`find_base`.
    """

    folder: Path

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights of the denoiser and of the autoencoder of pictures."""
        return hash_weights([self._weights("unet"), self._weights("vae")])

    @cached_property
    def vae_digest(self) -> str:
        """SHA-256 of the weights of the autoencoder of pictures, which makes latents."""
        return hash_weights([self._weights("vae")])

    @cached_property
    def text_digest(self) -> str:
        """SHA-256 of the weights of the text encoder."""
        return hash_weights([self._weights("text_encoder")])

    @property
    def token_width(self) -> int:
        """Width of the tokens that the denoiser reads."""
        return int(self.config("unet")["cross_attention_dim"])

    @property
    def prediction(self) -> Prediction:
        """What the denoiser predicts: the noise, or the velocity."""
        return self.config("scheduler").get("prediction_type", "epsilon")

    def config(self, part: str) -> dict[str, Any]:
        """Return the settings of a part.

        Raises
        ------
        DataError
            If they cannot be read.
        """
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        return _read_json(self.folder / part / name)

    def noise_levels(self) -> torch.Tensor:
        r"""Return the share :math:`\bar\alpha_t` of signal at each time, (T,)."""
        diffusers = import_diffusers()
        with quiet("diffusers"):
            return diffusers.DDIMScheduler.from_config(self.config("scheduler")).alphas_cumprod

    def load_unet(self, dtype: torch.dtype) -> Any:
        """Return the denoiser, frozen, on the CPU."""
        return self._load(import_diffusers().UNet2DConditionModel, "unet", dtype)

    def load_vae(self, dtype: torch.dtype) -> Any:
        """Return the autoencoder of pictures, frozen, on the CPU."""
        return self._load(import_diffusers().AutoencoderKL, "vae", dtype)

    def load_text(self, dtype: torch.dtype) -> tuple[Any, Any]:
        """Return the tokenizer and the text encoder, frozen, on the CPU."""
        import_diffusers()
        import transformers

        encoder = self._load(transformers.CLIPTextModel, "text_encoder", dtype)
        with _readable(self.folder / "tokenizer"), quiet("transformers", "diffusers"):
            tokenizer = transformers.CLIPTokenizer.from_pretrained(
                self.folder / "tokenizer", local_files_only=True
            )
        return tokenizer, encoder

    def _weights(self, part: str) -> Path:
        return self.folder / part / _WEIGHTS[part]

    def _load(self, kind: Any, part: str, dtype: torch.dtype) -> Any:
        """Load a part, every weight of which must be in the checkpoint."""
        told = {"dtype" if part == "text_encoder" else "torch_dtype": dtype}
        with _readable(self.folder / part), quiet("transformers", "diffusers"):
            network, report = kind.from_pretrained(
                self.folder / part,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **told,
            )
        # What is missing is filled with random numbers, and only logged.
        if report["missing_keys"]:
            missing = sorted(report["missing_keys"])
            raise DataError(
                f"{self.folder / part}: {len(missing)} of its weights are missing, the first "
                f"{missing[0]}: get the checkpoint again"
            )
        return network.eval().requires_grad_(False)


def find_base(base: Path | str = HUB_ID, *, text: bool = False) -> DiffusionBase:
    """Find a checkpoint, and make sure that all of its files are there and of the right layout.

    Parameters
    ----------
    base : path or str
        A folder, from which alone is read then; or a hub id ("owner/model"), which is downloaded
        to its cache, once.
    text : bool
        Whether tokenizer and text encoder are wanted, too.

    Raises
    ------
    DataError
        If it cannot be had, lacks a file, has only pickled weights, or is of another layout: one
        line that lists the files that were expected and the id that was tried.
    MissingExtraError
        If diffusers is not installed.
    """
    import_diffusers()
    expected = (*_ALWAYS, *(_FOR_TEXT if text else ()))
    tried = "" if Path(base).is_dir() else f"; tried was the hub id {base}"
    if tried and str(base) != HUB_ID:
        tried += f", that of Stable Diffusion 1.5 is {HUB_ID}"
    listed = f"expected were the files {', '.join(expected)}{tried}"
    try:
        folder = find_checkpoint(base, wanted=[*expected, *_BESIDE])
    except DataError as error:
        raise DataError(f"{error}; {listed}") from error
    for name in expected:
        if not (folder / name).is_file():
            found = ""
            if name.endswith(".safetensors"):
                pickles = sorted(each.name for each in (folder / name).parent.glob("*.bin"))
                found = f" ({pickles[0]} is pickled, which is never opened)" if pickles else ""
            raise DataError(f"{folder}: {name} is missing{found}; {listed}")
    for part, weights in _WEIGHTS.items():
        if f"{part}/{weights}" in expected:  # a file that is cut short is seen without reading it
            with _readable(folder / part), safe_open(folder / part / weights, framework="pt"):
                pass
    made = DiffusionBase(folder)
    for part, layout in _LAYOUT.items():
        _check_layout(folder / part, made.config(part), layout)
    if made.prediction not in ("epsilon", "v_prediction"):
        raise DataError(
            f"{folder / 'scheduler'}: prediction_type is {made.prediction}: expected epsilon or "
            "v_prediction"
        )
    return made


def import_diffusers() -> Any:
    """Return the library diffusers.

    Raises
    ------
    MissingExtraError
        If it, or transformers, which it needs, is not installed.
    """
    try:
        import transformers  # noqa: F401

        with quiet("transformers"):  # which says of what is read here that torchvision is missing
            import diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion
    except ImportError as error:
        raise MissingExtraError(
            "diffusers" if error.name is None else error.name.split(".")[0],
            extra="vision",
            purpose="draw pictures with Stable Diffusion",
        ) from error
    return diffusers


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise at a damaged part into one line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder}: cannot be loaded ({reason}); get it again") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error}); get it again") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected settings in braces; get it again")
    return found


def _check_layout(folder: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise DataError(
                f"{folder}: not of Stable Diffusion 1.5's layout: its {name} is "
                f"{found.get(name)}, expected {value}"
            )
    width = found.get("cross_attention_dim", 1)
    if not isinstance(width, int):
        raise DataError(f"{folder}: its cross_attention_dim is {width}, expected one number")
