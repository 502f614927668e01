"""What training minimises."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from neurohorizon.nn.likelihoods import CountLikelihood

ObjectiveName = Literal["likelihood", "squared_error"]


def objective_of_counts(
    name: ObjectiveName,
    likelihood: CountLikelihood,
    parameters_WQBP: Tensor,
    counts_WQB: Tensor,
    mask_WQ: Tensor,
) -> Tensor:
    """Return a mean over counts, padding left out.

    Parameters
    ----------
    name : {"likelihood", "squared_error"}
        The negative log-likelihood in nats, or the squared error of the expected count: what
        a regression would minimise, in which units that fire much outweigh all others.

    likelihood : CountLikelihood
    parameters_WQBP : Tensor
        What the likelihood takes.
    counts_WQB : Tensor
    mask_WQ : Tensor of bool
        True for units, False for padding.
    """
    if name == "squared_error":
        loss = (likelihood.mean(parameters_WQBP) - counts_WQB).square()
    else:
        loss = -likelihood.log_prob(parameters_WQBP, counts_WQB)
    weight = mask_WQ.unsqueeze(-1).to(loss.dtype)
    return (loss * weight).sum() / (weight.sum().clamp(min=1) * loss.shape[-1])


def take_units(values_WNB: Tensor, units_WQ: Tensor | None) -> Tensor:
    """Select units of each window along the second axis; all of them for None."""
    if units_WQ is None:
        return values_WNB
    index = units_WQ if values_WNB.ndim == 2 else units_WQ.unsqueeze(-1)
    return torch.take_along_dim(values_WNB, index, dim=1)
