"""Small forecasters, and recordings as decoders around their encoders meet them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch

from decoding_worlds import moving_recording
from neurohorizon.models.forecaster_decoder import ForecasterDecoder
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.decoding.data import DecodeData

SPEC = WindowSpec(context_s=0.5, horizon_s=0.2)
VELOCITY = TaskSpec(name="velocity", series="velocity", rate_hz=20)
SIDE = TaskSpec(name="side", kind="binary", table="trials", column="side", weight=0.2)


def make_forecaster(**settings: Any) -> HorizonForecaster:
    """Make a small forecaster whose weights are not those of a new one."""
    torch.manual_seed(7)
    given = {"spec": SPEC, "width": 16, "num_heads": 2, "num_latents": 4} | settings
    model = HorizonForecaster(**given)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def make_context_data(
    recordings: Sequence[Recording] | None = None,
    tasks: Sequence[TaskSpec] = (VELOCITY,),
    **settings: Any,
) -> DecodeData:
    """Make data whose batches hold the contexts of windows; few references, to be quick."""
    recordings = recordings or [
        moving_recording(num_units=units, duration_s=80.0, seed=units, name=f"of_{units}")
        for units in (5, 9)
    ]
    given = {
        "length_s": SPEC.context_s,
        "context": SPEC,
        "num_references": 1,
        "longest_reference_s": 20.0,
        "valid_reference_s": 20.0,
        "tokens_per_batch": 1_500,
        "steps_per_epoch": 40,
    }
    return DecodeData(recordings=recordings, tasks=tasks, **(given | settings))


def shaken(model: ForecasterDecoder, *, scale: float = 0.2) -> ForecasterDecoder:
    """Give every weight that learns some noise, so that nothing is zero any more."""
    torch.manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
        for vocabulary in (model.units, model.sessions):
            vocabulary.weight[0] = 0.0
    return model.eval()


def permute_units(batch: ForecastBatch, order: torch.Tensor) -> ForecastBatch:
    """Renumber the units of a context: the one at place i was at ``order[i]``."""
    changed = {}
    for field in fields(batch):
        axes = field.name.rpartition("_")[2]
        if "N" in axes:
            changed[field.name] = getattr(batch, field.name).index_select(axes.index("N"), order)
    return replace(batch, event_unit_WE=order.argsort()[batch.event_unit_WE], **changed)
