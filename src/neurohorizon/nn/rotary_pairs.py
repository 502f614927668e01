"""Rotary embedding of continuous time by complex numbers, fast and exact over many turns.

Features 2j and 2j + 1 of a head turn together, as in torch_brain, so a pair is one complex number
and turning is one multiplication. (:mod:`neurohorizon.nn.rotary` pairs features of the two
quarters of a head; weights learned with one are of no use to the other.)

Shapes: B batch, T tokens, H heads, F features of a head, P pairs that turn, N parts (queries, keys,
values) that are projected together, E their features (N H F).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class RotaryPairs(nn.Module):
    r"""Turn pairs of neighbouring features by angles proportional to time.

    Parameters
    ----------
    head_width : int
        Features of one head, a multiple of 4; the first half of them turn.
    shortest_s, longest_s : float
        Range of the periods, spaced geometrically, in seconds.

    Notes
    -----
    Pair j of a token at time t is multiplied by :math:`e^{2 \pi i t / T_j}`. A second is ten
    thousand periods of 0.1 ms, and a float32 angle of that many turns is off by 0.004: angles
    are computed in float64 and whole turns left out. The periods are rounded as torch_brain rounds
    them.

    References
    ----------
    Su et al. 2021, RoFormer, arXiv:2104.09864; Azabou et al. 2023 (POYO), arXiv:2310.16046.
    """

    frequency: Tensor

    def __init__(self, *, head_width: int, shortest_s: float, longest_s: float) -> None:
        super().__init__()
        ends = torch.tensor([shortest_s, longest_s]).log()
        steps = torch.linspace(0.0, 1.0, head_width // 4)
        periods = torch.lerp(ends[0], ends[1], steps).exp()
        self.register_buffer("frequency", 2 * math.pi / periods, persistent=False)

    def turns(self, times_BT: Tensor) -> Tensor:
        """Return what each pair is multiplied by, complex (B, T, 1, P)."""
        exact = torch.float32 if times_BT.device.type == "mps" else torch.float64
        angle = times_BT.to(exact).unsqueeze(-1) * self.frequency.to(exact)
        angle = torch.remainder(angle, 2 * math.pi).float()
        return torch.complex(torch.cos(angle), torch.sin(angle)).unsqueeze(2)


def turn(heads_BTHF: Tensor, turns: Tensor) -> Tensor:
    """Return heads whose first pairs are turned."""
    return _Turn.apply(heads_BTHF, turns)


def turn_back_(heads_BTHF: Tensor, turns: Tensor) -> Tensor:
    """Return heads turned back, in place where no gradient will be asked for.

    Parameters
    ----------
    heads_BTHF : Tensor
        It may be overwritten: nothing else may hold it but what computes its gradient.
    turns : Tensor
        As they were turned.
    """
    if torch.is_grad_enabled():
        return turn(heads_BTHF, turns.conj())
    _turn_in_place(heads_BTHF, turns.conj())
    return heads_BTHF


def split_and_turn_(
    projected_BTE: Tensor, turns: Tensor, *, num_heads: int, num_parts: int, num_turned: int
) -> tuple[Tensor, ...]:
    """Split what was projected together into parts and heads, the first parts turned.

    Parameters
    ----------
    projected_BTE : Tensor
        It is overwritten: nothing else may hold it.
    turns : Tensor
        Of the tokens' times.
    num_heads, num_parts, num_turned : int

    Returns
    -------
    tuple of Tensor
        Each part, (B, H, T, F); views of one tensor.
    """
    return _SplitAndTurn.apply(projected_BTE, turns, num_heads, num_parts, num_turned)


def _turn_in_place(heads: Tensor, turns: Tensor) -> None:
    """Multiply the first pairs of the last axis."""
    pairs = heads[..., : 2 * turns.shape[-1]].unflatten(-1, (-1, 2))
    if heads.dtype == torch.float32:
        torch.view_as_complex(pairs).mul_(turns)
    else:  # of which there are no complex numbers
        wide = torch.view_as_complex(pairs.float().contiguous()).mul_(turns)
        pairs.copy_(torch.view_as_real(wide))


def _turned(heads: Tensor, turns: Tensor) -> Tensor:
    """Return heads whose first pairs are multiplied."""
    turned = torch.empty(heads.shape, dtype=heads.dtype, device=heads.device)
    width = 2 * turns.shape[-1]
    turned[..., width:] = heads[..., width:]
    if heads.dtype == torch.float32:
        pairs = [each[..., :width].unflatten(-1, (-1, 2)) for each in (heads, turned)]
        torch.mul(torch.view_as_complex(pairs[0]), turns, out=torch.view_as_complex(pairs[1]))
    else:
        turned[..., :width] = heads[..., :width]
        _turn_in_place(turned, turns)
    return turned


class _Turn(torch.autograd.Function):
    """Out of place: what attention read is kept for its own gradient."""

    @staticmethod
    def forward(ctx: Any, heads_BTHF: Tensor, turns: Tensor) -> Tensor:
        ctx.save_for_backward(turns)
        return _turned(heads_BTHF, turns)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (turns,) = ctx.saved_tensors
        return _turned(gradients[0], turns.conj()), None


class _SplitAndTurn(torch.autograd.Function):
    """One buffer forward, and one backward, in which the gradients of all parts are gathered."""

    @staticmethod
    def forward(
        ctx: Any,
        projected_BTE: Tensor,
        turns: Tensor,
        num_heads: int,
        num_parts: int,
        num_turned: int,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(turns)
        ctx.num_turned = num_turned
        heads = projected_BTE.detach().unflatten(-1, (num_parts * num_heads, -1))
        _turn_in_place(heads[:, :, : num_turned * num_heads], turns)
        return tuple(part.transpose(1, 2) for part in heads.split(num_heads, dim=2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (turns,) = ctx.saved_tensors
        heads = torch.cat([gradient.transpose(1, 2) for gradient in gradients], dim=2)
        num_heads = gradients[0].shape[1]
        _turn_in_place(heads[:, :, : ctx.num_turned * num_heads], turns.conj())
        return heads.flatten(2), None, None, None, None
