"""Stable Diffusion 1.5, told what to draw by embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError, MissingExtraError
from neurohorizon.imaging.device import open_device
from neurohorizon.imaging.fingerprint import Fingerprint, library_versions
from neurohorizon.imaging.generators.conditioning import Conditioning
from neurohorizon.imaging.generators.generator import Progress, check_request
from neurohorizon.imaging.quiet import quiet
from neurohorizon.imaging.small import stack_pictures
from neurohorizon.imaging.stable_diffusion import (
    HUB_ID,
    DiffusionBase,
    find_base,
    import_diffusers,
)

Scheduler = Literal["ddim", "dpm++"]
Precision = Literal["float32", "bfloat16", "float16"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SIZE_MULTIPLE_PX = 64


@dataclass(frozen=True)
class DiffusionSampling:
    """How noise is followed to a picture.

    Parameters
    ----------
    steps : int
        Of the whole way from noise.
    scheduler : {"dpm++", "ddim"}
        DPM-Solver++ of second order (Lu et al. 2022) or DDIM without noise (Song et al. 2021);
        the first needs half of the steps.
    guidance : float
        1: as the embedding tells, at half of the time. Above it, so many times as far from what
        would be drawn without it.
    strength : float, optional
        Start at a given picture instead of at noise: the share of the way that is still gone
        (Meng et al. 2022, "SDEdit"). 1 leaves nothing of the start but its mean colour.

    Raises
    ------
    ConfigError
        If a setting is out of its bounds.
    """

    steps: int = 25
    scheduler: Scheduler = "dpm++"
    guidance: float = 5.0
    strength: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}: expected 1 or more")
        if self.scheduler not in ("dpm++", "ddim"):
            raise ConfigError(f"scheduler is {self.scheduler!r}: choose dpm++ or ddim")
        if not 1 <= self.guidance <= 30:
            raise ConfigError(f"guidance is {self.guidance}: expected 1 to 30")
        if self.strength is None:
            return
        if not 0 < self.strength <= 1:
            raise ConfigError(f"strength is {self.strength}: expected above 0, at most 1")
        if int(self.steps * self.strength) < 1:
            raise ConfigError(
                f"strength {self.strength} of {self.steps} steps is not one step: raise either"
            )


class StableDiffusionGenerator:
    """Draw pictures by Stable Diffusion 1.5, or by any checkpoint of its layout.

    Parameters
    ----------
    conditioning : Conditioning
        A :class:`~neurohorizon.imaging.generators.conditioning.TokenConditioning` or an
        :class:`~neurohorizon.imaging.generators.conditioning.ImagePromptConditioning`; to be
        given to one generator alone.
    base : path or str
        A folder or a hub id, see :func:`~neurohorizon.imaging.stable_diffusion.find_base`.
    size_px : int, optional
        A multiple of 64; by default what the conditioning was trained on. The published weights
        draw well at 512.
    sampling : DiffusionSampling, optional
    precision : {"float32", "bfloat16", "float16"}
    device : str
    offload : bool
        Keep on the device only the part that computes (accelerate): slower, and a small card will
        do.
    batch_size : int
        Pictures at a time.

    Raises
    ------
    ConfigError
        If a setting is out of its bounds, or the device is not there.
    DataError, CheckpointError
        If the checkpoint is missing, damaged, pickled or of another layout, or the conditioning is
        of another one.
    MissingExtraError
        If diffusers is not installed.

    Notes
    -----
    In float32 a picture differs by a level of 255 at most with what is drawn beside it; in 16 bits
    rounding is coarser, and details may differ.
    """

    name = "stable-diffusion"

    def __init__(
        self,
        conditioning: Conditioning,
        base: Path | str = HUB_ID,
        *,
        size_px: int | None = None,
        sampling: DiffusionSampling | None = None,
        precision: Precision = "float32",
        device: str = "cpu",
        offload: bool = False,
        batch_size: int = 4,
    ) -> None:
        size_px = conditioning.size_px if size_px is None else size_px
        if size_px < SIZE_MULTIPLE_PX or size_px % SIZE_MULTIPLE_PX:
            raise ConfigError(f"size_px is {size_px}: expected a multiple of {SIZE_MULTIPLE_PX}")
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}: expected 1 or more")
        if precision not in DTYPES:
            raise ConfigError(f"precision is {precision!r}: choose {', '.join(DTYPES)}")
        self.device = open_device(device)
        if offload and self.device.type == "cpu":
            raise ConfigError("offload moves parts off a GPU, and the device is cpu: leave it out")
        self.size_px = size_px
        self.sampling = sampling or DiffusionSampling()
        self.precision, self.offload = precision, offload
        self.batch_size = batch_size
        self.conditioning = conditioning
        self.needs, self.known = conditioning.needs, conditioning.known
        self.head = conditioning.head
        self.base = find_base(base, text=conditioning.needs_text)
        conditioning.check_base(self.base)
        self._pipeline = _open_pipeline(
            self.base,
            scheduler=self.sampling.scheduler,
            dtype=DTYPES[precision],
            text=conditioning.needs_text,
            starts=self.needs_starts,
        )
        conditioning.attach(self._pipeline, self.base, self.device)
        self._place()

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the pictures."""
        return Fingerprint(
            encoder=self.name,
            weights=self.base.digest,
            settings={
                "size_px": self.size_px,
                "precision": self.precision,
                "needs": self.needs.to_json(),
                **asdict(self.sampling),
                **self.conditioning.settings(self.base),
            },
            versions=library_versions("torch", "diffusers"),
        )

    @property
    def needs_starts(self) -> bool:
        """Whether it starts at pictures that are given."""
        return self.sampling.strength is not None

    def from_noise(self) -> StableDiffusionGenerator:
        """Return one of the same weights, which are shared, that starts at no picture."""
        made = copy(self)
        made.sampling = replace(self.sampling, strength=None)
        made._pipeline = _wrap(self._pipeline.components, starts=False)
        made._place()
        return made

    def generate(
        self,
        embeddings_ID: NDArray[np.float32],
        seeds: Sequence[int],
        *,
        starts_ISS3: NDArray[np.uint8] | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.uint8]:
        """Draw pictures, as :meth:`Generator.generate` says; starts of any size are stretched."""
        if self.needs_starts and starts_ISS3 is not None and starts_ISS3.ndim == 4:
            starts_ISS3 = stack_pictures(list(starts_ISS3), size_px=self.size_px)
        check_request(
            embeddings_ID,
            seeds,
            starts_ISS3,
            num_dimensions=self.conditioning.num_dimensions,
            start_px=self.size_px if self.needs_starts else None,
        )
        pictures = np.empty((len(seeds), self.size_px, self.size_px, 3), np.uint8)
        for first in range(0, len(seeds), self.batch_size):
            batch = slice(first, min(first + self.batch_size, len(seeds)))
            starts = None if starts_ISS3 is None else starts_ISS3[batch]
            pictures[batch] = self._draw(embeddings_ID[batch], seeds[batch], starts)
            if progress:
                progress("draw", batch.stop, len(seeds))
        return pictures

    def _place(self) -> None:
        """Bring the weights to the device, or see to it that each part goes there in its turn."""
        if self.offload:
            _offload(self._pipeline, self.device)
        else:
            self._pipeline.to(self.device)

    @torch.inference_mode()
    def _draw(
        self,
        embeddings_BD: NDArray[np.float32],
        seeds: Sequence[int],
        starts_BSS3: NDArray[np.uint8] | None,
    ) -> NDArray[np.uint8]:
        words = self.conditioning.words(embeddings_BD, guided=self.sampling.guidance > 1)
        if starts_BSS3 is None:
            words |= {"height": self.size_px, "width": self.size_px}
        else:
            shown = torch.from_numpy(np.ascontiguousarray(starts_BSS3)).permute(0, 3, 1, 2)
            words |= {"image": shown / 255, "strength": self.sampling.strength}
        drawn = self._pipeline(
            **words,
            num_inference_steps=self.sampling.steps,
            guidance_scale=self.sampling.guidance,
            # One a picture, on the CPU: the same noise on every device and beside any picture.
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="np",
        ).images
        if not np.isfinite(drawn).all():
            raise DataError(
                f"{self.base.folder}: draws values that are not finite in {self.precision}: "
                "choose another precision, or look for damaged weights"
            )
        return np.rint(255 * drawn).astype(np.uint8)


def _open_pipeline(
    base: DiffusionBase, *, scheduler: Scheduler, dtype: torch.dtype, text: bool, starts: bool
) -> Any:
    """Return a pipeline of diffusers, with neither safety checker nor image encoder."""
    diffusers = import_diffusers()
    tokenizer, text_encoder = base.load_text(dtype) if text else (None, None)
    # Noise that the schedules of the two would add on the way is left out: seeds decide alone.
    kinds = {
        "ddim": (diffusers.DDIMScheduler, {}),
        "dpm++": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
    }
    kind, settings = kinds[scheduler]
    with quiet("transformers", "diffusers"):
        parts = {
            "vae": base.load_vae(dtype),
            "text_encoder": text_encoder,
            "tokenizer": tokenizer,
            "unet": base.load_unet(dtype),
            "scheduler": kind.from_config(base.config("scheduler"), **settings),
            "safety_checker": None,
            "feature_extractor": None,
            "image_encoder": None,
        }
    return _wrap(parts, starts=starts)


def _wrap(parts: Mapping[str, Any], *, starts: bool) -> Any:
    """Return a pipeline of diffusers of these parts."""
    diffusers = import_diffusers()
    wrapper = (
        diffusers.StableDiffusionImg2ImgPipeline if starts else diffusers.StableDiffusionPipeline
    )
    with quiet("transformers", "diffusers"):
        pipeline = wrapper(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    # Of an IP-Adapter the pipeline would repeat all embeddings for each picture of a batch; of
    # those that then are too many the denoiser reads the first ones, which are other pictures',
    # and is silent.
    pipeline.prepare_ip_adapter_image_embeds = lambda _, embeddings, *__: embeddings
    return pipeline


def _offload(pipeline: Any, device: torch.device) -> None:
    try:
        import accelerate  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "accelerate", extra="vision", purpose="offload parts to the CPU"
        ) from error
    pipeline.enable_model_cpu_offload(device=device)
