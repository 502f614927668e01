"""Training small networks on windows of bins, until the validation loss falls no more."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.evaluation.decoding.activity import Binned
from neurohorizon.recordings.schema import FloatArray

LEARNING_RATE = 5e-3
#: The loss on the validation part is looked at after so many steps, and training ends after so
#: many looks without a better one.
STEPS_A_LOOK, PATIENCE, MOST_LOOKS = 20, 8, 60
BINS_A_BATCH = 2000


@dataclass(frozen=True, eq=False)
class Prepared:
    """Bins of a part as a network takes them: inputs, targets and weights of each stretch."""

    inputs: Binned
    targets: list[NDArray[np.floating]] | list[NDArray[np.int64]]
    weights: list[FloatArray]


def run_in_windows(module: nn.Module, inputs: NDArray[np.float32], window: int) -> FloatArray:
    """Run a network over a stretch (B, N) in overlapping windows, (B, P).

    What windows say of a bin is averaged; the nearer a bin lies to a window's middle, the more
    it counts there: near its ends a window has seen one side alone.
    """
    length = len(inputs)
    step = max(window // 4, 1)
    starts = np.unique(np.minimum(np.arange(0, length, step), max(length - window, 0)))
    window = min(window, length)
    stacked = torch.from_numpy(np.stack([inputs[start : start + window] for start in starts]))
    module.eval()
    with torch.inference_mode():
        outputs = module(stacked).double().numpy()
    weight = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float64)
    sums, total = np.zeros((length, outputs.shape[2])), np.zeros((length, 1))
    for start, output in zip(starts, outputs, strict=True):
        sums[start : start + window] += weight[:, None] * output
        total[start : start + window] += weight[:, None]
    return sums / total


def optimise(
    module: nn.Module,
    train: Prepared,
    valid: Prepared,
    *,
    window: int,
    unit_dropout: float,
    weight_decay: float,
    class_weights: Tensor | None,
    most_looks: int,
    bins_a_batch: int,
    seed: int,
) -> None:
    """Train until the validation loss has not fallen for some time; keep the best weights.

    Parameters
    ----------
    module : Module
        From inputs (W, B, N) to outputs (W, B, P); changed in place.
    train, valid : Prepared
    window : int
        Bins of a training window.
    unit_dropout, weight_decay : float
    class_weights : (C,) Tensor or None
        In the loss of training alone.
    most_looks, bins_a_batch, seed : int
    """
    generator = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, weight_decay=weight_decay)
    best, best_state, waited = np.inf, copy.deepcopy(module.state_dict()), 0
    for _ in range(most_looks):
        module.train()
        for _ in range(STEPS_A_LOOK):
            inputs, targets, weights = _draw(train, window, bins_a_batch, generator)
            kept = torch.rand(len(inputs), 1, inputs.shape[2]) >= unit_dropout
            outputs = module(inputs * kept / (1 - unit_dropout))
            loss = _loss(outputs, targets, weights, class_weights)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()
        level = _level(module, valid, window)
        if level < best - 1e-4 * abs(best if np.isfinite(best) else 0.0):
            best, best_state, waited = level, copy.deepcopy(module.state_dict()), 0
        else:
            waited += 1
            if waited >= PATIENCE:
                break
    module.load_state_dict(best_state)


def _draw(
    train: Prepared, window: int, bins_a_batch: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw windows around bins that have a target; shorter stretches end in weight 0."""
    lengths = [len(each) for each in train.inputs]
    asked = np.concatenate([each > 0 for each in train.weights])
    count = max(bins_a_batch // window, 4)
    picked = generator.choice(np.flatnonzero(asked), size=count)
    edges = np.concatenate([[0], np.cumsum(lengths)])
    longest, first = min(window, max(lengths)), train.targets[0]
    inputs = np.zeros((count, longest, train.inputs[0].shape[1]), dtype=np.float32)
    targets = np.zeros((count, longest, *first.shape[1:]), dtype=first.dtype)
    weights = np.zeros((count, longest), dtype=np.float32)
    for row, place in enumerate(picked):
        stretch = int(np.searchsorted(edges, place, side="right")) - 1
        length = lengths[stretch]
        start = int(place - edges[stretch] - generator.integers(longest))
        start = min(max(start, 0), max(length - longest, 0))
        size = min(longest, length)
        for into, source in ((inputs, train.inputs), (targets, train.targets)):
            into[row, :size] = source[stretch][start : start + size]
        weights[row, :size] = train.weights[stretch][start : start + size]
    if targets.dtype != np.int64:
        targets = targets.astype(np.float32)
    return torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(weights)


def _loss(
    outputs: Tensor, targets: Tensor, weights: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    if targets.dtype == torch.int64:
        flat = functional.cross_entropy(
            outputs.flatten(0, -2),
            targets.flatten().clamp(min=0),
            weight=class_weights,
            reduction="none",
        )
        error = flat.reshape(weights.shape)
    else:
        error = ((outputs - targets) ** 2).mean(dim=-1)
    return (weights * error).sum() / weights.sum().clamp(min=1e-6)


def _level(module: nn.Module, valid: Prepared, window: int) -> float:
    total, weight = 0.0, 0.0
    for inputs, target, weights in zip(valid.inputs, valid.targets, valid.weights, strict=True):
        outputs = torch.from_numpy(run_in_windows(module, inputs, window))
        here = torch.from_numpy(weights)
        level = float(_loss(outputs, torch.from_numpy(np.asarray(target)), here))
        total += level * float(here.sum())
        weight += float(here.sum())
    return total / max(weight, 1e-12)
