"""How long the rows of bridges take at the size of a data set, and a Perceiver's reading."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from neurohorizon.models.bridge.perceiver import ElectrodeReading
from neurohorizon.training.bridge.contrastive import ContrastiveSettings
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.bridge.rows import ROWS, FitWords
from neurohorizon.training.bridge.samples import Samples
from neurohorizon.training.speed.plan import Speed, SpeedPlan, Work, compare, in_turns

_RESPONSES = 128
_DIMENSIONS = 512
_MEASURED: tuple[RowName, ...] = (
    "ridge",
    "whitened ridge",
    "encoding model",
    "linear InfoNCE",
    "MLP InfoNCE",
    "MLP SoftCLIP",
    "MLP BiMixCo",
    "deep MLP BiMixCo",
    "Perceiver",
)


def measure_bridges(plan: SpeedPlan) -> list[Speed]:
    """Measure the ladder, and the Perceiver's reading."""
    return [*measure_ladder(plan), *measure_electrodes(plan)]


def measure_ladder(plan: SpeedPlan) -> list[Speed]:
    """Measure a closed form's fit, and one pass of a trained row over all responses.

    Rows are as they are tried first; numbers are random, which costs as much as real ones.
    """
    generator = np.random.default_rng(0)
    num, electrodes = plan.num_responses, plan.num_electrodes
    samples = Samples(
        values=generator.normal(size=(num, electrodes)).astype(np.float32),
        embeddings=generator.normal(size=(num, _DIMENSIONS)).astype(np.float32),
        picture=np.arange(num),
        fold=np.full(num, -1),
        areas=_areas(electrodes),
    )
    part = f"Bridges: {num:,} responses of {electrodes:,} electrodes, embeddings of {_DIMENSIONS}"
    speeds = []
    for name in _MEASURED:
        row = ROWS[name]

        def seconds(num_steps: int | None, name: RowName = name) -> float:
            began = time.process_time()
            ROWS[name].fit(samples, ROWS[name].start, FitWords(num_steps=num_steps))
            return time.process_time() - began

        key = "bridge_" + name.replace(" ", "_").lower()
        if not isinstance(row.start, ContrastiveSettings):
            speeds.append(Speed(key, f"{name}: fit", seconds(None), "s", part))
            continue
        # What a fit does before and after its steps is in both, and not in the difference.
        steps = plan.bridge_steps
        once = max(seconds(1 + steps) - seconds(1), 1e-9) / steps
        per_epoch = math.ceil(num / min(row.start.batch_size, num))
        what = f"{name}: one pass over all responses, {per_epoch} steps"
        speeds.append(Speed(key, what, once * per_epoch, "s", part))
    return speeds


def measure_electrodes(plan: SpeedPlan) -> list[Speed]:
    """Measure a Perceiver's reading of electrodes, forward and backward, and the plain way."""
    torch.manual_seed(0)
    areas = _areas(plan.num_electrodes)
    reading = ElectrodeReading(areas)
    values_KT = torch.randn(_RESPONSES, len(areas))
    ways = {
        "reading": ("no electrode of a response projected", reading),
        "reading_plain": ("every electrode of every response projected", reading.read_plainly),
    }

    def step(read: Callable[[Tensor], Tensor]) -> Work:
        return lambda batch: read(values_KT).square().mean().backward()

    works = {name: step(read) for name, (_, read) in ways.items()}
    measured = in_turns(works, [None], plan.repeats)
    part = f"A Perceiver reads {len(areas):,} electrodes of three areas, forward and backward"
    rows = [
        Speed(name, ways[name][0], _RESPONSES / min(seconds), "responses/s", part)
        for name, seconds in measured.items()
    ]
    what = "what projecting none is worth"
    pair = measured["reading_plain"], measured["reading"]
    return [*rows, compare("reading_ratio", what, *pair, part)]


def _areas(num_electrodes: int) -> tuple[int, ...]:
    """Return three areas, of which the first has half of the electrodes."""
    return tuple([0, 0, 1, 2] * (num_electrodes // 4))
