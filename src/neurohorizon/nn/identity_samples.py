"""Identities that read samples of a unit's reference: windows of counts, or spikes.

Shapes: S references, N units, M windows, L bins of a window, R runs, K spikes of a run,
I intervals of a spike (before, after), D width, Q queries, P runs that are there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurohorizon.nn.attention import Attention
from neurohorizon.nn.rotary import RotaryTime

_NUM_QUERIES = 4
_NUM_BUMPS = 10
_SHORTEST_S, _LONGEST_S = 1e-3, 10.0


@dataclass(frozen=True)
class UnitSamples:
    """What was drawn from each unit's reference; empty where nothing is read.

    Parameters
    ----------
    counts_SNML : float
        Binned counts in windows.
    window_mask_SM : bool
    time_SNRK : float
        Of spikes since the middle one of their run, in seconds.
    interval_SNRKI : float
        To the spike before and the one after, in seconds.
    spike_mask_SNRK : bool
    """

    counts_SNML: Tensor
    window_mask_SM: Tensor
    time_SNRK: Tensor
    interval_SNRKI: Tensor
    spike_mask_SNRK: Tensor


class WindowIdentity(nn.Module):
    r"""A vector from binned counts in reference windows, whatever their order.

    Parameters
    ----------
    num_bins : int
        Of a window.
    width : int

    Notes
    -----
    .. math:: e_n = \psi\Big(\frac{1}{M} \sum_m \phi(\sqrt{k_{nm1}}, \dots, \sqrt{k_{nmL}})\Big)

    with two-layer networks :math:`\phi` and :math:`\psi`. The root gives counts of busy and
    of quiet units a like spread.

    References
    ----------
    Le et al. 2025, SPINT: Spatial permutation-invariant neural transformer for consistent
    intracortical motor decoding, arXiv:2507.08402.
    """

    def __init__(self, *, num_bins: int, width: int) -> None:
        super().__init__()
        self.of_window = nn.Sequential(
            nn.Linear(num_bins, width), nn.GELU(), nn.Linear(width, width), nn.GELU()
        )
        self.of_unit = _joint_layers(width)

    def forward(self, samples: UnitSamples) -> Tensor:
        """Return identities, (S, N, D)."""
        each_SNMD = self.of_window(torch.sqrt(samples.counts_SNML))
        weight_SM = samples.window_mask_SM.to(each_SNMD.dtype)
        weight_SM = weight_SM / weight_SM.sum(dim=1, keepdim=True).clamp(min=1.0)
        return self.of_unit(torch.einsum("snmd,sm->snd", each_SNMD, weight_SM))


class EventIdentity(nn.Module):
    """A vector from raw spikes of the reference, by attention.

    Parameters
    ----------
    width, num_heads : int

    Notes
    -----
    A spike is a token of the intervals before and after it, each as bumps over its
    logarithm. Learned queries stand at the middle spike of a run of consecutive ones and
    read the run by attention with rotary time: what a unit does around a spike of its own.
    What they read is averaged over runs, whatever their order, and passed through a
    two-layer network.
    """

    centre: Tensor

    def __init__(self, *, width: int, num_heads: int) -> None:
        super().__init__()
        centre = torch.linspace(math.log(_SHORTEST_S), math.log(_LONGEST_S), _NUM_BUMPS)
        self.register_buffer("centre", centre, persistent=False)
        self.token = nn.Linear(2 * _NUM_BUMPS, width)
        self.queries = nn.Parameter(torch.randn(_NUM_QUERIES, width))
        rotary = RotaryTime(head_width=width // num_heads, longest_s=2 * _LONGEST_S)
        self.attention = Attention(width=width, num_heads=num_heads, rotary=rotary)
        self.of_run = nn.Sequential(nn.Linear(_NUM_QUERIES * width, width), nn.GELU())
        self.of_unit = _joint_layers(width)

    def forward(self, samples: UnitSamples) -> Tensor:
        """Return identities, (S, N, D)."""
        there_SNR = samples.spike_mask_SNRK.any(dim=-1)
        # Runs that are there, one after the other: a quiet unit has few.
        mask_PK = samples.spike_mask_SNRK[there_SNR]
        time_PK = samples.time_SNRK[there_SNR]
        log_PKI = samples.interval_SNRKI[there_SNR].clamp(_SHORTEST_S, _LONGEST_S).log()
        spacing = self.centre[1] - self.centre[0]
        distance = (log_PKI.unsqueeze(-1) - self.centre) / spacing
        tokens_PKD = self.token(torch.exp(-0.5 * distance**2).flatten(-2))
        queries_PQD = self.queries.expand(len(tokens_PKD), -1, -1)
        read_PQD = self.attention(
            queries_PQD,
            self.attention.project(tokens_PKD),
            key_mask_BT=mask_PK,
            query_times_BQ=torch.zeros_like(queries_PQD[..., 0]),
            key_times_BT=time_PK,
        )
        each_PD = self.of_run(read_PQD.flatten(1))
        each_SNRD = each_PD.new_zeros((*there_SNR.shape, each_PD.shape[-1]))
        each_SNRD = each_SNRD.masked_scatter(there_SNR.unsqueeze(-1), each_PD)
        num_runs_SN = there_SNR.sum(dim=-1, keepdim=True).clamp(min=1)
        return self.of_unit(each_SNRD.sum(dim=2) / num_runs_SN)


def _joint_layers(width: int) -> nn.Sequential:
    """Return the layers that follow an average."""
    return nn.Sequential(
        nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.LayerNorm(width)
    )
