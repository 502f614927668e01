"""A plain loop over batches of pictures: AdamW, warm-up and cosine, average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.device import open_device
from neurohorizon.training.image_encoder.resume_point import LoopState, ResumePoint

Precision = Literal["float32", "bfloat16"]
Progress = Callable[[str, int, int], None]
Model = TypeVar("Model", bound=nn.Module)
EMA_DECAY = 0.998
WARMUP_STEPS = 100


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast is learned.

    Parameters
    ----------
    steps : int
    batch_size : int
        Pictures a step.
    learning_rate : float
        The highest; it rises over the first 100 steps and falls to 0 along a cosine.
    weight_decay : float
        Of matrices and filters.
    seed : int
        Same seed, same weights, on the same machine.
    precision : {"float32", "bfloat16"}
        Of the convolutions; bfloat16 is twice as fast on CPUs with AMX and on GPUs.
    device : str

    Raises
    ------
    ConfigError
        If a setting is out of its bounds, or the device is not there.
    """

    steps: int = 2000
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 0
    precision: Precision = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected {least} or more")
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} is {value}: expected 0 or more")
        if self.precision not in ("float32", "bfloat16"):
            raise ConfigError(f"precision is {self.precision}: choose float32 or bfloat16")
        open_device(self.device)


def train(
    model: Model,
    loss_of: Callable[[Model, Tensor], Tensor],
    *,
    num_pictures: int,
    settings: LoopSettings,
    progress: Progress | None = None,
    resume: ResumePoint | None = None,
    num_points: int = 10,
) -> tuple[Model, list[tuple[int, float]]]:
    """Train a model on rows of pictures.

    Parameters
    ----------
    model : Module
        On the settings' device.
    loss_of : callable
        Called with the model and the rows (on the CPU) of a batch; returns the loss.
    num_pictures : int
        Rows go from 0 to there, each once before any comes again.
    settings : LoopSettings
    progress : callable, optional
        Called with ("train", steps done, steps in all).
    resume : ResumePoint, optional
        Where the training is kept while it goes on, and gone on with if it was interrupted: the
        weights become those of a training that was not, to the last bit. It is removed by who
        has written the weights.
    num_points : int
        Of the curve.

    Returns
    -------
    model : Module
        The average of its weights over the last steps, on the CPU, in evaluation mode.
    curve : list of (step, loss)
        The mean loss since the point before.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    matrices = [each for each in model.parameters() if each.ndim > 1]
    rest = [each for each in model.parameters() if each.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    averaged = AveragedModel(model, multi_avg_fn=_average, use_buffers=True)
    batch_size = min(settings.batch_size, num_pictures)
    waiting = torch.empty(0, dtype=torch.int64)
    curve: list[tuple[int, float]] = []
    losses: list[float] = []
    first = 1
    if resume:
        found = resume.load(model, averaged, optimizer, generator)
        if found:
            first, waiting, curve, losses = found.step + 1, found.waiting, found.curve, found.losses
    kind = torch.device(settings.device).type
    model.train()
    for step in range(first, settings.steps + 1):
        if len(waiting) < batch_size:
            waiting = torch.randperm(num_pictures, generator=generator)
        rows, waiting = waiting[:batch_size], waiting[batch_size:]
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _share(step, settings.steps)
        with torch.autocast(kind, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            loss = loss_of(model, rows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        averaged.update_parameters(model)
        losses.append(float(loss.detach()))
        if step == settings.steps or step % max(1, settings.steps // num_points) == 0:
            curve.append((step, sum(losses) / len(losses)))
            losses = []
        if resume and step % resume.every_steps == 0:
            state = LoopState(step, waiting, curve, losses)
            resume.save(state, model, averaged, optimizer, generator)
        if progress:
            progress("train", step, settings.steps)
    return cast(Model, averaged.module).cpu().eval().requires_grad_(False), curve


def _share(step: int, steps: int) -> float:
    """Return the share of the highest learning rate."""
    warmup = min(WARMUP_STEPS, max(1, steps // 10))
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@torch.no_grad()
def _average(
    averaged: list[Tensor] | tuple[Tensor, ...],
    current: list[Tensor] | tuple[Tensor, ...],
    num_averaged: Tensor | int,
) -> None:
    """Move averages towards the current values; at first faster, so that the start is forgotten."""
    count = int(num_averaged)
    decay = min(EMA_DECAY, (1 + count) / (10 + count))
    for mean, value in zip(averaged, current, strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:  # how many batches a normalisation has seen
            mean.copy_(value)
