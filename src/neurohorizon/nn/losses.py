r"""Losses of decoded tasks, each weighted by target.

Shapes: n targets, C columns or classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mse(outputs_nC: Tensor, values_nC: Tensor) -> Tensor:
    """Return the squared error of each target, its columns averaged, (n,)."""
    return (outputs_nC - values_nC).square().mean(dim=-1)


def cross_entropy(logits_nC: Tensor, classes_n: Tensor) -> Tensor:
    """Return minus the log-probability of each target's class, (n,)."""
    return functional.cross_entropy(logits_nC, classes_n, reduction="none")


def mallow(logits_nC: Tensor, classes_n: Tensor) -> Tensor:
    r"""Return the squared Mallow distance of each target to its ordered class, (n,).

    Notes
    -----
    The Mallow distance of order 2 between two distributions p and q over ordered classes is, up
    to its root, the l2 distance of their cumulated distributions, the squared earth mover's
    distance of Hou et al.:

    .. math:: d(p, q) = \frac{1}{C} \sum_{k=1}^{C} \bigl(P_k - Q_k\bigr)^2,
              \qquad P_k = \sum_{j \le k} p_j

    p is the softmax of the logits. q puts all on class c, so :math:`Q_k = 0` below c and 1
    from there on, and

    .. math:: d = \frac{1}{C} \Bigl(\sum_{k < c} P_k^2 + \sum_{k \ge c} (1 - P_k)^2\Bigr):

    probability that lies m classes beside c is counted m times, where cross entropy counts it
    once wherever it lies. 1/C is POYO+'s; it keeps d below 1 for any number of classes.

    References
    ----------
    Levina and Bickel 2001, "The earth mover's distance is the Mallows distance"; Hou, Yu and
    Samaras 2016, "Squared Earth Mover's Distance-based Loss for Training Deep Neural Networks",
    arXiv:1611.05916; Azabou et al. 2025 (POYO+).
    """
    num_classes = logits_nC.shape[-1]
    cumulated_nC = logits_nC.softmax(dim=-1).cumsum(dim=-1)
    reached_nC = torch.arange(num_classes, device=classes_n.device) >= classes_n[:, None]
    return (cumulated_nC - reached_nC.to(cumulated_nC)).square().mean(dim=-1)


def weighted_mean(losses_n: Tensor, weights_n: Tensor) -> Tensor:
    """Return the mean by weight; zero, with a gradient of zero, where all weights are."""
    total = weights_n.sum()
    used_n = weights_n != 0
    # What does not count may be anything, even not finite.
    summed = (weights_n * torch.where(used_n, losses_n, 0.0)).sum()
    return summed / torch.where(total > 0, total, 1.0)
