"""Towers: from standardised responses to the space that they share with pictures.

Shapes: K responses, N units, B time bins, d dimensions of the common space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.bridge.perceiver import PerceiverTower

TowerKind = Literal["linear", "mlp", "temporal", "perceiver"]


@dataclass(frozen=True)
class TowerSpec:
    """What a tower is made of.

    Parameters
    ----------
    kind : {"linear", "mlp", "temporal", "perceiver"}
    shape : tuple of int
        Of what it reads: (N,), (N, B), or (k,) for pictures.
    num_outputs : int
    bias : bool
        Of a linear tower.
    width, num_layers, dropout
        Of the others, as of :class:`MLPTower`.
    areas : tuple of int
        Of a Perceiver: area of each unit, from 0; empty for one area.
    num_latents, num_queries : int
        Of a Perceiver.
    """

    kind: TowerKind
    shape: tuple[int, ...]
    num_outputs: int
    bias: bool = True
    width: int = 512
    num_layers: int = 1
    dropout: float = 0.3
    areas: tuple[int, ...] = ()
    num_latents: int = 8
    num_queries: int = 4

    def build(self) -> nn.Module:
        """Make the tower.

        Raises
        ------
        ConfigError
            If a temporal tower is asked for and there are no bins.
        """
        num_inputs = math.prod(self.shape)
        if self.kind == "linear":
            return LinearTower(num_inputs, self.num_outputs, bias=self.bias)
        sizes = {"width": self.width, "num_layers": self.num_layers}
        if self.kind == "mlp":
            return MLPTower(num_inputs, self.num_outputs, dropout=self.dropout, **sizes)
        if self.kind == "perceiver":
            return PerceiverTower(
                self.areas or (0,) * self.shape[0],
                math.prod(self.shape[1:]),
                self.num_outputs,
                dropout=self.dropout,
                num_latents=self.num_latents,
                num_queries=self.num_queries,
                **sizes,
            )
        if len(self.shape) != 2:
            raise ConfigError("the temporal tower reads time bins, and the responses have none")
        return TemporalTower(*self.shape, self.num_outputs, dropout=self.dropout, **sizes)


class LinearTower(nn.Module):
    """A linear map.

    Parameters
    ----------
    num_inputs : int
        N, or N times B: bins are units of their own.
    num_outputs : int
    bias : bool
    """

    def __init__(self, num_inputs: int, num_outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.to_space = nn.Linear(num_inputs, num_outputs, bias=bias)

    def forward(self, responses_KN: Tensor) -> Tensor:
        """Return places in the common space, (K, d)."""
        return self.to_space(responses_KN.flatten(1))


class MLPTower(nn.Module):
    """Layers of GELU, normalised, with a way around all but the first.

    Parameters
    ----------
    num_inputs, num_outputs : int
    width : int
    num_layers : int
        Hidden layers; 1 makes the two-layer network.
    dropout : float
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        *,
        width: int = 512,
        num_layers: int = 1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Linear(num_inputs, width), nn.GELU(), nn.LayerNorm(width), nn.Dropout(dropout)
        )
        self.more = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Dropout(dropout)
            )
            for _ in range(num_layers - 1)
        )
        self.to_space = nn.Linear(width, num_outputs)

    def forward(self, responses_KN: Tensor) -> Tensor:
        """Return places in the common space, (K, d)."""
        hidden = self.first(responses_KN.flatten(1))
        for layer in self.more:
            hidden = hidden + layer(hidden)
        return self.to_space(hidden)


class TemporalTower(nn.Module):
    """Weigh the time bins of each unit by attention, then an MLP.

    Every unit has one weight a bin, the softmax over bins of a learned logit and of what the
    population does there: when in the answer to look follows from the area's latency and from the
    answer itself.

    Parameters
    ----------
    num_units, num_bins, num_outputs : int
    width, num_layers, dropout
        As of :class:`MLPTower`.
    num_heads : int
        Weightings of the bins; each gives every unit one number.
    """

    def __init__(
        self,
        num_units: int,
        num_bins: int,
        num_outputs: int,
        *,
        width: int = 512,
        num_layers: int = 1,
        dropout: float = 0.3,
        num_heads: int = 2,
    ) -> None:
        super().__init__()
        self.by_unit = nn.Parameter(torch.randn(num_heads, num_units, num_bins) * 0.02)
        self.by_population = nn.Linear(num_units, num_heads)
        nn.init.normal_(self.by_population.weight, std=0.02)
        self.mlp = MLPTower(
            num_units * num_heads, num_outputs, width=width, num_layers=num_layers, dropout=dropout
        )

    def forward(self, responses_KNB: Tensor) -> Tensor:
        """Return places in the common space, (K, d)."""
        moving_KHB = self.by_population(responses_KNB.transpose(1, 2)).transpose(1, 2)
        weights_KHNB = (self.by_unit + moving_KHB[:, :, None]).softmax(dim=-1)
        read_KHN = (weights_KHNB * responses_KNB[:, None]).sum(dim=-1)
        return self.mlp(read_KHN.flatten(1))
