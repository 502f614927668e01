"""Towers: from standardised responses to the space that they share with pictures.

Shapes: K responses, N units, B time bins, W hidden dimensions, d dimensions of the common space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.bridge.perceiver import PerceiverTower
from neurohorizon.models.bridge.tower import Tower

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
    recompute : bool
        Of a Perceiver: compute activations again in the backward pass.
    """

    kind: TowerKind
    shape: tuple[int, ...]
    num_outputs: int
    bias: bool = True
    width: int = 512
    num_layers: int = 1
    dropout: float = 0.3
    areas: tuple[int, ...] = ()
    num_latents: int = 2
    num_queries: int = 8
    recompute: bool = False

    def build(self) -> Tower:
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
                recompute=self.recompute,
                **sizes,
            )
        if len(self.shape) != 2:
            raise ConfigError("the temporal tower reads time bins, and the responses have none")
        return TemporalTower(*self.shape, self.num_outputs, dropout=self.dropout, **sizes)


class LinearTower(Tower):
    """A linear map.

    Parameters
    ----------
    num_inputs : int
        N, or N times B: bins are units of their own.
    num_outputs : int
    bias : bool
    """

    def __init__(self, num_inputs: int, num_outputs: int, *, bias: bool = True) -> None:
        super().__init__(num_inputs, num_outputs, bias=bias)

    def hidden(self, responses_KN: Tensor) -> Tensor:
        """Return the responses as they are, (K, N B)."""
        return responses_KN.flatten(1)


class Layers(nn.Module):
    """Layers of GELU, normalised, with a way around all but the first.

    Parameters
    ----------
    num_inputs, width : int
    num_layers : int
    dropout : float
    """

    def __init__(self, num_inputs: int, *, width: int, num_layers: int, dropout: float) -> None:
        super().__init__()

        def layer(num_inputs: int) -> nn.Module:
            return nn.Sequential(
                nn.Linear(num_inputs, width), nn.GELU(), nn.LayerNorm(width), nn.Dropout(dropout)
            )

        self.first = layer(num_inputs)
        self.more = nn.ModuleList(layer(width) for _ in range(num_layers - 1))

    def forward(self, inputs_KN: Tensor) -> Tensor:
        """Return the last layer, (K, W)."""
        hidden_KW = self.first(inputs_KN)
        for layer in self.more:
            hidden_KW = hidden_KW + layer(hidden_KW)
        return hidden_KW


class MLPTower(Tower):
    """Hidden layers, and a linear way out.

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
        super().__init__(width, num_outputs)
        self.layers = Layers(num_inputs, width=width, num_layers=num_layers, dropout=dropout)

    def hidden(self, responses_KN: Tensor) -> Tensor:
        """Return the last hidden layer, (K, W)."""
        return self.layers(responses_KN.flatten(1))


class TemporalTower(Tower):
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
        super().__init__(width, num_outputs)
        self.by_unit = nn.Parameter(torch.randn(num_heads, num_units, num_bins) * 0.02)
        self.by_population = nn.Linear(num_units, num_heads)
        nn.init.normal_(self.by_population.weight, std=0.02)
        self.layers = Layers(
            num_units * num_heads, width=width, num_layers=num_layers, dropout=dropout
        )

    def hidden(self, responses_KNB: Tensor) -> Tensor:
        """Return the last hidden layer, (K, W)."""
        moving_KHB = self.by_population(responses_KNB.transpose(1, 2)).transpose(1, 2)
        weights_KHNB = (self.by_unit + moving_KHB[:, :, None]).softmax(dim=-1)
        read_KHN = (weights_KHNB * responses_KNB[:, None]).sum(dim=-1)
        return self.layers(read_KHN.flatten(1))
