"""From what is known of a unit to the distribution of its counts in every bin of the horizon.

The first parameter is a log-ratio of rates, others are those of the likelihood.

Shapes: W windows, N units, B bins, P parameters, C basis functions, K features of a unit's own
counts, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def horizon_basis(*, num_bins: int, bin_s: float, num_functions: int) -> Tensor:
    r"""Return raised-cosine functions over log-time that tile the horizon.

    Parameters
    ----------
    num_bins : int
    bin_s : float
        Width of a bin, in seconds.
    num_functions : int
        At most one a bin.

    Returns
    -------
    (C, B) Tensor
        Rows sum to a partition of unity: what is forecast changes fast near the origin and
        slowly far from it.

    References
    ----------
    Pillow et al. 2008, Nature 454:995, for cosine bumps in warped time.
    """
    num_functions = min(num_functions, num_bins)
    middle = (torch.arange(num_bins) + 0.5) * bin_s
    warped = torch.log(middle + bin_s)
    if num_functions == 1:
        return torch.ones(1, num_bins)
    centre = torch.linspace(float(warped[0]), float(warped[-1]), num_functions)
    spacing = float(centre[1] - centre[0]) if num_functions > 1 else 1.0
    distance = ((warped - centre[:, None]) / spacing).clamp(-1.0, 1.0)
    bumps = 0.5 * (1.0 + torch.cos(math.pi * distance))
    return bumps / bumps.sum(dim=0)


class BasisHead(nn.Module):
    """Parameters of all bins at once, smooth over the horizon; zero at initialisation.

    Parameters
    ----------
    width : int
        Features of a unit's state.
    num_linear : int
        Features that also act linearly on the log-rate, as in a GLM.
    hidden : int
    basis_CB : Tensor
        Functions of the horizon.
    num_parameters : int
    dropout : float
    """

    basis_CB: Tensor

    def __init__(
        self,
        *,
        width: int,
        num_linear: int,
        hidden: int,
        basis_CB: Tensor,
        num_parameters: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        num_functions = len(basis_CB)
        self.register_buffer("basis_CB", basis_CB, persistent=False)
        self.hidden = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout)
        )
        self.num_parameters = num_parameters
        self.from_hidden = nn.Linear(hidden, num_parameters * num_functions)
        self.from_linear = nn.Linear(num_linear, num_functions, bias=False)
        for layer in (self.from_hidden, self.from_linear):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.from_hidden.bias)

    def forward(self, state_WND: Tensor, linear_WNF: Tensor) -> Tensor:
        """Return the log-ratio to the reference rate and other parameters, (W, N, B, P)."""
        weights = self.from_hidden(self.hidden(state_WND))
        weights_WNPC = weights.unflatten(-1, (self.num_parameters, -1))
        rate_WNC = weights_WNPC[..., 0, :] + self.from_linear(linear_WNF)
        if self.num_parameters == 1:
            return (rate_WNC @ self.basis_CB).unsqueeze(-1)
        others_WNPC = weights_WNPC[..., 1:, :]
        joined_WNPC = torch.cat([rate_WNC.unsqueeze(-2), others_WNPC], dim=-2)
        return (joined_WNPC @ self.basis_CB).transpose(-1, -2)


class BinUnitHead(nn.Module):
    """Parameters from states of bins and states of units; zero at initialisation.

    Parameters
    ----------
    width : int
        Features of a bin's and of a unit's state.
    hidden : int
    num_parameters : int

    Notes
    -----
    An MLP on the concatenation of both states would first build a (B, N, 2 D) tensor. Its
    first layer is linear, so it is applied to each part and the results are added.
    """

    def __init__(self, *, width: int, hidden: int, num_parameters: int = 1) -> None:
        super().__init__()
        self.from_bin = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden))
        self.from_unit = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden, bias=False))
        self.output = nn.Linear(hidden, num_parameters)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, bins_WBD: Tensor, units_WND: Tensor) -> Tensor:
        """Return the log-ratio to the reference rate and other parameters, (W, N, B, P)."""
        hidden = self.from_unit(units_WND).unsqueeze(2) + self.from_bin(bins_WBD).unsqueeze(1)
        return self.output(nn.functional.gelu(hidden))


class FeedbackHead(nn.Module):
    r"""What fed-back counts change in a forecast; zero at initialisation.

    Parameters
    ----------
    width : int
        Features of a bin's and of a unit's state.
    num_own : int
        Features K of a unit's own fed-back counts.
    num_parameters : int
    limit : float
        Bound of the change, so that a roll-out cannot run away from its own counts.

    Notes
    -----
    .. math::

        \Delta_{nbp} = g\left( u_{np} \cdot (z_b - z^0_b) + v_{np} \cdot o_{nb} \right),
        \qquad g(x) = L \tanh(x / L)

    with :math:`z_b` a nonlinear function of the bin's state, :math:`z^0_b` the same where
    nothing unexpected came (so that nothing is changed then), :math:`o_{nb}` the unit's own
    feedback, and loadings :math:`u, v` that are nonlinear functions of the unit's state: a GLM
    with coupling through the population's state and a history filter of its own for each
    unit, whose weights the network sets. Nothing of shape (B, N, 2 D) is built, nor of (B, N, D).
    """

    def __init__(
        self, *, width: int, num_own: int, num_parameters: int = 1, limit: float = 3.0
    ) -> None:
        super().__init__()
        self.num_parameters, self.limit = num_parameters, limit
        self.scale = width**-0.5
        self.unit_hidden = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU()
        )
        self.to_coupling = nn.Linear(2 * width, num_parameters * width)
        self.to_history = nn.Linear(2 * width, num_parameters * num_own)
        self.from_bin = nn.Sequential(
            nn.LayerNorm(width, bias=False), nn.Linear(width, width, bias=False)
        )
        for parameter in (*self.to_history.parameters(), *self.from_bin[1].parameters()):
            nn.init.zeros_(parameter)

    def loadings(self, units_WND: Tensor) -> tuple[Tensor, Tensor]:
        """Return what weighs the bins, (W, N, P, D), and the own feedback, (W, N, P, K)."""
        hidden = self.unit_hidden(units_WND)
        shape = (self.num_parameters, -1)
        return (
            self.to_coupling(hidden).unflatten(-1, shape) * self.scale,
            self.to_history(hidden).unflatten(-1, shape),
        )

    def forward(
        self,
        loadings: tuple[Tensor, Tensor],
        bins_WBD: Tensor,
        unsurprised_WBD: Tensor,
        own_WNBK: Tensor,
    ) -> Tensor:
        """Return the change, (..., W, N, B, P); bins and own feedback may have leading axes."""
        coupling_WNPD, history_WNPK = loadings
        moved_WBD = self.from_bin(bins_WBD) - self.from_bin(unsurprised_WBD)
        change = torch.einsum("wnpd,...wbd->...wnbp", coupling_WNPD, moved_WBD)
        change = change + torch.einsum("wnpk,...wnbk->...wnbp", history_WNPK, own_WNBK)
        return self.limit * torch.tanh(change / self.limit)
