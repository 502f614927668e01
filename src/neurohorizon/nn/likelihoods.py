"""Distributions of spike counts."""

from __future__ import annotations

import torch
from torch import Tensor


class PoissonCounts:
    r"""Poisson counts, given the logarithm of their expectation.

    Notes
    -----
    .. math:: \log p(k \mid \lambda) = k \log \lambda - \lambda - \log k!

    With :math:`\eta = \log \lambda` the gradient is :math:`k - e^\eta`: bounded below by
    the data and free of divisions, which is why networks give log-rates. The last term
    depends on no parameter but is kept: log-probabilities are compared across models.
    """

    @staticmethod
    def log_prob(log_mean: Tensor, counts: Tensor) -> Tensor:
        """Return the exact log-probability of each count, in nats."""
        return counts * log_mean - torch.exp(log_mean) - torch.lgamma(counts + 1.0)

    @staticmethod
    def mean(log_mean: Tensor) -> Tensor:
        """Return the expected counts."""
        return torch.exp(log_mean)

    @staticmethod
    def sample(log_mean: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw counts."""
        return torch.poisson(torch.exp(log_mean), generator=generator)
