"""How fast POYO decodes here, beside torch_brain's own: same weights, same windows, in turns.

Before anything is timed, both answer the same batch, and their outputs have to be equal.

Shapes: W windows, E tokens, Q queries.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from neurohorizon.models.poyo import POYO
from neurohorizon.models.poyo_conversion import from_torch_brain
from neurohorizon.recordings.decoding.batches import DecodeBatch, TokenType
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.training.speed.plan import Speed, SpeedPlan, compare, in_turns

if TYPE_CHECKING:
    from torch_brain.models import POYO as TheirPOYO

_NUM_RECORDINGS = 3
_NUM_QUERIES = 100
_LARGEST_DIFFERENCE = 1e-4
VELOCITY = Task(TaskSpec(name="velocity", series="velocity"), mean=(0.0, 0.0), scale=(1.0, 1.0))
_SMALL = {
    "sequence_length": 1.0,
    "latent_step": 0.125,
    "num_latents_per_step": 16,
    "dim": 64,
    "depth": 6,
    "dim_head": 64,
    "cross_heads": 2,
    "self_heads": 8,
}
_LARGE = _SMALL | {"num_latents_per_step": 32, "dim": 128, "depth": 24, "cross_heads": 4}
"""Of the published POYO of 1.3 M and of 11.8 M parameters; dropouts as torch_brain's class has."""


def measure_decoders(plan: SpeedPlan, folder: Path) -> list[Speed]:
    """Measure training steps, inference and memory of POYO, here and in torch_brain."""
    del folder
    batch = random_windows(plan)
    small, large, between = plan.decoder_layers
    return [
        *_measure_size("small", _SMALL | {"depth": small}, batch, plan),
        *_measure_size("large", _LARGE | {"depth": large}, batch, plan),
        *_measure_memory(_LARGE | {"depth": between}, plan),
    ]


def _measure_size(
    name: str, settings: dict[str, Any], batch: DecodeBatch, plan: SpeedPlan
) -> list[Speed]:
    poyo, model = make_pair(settings, num_units=plan.decoded_units)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    num_tokens = batch.num_tokens / len(batch)
    part = (
        f"POYO of {num_parameters:,} parameters, windows of 1 s with {num_tokens:,.0f} tokens on "
        f"average, {len(batch)} in a batch"
    )
    steps = {
        "torch_brain": training_step(poyo, their_forward(poyo, batch), batch),
        "ours": training_step(model, our_forward(model, batch), batch),
    }
    answers = {
        "torch_brain": their_forward(poyo, batch),
        "ours": our_forward(model, batch),
    }
    difference = refuse_unequal(poyo, model, answers)
    rows = []
    for what, told, works in (
        ("train", "training steps", steps),
        ("infer", "inference", answers),
    ):
        for each in (poyo, model):
            each.train(what == "train")
        with torch.inference_mode(what == "infer"):
            measured = in_turns(
                {key: _alone(work) for key, work in works.items()}, [None], plan.repeats
            )
        rows += [
            Speed(
                f"decode_{what}_{name}_{key}",
                f"{told}, {key}",
                len(batch) / min(seconds),
                "windows/s",
                part,
            )
            for key, seconds in measured.items()
        ]
        rows.append(
            compare(
                f"decode_{what}_{name}_ratio",
                f"{told}, ours over torch_brain's, outputs equal to {difference:.0e}",
                measured["torch_brain"],
                measured["ours"],
                part,
            )
        )
    return rows


def _measure_memory(settings: dict[str, Any], plan: SpeedPlan) -> list[Speed]:
    """Measure what training steps add to each one's own process, imports left out."""
    asked = {
        "settings": settings,
        "num_decoded": plan.num_decoded,
        "decoded_spikes": plan.decoded_spikes,
        "decoded_units": plan.decoded_units,
    }
    found = {}
    for whose in ("torch_brain", "ours"):
        told = subprocess.run(
            [sys.executable, "-m", "neurohorizon.training.speed.decoder_memory"],
            input=json.dumps(asked | {"whose": whose}),
            capture_output=True,
            text=True,
            check=True,
        )
        found[whose] = json.loads(told.stdout.splitlines()[-1])
    part = (
        f"POYO of {found['ours']['num_parameters']:,} parameters, training steps of "
        f"{plan.num_decoded} windows: memory of a process of its own beyond its imports"
    )
    peaks = {whose: each["peak_mib"] for whose, each in found.items()}
    return [
        *(
            Speed(f"decode_memory_{whose}", f"most at once, {whose}", peak, "MiB", part)
            for whose, peak in peaks.items()
        ),
        Speed(
            "decode_memory_ratio",
            "ours over torch_brain's: less is better",
            peaks["ours"] / peaks["torch_brain"],
            "times",
            part,
        ),
    ]


def random_windows(plan: SpeedPlan) -> DecodeBatch:
    """Draw windows of recordings whose units fire at random, each with as many queries."""
    rng = np.random.default_rng(0)
    num_units, num_windows = plan.decoded_units, plan.num_decoded
    num_spikes_W = rng.poisson(plan.decoded_spikes, num_windows)
    recording_W = rng.integers(0, _NUM_RECORDINGS, num_windows)
    most = int(num_spikes_W.max()) + 2 * num_units
    unit_WE, type_WE = (np.zeros((num_windows, most), dtype=np.int64) for _ in range(2))
    time_WE = np.zeros((num_windows, most), dtype=np.float32)
    mask_WE = np.zeros((num_windows, most), dtype=bool)
    for window, (recording, num_spikes) in enumerate(zip(recording_W, num_spikes_W, strict=True)):
        ends, last = slice(2 * num_units), 2 * num_units + num_spikes
        unit_WE[window, ends] = np.repeat(np.arange(num_units), 2)
        type_WE[window, ends] = np.tile([TokenType.START, TokenType.END], num_units)
        time_WE[window, ends] = np.tile([0.0, 1.0], num_units)
        unit_WE[window, 2 * num_units : last] = rng.integers(0, num_units, num_spikes)
        time_WE[window, 2 * num_units : last] = np.sort(rng.uniform(0.0, 1.0, num_spikes))
        unit_WE[window, :last] += recording * num_units
        mask_WE[window, :last] = True
    all_units = _NUM_RECORDINGS * num_units
    query_WQ = torch.linspace(0.0, 0.99, _NUM_QUERIES).repeat(num_windows, 1)
    targets = rng.standard_normal((num_windows * _NUM_QUERIES, VELOCITY.num_outputs))
    return DecodeBatch(
        unit_row_U=torch.arange(1, all_units + 1),
        unit_features_UF=torch.zeros(all_units, 0),
        session_row_W=torch.as_tensor(recording_W + 1),
        token_unit_WE=torch.as_tensor(unit_WE),
        token_type_WE=torch.as_tensor(type_WE),
        token_time_WE=torch.as_tensor(time_WE),
        token_value_WE=torch.zeros(num_windows, 0),
        token_mask_WE=torch.as_tensor(mask_WE),
        query_time_WQ=query_WQ,
        query_task_WQ=torch.zeros_like(query_WQ, dtype=torch.int64),
        query_mask_WQ=torch.ones_like(query_WQ, dtype=torch.bool),
        targets={VELOCITY.name: torch.as_tensor(targets, dtype=torch.float32)},
        weights={VELOCITY.name: torch.ones(len(targets))},
    )


def make_theirs(settings: dict[str, Any], *, num_units: int) -> TheirPOYO:
    """Make torch_brain's POYO for recordings of so many units each."""
    from torch_brain.models import POYO as TheirPOYO

    torch.manual_seed(0)
    poyo = TheirPOYO(**settings, dim_out=VELOCITY.num_outputs)
    units, sessions = unit_words(num_units)
    poyo.unit_emb.initialize_vocab(units)
    poyo.session_emb.initialize_vocab(sessions)
    return poyo


def unit_words(num_units: int) -> tuple[list[str], list[str]]:
    """Return the words of the units of all recordings, and of the recordings."""
    sessions = [str(recording) for recording in range(_NUM_RECORDINGS)]
    return [f"{session}/{unit}" for session in sessions for unit in range(num_units)], sessions


def make_pair(settings: dict[str, Any], *, num_units: int) -> tuple[TheirPOYO, POYO]:
    """Make torch_brain's POYO, and ours with the same weights."""
    poyo = make_theirs(settings, num_units=num_units)
    return poyo, from_torch_brain(settings, poyo.state_dict(), task=VELOCITY)


def their_forward(poyo: TheirPOYO, batch: DecodeBatch) -> Callable[[], Tensor]:
    """Return torch_brain's forward pass on a batch, laid out as its tokeniser does.

    Rows are padded to a multiple of 8, times are float64.
    """
    from torch_brain.models.poyo import create_linspace_latent_tokens

    index, times = create_linspace_latent_tokens(
        0.0,
        poyo.sequence_length,
        step=poyo.latent_step,
        num_latents_per_step=poyo.num_latents_per_step,
    )
    tokens = {
        "input_unit_index": batch.unit_row_U[batch.token_unit_WE] * batch.token_mask_WE,
        "input_timestamps": batch.token_time_WE.double(),
        "input_token_type": batch.token_type_WE,
        "input_mask": batch.token_mask_WE,
    }
    rest = -batch.token_mask_WE.shape[1] % 8
    inputs = {name: nn.functional.pad(values, (0, rest)) for name, values in tokens.items()}
    inputs |= {
        "latent_index": torch.as_tensor(index).repeat(len(batch), 1),
        "latent_timestamps": torch.as_tensor(times).repeat(len(batch), 1),
        "session_index": batch.session_row_W,
        "output_timestamps": batch.query_time_WQ.double(),
    }
    return lambda: poyo(**inputs).flatten(0, 1)


def our_forward(model: POYO, batch: DecodeBatch) -> Callable[[], Tensor]:
    """Return our forward pass on a batch."""
    return lambda: model(batch)[VELOCITY.name]


def training_step(
    model: nn.Module, forward: Callable[[], Tensor], batch: DecodeBatch
) -> Callable[[], Tensor]:
    """Return a step of AdamW on the squared error."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    targets = batch.targets[VELOCITY.name]

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = (forward() - targets).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


def _alone(work: Callable[[], object]) -> Callable[[object], object]:
    return lambda batch: work()


def refuse_unequal(
    poyo: nn.Module, model: nn.Module, answers: dict[str, Callable[[], Tensor]]
) -> float:
    """Return by how much outputs differ at most; speed of another function would say nothing."""
    poyo.eval()
    model.eval()
    with torch.inference_mode():
        difference = (answers["torch_brain"]() - answers["ours"]()).abs().max().item()
    if not difference < _LARGEST_DIFFERENCE:
        raise RuntimeError(f"the outputs of both POYO differ by {difference:.1e}")
    return difference
