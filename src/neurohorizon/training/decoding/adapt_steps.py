"""The steps of an adaptation: stages that learn ever more of a decoder, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from neurohorizon.models.poyo_trunk import PopulationDecoder
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.training.decoding.data import DecodeData
from neurohorizon.training.decoding.losses import task_loss
from neurohorizon.training.decoding.module import DecodeModule
from neurohorizon.training.row_optimizer import RowAdamW

ROW_RATE = 1e-2
WEIGHT_RATE = 3e-4
STEPS_BETWEEN = 10
_GRADIENT_CLIP = 1.0


@dataclass(frozen=True)
class Stage:
    """A part of an adaptation, which goes on from the best that was found before.

    Parameters
    ----------
    learns : {"rows", "all"}
        What stands for the new units and the new session (their rows or, where units are known
        by a reference, the network that reads it), or all weights.
    max_steps : int
    row_rate : float
        Learning rate of rows.
    weight_rate : float
        Learning rate of all other weights, the network that reads references among them.
    """

    learns: Literal["rows", "all"]
    max_steps: int
    row_rate: float = ROW_RATE
    weight_rate: float = WEIGHT_RATE


@dataclass
class Learning:
    """How it went.

    Parameters
    ----------
    valid_loss : list of float
        First at the start, then every ten steps.
    steps, best_step : int
    stage_steps : tuple of int
        Steps of each stage.
    num_trained : int
        Numbers that were adapted.
    """

    valid_loss: list[float]
    steps: int = 0
    best_step: int = 0
    stage_steps: tuple[int, ...] = ()
    num_trained: int = 0


def learn_in_stages(
    model: PopulationDecoder,
    data: DecodeData,
    stages: Sequence[Stage],
    *,
    patience: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Learning:
    """Go through stages, each from the best that was found; leave the best in the model.

    Parameters
    ----------
    model : PopulationDecoder
        Knows the units and the recording of the data.
    data : DecodeData
        One recording, whose validation part chooses.
    stages : sequence of Stage
    patience : int
        Validations, one every ten steps, without improvement before a stage ends.
    device : device
    progress : callable, optional
        Called with steps taken, and steps at most.
    """
    model.to(device)
    batches = data.numbered_batches()
    valid = [cover.batch.to(device) for _, cover in data.valid_batches()]
    module = DecodeModule(model, num_steps=1)
    told = Learning([_valid_loss(model, valid)])
    at_most = sum(stage.max_steps for stage in stages)
    opened: dict[int, nn.Parameter] = {}
    for stage in stages:
        rows, others = _opened(model, stage)
        trained = [*rows, *others]
        opened |= {id(each): each for each in trained}
        optimizer = _optimizer(rows, others, stage, are_rows=model.identity is None)
        best = [each.detach().clone() for each in trained]
        first = last_better = told.steps
        while told.steps - first < stage.max_steps:
            if told.steps - last_better >= patience * STEPS_BETWEEN:
                break
            model.train()
            for _ in range(min(STEPS_BETWEEN, stage.max_steps - (told.steps - first))):
                optimizer.zero_grad()
                module.loss(batches[told.steps].to(device)).backward()
                nn.utils.clip_grad_norm_(trained, _GRADIENT_CLIP)
                optimizer.step()
                told.steps += 1
            told.valid_loss.append(_valid_loss(model, valid))
            if told.valid_loss[-1] < min(told.valid_loss[:-1]):
                told.best_step = last_better = told.steps
                best = [each.detach().clone() for each in trained]
            if progress is not None:
                progress(told.steps, at_most)
        with torch.no_grad():
            for parameter, values in zip(trained, best, strict=True):
                parameter.copy_(values)
        told.stage_steps += (told.steps - first,)
    told.num_trained = _num_trained(model, data, list(opened.values()))
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    if model.identity is not None:
        for vocabulary in (model.units, model.sessions):
            vocabulary.requires_grad_(False)
    return told


def _opened(
    model: PopulationDecoder, stage: Stage
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Freeze what a stage does not learn; return what stands for units and session, and the rest.

    The trunk has no state beside its weights, so frozen means the same to the bit.
    """
    if model.identity is None:
        rows = [model.units.weight, model.sessions.weight]
    else:
        assert model.any_session is not None
        rows = [*model.identity.parameters(), model.any_session]
    closed = {id(each) for each in rows}
    if model.identity is not None:
        closed |= {id(model.units.weight), id(model.sessions.weight)}
    others = [each for each in model.parameters() if id(each) not in closed]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    opened = [*rows, *others] if stage.learns == "all" else rows
    for parameter in opened:
        parameter.requires_grad_(True)
    return rows, others if stage.learns == "all" else []


def _optimizer(
    rows: list[nn.Parameter], others: list[nn.Parameter], stage: Stage, *, are_rows: bool
) -> torch.optim.Optimizer:
    rate = stage.row_rate if are_rows else stage.weight_rate
    groups = [{"params": rows, "lr": rate, "lazy_rows": are_rows}]
    if others:
        groups.append({"params": others, "lr": stage.weight_rate, "lazy_rows": False})
    return RowAdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)


def _valid_loss(model: PopulationDecoder, batches: Sequence[DecodeBatch]) -> float:
    """Return the tasks' loss, each by its weight, over all that is held back."""
    model.eval()
    sums: dict[str, float] = {}
    weights: dict[str, float] = {}
    with torch.inference_mode():
        for batch in batches:
            outputs = model(batch)
            for task in model.tasks:
                if task.name not in outputs:
                    continue
                weights_n = batch.weights[task.name]
                weight = float(weights_n.sum())
                if weight > 0:
                    loss = task_loss(task, outputs[task.name], batch.targets[task.name], weights_n)
                    sums[task.name] = sums.get(task.name, 0.0) + weight * float(loss)
                    weights[task.name] = weights.get(task.name, 0.0) + weight
    return sum(
        task.spec.weight * sums[task.name] / weights[task.name]
        for task in model.tasks
        if task.name in sums
    )


def _num_trained(model: PopulationDecoder, data: DecodeData, opened: Sequence[nn.Parameter]) -> int:
    """Count what was learned: of a vocabulary the rows of this recording alone."""
    number = sum(each.numel() for each in opened)
    for vocabulary, rows in ((model.units, data.unit_rows), (model.sessions, data.session_rows)):
        if any(each is vocabulary.weight for each in opened):
            number += (len(rows) - len(vocabulary.weight)) * vocabulary.weight.shape[1]
    return number
