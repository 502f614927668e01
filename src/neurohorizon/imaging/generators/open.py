"""Open a generator by its file, whatever draws, and refuse what it cannot be asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.conditioning import (
    Conditioning,
    ImagePromptConditioning,
    TokenConditioning,
)
from neurohorizon.imaging.generators.direct import DirectGenerator
from neurohorizon.imaging.generators.stable_diffusion import (
    DiffusionSampling,
    Precision,
    Scheduler,
    StableDiffusionGenerator,
)
from neurohorizon.imaging.generators.tiny import TinyGenerator
from neurohorizon.imaging.stable_diffusion import HUB_ID
from neurohorizon.models.pictures.files import ADAPTER, load_generator
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.sampling import Sampling

Start = Literal["low-level", "retrieved"]
#: Of a diffusion that starts at a picture.
STRENGTH = 0.8
IP_ADAPTER = "IP-Adapter"
_GROUPS = ("image_proj.", "ip_adapter.")


@dataclass(frozen=True)
class DrawSettings:
    """What is asked of a generator; what is left out is as its kind does by default.

    Parameters
    ----------
    steps : int, optional
        8 of a flow, 25 of Stable Diffusion.
    guidance : float, optional
        1.5 of a flow, 5 of Stable Diffusion.
    base : path or str, optional
        Of Stable Diffusion, as all that follows: its folder or hub id, which it does not go
        without.
    size_px : int, optional
        Width and height of the pictures; by default those that the adapter was trained on, 512 of
        an IP-Adapter.
    scheduler : {"dpm++", "ddim"}, optional
        dpm++.
    precision : {"float32", "bfloat16", "float16"}, optional
        float32.
    offload : bool
        Keep on the GPU only the part that computes.
    start : {"low-level", "retrieved"}, optional
        Pictures to start at, in place of noise, which are then given with each embedding.
    strength : float, optional
        Share of the way from noise that is gone from there: 0.8.

    Raises
    ------
    ConfigError
        If there is a strength and no start.
    """

    steps: int | None = None
    guidance: float | None = None
    base: Path | str | None = None
    size_px: int | None = None
    scheduler: Scheduler | None = None
    precision: Precision | None = None
    offload: bool = False
    start: Start | None = None
    strength: float | None = None

    def __post_init__(self) -> None:
        if self.strength is not None and self.start is None:
            raise ConfigError(
                f"strength is {self.strength} without a start, and noise is gone from all the way: "
                "say what to start at, or leave the strength out"
            )

    def asked(self) -> list[str]:
        """Return the names of what is asked."""
        return [each.name for each in fields(self) if getattr(self, each.name) != each.default]


def open_generator(
    path: Path | str,
    *,
    device: str = "cpu",
    settings: DrawSettings | None = None,
    embeddings: Fingerprint | None = None,
) -> DirectGenerator | TinyGenerator | StableDiffusionGenerator:
    """Open what `neurohorizon bridge train-generator` or `train-adapter` wrote, or an IP-Adapter.

    Parameters
    ----------
    path : path
    device : str
    settings : DrawSettings, optional
    embeddings : Fingerprint, optional
        Of the bank that pictures will be drawn from: the file of an IP-Adapter does not say it.

    Raises
    ------
    CheckpointError, ConfigError, DataError
        If there is none, the device is not there, a setting is of no effect or out of its bounds,
        or the base of Stable Diffusion is missing or another one.
    """
    settings = settings or DrawSettings()
    kind = _kind(Path(path))
    if kind in (ADAPTER, IP_ADAPTER):
        if settings.base is None:
            raise ConfigError(
                f"{path}: an adapter, which draws through Stable Diffusion: give its base, a "
                f"folder or a hub id ({HUB_ID})"
            )
        told = TokenConditioning(path) if kind == ADAPTER else _open_prompt(path, embeddings)
        return _open_diffusion(told, settings.base, settings, device)
    if not isinstance(load_generator(path).network, FlowNetwork):
        _refuse(path, "a direct decoder", settings, known=())
        return DirectGenerator(path, device=device)
    _refuse(path, "a flow", settings, known=("steps", "guidance"))
    sampling = Sampling()
    if settings.steps is not None:
        sampling = replace(sampling, steps=settings.steps)
    if settings.guidance is not None:
        sampling = replace(sampling, guidance=settings.guidance)
    return TinyGenerator(path, sampling=sampling, device=device)


def _open_prompt(path: Path | str, embeddings: Fingerprint | None) -> ImagePromptConditioning:
    if embeddings is None:
        raise ConfigError(
            f"{path}: an {IP_ADAPTER} does not say what embeddings it reads: give the fingerprint "
            "of their bank"
        )
    return ImagePromptConditioning(path, embeddings)


def _open_diffusion(
    told: Conditioning, base: Path | str, settings: DrawSettings, device: str
) -> StableDiffusionGenerator:
    default = DiffusionSampling()
    strength = STRENGTH if settings.strength is None else settings.strength
    return StableDiffusionGenerator(
        told,
        base,
        size_px=settings.size_px,
        sampling=DiffusionSampling(
            steps=default.steps if settings.steps is None else settings.steps,
            scheduler=settings.scheduler or default.scheduler,
            guidance=default.guidance if settings.guidance is None else settings.guidance,
            strength=None if settings.start is None else strength,
        ),
        precision=settings.precision or "float32",
        device=device,
        offload=settings.offload,
    )


def _kind(path: Path) -> str:
    """Return what a file holds, "" where opening it as a generator will say what is wrong."""
    if path.suffix == ".bin":  # as IP-Adapters are also published, pickled
        return IP_ADAPTER
    try:
        with safe_open(path, framework="pt") as file:
            system = (file.metadata() or {}).get("system", "")
            foreign = any(name.startswith(_GROUPS) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError):
        return ""
    return system or (IP_ADAPTER if foreign else "")


def _refuse(path: Path | str, what: str, settings: DrawSettings, *, known: Collection[str]) -> None:
    """Refuse settings that a generator does not know."""
    idle = [name for name in settings.asked() if name not in known]
    if idle:
        unknown, them = " and no ".join(idle), "it" if len(idle) == 1 else "them"
        raise ConfigError(f"{path}: {what}, which knows no {unknown}: leave {them} out")
