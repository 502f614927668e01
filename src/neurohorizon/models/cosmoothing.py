"""Co-smoothing head: counts of hidden units in the context, at the time others are seen.

Shapes: W windows, N units, Q queried units, T bins of the context, P parameters of the
likelihood, D width, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurohorizon.models.decoders import DecoderInput, UnitReader, as_parameters
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
    has_latents : bool
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
        has_latents: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.from_rates = nn.Linear(2 * num_bins, width)
        self.reader = UnitReader(
            width=width,
            num_heads=num_heads,
            num_layers=num_layers,
            has_latents=has_latents,
            dropout=dropout,
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

    def forward(self, given: DecoderInput, smoothed_WNT: Tensor, log_rate_WN: Tensor) -> Tensor:
        """Return the likelihood's parameters of each bin of the context, (W, Q, T, P).

        Parameters
        ----------
        given : DecoderInput
            States in which nothing of a hidden unit's own past is.
        smoothed_WNT : Tensor
            Relative rates minus one.
        log_rate_WN : Tensor
            Logarithm of the expected count in a bin by the reference. Given to this head even
            where forecasts are not: of a hidden unit nothing else tells the rate.
        """
        smoothed_WQT = given.asked(smoothed_WNT)
        log_WQT = torch.log((1.0 + smoothed_WQT).clamp(min=0.1))
        rates_WQF = torch.cat([smoothed_WQT / 2, log_WQT], dim=-1)
        state_WQD = given.asked(given.state_WND) + self.from_rates(rates_WQF)
        state_WQD = self.reader(state_WQD, given.latents_WMD)
        by_bin = self.bin_from_rate(torch.stack([smoothed_WQT / 2, log_WQT], dim=-1))
        hidden_WQTD = nn.functional.gelu(by_bin + self.bin_from_state(state_WQD).unsqueeze(2))
        ratio_WQTP = self.head(state_WQD, rates_WQF) + self.bin_output(hidden_WQTD)
        return as_parameters(ratio_WQTP, given.asked(log_rate_WN))
