"""Following a flow from its start to a picture, in a few steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.flow import FlowNetwork

Method = Literal["euler", "heun"]


@dataclass(frozen=True)
class Sampling:
    """How a flow is followed.

    Parameters
    ----------
    steps : int
        Equal steps of time.
    method : {"euler", "heun"}
        Heun's steps, but the last, take the mean of the velocities at both ends: two looks of the
        network a step, and an error of second order.
    guidance : float
        1: as the embedding tells. Above it, velocities are taken so many times as far from those
        without an embedding: pictures show more clearly what the embedding says, and vary less.

    Raises
    ------
    ConfigError
        If a setting is out of its bounds.
    """

    steps: int = 8
    method: Method = "heun"
    guidance: float = 1.5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}: expected 1 or more")
        if self.method not in ("euler", "heun"):
            raise ConfigError(f"method is {self.method!r}: choose euler or heun")
        if not 0 <= self.guidance <= 20:
            raise ConfigError(f"guidance is {self.guidance}: expected 0 to 20")


def noise_of(seeds: Sequence[int], *, size_px: int) -> Tensor:
    """Return the noise of each seed, (B, 3, S, S): the same in whatever company it is drawn."""
    shape = (3, size_px, size_px)
    drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn) if drawn else torch.empty(0, *shape)


@torch.inference_mode()
def follow(
    network: FlowNetwork,
    embeddings_BD: Tensor,
    noise_B3SS: Tensor,
    *,
    sampling: Sampling,
    start_B3SS: Tensor | None = None,
) -> Tensor:
    """Draw a picture for each embedding.

    Parameters
    ----------
    network : FlowNetwork
        In evaluation mode.
    embeddings_BD, noise_B3SS : Tensor
        On its device.
    sampling : Sampling
    start_B3SS : Tensor, optional
        Values of the pictures to start at, if flows of the network do.

    Returns
    -------
    Tensor
        Values, (B, 3, S, S), for :func:`~neurohorizon.models.pictures.standard.to_pixels`.
    """
    told = network.tell(embeddings_BD)
    untold = network.nothing_D.expand_as(told)

    def velocity(values: Tensor, time: float) -> Tensor:
        time_B = values.new_full((len(values),), time)
        if sampling.guidance == 1:
            ends = network(values, time_B, told)
        else:
            both = network(values.repeat(2, 1, 1, 1), time_B.repeat(2), torch.cat([told, untold]))
            as_told, without = both.chunk(2)
            ends = without + sampling.guidance * (as_told - without)
        return (ends - values) / (1 - time)

    values = noise_B3SS
    if start_B3SS is not None:
        values = start_B3SS + network.start_noise * noise_B3SS
    step = 1 / sampling.steps
    for number in range(sampling.steps):
        here = velocity(values, number * step)
        # The last step ends at the picture that is expected; beyond it no velocity is defined.
        if sampling.method == "heun" and number + 1 < sampling.steps:
            there = velocity(values + step * here, (number + 1) * step)
            here = (here + there) / 2
        values = values + step * here
    return values
