"""Co-smoothing head: counts of hidden units in the context, at the time others are seen.

Shapes: W windows, Q queried units, T bins of the context, P parameters of the likelihood,
D width, M latents.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurohorizon.nn.attention import CrossBlock, FeedForward
from neurohorizon.nn.heads import BasisHead


class CoSmoother(nn.Module):
    """Each hidden unit reads the latents and gives all bins of the context at once.

    Parameters
    ----------
    width, num_heads, num_layers : int
    num_bins : int
        Bins of the context.
    num_parameters : int
        Of the likelihood.
    reads_latents : bool
        False without an encoder.
    dropout : float

    Notes
    -----
    A unit's own rate by the smoothed dynamics of its reference enters three ways: into its
    state, from which it reads the latents; linearly, all bins into all bins; and bin by bin
    through a small network that all bins share, together with the state. All last layers are
    zero at initialisation: untrained, a hidden unit is expected to fire at its reference rate.
    """

    def __init__(
        self,
        *,
        width: int,
        num_heads: int,
        num_layers: int,
        num_bins: int,
        num_parameters: int,
        reads_latents: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.from_rates = nn.Linear(2 * num_bins, width)
        self.layers = nn.ModuleList(
            CrossBlock(width=width, num_heads=num_heads, dropout=dropout)
            if reads_latents
            else FeedForward(width=width, dropout=dropout)
            for _ in range(num_layers)
        )
        self.head = BasisHead(
            width=width,
            num_linear=2 * num_bins,
            hidden=2 * width,
            basis_CB=torch.eye(num_bins),
            num_parameters=num_parameters,
            dropout=dropout,
        )
        self.bin_from_state = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.bin_from_rate = nn.Linear(2, width, bias=False)
        self.bin_output = nn.Linear(width, num_parameters, bias=False)
        nn.init.zeros_(self.bin_output.weight)

    def forward(
        self, state_WQD: Tensor, smoothed_WQT: Tensor, latents_WMD: Tensor | None
    ) -> Tensor:
        """Return the log-ratio to the reference rate and other parameters, (W, Q, T, P).

        Parameters
        ----------
        state_WQD : Tensor
            Units' states, in which nothing of their own past is.
        smoothed_WQT : Tensor
            Relative rates minus one.
        latents_WMD : Tensor or None
        """
        log_WQT = torch.log((1.0 + smoothed_WQT).clamp(min=0.1))
        rates_WQF = torch.cat([smoothed_WQT / 2, log_WQT], dim=-1)
        state_WQD = state_WQD + self.from_rates(rates_WQF)
        for layer in self.layers:
            if isinstance(layer, CrossBlock):
                assert latents_WMD is not None
                state_WQD = layer(state_WQD, layer.attention.project(latents_WMD))
            else:
                state_WQD = state_WQD + layer(state_WQD)
        by_bin = self.bin_from_rate(torch.stack([smoothed_WQT / 2, log_WQT], dim=-1))
        hidden_WQTD = nn.functional.gelu(by_bin + self.bin_from_state(state_WQD).unsqueeze(2))
        return self.head(state_WQD, rates_WQF) + self.bin_output(hidden_WQTD)
