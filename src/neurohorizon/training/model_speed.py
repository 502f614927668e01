"""How fast the model's parts are: decoders, heads, and the encoder beside torch_brain's POYO.

Whatever is compared works on the same windows, in turns, in one run.

Shapes: W windows, N units, B bins, E events, M latents, D width.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

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
from neurohorizon.training.speed_plan import Speed, SpeedPlan, random_recording

if TYPE_CHECKING:
    from torch_brain.models import POYO

WIDTH, NUM_HEADS, NUM_LAYERS, NUM_LATENTS = 64, 4, 2, 16
"""Of the tiny model, and of everything that is put beside it."""
_SPEC = WindowSpec()
_HEAD_UNITS = 100
Work = Callable[[ForecastBatch], object]


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
    training = _in_turns({name: _training_step(m) for name, m in models.items()}, batches, repeats)
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
        forecasting = _in_turns(forecasts, batches, repeats)
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
        _ratio(
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
    measured = _in_turns(works, [None] * 3, repeats)
    part = f"Heads, forward and backward: {_HEAD_UNITS} units, {_SPEC.num_bins} bins"
    windows = 3 * num_windows
    rows = [
        Speed(name, heads[name][0], windows / min(seconds), "windows/s", part)
        for name, seconds in measured.items()
    ]
    what = "what splitting the first layer is worth"
    pair = measured["head_joined"], measured["head_pairs"]
    return [*rows, _ratio("head_ratio", what, *pair, part)]


def measure_encoders(batches: Sequence[ForecastBatch], repeats: int) -> list[Speed]:
    """Measure training steps of the encoder, and of POYO's at equal width, heads and depth.

    Notes
    -----
    Both turn the same spikes into as many latents; the loss is the latents' mean square, so
    nothing is measured but the encoders. POYO (torch_brain) adds tokens that mark the first
    and last moment of every unit, as its own tokeniser does; without them it reads just what
    the events of ours are. Units are rows of one table in both.
    """
    torch.manual_seed(0)
    most_units = max(batch.unit_mask_SN.shape[1] for batch in batches)
    most_references = max(len(batch.unit_mask_SN) for batch in batches)
    works, told = {}, {}
    for name, what, others in (
        ("encoder_events", "ours, events alone", False),
        ("encoder", "ours as it is: events, units and population", True),
    ):
        model = HorizonForecaster(spec=_SPEC, use_unit_tokens=others, use_population_tokens=others)
        table = nn.Parameter(0.02 * torch.randn(most_references, most_units, WIDTH))
        encoder = model.encoder
        assert encoder is not None
        works[name] = _encoder_step(model, table)
        told[name] = what, _num_parameters(encoder)
    for name, what, ends in (
        ("poyo_events", "POYO's, events alone", False),
        ("poyo", "POYO's as it is: events, and the ends of every unit", True),
    ):
        poyo = make_poyo(most_references * most_units)
        works[name] = _poyo_step(poyo, ends=ends)
        parts = (poyo.enc_atn, poyo.enc_ffn, poyo.proc_layers, poyo.latent_emb)
        told[name] = what, sum(_num_parameters(each) for each in parts)
    measured = _in_turns(works, batches, repeats)
    windows = sum(len(batch) for batch in batches)
    part = f"Encoders, training steps: width {WIDTH}, {NUM_LATENTS} latents, {NUM_LAYERS} layers"
    rows = [
        Speed(
            name,
            f"{told[name][0]} ({told[name][1]:,} parameters beside the units')",
            windows / min(seconds),
            "windows/s",
            part,
        )
        for name, seconds in measured.items()
    ]
    events = measured["poyo_events"], measured["encoder_events"]
    whole = measured["poyo"], measured["encoder"]
    return [
        *rows,
        _ratio("encoder_events_ratio", "ours over POYO's, events alone", *events, part),
        _ratio("encoder_ratio", "ours over POYO's, each as it is", *whole, part),
    ]


def make_poyo(num_units: int) -> POYO:
    """Make torch_brain's POYO with the sizes of the tiny encoder; its decoder is not used."""
    from torch_brain.models import POYO

    poyo = POYO(
        sequence_length=_SPEC.context_s,
        latent_step=_SPEC.context_s,
        num_latents_per_step=NUM_LATENTS,
        dim_out=1,
        dim=WIDTH,
        depth=NUM_LAYERS,
        dim_head=WIDTH // NUM_HEADS,
        cross_heads=NUM_HEADS,
        self_heads=NUM_HEADS,
        ffn_dropout=0.0,
        lin_dropout=0.0,
        atn_dropout=0.0,
    )
    poyo.unit_emb.initialize_vocab([str(unit) for unit in range(num_units)])
    poyo.session_emb.initialize_vocab(["any"])
    return poyo


def poyo_latents(poyo: POYO, batch: ForecastBatch, *, ends: bool) -> Tensor:
    """Encode and process a batch's events with POYO's own layers, (W, M, D).

    Parameters
    ----------
    poyo : POYO
    batch : ForecastBatch
    ends : bool
        Whether tokens mark the first and last moment of every unit.
    """
    num_units = batch.unit_mask_SN.shape[1]
    # Row 0 of POYO's table stands for no unit.
    unit_WE = 1 + batch.reference_W[:, None] * num_units + batch.event_unit_WE
    time_WE = batch.event_time_WE + _SPEC.context_s
    type_WE, mask_WE = torch.zeros_like(unit_WE), batch.event_mask_WE
    if ends:
        unit_WN = 1 + batch.reference_W[:, None] * num_units + torch.arange(num_units)
        for kind, moment in ((1, 0.0), (2, _SPEC.context_s)):
            unit_WE = torch.cat([unit_WN, unit_WE], dim=1)
            type_WE = torch.cat([torch.full_like(unit_WN, kind), type_WE], dim=1)
            time_WE = torch.cat([torch.full_like(unit_WN, moment, dtype=time_WE.dtype), time_WE], 1)
            mask_WE = torch.cat([batch.unit_mask_WN, mask_WE], dim=1)
    inputs = poyo.unit_emb(unit_WE) + poyo.token_type_emb(type_WE)
    input_times = poyo.rotary_emb(time_WE)
    index = torch.arange(NUM_LATENTS).expand(len(batch), -1)
    latents = poyo.latent_emb(index)
    latent_times = poyo.rotary_emb(torch.full(index.shape, _SPEC.context_s / 2))
    latents = latents + poyo.enc_atn(latents, inputs, latent_times, input_times, mask_WE)
    latents = latents + poyo.enc_ffn(latents)
    for layer in poyo.proc_layers:
        attention, feed_forward = layer.children()
        latents = latents + poyo.dropout(attention(latents, latent_times))
        latents = latents + poyo.dropout(feed_forward(latents))
    return latents


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


def _encoder_step(model: HorizonForecaster, table: nn.Parameter) -> Work:
    encoder = model.encoder
    assert encoder is not None
    optimizer = torch.optim.AdamW([*encoder.parameters(), table], lr=1e-4)

    def step(batch: ForecastBatch) -> None:
        optimizer.zero_grad()
        num_references, num_units = batch.unit_mask_SN.shape
        identity_SND = table[:num_references, :num_units]
        state_WND = identity_SND[batch.reference_W]
        latents = encoder(batch, identity_SND, state_WND, model.unit_features.surprise(batch))
        latents.square().mean().backward()
        optimizer.step()

    return step


def _poyo_step(poyo: POYO, *, ends: bool) -> Work:
    optimizer = torch.optim.AdamW(poyo.parameters(), lr=1e-4)

    def step(batch: ForecastBatch) -> None:
        optimizer.zero_grad()
        poyo_latents(poyo, batch, ends=ends).square().mean().backward()
        optimizer.step()

    return step


def _in_turns(
    works: Mapping[str, Work], batches: Sequence[ForecastBatch | None], repeats: int
) -> dict[str, list[float]]:
    """Time each work on all batches, one work after the other, `repeats` times, after a first.

    Returns
    -------
    dict of str to list of float
        Seconds of processor time of each repeat.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            start = time.process_time()
            for batch in batches:
                work(batch)  # type: ignore[arg-type]
            if turn:
                seconds[name].append(max(time.process_time() - start, 1e-9))
    return seconds


def _ratio(name: str, what: str, slow: Sequence[float], fast: Sequence[float], part: str) -> Speed:
    """Compare two works by their best repeats, and say how far single turns differ."""
    turns = sorted(a / b for a, b in zip(slow, fast, strict=True))
    spread = f" (turns {turns[0]:.3g} to {turns[-1]:.3g})"
    return Speed(name, what + spread, min(slow) / min(fast), "times", part)


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
