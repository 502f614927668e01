"""Batches that decoders read: windows of several recordings, padded to one shape, as tensors.

Before rotation a token's key and value depend on its unit and type alone, so units are listed
once for a batch and tokens point to them.

Shapes: W windows, U units of all the batch's recordings, E tokens (padded), Q queries (padded),
F features of a unit's reference; n the queries of one task, window after window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import torch
from torch import Tensor

from neurohorizon.recordings.batches import ForecastBatch


class TokenType(IntEnum):
    """What a token says of its unit."""

    SPIKE = 0
    """It fired (or, of a signal, had this value)."""
    START = 1
    """The window begins."""
    END = 2
    """The window ends."""


@dataclass(frozen=True)
class DecodeBatch:
    """Tensors that a decoder reads, and what it should have decoded.

    Parameters
    ----------
    unit_row_U : int64
        Row of each unit in the model's vocabulary; 0 where unknown.
    unit_features_UF : float
        Raw features of the unit's reference; F = 0 where no identity reads them.
    session_row_W : int64
        Row of the recording in the model's vocabulary; 0 where unknown.
    token_unit_WE : int64
        Position in `unit_row_U`.
    token_type_WE : int64
        A `TokenType`.
    token_time_WE : float32
        Seconds since the window's start.
    token_value_WE : float32
        Of signals: standardised values; E = 0 for spikes.
    token_mask_WE : bool
        False for padding.
    query_time_WQ : float32
        Seconds since the window's start.
    query_task_WQ : int64
        Position of the task in the model's tasks.
    query_mask_WQ : bool
        False for padding.
    targets : mapping of str to Tensor
        By task: (n, D) standardised values, or (n,) int64 classes; tasks that no window asks for
        are absent.
    weights : mapping of str to (n,) Tensor
        Weight of each target in the loss.
    context : ForecastBatch or None
        The same windows as a forecaster reads them, each from its end back; None where no model
        asks for it.
    """

    unit_row_U: Tensor
    unit_features_UF: Tensor
    session_row_W: Tensor
    token_unit_WE: Tensor
    token_type_WE: Tensor
    token_time_WE: Tensor
    token_value_WE: Tensor
    token_mask_WE: Tensor
    query_time_WQ: Tensor
    query_task_WQ: Tensor
    query_mask_WQ: Tensor
    targets: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    context: ForecastBatch | None = None

    def __len__(self) -> int:
        return len(self.session_row_W)

    @property
    def num_tokens(self) -> int:
        """Tokens, padding left out."""
        return int(self.token_mask_WE.sum())

    def to(self, device: torch.device | str) -> DecodeBatch:
        """Return the batch on a device."""
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if isinstance(value, Tensor | ForecastBatch):
                moved[field.name] = value.to(device)
            else:
                moved[field.name] = {key: each.to(device) for key, each in value.items()}
        return replace(self, **moved)
