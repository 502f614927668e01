"""Activations that are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(module: nn.Module, method: str = "forward") -> None:
    """Let a method of a module keep its inputs alone, and work again in the backward pass.

    Parameters
    ----------
    module : Module
    method : str
        The same random numbers are drawn the second time, so gradients do not change.

    References
    ----------
    Chen et al. 2016, arXiv:1604.06174.
    """
    inner: Any = getattr(module, method)
    setattr(module, method, partial(checkpoint, inner, use_reentrant=False))
