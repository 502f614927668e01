"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor

from neurohorizon.nn.likelihoods import CountLikelihood


def likelihood_objective(
    likelihood: CountLikelihood, parameters_WQBP: Tensor, counts_WQB: Tensor, mask_WQ: Tensor
) -> Tensor:
    """Return the mean negative log-likelihood of a count, in nats, padding left out.

    Parameters
    ----------
    likelihood : CountLikelihood
    parameters_WQBP : Tensor
        What the likelihood takes.
    counts_WQB : Tensor
    mask_WQ : Tensor of bool
        True for units, False for padding.
    """
    log_prob = likelihood.log_prob(parameters_WQBP, counts_WQB)
    weight = mask_WQ.unsqueeze(-1).to(log_prob.dtype)
    return -(log_prob * weight).sum() / (weight.sum().clamp(min=1) * log_prob.shape[-1])


def take_units(values_WNB: Tensor, units_WQ: Tensor | None) -> Tensor:
    """Select units of each window along the second axis; all of them for None."""
    if units_WQ is None:
        return values_WNB
    index = units_WQ if values_WNB.ndim == 2 else units_WQ.unsqueeze(-1)
    return torch.take_along_dim(values_WNB, index, dim=1)
