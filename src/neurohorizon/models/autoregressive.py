"""The decoder that feeds counts back: each bin knows what came in the bins before it.

Shapes as in :mod:`~neurohorizon.models.decoders`; K features of a unit's own counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neurohorizon.models.decoders import Decoder, DecoderInput, UnitReader, as_parameters, bin_times
from neurohorizon.nn.attention import CrossBlock, SelfBlock
from neurohorizon.nn.heads import BasisHead, FeedbackHead, horizon_basis
from neurohorizon.nn.likelihoods import CountLikelihood
from neurohorizon.nn.rotary import RotaryTime
from neurohorizon.recordings.window_spec import WindowSpec

Feedback = Literal["expected", "sampled"]
#: Time constants of the traces of a unit's fed-back counts, in seconds, beside the last bin.
TRACES_S = (0.04, 0.15, 0.5)
#: Numbers that the paths followed together may hold, by unit, bin and parameter.
_MOST_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class RollOut:
    """Paths into the horizon, each made of its own counts.

    Parameters
    ----------
    parameters_RWNBP : Tensor
        Of each bin's distribution, given the counts of earlier bins on the path.
    counts_RWNB : Tensor
        What was fed back.
    """

    parameters_RWNBP: Tensor
    counts_RWNB: Tensor


@dataclass(frozen=True)
class Direct:
    """The forecast of all units before anything is fed back.

    Parameters
    ----------
    ratio_WNBP : Tensor
        What the heads say.
    expected_WNB : Tensor
        Expected counts, with which counts are compared; no gradient flows through them.
    loadings : tuple of Tensor
        What weighs the feedback.
    unsurprised_WBD : Tensor
        Bin tokens if every count is what was expected.
    """

    ratio_WNBP: Tensor
    expected_WNB: Tensor
    loadings: tuple[Tensor, Tensor]
    unsurprised_WBD: Tensor

    def parameters(self, given: DecoderInput) -> Tensor:
        """Return what the direct forecast says of the units that are asked for, (W, Q, B, P)."""
        return as_parameters(given.asked(self.ratio_WNBP), given.asked(given.log_base_WN))


class Autoregressive(Decoder):
    r"""Forecast all bins at once, then correct each by what came in the bins before it.

    Parameters
    ----------
    spec : WindowSpec
    likelihood : CountLikelihood
    width, num_heads, num_layers : int
        Of the unit reader, and of the causal layers over bins.
    num_unit_features, num_basis : int
        As in :class:`~neurohorizon.models.decoders.UnitQueries`.
    feedback : {"expected", "sampled"}
        What a forecast feeds back: its expected counts (one path, deterministic), or samples.
    num_paths : int
        Sampled paths whose mean is the forecast.
    dropout : float

    Notes
    -----
    The forecast of ``unit_queries`` stays, as :math:`\log \mu^0_{nb}`, and is what counts
    are compared with. What a count says is its surprise,

    .. math::

        s_{nb} = (k_{nb} - \mu^0_{nb}) / \sqrt{\mu^0_{nb} + 0.1},

    bounded; it reaches later bins by two ways, both strictly causal:

    1. pooled over the population, weighted by identity and divided by the root of the number
       of units, as the token of the next bin; bin tokens read the latents, and each other by
       causal attention;
    2. as the unit's own last bin and three exponential traces over the horizon so far.

    The change is :class:`~neurohorizon.nn.heads.FeedbackHead`'s, zero before training and where
    nothing surprises. So with expected counts fed back the direct forecast confirms itself, and
    errors cannot build up. (Free of this, roll-outs drifted away from the direct forecast within
    half a second.) Training scores both, the direct forecast and the corrected one. For latent
    linear dynamics seen through noise this is the form of the exact answer: forecasts are
    corrected linearly in the innovations (Kalman 1960).

    With the counts given, all bins are computed in one pass (teacher forcing). In a roll-out
    bins follow each other, and the keys and values of earlier bins are kept.
    """

    feeds_back = True
    bin_times_B: Tensor
    decay_K: Tensor
    kernel_KBB: Tensor

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
        feedback: Feedback,
        num_paths: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.likelihood, self.feedback, self.num_paths = likelihood, feedback, num_paths
        self.reader = UnitReader(
            width=width,
            num_heads=num_heads,
            num_layers=num_layers,
            has_latents=True,
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
        rotary = RotaryTime(head_width=width // num_heads)
        self.bin_query = nn.Parameter(0.02 * torch.randn(spec.num_bins, width))
        self.from_population = nn.Linear(width, width, bias=False)
        self.read_latents = CrossBlock(
            width=width, num_heads=num_heads, rotary=rotary, dropout=dropout
        )
        self.layers = nn.ModuleList(
            SelfBlock(width=width, num_heads=num_heads, rotary=rotary, dropout=dropout)
            for _ in range(num_layers)
        )
        self.correction = FeedbackHead(
            width=width, num_own=1 + len(TRACES_S), num_parameters=likelihood.num_parameters
        )
        self.register_buffer("bin_times_B", bin_times(spec), persistent=False)
        # The last bin is a trace that forgets at once.
        decay_K = torch.exp(-spec.bin_s / torch.tensor([1e-9, *TRACES_S]))
        self.register_buffer("decay_K", decay_K, persistent=False)
        past_BB = torch.arange(spec.num_bins)[:, None] - torch.arange(spec.num_bins) - 1
        kernel_KBB = (1 - decay_K)[:, None, None] * decay_K[:, None, None] ** past_BB.clamp(min=0)
        self.register_buffer("kernel_KBB", kernel_KBB * (past_BB >= 0), persistent=False)

    @property
    def head(self) -> nn.Module:
        """The last layers."""
        return nn.ModuleList([self.all_bins, self.correction])

    def forward(self, given: DecoderInput, counts_WNB: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters of each bin, given the counts of earlier bins.

        Parameters
        ----------
        given : DecoderInput
        counts_WNB : Tensor, optional
            Counts of all units, those of which nothing is asked included. Default: the
            expected counts of the forecast itself, bin after bin.

        Returns
        -------
        (W, Q, B, P) Tensor
        """
        if counts_WNB is None:
            return given.asked(self.roll_out(given).parameters_RWNBP[0])
        return self.correct(given, self.direct(given), counts_WNB)

    def correct(self, given: DecoderInput, direct: Direct, counts_WNB: Tensor) -> Tensor:
        """Correct a direct forecast by the counts of earlier bins, (W, Q, B, P)."""
        surprise_WNB = self._surprise(counts_WNB, direct.expected_WNB, given)
        pooled_WBD = self._pool(surprise_WNB, given)
        # A bin's token holds the bin before it.
        before_WBD = nn.functional.pad(pooled_WBD, (0, 0, 1, 0))[:, :-1]
        bins_WBD = self._read_bins(before_WBD, given)
        own_WQBK = torch.einsum("wnj,kbj->wnbk", given.asked(surprise_WNB), self.kernel_KBB)
        coupling, history = (given.asked(loading) for loading in direct.loadings)
        change_WQBP = self.correction(
            (coupling, history), bins_WBD, direct.unsurprised_WBD, own_WQBK
        )
        ratio_WQBP = given.asked(direct.ratio_WNBP) + change_WQBP
        return as_parameters(ratio_WQBP, given.asked(given.log_base_WN))

    def direct(self, given: DecoderInput) -> Direct:
        """Forecast every unit before anything is fed back: counts of all of them will be."""
        state_WND = self.reader(given.state_WND, given.latents_WMD)
        ratio_WNBP = self.all_bins(state_WND, given.features_WNF).float()
        parameters = as_parameters(ratio_WNBP, given.log_base_WN)
        return Direct(
            ratio_WNBP,
            # What counts are compared with; the forecast itself learns through the sum alone.
            torch.exp(parameters[..., 0]).detach(),
            self.correction.loadings(state_WND + given.identity_WND),
            self._read_bins(self.bin_query.new_zeros(len(state_WND), *self.bin_query.shape), given),
        )

    def roll_out(
        self,
        given: DecoderInput,
        *,
        num_paths: int | None = None,
        generator: torch.Generator | None = None,
    ) -> RollOut:
        """Follow paths through the horizon, all units of them, bin after bin.

        Parameters
        ----------
        given : DecoderInput
        num_paths : int, optional
            Paths of sampled counts. Default: one path of expected counts.
        generator : torch.Generator, optional
            Of the samples.
        """
        direct = self.direct(given)
        latents_WMD = given.latents_WMD
        assert latents_WMD is not None
        num_windows, paths = len(latents_WMD), num_paths or 1
        latents = self.read_latents.attention.project(latents_WMD).repeat(paths, 1, 1)
        times_VB = self.bin_times_B.expand(len(latents), -1)
        caches: list[Tensor | None] = [None for _ in self.layers]
        shape = (paths, *direct.expected_WNB.shape[:2])
        own_RWNK = direct.expected_WNB.new_zeros(*shape, len(self.decay_K))
        pooled_RWD = latents_WMD.new_zeros(paths, num_windows, latents_WMD.shape[-1])
        parameters, fed = [], []
        for step in range(len(self.bin_times_B)):
            # V: paths of all windows, side by side.
            token_V1D = self.bin_query[step] + self.from_population(pooled_RWD)
            # The latents lie at time 0, which turns nothing.
            token_V1D = self.read_latents(
                token_V1D.flatten(0, 1).unsqueeze(1),
                latents,
                query_times_BQ=times_VB[:, step : step + 1],
            )
            for index, layer in enumerate(self.layers):
                assert isinstance(layer, SelfBlock)
                token_V1D, caches[index] = layer.step(
                    token_V1D, caches[index], time_B1=times_VB[:, step : step + 1]
                )
            bins_RW1D = token_V1D.unflatten(0, (paths, num_windows))
            change = self.correction(
                direct.loadings,
                bins_RW1D,
                direct.unsurprised_WBD[:, step : step + 1],
                own_RWNK.unsqueeze(-2),
            )
            ratio_RWN1P = direct.ratio_WNBP[:, :, step : step + 1] + change
            here_RWNP = as_parameters(ratio_RWN1P, given.log_base_WN).squeeze(-2)
            if num_paths is None:
                counts_RWN = self.likelihood.mean(here_RWNP)
            else:
                counts_RWN = self.likelihood.sample(here_RWNP, generator=generator)
            parameters.append(here_RWNP)
            fed.append(counts_RWN)
            expected_WN1 = direct.expected_WNB[..., step : step + 1]
            surprise = self._surprise(counts_RWN.unsqueeze(-1), expected_WN1, given)
            own_RWNK = self.decay_K * own_RWNK + (1 - self.decay_K) * surprise
            pooled_RWD = self._pool(surprise, given).squeeze(-2)
        return RollOut(torch.stack(parameters, dim=-2), torch.stack(fed, dim=-1))

    def components(self, given: DecoderInput, generator: torch.Generator) -> Iterator[Tensor]:
        """Forecast each bin as a mixture over paths, as `feedback` says.

        Yields
        ------
        (R, W, Q, B, P) Tensor
        """
        if self.feedback == "expected":
            yield self(given).unsqueeze(0)
            return
        for some in self._paths(given, self.num_paths, generator):
            yield torch.stack([given.asked(each) for each in some.parameters_RWNBP])

    def sample(
        self, given: DecoderInput, *, num_samples: int, generator: torch.Generator
    ) -> Tensor:
        """Draw counts of all bins together, (R, W, Q, B): sampled counts are fed back."""
        paths = [some.counts_RWNB for some in self._paths(given, num_samples, generator)]
        return torch.stack([given.asked(each) for each in torch.cat(paths)])

    def _paths(
        self, given: DecoderInput, num_paths: int, generator: torch.Generator
    ) -> Iterator[RollOut]:
        """Sample paths, as many at once as memory should bear."""
        numbers = given.mask_WN.numel() * len(self.bin_times_B) * self.likelihood.num_parameters
        at_once = max(_MOST_AT_ONCE // max(numbers, 1), 1)
        for done in range(0, num_paths, at_once):
            several = min(at_once, num_paths - done)
            yield self.roll_out(given, num_paths=several, generator=generator)

    def _surprise(self, counts: Tensor, expected_WNB: Tensor, given: DecoderInput) -> Tensor:
        """Compare counts, (..., W, N, B), with the forecast without feedback."""
        surprise = (counts - expected_WNB) / torch.sqrt(expected_WNB + 0.1)
        return surprise.clamp(-4.0, 8.0) / 2 * given.mask_WN.unsqueeze(-1)

    def _pool(self, surprise: Tensor, given: DecoderInput) -> Tensor:
        """Pool the surprise of a population, (..., W, B, D)."""
        num_real_W = given.mask_WN.sum(dim=1).clamp(min=1)
        weight_WND = given.identity_WND / torch.sqrt(num_real_W)[:, None, None]
        return torch.einsum("...wnb,wnd->...wbd", surprise, weight_WND.float())

    def _read_bins(self, before_WBD: Tensor, given: DecoderInput) -> Tensor:
        """Let bin tokens read the latents and the bins before them."""
        latents_WMD = given.latents_WMD
        assert latents_WMD is not None
        times_WB = self.bin_times_B.expand(len(before_WBD), -1)
        bins_WBD = self.read_latents(
            self.bin_query + self.from_population(before_WBD),
            self.read_latents.attention.project(latents_WMD),
            query_times_BQ=times_WB,
        )
        for layer in self.layers:
            bins_WBD = layer(bins_WBD, times_BT=times_WB, causal=True)
        return bins_WBD
