"""How fast the encoder is, beside that of torch_brain's POYO at equal width.

Shapes: W windows, N units, E events, M latents, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.speed.plan import Speed, Work, compare, in_turns

if TYPE_CHECKING:
    from torch_brain.models import POYO

WIDTH, NUM_HEADS, NUM_LAYERS, NUM_LATENTS = 64, 4, 2, 16
"""Of the tiny model, and of POYO beside it."""
_SPEC = WindowSpec()


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
    measured = in_turns(works, batches, repeats)
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
        compare("encoder_events_ratio", "ours over POYO's, events alone", *events, part),
        compare("encoder_ratio", "ours over POYO's, each as it is", *whole, part),
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


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
