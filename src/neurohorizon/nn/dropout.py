"""Dropout fused with what stands before or behind it; what it drops is kept as one byte a feature.

On a processor most of torch's dropout is the drawing of one random number for each feature. Here
one draw of 64 bits serves four of them, so a rate is rounded to 1/65536; what is kept is scaled by
the rounded rate, so the expectation is exact. On other devices torch's own is used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_STEPS = 1 << 16


def add_dropped(tokens: Tensor, update: Tensor, rate: float) -> Tensor:
    """Return the sum of tokens and an update, of which a share `rate` of features is dropped."""
    if rate == 0:
        return tokens + update
    if update.device.type != "cpu":
        return tokens + functional.dropout(update, rate)
    return _AddDropped.apply(tokens, update, rate)


def gate(expanded: Tensor, rate: float) -> Tensor:
    """Return the first half of the features times GELU of the second, a share of them dropped."""
    if expanded.device.type != "cpu":
        values, gates = expanded.chunk(2, dim=-1)
        return functional.dropout(values * functional.gelu(gates), rate, training=rate > 0)
    return _Gate.apply(expanded, rate)


def draw_kept(shape: torch.Size, rate: float) -> tuple[Tensor, float]:
    """Draw which features stay, and by how much those are scaled.

    Returns
    -------
    kept : Tensor of bool
    scale : float

    Examples
    --------
    >>> kept, scale = draw_kept(torch.Size([1000, 100]), 0.25)
    >>> round(scale, 4), bool(abs(kept.float().mean() - 0.75) < 0.01)
    (1.3333, True)
    """
    dropped = round(rate * _STEPS)
    if dropped >= _STEPS:
        return torch.zeros(shape, dtype=torch.bool), 0.0
    count = shape.numel()
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = drawn.view(torch.int16)[:count] >= dropped - _STEPS // 2
    return kept.view(shape), _STEPS / (_STEPS - dropped)


class _AddDropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, update: Tensor, rate: float) -> Tensor:
        kept, ctx.scale = draw_kept(update.shape, rate)
        ctx.save_for_backward(kept)
        return torch.addcmul(tokens, update, kept.to(update.dtype), value=ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (kept,) = ctx.saved_tensors
        return gradients[0], (gradients[0] * kept).mul_(ctx.scale), None


class _Gate(torch.autograd.Function):
    """The gates' GELU is kept, their product with the values is not."""

    @staticmethod
    def forward(ctx: Any, expanded: Tensor, rate: float) -> Tensor:
        values, gates = expanded.chunk(2, dim=-1)
        opened = functional.gelu(gates)
        gated, kept, ctx.scale = opened * values, None, 1.0
        if rate:
            kept, ctx.scale = draw_kept(gated.shape, rate)
            gated.mul_(kept).mul_(ctx.scale)
        ctx.save_for_backward(expanded, opened, kept)
        return gated

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        expanded, opened, kept = ctx.saved_tensors
        (gradient,) = gradients
        if kept is not None:
            gradient = (gradient * kept).mul_(ctx.scale)
        values, gates = expanded.chunk(2, dim=-1)
        back = torch.empty_like(expanded)
        to_values, to_gates = back.chunk(2, dim=-1)
        torch.mul(gradient, opened, out=to_values)
        torch.ops.aten.gelu_backward.grad_input(gradient * values, gates, grad_input=to_gates)
        return back, None
