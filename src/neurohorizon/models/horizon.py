"""NeuroHorizon: forecast every unit's spike counts from the population's past.

::

    log λ[n,b] = log(r_ref[n] · bin_s)        the unit's reference rate
               + f(identity[n],               who the unit is
                   own past[n],               its exponential traces and recent spikes
                   adapter[n, ·],             the closed-form population forecast
                   latents)                   what the context's events say

The last layer of f is zero at initialisation: an untrained model forecasts the reference
rate, and every bit above that is learned.

1. identity: what the reference says about each unit -> one vector a unit
2. unit states: identity + own past + adapter + tuning -> one vector a unit and window
3. tokens: spike events, unit states, population activity by time slot, conditions
4. encoder: latents read the tokens (cross-attention), then each other (self-attention)
5. decoder: each unit, or each bin, reads the latents
6. head: log-ratio to the reference rate, and how counts spread, in all bins of the horizon

Shapes: S references, W windows, N units, Q queried units, E events, L slots, B bins,
P parameters of the likelihood, D width, M latents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.conditions import ConditionTokens
from neurohorizon.models.cosmoothing import CoSmoother
from neurohorizon.models.encoder import Encoder, Injection
from neurohorizon.nn.attention import CrossBlock, FeedForward, SelfBlock
from neurohorizon.nn.heads import BasisHead, BinUnitHead, horizon_basis
from neurohorizon.nn.identity import Identity, IdentityMode
from neurohorizon.nn.identity_samples import UnitSamples
from neurohorizon.nn.likelihoods import LikelihoodName, make_likelihood
from neurohorizon.nn.rotary import RotaryTime
from neurohorizon.recordings.adapter import NUM_FORECASTS, PRIVATE_TRACES
from neurohorizon.recordings.batches import PSEUDO_COUNTS, ForecastBatch, slot_edges
from neurohorizon.recordings.conditions import MODALITIES
from neurohorizon.recordings.reference import NUM_FUNCTIONAL_FEATURES
from neurohorizon.recordings.reference_features import NUM_REFERENCE_FEATURES
from neurohorizon.recordings.windows import TRACE_TIME_CONSTANTS_S, WindowSpec

DecoderMode = Literal["unit_queries", "causal_bins"]
LOG_RATIO_LIMIT = 10.0
_TYPICAL_RATE_HZ = 3.0


class HorizonForecaster(nn.Module):
    """The forecaster.

    Parameters
    ----------
    spec : WindowSpec
        Geometry of the windows.
    width, num_heads : int
    num_encoder_layers : int
        Self-attention layers over the latents. 0 leaves the encoder out altogether: units
        are forecast from their own state.
    num_decoder_layers : int
    num_latents : int
    identity : str
        See :class:`neurohorizon.nn.identity.Identity`. ``windows`` and ``events`` read the
        samples that ``spec.samples`` asks for.
    num_known_units : int
        Rows of the learned identity table.
    decoder : str
        ``unit_queries``: each unit reads the latents and forecasts all bins at once;
        ``causal_bins``: learned bin queries read the latents and each other causally, a
        head on (bin, identity) gives rates: the original design.
    likelihood : str
        How counts spread around their expectation, see :mod:`neurohorizon.nn.likelihoods`.
    num_classes : int
        Of the likelihood ``categorical``.
    use_rate, use_past, use_adapter : bool
        Whether the rate term, the unit's own past, and the adapter are given.
    use_events, use_unit_tokens, use_population_tokens : bool
        Which tokens the encoder reads.
    num_basis : int
        Functions of the horizon in the head of ``unit_queries``.
    dropout : float
    identity_noise : float
        Standard deviation of noise on the standardised features of the reference in
        training: keeps a model of few units from learning them by heart.
    behavior_columns : sequence of int
        Columns of each series of ``spec.conditions``.
    picture_dimensions : int
        Of the embeddings of ``spec.conditions``.
    inject, inject_every
        How conditions enter, see :class:`neurohorizon.models.encoder.Encoder`.
    use_tuning : bool
        Whether each unit is given its tuning to the conditions.
    cosmoothing : bool
        Whether there is a head for hidden units (`cosmooth`).
    num_offsets : int
        Units that an adaptation has given an offset (`with_offsets`).

    References
    ----------
    Jaegle et al. 2021 (Perceiver), arXiv:2103.03206; Azabou et al. 2023 (POYO),
    arXiv:2310.16046, for spikes as tokens.
    """

    bin_times_B: Tensor
    slot_width_L: Tensor

    def __init__(
        self,
        *,
        spec: WindowSpec,
        width: int = 64,
        num_heads: int = 4,
        num_encoder_layers: int = 2,
        num_decoder_layers: int = 1,
        num_latents: int = 16,
        identity: IdentityMode = "functional",
        num_known_units: int = 0,
        decoder: DecoderMode = "unit_queries",
        likelihood: LikelihoodName = "poisson",
        num_classes: int = 6,
        use_rate: bool = True,
        use_past: bool = True,
        use_adapter: bool = True,
        use_events: bool = True,
        use_unit_tokens: bool = True,
        use_population_tokens: bool = True,
        num_basis: int = 16,
        dropout: float = 0.0,
        identity_noise: float = 0.0,
        behavior_columns: Sequence[int] = (),
        picture_dimensions: int = 0,
        inject: Injection = "layers",
        inject_every: int = 1,
        use_tuning: bool = True,
        cosmoothing: bool = False,
        num_offsets: int = 0,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "spec": asdict(spec),
            "width": width,
            "num_heads": num_heads,
            "num_encoder_layers": num_encoder_layers,
            "num_decoder_layers": num_decoder_layers,
            "num_latents": num_latents,
            "identity": identity,
            "num_known_units": num_known_units,
            "decoder": decoder,
            "likelihood": likelihood,
            "num_classes": num_classes,
            "use_rate": use_rate,
            "use_past": use_past,
            "use_adapter": use_adapter,
            "use_events": use_events,
            "use_unit_tokens": use_unit_tokens,
            "use_population_tokens": use_population_tokens,
            "num_basis": num_basis,
            "dropout": dropout,
            "identity_noise": identity_noise,
            "behavior_columns": list(behavior_columns),
            "picture_dimensions": picture_dimensions,
            "inject": inject,
            "inject_every": inject_every,
            "use_tuning": use_tuning,
            "cosmoothing": cosmoothing,
            "num_offsets": num_offsets,
        }
        for mode, drawn in (
            ("windows", spec.samples.num_windows),
            ("events", spec.samples.num_spikes),
        ):
            if identity == mode and not drawn:
                raise ConfigError(
                    f"identity {mode} reads samples of the reference: set spec.samples"
                )
        self.spec = spec
        self.decoder = decoder
        self.likelihood = make_likelihood(likelihood, num_classes=num_classes)
        self.use_rate = use_rate
        self.use_past = use_past
        self.use_adapter = use_adapter
        self.use_tuning = use_tuning and bool(spec.conditions)
        self.num_slots = len(slot_edges(spec.context_s)) - 1
        self.identity = Identity(
            mode=identity,
            num_statistics=NUM_REFERENCE_FEATURES,
            num_functional=NUM_FUNCTIONAL_FEATURES,
            width=width,
            num_known_units=num_known_units,
            noise=identity_noise,
            num_window_bins=round(spec.samples.window_s / spec.bin_s),
            num_heads=num_heads,
        )
        self.num_unit_features = self._count_unit_features()
        self.unit_state = nn.Sequential(
            nn.Linear(width + self.num_unit_features, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )
        self.encoder = (
            Encoder(
                spec=spec,
                width=width,
                num_heads=num_heads,
                num_layers=num_encoder_layers,
                num_latents=num_latents,
                use_events=use_events,
                use_unit_tokens=use_unit_tokens,
                use_population_tokens=use_population_tokens,
                dropout=dropout,
                conditions=ConditionTokens(
                    spec=spec.conditions,
                    behavior_columns=behavior_columns,
                    picture_dimensions=picture_dimensions,
                    width=width,
                )
                if spec.conditions
                else None,
                inject=inject,
                inject_every=inject_every,
            )
            if num_encoder_layers > 0
            else None
        )
        rotary = RotaryTime(head_width=width // num_heads)
        if decoder == "unit_queries":
            self.decoder_layers = nn.ModuleList(
                CrossBlock(width=width, num_heads=num_heads, dropout=dropout)
                if self.encoder is not None
                else FeedForward(width=width, dropout=dropout)
                for _ in range(num_decoder_layers)
            )
            self.head = BasisHead(
                width=width,
                num_linear=self.num_unit_features,
                hidden=2 * width,
                basis_CB=horizon_basis(
                    num_bins=spec.num_bins, bin_s=spec.bin_s, num_functions=num_basis
                ),
                num_parameters=self.likelihood.num_parameters,
                dropout=dropout,
            )
        else:
            assert self.encoder is not None, "causal_bins reads latents: it needs an encoder"
            self.bin_query = nn.Parameter(0.02 * torch.randn(spec.num_bins, width))
            self.read_latents = CrossBlock(
                width=width, num_heads=num_heads, rotary=rotary, dropout=dropout
            )
            self.decoder_layers = nn.ModuleList(
                SelfBlock(width=width, num_heads=num_heads, rotary=rotary, dropout=dropout)
                for _ in range(num_decoder_layers)
            )
            self.head = BinUnitHead(
                width=width, hidden=2 * width, num_parameters=self.likelihood.num_parameters
            )
        self.cosmoother = (
            CoSmoother(
                width=width,
                num_heads=num_heads,
                num_layers=num_decoder_layers,
                num_bins=spec.num_context_bins,
                num_parameters=self.likelihood.num_parameters,
                reads_latents=self.encoder is not None,
                dropout=dropout,
            )
            if cosmoothing
            else None
        )
        # The last column is added to the log-rate; row 0, of units that are not known, stays 0.
        self.offsets = (
            nn.Embedding(num_offsets + 1, width + 1, padding_idx=0) if num_offsets else None
        )
        if self.offsets is not None:
            nn.init.zeros_(self.offsets.weight)
        bin_times = (torch.arange(spec.num_bins) + 0.5) * spec.bin_s
        self.register_buffer("bin_times_B", bin_times, persistent=False)
        edges = torch.as_tensor(slot_edges(spec.context_s), dtype=torch.float32)
        self.register_buffer("slot_width_L", edges.diff(), persistent=False)

    def _count_unit_features(self) -> int:
        num_traces = len(PSEUDO_COUNTS) * len(TRACE_TIME_CONSTANTS_S)
        num_past = 2 * num_traces + self.num_slots + 1 if self.use_past else 0
        num_adapter = 2 * NUM_FORECASTS * self.spec.num_groups + len(PRIVATE_TRACES) + 1
        num_tuning = (2 * self.spec.num_groups + 2) * len(MODALITIES)
        return (
            num_past
            + (num_adapter if self.use_adapter else 0)
            + (num_tuning if self.use_tuning else 0)
        )

    def set_pictures(self, mean: NDArray[np.floating], scale: float) -> None:
        """Take over the mean (E,) and the deviation of the training pictures' embeddings."""
        if self.encoder is not None and self.encoder.conditions is not None and len(mean):
            self.encoder.conditions.set_pictures(mean=mean, scale=scale)

    def identities(self, batch: ForecastBatch) -> Tensor:
        """Compute what stands for each unit from its reference, (S, N, D)."""
        samples = UnitSamples(
            batch.sample_counts_SNML,
            batch.sample_mask_SM,
            batch.run_time_SNRK,
            batch.run_interval_SNRKI,
            batch.run_mask_SNRK,
        )
        identity_SND = self.identity(
            batch.statistics_SNF, batch.functional_SNF, batch.known_unit_SN, samples
        )
        if self.offsets is not None:
            identity_SND = identity_SND + self.offsets(batch.known_unit_SN)[..., :-1]
        return identity_SND

    def with_offsets(self, num_units: int) -> HorizonForecaster:
        """Return a copy in which each of some units can be given an offset, zero at first.

        Raises
        ------
        ConfigError
            If rows of known units have another meaning already.
        """
        if self.settings["identity"] == "learned" or self.offsets is not None:
            raise ConfigError(
                "offsets of units need a model that was not adapted by them before and whose "
                "identity is not learned: adapt by low_rank or full"
            )
        settings = self.settings | {"spec": self.spec, "num_offsets": num_units}
        copied = HorizonForecaster(**settings)
        copied.load_state_dict(self.state_dict(), strict=False)
        return copied.to(self.bin_times_B.device)

    def _rates(self, batch: ForecastBatch) -> Tensor:
        """Return the rates that forecasts are relative to, in Hz, (S, N)."""
        if self.offsets is None:
            return batch.rate_SN
        return batch.rate_SN * torch.exp(self.offsets(batch.known_unit_SN)[..., -1])

    def forward(
        self,
        batch: ForecastBatch,
        query_units_WQ: Tensor | None = None,
        *,
        identity_SND: Tensor | None = None,
    ) -> Tensor:
        """Forecast the distribution of counts.

        Parameters
        ----------
        batch : ForecastBatch
        query_units_WQ : Tensor of int64, optional
            Units to forecast in each window; default all. Every unit is read all the same.
        identity_SND : Tensor, optional
            What `identities` returned for the same references, where it was kept.

        Returns
        -------
        (W, N, B, P) or (W, Q, B, P) Tensor
            What `self.likelihood` takes; first the logarithm of a rate times the bin's width.
        """
        # 1. identity
        if identity_SND is None:
            identity_SND = self.identities(batch)
        identity_WND = identity_SND[batch.reference_W]
        # 2. unit states
        features_WNF = self._unit_features(batch)
        state_WND = self.unit_state(torch.cat([identity_WND, features_WNF], dim=-1))
        # 3. and 4. tokens and latents
        latents_WMD = (
            self.encoder(batch, identity_SND, state_WND, self._surprise(batch))
            if self.encoder is not None
            else None
        )
        # 5. and 6. decoder and head
        rate_WN = self._rates(batch)[batch.reference_W]
        if query_units_WQ is not None:
            identity_WND, state_WND, features_WNF = (
                _take_units(tensor, query_units_WQ)
                for tensor in (identity_WND, state_WND, features_WNF)
            )
            rate_WN = rate_WN.gather(1, query_units_WQ)
        if self.decoder == "unit_queries":
            parameters_WNBP = self._decode_units(state_WND, features_WNF, latents_WMD).float()
        else:
            parameters_WNBP = self._decode_bins(identity_WND + state_WND, latents_WMD).float()
        log_mean = parameters_WNBP[..., :1].clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
        if self.use_rate:
            log_mean = log_mean + torch.log(rate_WN * self.spec.bin_s)[..., None, None]
        else:
            log_mean = log_mean + math.log(self.spec.bin_s)
        return torch.cat([log_mean, parameters_WNBP[..., 1:]], dim=-1)

    def expected_counts(
        self,
        batch: ForecastBatch,
        query_units_WQ: Tensor | None = None,
        *,
        identity_SND: Tensor | None = None,
    ) -> Tensor:
        """Forecast the expected counts of each bin, (W, N, B) or (W, Q, B)."""
        return self.likelihood.mean(self(batch, query_units_WQ, identity_SND=identity_SND))

    def cosmooth(self, batch: ForecastBatch, query_units_WQ: Tensor | None = None) -> Tensor:
        """Tell the distribution of counts in the context of hidden units, from all others.

        Parameters
        ----------
        batch : ForecastBatch
            Of groups in which units are hidden.
        query_units_WQ : Tensor of int64, optional
            Default all units; only those of hidden ones mean anything.

        Returns
        -------
        (W, N, T, P) or (W, Q, T, P) Tensor
            As of `forward`, for the bins of the context.
        """
        assert self.cosmoother is not None, "made without cosmoothing: it has no head for it"
        identity_SND = self.identities(batch)
        features_WNF = self._unit_features(batch)
        identity_WND = identity_SND[batch.reference_W]
        state_WND = self.unit_state(torch.cat([identity_WND, features_WNF], dim=-1))
        latents_WMD = (
            self.encoder(batch, identity_SND, state_WND, self._surprise(batch))
            if self.encoder is not None
            else None
        )
        smoothed_WNT, rate_WN = batch.smoothed_WNT, self._rates(batch)[batch.reference_W]
        if query_units_WQ is not None:
            state_WND, smoothed_WNT = (
                _take_units(tensor, query_units_WQ) for tensor in (state_WND, smoothed_WNT)
            )
            rate_WN = rate_WN.gather(1, query_units_WQ)
        parameters = self.cosmoother(state_WND, smoothed_WNT, latents_WMD).float()
        log_mean = parameters[..., :1].clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
        # Whatever forecasts are relative to: of a hidden unit nothing else tells the rate.
        log_mean = log_mean + torch.log(rate_WN * self.spec.bin_s)[..., None, None]
        return torch.cat([log_mean, parameters[..., 1:]], dim=-1)

    def _surprise(self, batch: ForecastBatch) -> Tensor:
        """Spikes by slot minus their expectation, over about its root: (W, N, L)."""
        expected_SNL = batch.rate_SN.unsqueeze(-1) * self.slot_width_L
        expected_WNL = expected_SNL[batch.reference_W]
        surprise = (batch.slots_WNL - expected_WNL) / torch.sqrt(expected_WNL + 0.1)
        return surprise * batch.unit_mask_WN.unsqueeze(-1)

    def _unit_features(self, batch: ForecastBatch) -> Tensor:
        """Gather what a unit's own past, the adapter and the tuning say, (W, N, F)."""
        parts = []
        num_units = batch.traces_WNK.shape[1]
        if self.use_past:
            population = batch.population_WK.unsqueeze(1).expand(-1, num_units, -1)
            log_rate = torch.log(batch.rate_SN / _TYPICAL_RATE_HZ)[batch.reference_W]
            surprise = self._surprise(batch).clamp(-4.0, 8.0) / 2
            parts += [batch.traces_WNK, population, surprise, log_rate.unsqueeze(-1)]
        if self.use_adapter:
            adapter = batch.adapter_WNGM.flatten(2)
            given = batch.adapter_mask_W[:, None, None].expand(-1, num_units, 1)
            parts += [adapter / 2, torch.log((1.0 + adapter).clamp(min=0.1))]
            parts += [batch.private_WNP, given]
        if self.use_tuning:
            tuning = batch.tuning_WNGC.flatten(2)
            skill_WNC = batch.tuning_skill_SNC[batch.reference_W] * batch.given_WC[:, None]
            given = batch.given_WC[:, None].expand(-1, num_units, -1)
            parts += [tuning / 2, torch.log((1.0 + tuning).clamp(min=0.1))]
            parts += [5.0 * torch.sqrt(skill_WNC), given]
        if not parts:
            return batch.traces_WNK[..., :0]
        return torch.cat(parts, dim=-1)

    def _decode_units(
        self, state_WQD: Tensor, features_WQF: Tensor, latents_WMD: Tensor | None
    ) -> Tensor:
        for layer in self.decoder_layers:
            if isinstance(layer, CrossBlock):
                assert latents_WMD is not None
                state_WQD = layer(state_WQD, layer.attention.project(latents_WMD))
            else:
                state_WQD = state_WQD + layer(state_WQD)
        return self.head(state_WQD, features_WQF)

    def _decode_bins(self, units_WQD: Tensor, latents_WMD: Tensor | None) -> Tensor:
        assert latents_WMD is not None
        bins_WBD = self.bin_query.expand(len(latents_WMD), -1, -1)
        times_WB = self.bin_times_B.expand(len(latents_WMD), -1)
        bins_WBD = self.read_latents(
            bins_WBD,
            self.read_latents.attention.project(latents_WMD),
            query_times_BQ=times_WB,
            key_times_BT=torch.zeros_like(latents_WMD[..., 0]),
        )
        for layer in self.decoder_layers:
            bins_WBD = layer(bins_WBD, times_BT=times_WB, causal=True)
        return self.head(bins_WBD, units_WQD)


def _take_units(values_WNF: Tensor, units_WQ: Tensor) -> Tensor:
    index = units_WQ.unsqueeze(-1).expand(-1, -1, values_WNF.shape[-1])
    return values_WNF.gather(1, index)
