"""A small flow from noise to embeddings, told of a prediction: what a response leaves open."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError


class VectorFlow(nn.Module):
    """Says where the flow from a place at a time ends, of vectors.

    Parameters
    ----------
    num_dimensions : int
        Of the vectors, and of what is told; both with a spread of about 1.
    width, depth : int
        Of the residual layers.

    Raises
    ------
    ConfigError
        If a size is below 1.
    """

    def __init__(self, num_dimensions: int, *, width: int = 512, depth: int = 3) -> None:
        super().__init__()
        if min(num_dimensions, width, depth) < 1:
            raise ConfigError(
                f"a flow of {num_dimensions} dimensions, {width} wide and {depth} deep: expected "
                "1 or more of each"
            )
        self.num_dimensions = num_dimensions
        self.enter = nn.Linear(2 * num_dimensions + 1, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
            )
            for _ in range(depth)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_dimensions))

    def forward(self, values_BD: Tensor, time_B: Tensor, told_BD: Tensor) -> Tensor:
        """Return the vectors that are expected at the end, (B, D), times being from 0 to 1."""
        # Near the end it is where the flow is; at the start it is what is told.
        time_B1 = time_B[:, None]
        hidden = self.enter(torch.cat([values_BD, told_BD, time_B1], dim=1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return torch.lerp(told_BD, values_BD, time_B1) + self.leave(hidden)
