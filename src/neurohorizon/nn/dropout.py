"""Dropout fused with what stands before or behind it.

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
    values, gates = expanded.chunk(2, dim=-1)
    if expanded.device.type != "cpu":
        return functional.dropout(values * functional.gelu(gates), rate, training=rate > 0)
    if not torch.is_grad_enabled() and not rate:
        return functional.gelu(gates).mul_(values)
    return _Gate.apply(expanded, rate)


def draw_kept(like: Tensor, rate: float) -> Tensor:
    """Draw a factor for each feature: 0, or what scales those that stay.

    Examples
    --------
    >>> factors = draw_kept(torch.zeros(1000, 100), 0.2)
    >>> factors.unique().tolist(), round(factors.mean().item(), 2)
    ([0.0, 1.25], 1.0)
    """
    dropped = round(rate * _STEPS)
    if dropped >= _STEPS:
        return torch.zeros_like(like)
    count = like.numel()
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    kept = drawn.view(torch.int16)[:count] >= dropped - _STEPS // 2
    return kept.view(like.shape).to(like.dtype).mul_(_STEPS / (_STEPS - dropped))


class _AddDropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, update: Tensor, rate: float) -> Tensor:
        factors = draw_kept(update, rate)
        ctx.save_for_backward(factors)
        return torch.addcmul(tokens, update, factors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (factors,) = ctx.saved_tensors
        return gradients[0], gradients[0] * factors, None


class _Gate(torch.autograd.Function):
    """One buffer for the gradient of both halves."""

    @staticmethod
    def forward(ctx: Any, expanded: Tensor, rate: float) -> Tensor:
        values, gates = expanded.chunk(2, dim=-1)
        opened = functional.gelu(gates)
        gated, factors = opened * values, None
        if rate:
            factors = draw_kept(gated, rate)
            gated.mul_(factors)
        ctx.save_for_backward(expanded, opened, factors)
        return gated

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        expanded, opened, factors = ctx.saved_tensors
        gradient = gradients[0] if factors is None else gradients[0] * factors
        values, gates = expanded.chunk(2, dim=-1)
        back = torch.empty_like(expanded)
        to_values, to_gates = back.chunk(2, dim=-1)
        torch.mul(gradient, opened, out=to_values)
        torch.ops.aten.gelu_backward.grad_input(gradient * values, gates, grad_input=to_gates)
        return back, None
