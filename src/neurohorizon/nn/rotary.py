"""Rotary embedding of continuous time.

Shapes: B batch, T tokens, H heads, F features of a head.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor, nn

Angles: TypeAlias = tuple[Tensor, Tensor]
"""Cosine and sine of every pair's angle, each (B, 1, T, pairs)."""


class RotaryTime(nn.Module):
    r"""Rotate pairs of features by angles proportional to time.

    Parameters
    ----------
    head_width : int
        Features of one head; even.
    shortest_s, longest_s : float
        Range of the periods, spaced geometrically, in seconds.
    rotated_share : float
        Share of the features that are rotated; the rest see no time.
    precise : bool
        Computes angles in float64 and leaves whole turns out before cosine and sine. A second
        is ten thousand periods of 0.1 ms, and a float32 angle of that many is off by 0.004.

    Notes
    -----
    Feature pair j of a token at time t is turned by :math:`2 \pi t / T_j`, so the product
    of a query and a key depends on their times only through the difference. Where angles are
    precise, periods are rounded as torch_brain rounds them, so that both agree at any time.

    References
    ----------
    Su et al. 2021, RoFormer, arXiv:2104.09864; Azabou et al. 2023 (POYO), for time stamps
    in place of positions.
    """

    frequency: Tensor

    def __init__(
        self,
        *,
        head_width: int,
        shortest_s: float = 2e-3,
        longest_s: float = 4.0,
        rotated_share: float = 0.5,
        precise: bool = False,
    ) -> None:
        super().__init__()
        num_pairs = max(int(head_width * rotated_share) // 2, 1)
        if precise:
            ends = torch.tensor([shortest_s, longest_s]).log()
            periods = torch.lerp(ends[0], ends[1], torch.linspace(0.0, 1.0, num_pairs)).exp()
        else:
            periods = torch.logspace(math.log10(shortest_s), math.log10(longest_s), num_pairs)
        self.num_pairs = num_pairs
        self.precise = precise
        self.register_buffer("frequency", 2 * math.pi / periods, persistent=False)

    def angles(self, times_BT: Tensor) -> Angles:
        """Return cosine and sine of every pair's angle, each (B, 1, T, pairs), in float32."""
        if self.precise and times_BT.device.type != "mps":  # which has no float64
            angle = times_BT.double().unsqueeze(-1) * self.frequency.double()
            angle = torch.remainder(angle, 2 * math.pi).float()
        else:
            angle = times_BT.float().unsqueeze(-1) * self.frequency
        return torch.cos(angle).unsqueeze(1), torch.sin(angle).unsqueeze(1)

    def rotate(self, features_BHTF: Tensor, angles: Angles, *, inverse: bool = False) -> Tensor:
        """Rotate the leading pairs of every head."""
        cosine, sine = (part.to(features_BHTF.dtype) for part in angles)
        if inverse:
            sine = -sine
        first = features_BHTF[..., : self.num_pairs]
        second = features_BHTF[..., self.num_pairs : 2 * self.num_pairs]
        rest = features_BHTF[..., 2 * self.num_pairs :]
        turned = (first * cosine - second * sine, second * cosine + first * sine, rest)
        return torch.cat(turned, dim=-1)
