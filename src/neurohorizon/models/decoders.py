"""From unit states and latents to the distribution of counts in every bin of the horizon.

All decoders share one interface, :class:`Decoder`; the one that feeds counts back is in
:mod:`~neurohorizon.models.autoregressive`. Every one of them says nothing before training: its
last layers are zero, and its forecast is the reference rate.

Shapes: W windows, N units, Q queried units, B bins, J blocks of bins, P parameters of the
likelihood, R paths, D width, M latents, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neurohorizon.nn.attention import CrossBlock, FeedForward, SelfBlock
from neurohorizon.nn.heads import BasisHead, BinUnitHead, horizon_basis
from neurohorizon.nn.likelihoods import CountLikelihood
from neurohorizon.nn.rotary import RotaryTime
from neurohorizon.recordings.window_spec import WindowSpec

DecoderMode = Literal["unit_queries", "causal_bins", "autoregressive", "coarse_to_fine"]
LOG_RATIO_LIMIT = 10.0


@dataclass(frozen=True)
class DecoderInput:
    """What a decoder reads.

    Parameters
    ----------
    identity_WND, state_WND, features_WNF : Tensor
        Of every unit: who it is; the same mixed with its past and adapter; past and adapter.
    log_base_WN : Tensor
        Logarithm of the expected count in a bin of which nothing is known but the rate.
    mask_WN : Tensor of bool
        True for units, False for padding.
    latents_WMD : Tensor or None
        What the encoder read; None without one.
    units_WQ : Tensor of int64, optional
        Units that are asked for; None for all.
    """

    identity_WND: Tensor
    state_WND: Tensor
    features_WNF: Tensor
    log_base_WN: Tensor
    mask_WN: Tensor
    latents_WMD: Tensor | None
    units_WQ: Tensor | None = None

    def asked(self, values: Tensor) -> Tensor:
        """Take the units that are asked for of (W, N, ...) values."""
        if self.units_WQ is None:
            return values
        index = self.units_WQ.reshape(*self.units_WQ.shape, *[1] * (values.ndim - 2))
        return torch.take_along_dim(values, index, dim=1)


def as_parameters(ratio_WNBP: Tensor, log_base_WN: Tensor) -> Tensor:
    """Turn what heads say into the likelihood's parameters: bound the log-ratio, add the rate."""
    ratio_WNBP = ratio_WNBP.float()
    log_ratio = ratio_WNBP[..., :1].clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    log_mean = log_ratio + log_base_WN[..., None, None]
    return torch.cat([log_mean, ratio_WNBP[..., 1:]], dim=-1)


class Decoder(nn.Module, ABC):
    """What all decoders can do."""

    likelihood: CountLikelihood
    feeds_back = False
    """Whether a bin's distribution depends on the counts of earlier bins."""

    @abstractmethod
    def forward(self, given: DecoderInput, counts_WNB: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters of each bin, (W, Q, B, P).

        Parameters
        ----------
        given : DecoderInput
        counts_WNB : Tensor, optional
            Counts of all units to feed back: a bin reads those of earlier bins. Default: the
            decoder's own expected counts. A decoder that feeds nothing back ignores them.
        """

    @property
    @abstractmethod
    def head(self) -> nn.Module:
        """The last layers."""

    def components(self, given: DecoderInput, generator: torch.Generator) -> Iterator[Tensor]:
        """Forecast each bin as an equally weighted mixture, some components at a time.

        Parameters
        ----------
        given : DecoderInput
        generator : torch.Generator
            Of the paths, if there are any.

        Yields
        ------
        (R, W, Q, B, P) Tensor
            The likelihood's parameters; here of a mixture with a single component.
        """
        del generator
        yield self(given).unsqueeze(0)

    def sample(
        self, given: DecoderInput, *, num_samples: int, generator: torch.Generator
    ) -> Tensor:
        """Draw counts, (R, W, Q, B); here each bin by itself."""
        parameters = self(given)
        every = parameters.expand(num_samples, *parameters.shape)
        return self.likelihood.sample(every, generator=generator)


class UnitReader(nn.Module):
    """Units that read the latents or, without an encoder, think on their own."""

    def __init__(
        self, *, width: int, num_heads: int, num_layers: int, has_latents: bool, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CrossBlock(width=width, num_heads=num_heads, dropout=dropout)
            if has_latents
            else FeedForward(width=width, dropout=dropout)
            for _ in range(num_layers)
        )

    def forward(self, state_WQD: Tensor, latents_WMD: Tensor | None) -> Tensor:
        """Return the updated states."""
        for layer in self.layers:
            if isinstance(layer, CrossBlock):
                assert latents_WMD is not None
                state_WQD = layer(state_WQD, layer.attention.project(latents_WMD))
            else:
                state_WQD = state_WQD + layer(state_WQD)
        return state_WQD


class UnitQueries(Decoder):
    """Each unit reads the latents and forecasts all bins at once.

    Parameters
    ----------
    spec : WindowSpec
    likelihood : CountLikelihood
    width, num_heads, num_layers : int
    num_unit_features : int
        Features that also act linearly on the log-rate.
    num_basis : int
        Functions of the horizon.
    has_latents : bool
    dropout : float
    """

    def __init__(
        self,
        *,
        spec: WindowSpec,
        likelihood: CountLikelihood,
        width: int,
        num_heads: int,
        num_layers: int,
        num_unit_features: int,
        num_basis: int,
        has_latents: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.reader = UnitReader(
            width=width,
            num_heads=num_heads,
            num_layers=num_layers,
            has_latents=has_latents,
            dropout=dropout,
        )
        self.all_bins = BasisHead(
            width=width,
            num_linear=num_unit_features,
            hidden=2 * width,
            basis_CB=horizon_basis(
                num_bins=spec.num_bins, bin_s=spec.bin_s, num_functions=num_basis
            ),
            num_parameters=likelihood.num_parameters,
            dropout=dropout,
        )

    @property
    def head(self) -> nn.Module:
        """The last layers."""
        return self.all_bins

    def forward(self, given: DecoderInput, counts_WNB: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters of each bin."""
        del counts_WNB
        state_WQD = self.reader(given.asked(given.state_WND), given.latents_WMD)
        ratio_WQBP = self.all_bins(state_WQD, given.asked(given.features_WNF))
        return as_parameters(ratio_WQBP, given.asked(given.log_base_WN))


class CausalBins(Decoder):
    """Learned bin queries read the latents and earlier bins; a head joins bin and unit.

    The original design. Bins know each other's queries, not each other's counts, so reading
    later bins as well (``causal=False``) tells nothing of the future either.
    """

    bin_times_B: Tensor

    def __init__(
        self,
        *,
        spec: WindowSpec,
        likelihood: CountLikelihood,
        width: int,
        num_heads: int,
        num_layers: int,
        dropout: float,
        causal: bool = True,
    ) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.causal = causal
        rotary = RotaryTime(head_width=width // num_heads)
        self.bin_query = nn.Parameter(0.02 * torch.randn(spec.num_bins, width))
        self.read_latents = CrossBlock(
            width=width, num_heads=num_heads, rotary=rotary, dropout=dropout
        )
        self.layers = nn.ModuleList(
            SelfBlock(width=width, num_heads=num_heads, rotary=rotary, dropout=dropout)
            for _ in range(num_layers)
        )
        self.bin_and_unit = BinUnitHead(
            width=width, hidden=2 * width, num_parameters=likelihood.num_parameters
        )
        self.register_buffer("bin_times_B", bin_times(spec), persistent=False)

    @property
    def head(self) -> nn.Module:
        """The last layers."""
        return self.bin_and_unit

    def forward(self, given: DecoderInput, counts_WNB: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters of each bin."""
        del counts_WNB
        latents_WMD = given.latents_WMD
        assert latents_WMD is not None
        bins_WBD = self.bin_query.expand(len(latents_WMD), -1, -1)
        times_WB = self.bin_times_B.expand(len(latents_WMD), -1)
        bins_WBD = self.read_latents(
            bins_WBD,
            self.read_latents.attention.project(latents_WMD),
            query_times_BQ=times_WB,
        )
        for layer in self.layers:
            bins_WBD = layer(bins_WBD, times_BT=times_WB, causal=self.causal)
        units_WQD = given.asked(given.identity_WND) + given.asked(given.state_WND)
        ratio_WQBP = self.bin_and_unit(bins_WBD, units_WQD)
        return as_parameters(ratio_WQBP, given.asked(given.log_base_WN))


class CoarseToFine(Decoder):
    r"""Forecast blocks of about 100 ms first, then how each is divided over its bins.

    Parameters are those of :class:`UnitQueries`.

    Notes
    -----
    With :math:`c_j` the log-ratio of block j, of :math:`n_j` bins, and :math:`s_b` a score of
    each bin b in it,

    .. math::

        \log \mu_b = \log(r \Delta) + c_j + \log n_j
                     + s_b - \log \sum_{b' \in j} e^{s_{b'}},

    so that the expected counts of a block's bins add up to the block's,
    :math:`n_j r \Delta e^{c_j}`, whatever the division; with all :math:`s_b` equal each bin
    gets its block's rate. The scores are made from the unit's state and the forecast of
    all blocks.

    The fine counts have the configured likelihood with these means: nothing is approximated.
    For Poisson counts that likelihood *is* a Poisson one of the block's count times a
    multinomial one of its division, so training needs no term of its own for blocks. With
    the likelihood ``categorical`` the sums hold for the first parameter, which is then not
    the logarithm of the mean.
    """

    block_B: Tensor
    log_size_J: Tensor

    def __init__(
        self,
        *,
        spec: WindowSpec,
        likelihood: CountLikelihood,
        width: int,
        num_heads: int,
        num_layers: int,
        num_unit_features: int,
        num_basis: int,
        has_latents: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.likelihood = likelihood
        bins_per_block = spec.bins_per_block
        block_B = torch.arange(spec.num_bins) // bins_per_block
        num_blocks = int(block_B[-1]) + 1
        self.reader = UnitReader(
            width=width,
            num_heads=num_heads,
            num_layers=num_layers,
            has_latents=has_latents,
            dropout=dropout,
        )
        self.blocks = BasisHead(
            width=width,
            num_linear=num_unit_features,
            hidden=2 * width,
            basis_CB=horizon_basis(
                num_bins=num_blocks, bin_s=bins_per_block * spec.bin_s, num_functions=num_basis
            ),
            dropout=dropout,
        )
        self.from_blocks = nn.Linear(num_blocks, width)
        self.division = BasisHead(
            width=width,
            num_linear=num_unit_features,
            hidden=2 * width,
            basis_CB=horizon_basis(
                num_bins=spec.num_bins, bin_s=spec.bin_s, num_functions=num_basis
            ),
            num_parameters=likelihood.num_parameters,
            dropout=dropout,
        )
        self.register_buffer("block_B", block_B, persistent=False)
        log_size_J = torch.log(torch.bincount(block_B).float())
        self.register_buffer("log_size_J", log_size_J, persistent=False)

    @property
    def head(self) -> nn.Module:
        """The last layers."""
        return nn.ModuleList([self.blocks, self.division])

    def forward(self, given: DecoderInput, counts_WNB: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters of each bin."""
        del counts_WNB
        features_WQF = given.asked(given.features_WNF)
        state_WQD = self.reader(given.asked(given.state_WND), given.latents_WMD)
        block_WQJ = self.blocks(state_WQD, features_WQF).squeeze(-1).float()
        block_WQJ = block_WQJ.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
        state_WQD = state_WQD + self.from_blocks(block_WQJ)
        divided_WQBP = self.division(state_WQD, features_WQF).float()
        shares_WQB = self._log_shares(divided_WQBP[..., 0])
        ratio_WQB = (block_WQJ + self.log_size_J)[..., self.block_B] + shares_WQB
        ratio_WQBP = torch.cat([ratio_WQB.unsqueeze(-1), divided_WQBP[..., 1:]], dim=-1)
        # The blocks' log-ratios are bounded already, and a share is at most 1.
        log_mean = ratio_WQBP[..., :1] + given.asked(given.log_base_WN)[..., None, None]
        return torch.cat([log_mean, ratio_WQBP[..., 1:]], dim=-1)

    def _log_shares(self, score_WQB: Tensor) -> Tensor:
        """Return the logarithm of each bin's share of its block."""
        num_blocks, size = len(self.log_size_J), int((self.block_B == 0).sum())
        missing = num_blocks * size - score_WQB.shape[-1]
        # Bounded like log-ratios, so that no bin's rate vanishes.
        score_WQB = score_WQB.clamp(-LOG_RATIO_LIMIT / 2, LOG_RATIO_LIMIT / 2)
        padded = nn.functional.pad(score_WQB, (0, missing), value=-torch.inf)
        shares = torch.log_softmax(padded.unflatten(-1, (num_blocks, size)), dim=-1)
        return shares.flatten(-2)[..., : score_WQB.shape[-1]]


def bin_times(spec: WindowSpec) -> Tensor:
    """Return the middle of each bin, in seconds since the origin."""
    return (torch.arange(spec.num_bins) + 0.5) * spec.bin_s
