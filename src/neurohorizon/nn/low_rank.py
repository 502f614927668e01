"""Low-rank changes of linear layers, to adapt a trained network with few numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    r"""A weight plus a product of two narrow matrices, the second of them zero at first.

    Parameters
    ----------
    num_outputs, num_inputs, rank : int

    Notes
    -----
    :math:`W + B A` with A of shape (rank, inputs) and B of shape (outputs, rank).

    References
    ----------
    Hu et al. 2022, LoRA: Low-rank adaptation of large language models, ICLR.
    """

    def __init__(self, *, num_outputs: int, num_inputs: int, rank: int) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.randn(rank, num_inputs) / num_inputs**0.5)
        self.outer = nn.Parameter(torch.zeros(num_outputs, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        return weight + self.outer @ self.inner


def add_low_rank(modules: Sequence[nn.Module], *, rank: int) -> list[nn.Parameter]:
    """Let every linear layer inside some modules change by a low rank.

    Parameters
    ----------
    modules : sequence of Module
        None inside another.
    rank : int

    Returns
    -------
    list of Parameter
        What is to be trained.
    """
    added: list[nn.Parameter] = []
    for module in modules:
        for layer in list(module.modules()):
            if type(layer) is nn.Linear:
                change = LowRank(
                    num_outputs=layer.out_features, num_inputs=layer.in_features, rank=rank
                ).to(layer.weight.device)
                parametrize.register_parametrization(layer, "weight", change)
                added += [change.inner, change.outer]
    return added


def merge_low_rank(model: nn.Module) -> None:
    """Write the changes into the weights: what is left is the network as it was made."""
    for layer in list(model.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
