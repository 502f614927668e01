"""Rotary embedding of continuous time.

Shapes: B batch, T tokens, H heads, F features of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


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

    Notes
    -----
    Feature pair j of a token at time t is turned by :math:`2 \pi t / T_j`, so the product
    of a query and a key depends on their times only through the difference.

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
    ) -> None:
        super().__init__()
        num_pairs = max(int(head_width * rotated_share) // 2, 1)
        periods = torch.logspace(math.log10(shortest_s), math.log10(longest_s), num_pairs)
        self.num_pairs = num_pairs
        self.register_buffer("frequency", 2 * math.pi / periods, persistent=False)

    def angles(self, times_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of every pair's angle, each (B, 1, T, pairs), in float32."""
        angle = times_BT.float().unsqueeze(-1) * self.frequency
        return torch.cos(angle).unsqueeze(1), torch.sin(angle).unsqueeze(1)

    def rotate(
        self, features_BHTF: Tensor, angles: tuple[Tensor, Tensor], *, inverse: bool = False
    ) -> Tensor:
        """Rotate the leading pairs of every head."""
        cosine, sine = (part.to(features_BHTF.dtype) for part in angles)
        if inverse:
            sine = -sine
        first = features_BHTF[..., : self.num_pairs]
        second = features_BHTF[..., self.num_pairs : 2 * self.num_pairs]
        rest = features_BHTF[..., 2 * self.num_pairs :]
        turned = (first * cosine - second * sine, second * cosine + first * sine, rest)
        return torch.cat(turned, dim=-1)
