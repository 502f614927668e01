"""Steps of gradient descent until held-out pictures gain no more; the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Progress = Callable[[int, int], None]
WARMUP_STEPS = 20
M = TypeVar("M", bound=nn.Module)


class Pace(Protocol):
    """What settings of a training must say."""

    @property
    def learning_rate(self) -> float:
        """After the warm-up."""
        ...

    @property
    def patience(self) -> int:
        """Checks without gain after which training stops."""
        ...

    @property
    def check_every(self) -> int:
        """Steps between checks."""
        ...

    @property
    def ema_decay(self) -> float:
        """Of the average of the weights, which is what is kept."""
        ...


@dataclass(frozen=True)
class Descended(Generic[M]):
    """What was trained.

    Parameters
    ----------
    model : Module
        On the CPU, in evaluation mode, without gradients.
    steps : int
        After which the weights were kept.
    curve : list of (step, loss, score)
        Mean training loss since the last check, and the score of what was held out (NaN without).
    """

    model: M
    steps: int
    curve: list[tuple[int, float, float]]


def descend(
    model: M,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[], Tensor],
    *,
    pace: Pace,
    num_steps: int,
    score: Callable[[M], float] | None = None,
    before_step: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Descended[M]:
    """Train a model.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
        A group's learning rate is multiplied by its `share`, if it has one.
    loss : callable
        Draws a batch and returns its loss.
    pace : Pace
    num_steps : int
        At most.
    score : callable, optional
        Of the averaged model, the higher the better; training stops when it gains no more, and
        the best weights are kept. Without it, those after the last step are.
    before_step : callable, optional
        Called with the number of the step, from 1, when the model is in training mode.
    progress : callable, optional
        Called with steps done, and steps at most.
    """
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(pace.ema_decay))
    best_score, best_step, losses = -math.inf, 0, []
    curve: list[tuple[int, float, float]] = []
    kept: dict[str, Tensor] = {}
    for step in range(1, num_steps + 1):
        for group in optimizer.param_groups:
            rate = pace.learning_rate * group.get("share", 1.0)
            group["lr"] = rate * min(1.0, step / WARMUP_STEPS)
        model.train()
        if before_step is not None:
            before_step(step)
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        averaged.update_parameters(model)
        losses.append(float(value.detach()))
        if step % pace.check_every == 0 or step == num_steps:
            now = cast(M, averaged.module.eval())
            scored = math.nan if score is None else score(now)
            curve.append((step, float(np.mean(losses)), scored))
            losses = []
            if score is None:
                best_step = step
            elif scored > best_score:
                best_score, best_step = scored, step
                kept = {name: each.clone() for name, each in now.state_dict().items()}
            elif step - best_step >= pace.patience * pace.check_every:
                break
        if progress:
            progress(step, num_steps)
    final = cast(M, averaged.module)
    if kept:
        final.load_state_dict(kept)
    return Descended(final.cpu().eval().requires_grad_(False), best_step, curve)


def weight_groups(
    weights: Iterable[nn.Parameter], weight_decay: float, *, share: float = 1.0
) -> list[dict[str, Any]]:
    """Return weights as groups of an optimiser, of which only matrices decay."""
    weights = list(weights)
    matrices = [each for each in weights if each.ndim > 1]
    rest = [each for each in weights if each.ndim <= 1]
    return [
        {"params": params, "weight_decay": decay, "share": share}
        for params, decay in ((matrices, weight_decay), (rest, 0.0))
        if params
    ]
