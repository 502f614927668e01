"""How fast the model's parts are: decoders, heads and, next door, the encoder.

Whatever is compared works on the same windows, in turns, in one run.

Shapes: W windows, N units, B bins, E events, M latents, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from neurohorizon.models.autoregressive import Autoregressive
from neurohorizon.models.decoders import DecoderMode
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.nn.heads import BasisHead, BinUnitHead, horizon_basis
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.data import ForecastData
from neurohorizon.training.module import ForecastModule
from neurohorizon.training.speed.encoders import WIDTH, measure_encoders
from neurohorizon.training.speed.plan import (
    Speed,
    SpeedPlan,
    Work,
    compare,
    in_turns,
    random_recording,
)

_SPEC = WindowSpec()
_HEAD_UNITS = 100


def measure_models(plan: SpeedPlan, folder: Path) -> list[Speed]:
    """Measure decoders, heads and encoders of the tiny model's size.

    Notes
    -----
    Batches hold sessions of 40 to 100 units at 5 Hz, as training draws them, and are read
    before the clock starts.
    """
    del folder
    batches = training_batches(plan)
    return [
        *measure_decoders(batches, plan.repeats),
        *measure_heads(len(batches[0]), plan.repeats),
        *measure_encoders(batches, plan.repeats),
    ]


def training_batches(plan: SpeedPlan) -> list[ForecastBatch]:
    """Draw batches of random sessions, as training does."""
    recordings = [
        random_recording(
            f"m{units}", num_spikes=units * 5 * 300, num_units=units, duration_s=300.0, seed=units
        )
        for units in np.linspace(40, 100, plan.num_sessions).round().astype(int)
    ]
    data = ForecastData(
        recordings=recordings, spec=_SPEC, num_references=2, valid_origin_step_s=5.0
    )
    loader = data.train_loader()
    return [batch for batch, _ in zip(loader, range(plan.num_batches), strict=False)]


def measure_decoders(batches: Sequence[ForecastBatch], repeats: int) -> list[Speed]:
    """Measure a training step and a forecast with each decoder; windows a second."""
    torch.manual_seed(0)
    models = {name: HorizonForecaster(spec=_SPEC, decoder=name) for name in get_args(DecoderMode)}
    windows = sum(len(batch) for batch in batches)
    training = in_turns({name: _training_step(m) for name, m in models.items()}, batches, repeats)
    forecasts: dict[str, Work] = {name: model.expected_counts for name, model in models.items()}
    feeding = models["autoregressive"]
    paths = torch.Generator().manual_seed(0)
    forecasts |= {
        "without cache": lambda batch: without_cache(feeding, batch),
        "sampled": lambda batch: feeding.sample_counts(batch, num_samples=8, generator=paths),
    }
    for model in models.values():
        model.eval()
    with torch.inference_mode():
        forecasting = in_turns(forecasts, batches, repeats)
    part = "The tiny model by decoder"
    train, forecast = (
        {name: windows / min(seconds) for name, seconds in measured.items()}
        for measured in (training, forecasting)
    )
    rows = [
        Speed(f"train_{name}", f"`{name}`: training steps", train[name], "windows/s", part)
        for name in models
    ]
    rows += [
        Speed(f"forecast_{name}", f"`{name}`: forecasts", forecast[name], "windows/s", part)
        for name in models
    ]
    return [
        *rows,
        Speed(
            "forecast_without_cache",
            f"`autoregressive`: forecasts, all bins computed again for each of {_SPEC.num_bins}",
            forecast["without cache"],
            "windows/s",
            part,
        ),
        compare(
            "cache_ratio",
            "`autoregressive`: what the cache of keys and values is worth",
            forecasting["without cache"],
            forecasting["autoregressive"],
            part,
        ),
        Speed(
            "sample_paths",
            "`autoregressive`: sampled paths",
            8 * forecast["sampled"],
            "paths/s",
            part,
        ),
    ]


def without_cache(model: HorizonForecaster, batch: ForecastBatch) -> Tensor:
    """Roll an autoregressive model out without keeping anything: all bins anew for each bin.

    Returns
    -------
    (W, N, B) Tensor
        Expected counts: those of the cached roll-out.
    """
    decoder = model.decoder
    assert isinstance(decoder, Autoregressive)
    given = model.read(batch)
    direct = decoder.direct(given)
    counts_WNB = direct.expected_WNB.clone()
    for step in range(counts_WNB.shape[-1]):
        parameters = decoder.correct(given, direct, counts_WNB)
        counts_WNB[..., step] = model.likelihood.mean(parameters[..., step, :])
    return counts_WNB


class JoinedHead(nn.Module):
    """A network on each pair of a bin's and a unit's state, joined: what BinUnitHead equals.

    Its first layer reads a tensor of (W, N, B, 2 D) that has to be built.
    """

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.norm_bin, self.norm_unit = nn.LayerNorm(width), nn.LayerNorm(width)
        self.hidden = nn.Linear(2 * width, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, bins_WBD: Tensor, units_WND: Tensor) -> Tensor:
        """Return one number a pair, (W, N, B, 1)."""
        bins_WBD, units_WND = self.norm_bin(bins_WBD), self.norm_unit(units_WND)
        shape = (len(bins_WBD), units_WND.shape[1], bins_WBD.shape[1], -1)
        joined_WNBD = torch.cat(
            [bins_WBD.unsqueeze(1).expand(shape), units_WND.unsqueeze(2).expand(shape)], dim=-1
        )
        return self.output(nn.functional.gelu(self.hidden(joined_WNBD)))


def measure_heads(num_windows: int, repeats: int) -> list[Speed]:
    """Measure heads forward and backward: by functions of the horizon, by bin, by pair."""
    torch.manual_seed(0)
    bins_WBD = torch.randn(num_windows, _SPEC.num_bins, WIDTH, requires_grad=True)
    units_WND = torch.randn(num_windows, _HEAD_UNITS, WIDTH, requires_grad=True)
    features_WNF = torch.randn(num_windows, _HEAD_UNITS, 80)

    def by_functions(number: int) -> Callable[[], Tensor]:
        head = BasisHead(
            width=WIDTH,
            num_linear=features_WNF.shape[-1],
            hidden=2 * WIDTH,
            basis_CB=horizon_basis(
                num_bins=_SPEC.num_bins, bin_s=_SPEC.bin_s, num_functions=number
            ),
        )
        return lambda: head(units_WND, features_WNF)

    pairs, joined = BinUnitHead(width=WIDTH, hidden=2 * WIDTH), JoinedHead(
        width=WIDTH, hidden=2 * WIDTH
    )  # fmt: skip
    heads = {
        "head_functions": ("16 functions of the horizon", by_functions(16)),
        "head_bins": ("as many functions as bins", by_functions(_SPEC.num_bins)),
        "head_pairs": (
            "pairs of bin and unit, first layer split",
            lambda: pairs(bins_WBD, units_WND),
        ),
        "head_joined": (
            "pairs of bin and unit, states joined",
            lambda: joined(bins_WBD, units_WND),
        ),
    }

    def step(head: Callable[[], Tensor]) -> Work:
        return lambda batch: head().square().mean().backward()

    works = {name: step(head) for name, (_, head) in heads.items()}
    measured = in_turns(works, [None] * 3, repeats)
    part = f"Heads, forward and backward: {_HEAD_UNITS} units, {_SPEC.num_bins} bins"
    windows = 3 * num_windows
    rows = [
        Speed(name, heads[name][0], windows / min(seconds), "windows/s", part)
        for name, seconds in measured.items()
    ]
    what = "what splitting the first layer is worth"
    pair = measured["head_joined"], measured["head_pairs"]
    return [*rows, compare("head_ratio", what, *pair, part)]


def _training_step(model: HorizonForecaster) -> Work:
    module = ForecastModule(model, num_steps=100, queries_per_window=100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step(batch: ForecastBatch) -> None:
        optimizer.zero_grad()
        module.loss(batch).backward()
        optimizer.step()

    # A module that no trainer drives stands at its first step.
    model.train()
    return step
