"""Tokens of what is known besides spikes: behaviour by slot, pictures by presentation.

Shapes: W windows, R series, O slots, F columns, I pictures, E dimensions of their embedding,
T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.conditions import ConditionSpec


class ConditionTokens(nn.Module):
    """Turn conditions into tokens with times; what is missing is masked.

    Parameters
    ----------
    spec : ConditionSpec
    behavior_columns : sequence of int
        Columns of each series.
    picture_dimensions : int
        Of the pictures' embedding; 0 if none are read.
    width : int
    """

    slot_times_O: Tensor
    picture_mean_E: Tensor
    picture_scale: Tensor

    def __init__(
        self,
        *,
        spec: ConditionSpec,
        behavior_columns: Sequence[int],
        picture_dimensions: int,
        width: int,
    ) -> None:
        super().__init__()
        assert len(behavior_columns) == len(spec.behavior), "one number of columns a series"
        self.from_series = nn.ModuleList(nn.Linear(columns, width) for columns in behavior_columns)
        self.from_picture = nn.Linear(picture_dimensions, width) if spec.images else None
        self.token_type = nn.Parameter(0.02 * torch.randn(len(behavior_columns) + 1, width))
        slot_times = torch.as_tensor(spec.slot_times_s, dtype=torch.float32)
        self.register_buffer("slot_times_O", slot_times, persistent=False)
        self.register_buffer("picture_mean_E", torch.zeros(picture_dimensions))
        self.register_buffer("picture_scale", torch.ones(()))

    def set_pictures(self, *, mean: ArrayLike, scale: float) -> None:
        """Take over the mean (E,) and the deviation of the training pictures' embeddings."""
        self.picture_mean_E.copy_(torch.as_tensor(mean))
        self.picture_scale.fill_(scale)

    def forward(self, batch: ForecastBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (W, T, D), their mask (W, T) and their times (W, T) in seconds."""
        num_windows = len(batch)
        tokens, masks, times = [], [], []
        for row, layer in enumerate(self.from_series):
            assert isinstance(layer, nn.Linear)
            values_WOF = batch.behavior_WROF[:, row]
            # Where no session of a batch has the series, it has no columns there.
            missing = layer.in_features - values_WOF.shape[2]
            values_WOF = functional.pad(values_WOF, (0, missing))[..., : layer.in_features]
            tokens.append(layer(values_WOF) + self.token_type[row])
            masks.append(batch.behavior_mask_WRO[:, row])
            times.append(self.slot_times_O.expand(num_windows, -1))
        if self.from_picture is not None and batch.picture_WID.shape[2] > 0:
            picture = (batch.picture_WID - self.picture_mean_E) / self.picture_scale
            tokens.append(self.from_picture(picture) + self.token_type[-1])
            masks.append(batch.picture_mask_WI)
            times.append(batch.picture_time_WI)
        if not tokens:
            empty = batch.picture_WID.new_zeros((num_windows, 0, self.token_type.shape[1]))
            return empty, empty[..., 0].bool(), empty[..., 0]
        return torch.cat(tokens, dim=1), torch.cat(masks, dim=1), torch.cat(times, dim=1)
