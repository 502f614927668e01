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
5. decoder: each unit, or each bin, reads the latents; heads give log-ratios to the reference
   rate, and how counts spread, in all bins of the horizon

Shapes: S references, W windows, N units, Q queried units, E events, L slots, B bins,
R paths, P parameters of the likelihood, D width, M latents.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.autoregressive import Autoregressive, Feedback
from neurohorizon.models.conditions import ConditionTokens
from neurohorizon.models.cosmoothing import CoSmoother
from neurohorizon.models.decoders import (
    CausalBins,
    CoarseToFine,
    Decoder,
    DecoderInput,
    DecoderMode,
    UnitQueries,
)
from neurohorizon.models.encoder import Encoder, Injection
from neurohorizon.models.unit_features import UnitFeatures
from neurohorizon.nn.attention import CrossBlock, SelfBlock
from neurohorizon.nn.identity import Identity, IdentityMode
from neurohorizon.nn.identity_samples import UnitSamples
from neurohorizon.nn.likelihoods import LikelihoodName, make_likelihood
from neurohorizon.nn.recompute import recompute
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.reference import NUM_FUNCTIONAL_FEATURES
from neurohorizon.recordings.reference_features import NUM_REFERENCE_FEATURES
from neurohorizon.recordings.window_spec import WindowSpec


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
    standardise : bool
        Whether the reference's features are standardised.
    num_known_units : int
        Rows of the learned identity table.
    decoder : str
        ``unit_queries``: each unit reads the latents and forecasts all bins at once;
        ``causal_bins``: learned bin queries read the latents and each other causally, a
        head on (bin, identity) gives rates: the original design; ``autoregressive``: as
        ``unit_queries``, and each bin is corrected by the counts of the bins before it;
        ``coarse_to_fine``: 100 ms blocks first, then how each is divided.
    causal : bool
        Whether the bins of ``causal_bins`` read earlier bins alone, or all.
    feedback : {"expected", "sampled"}
        What forecasts of ``autoregressive`` feed back.
    num_paths : int
        Paths whose mean is the forecast, with sampled feedback.
    likelihood : str
        How counts spread around their expectation, see :mod:`neurohorizon.nn.likelihoods`.
    num_classes : int
        Of the likelihood ``categorical``.
    use_rate, use_past, use_adapter : bool
        Whether the rate term, the unit's own past, and the adapter are given.
    use_events, use_unit_tokens, use_population_tokens : bool
        Which tokens the encoder reads.
    use_labels : bool
        Whether spike events tell which unit fired; without, who trains the model and who
        forecasts with it are to shuffle them
        (:meth:`~neurohorizon.recordings.windows.Windows.with_shuffled_events`).
    num_basis : int
        Functions of the horizon in the heads of all decoders but ``causal_bins``.
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

    decoder: Decoder

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
        standardise: bool = True,
        num_known_units: int = 0,
        decoder: DecoderMode = "unit_queries",
        causal: bool = True,
        feedback: Feedback = "expected",
        num_paths: int = 32,
        likelihood: LikelihoodName = "poisson",
        num_classes: int = 6,
        use_rate: bool = True,
        use_past: bool = True,
        use_adapter: bool = True,
        use_events: bool = True,
        use_unit_tokens: bool = True,
        use_population_tokens: bool = True,
        use_labels: bool = True,
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
            "standardise": standardise,
            "num_known_units": num_known_units,
            "decoder": decoder,
            "causal": causal,
            "feedback": feedback,
            "num_paths": num_paths,
            "likelihood": likelihood,
            "num_classes": num_classes,
            "use_rate": use_rate,
            "use_past": use_past,
            "use_adapter": use_adapter,
            "use_events": use_events,
            "use_unit_tokens": use_unit_tokens,
            "use_population_tokens": use_population_tokens,
            "use_labels": use_labels,
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
        self.likelihood = make_likelihood(likelihood, num_classes=num_classes)
        self.use_rate = use_rate
        self.use_labels = use_labels
        self.identity = Identity(
            mode=identity,
            num_statistics=NUM_REFERENCE_FEATURES,
            num_functional=NUM_FUNCTIONAL_FEATURES,
            width=width,
            standardise=standardise,
            num_known_units=num_known_units,
            noise=identity_noise,
            num_window_bins=round(spec.samples.window_s / spec.bin_s),
            num_heads=num_heads,
        )
        self.unit_features = UnitFeatures(
            spec, use_past=use_past, use_adapter=use_adapter, use_tuning=use_tuning
        )
        self.num_unit_features = self.unit_features.num_features
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
        sizes = {"width": width, "num_heads": num_heads, "num_layers": num_decoder_layers}
        common = {"spec": spec, "likelihood": self.likelihood, "dropout": dropout, **sizes}
        by_unit = {"num_unit_features": self.num_unit_features, "num_basis": num_basis}
        if decoder == "causal_bins" or decoder == "autoregressive":
            assert self.encoder is not None, f"{decoder} reads latents: it needs an encoder"
        if decoder == "causal_bins":
            self.decoder = CausalBins(causal=causal, **common)
        elif decoder == "autoregressive":
            self.decoder = Autoregressive(
                feedback=feedback, num_paths=num_paths, **by_unit, **common
            )
        else:
            kind = UnitQueries if decoder == "unit_queries" else CoarseToFine
            self.decoder = kind(has_latents=self.encoder is not None, **by_unit, **common)
        self.cosmoother = (
            CoSmoother(
                width=width,
                num_heads=num_heads,
                num_layers=num_decoder_layers,
                num_bins=spec.num_context_bins,
                num_parameters=self.likelihood.num_parameters,
                has_latents=self.encoder is not None,
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

    @property
    def head(self) -> nn.Module:
        """The last layers: zero before training."""
        return self.decoder.head

    def set_pictures(self, mean: NDArray[np.floating], scale: float) -> None:
        """Take over the mean (E,) and the deviation of the training pictures' embeddings."""
        if self.encoder is not None and self.encoder.conditions is not None and len(mean):
            self.encoder.conditions.set_pictures(mean=mean, scale=scale)

    def checkpoint_activations(self) -> None:
        """Compute what layers keep for the backward pass again there: less memory, more time."""
        if self.encoder is not None:
            recompute(self.encoder, "_read_in_parts")
        for module in self.modules():
            if isinstance(module, SelfBlock | CrossBlock):
                recompute(module)

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
        return copied.to(next(self.parameters()).device)

    def drop_forecast(self) -> None:
        """Leave out what forecasts alone need; afterwards only `read` and `identities` work."""
        del self.decoder
        self.cosmoother = None

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
        counts_WNB: Tensor | None = None,
        identity_SND: Tensor | None = None,
    ) -> Tensor:
        """Forecast the distribution of counts.

        Parameters
        ----------
        batch : ForecastBatch
        query_units_WQ : Tensor of int64, optional
            Units to forecast in each window; default all. Every unit is read all the same.
        counts_WNB : Tensor, optional
            Counts of all units that an autoregressive decoder feeds back (teacher forcing).
            Default: its own expected counts.
        identity_SND : Tensor, optional
            What `identities` returned for the same references, where it was kept.

        Returns
        -------
        (W, N, B, P) or (W, Q, B, P) Tensor
            What `self.likelihood` takes; first the logarithm of a rate times the bin's width.
        """
        given = self.read(batch, query_units_WQ, identity_SND=identity_SND)
        return self.decoder(given, counts_WNB)

    def read(
        self,
        batch: ForecastBatch,
        query_units_WQ: Tensor | None = None,
        *,
        identity_SND: Tensor | None = None,
    ) -> DecoderInput:
        """Read a batch: all that the decoder is given."""
        # 1. identity
        if identity_SND is None:
            identity_SND = self.identities(batch)
        identity_WND = identity_SND[batch.reference_W]
        # 2. unit states
        features_WNF = self.unit_features(batch)
        state_WND = self.unit_state(torch.cat([identity_WND, features_WNF], dim=-1))
        # 3. and 4. tokens and latents
        latents_WMD = (
            self.encoder(batch, identity_SND, state_WND, self.unit_features.surprise(batch))
            if self.encoder is not None
            else None
        )
        rate_WN = self._rates(batch)[batch.reference_W]
        return DecoderInput(
            identity_WND=identity_WND,
            state_WND=state_WND,
            features_WNF=features_WNF,
            log_base_WN=torch.log(rate_WN * self.spec.bin_s)
            if self.use_rate
            else torch.full_like(rate_WN, math.log(self.spec.bin_s)),
            mask_WN=batch.unit_mask_WN,
            latents_WMD=latents_WMD,
            units_WQ=query_units_WQ,
        )

    def components(
        self,
        batch: ForecastBatch,
        query_units_WQ: Tensor | None = None,
        *,
        identity_SND: Tensor | None = None,
        seed: int = 0,
    ) -> Iterator[Tensor]:
        """Forecast each bin as an equally weighted mixture, some components at a time.

        Nothing of `batch.counts_WNB` is read. Without sampled feedback there is one component.

        Yields
        ------
        (R, W, N, B, P) or (R, W, Q, B, P) Tensor
            What `self.likelihood` takes.
        """
        generator = torch.Generator(batch.counts_WNB.device).manual_seed(seed)
        given = self.read(batch, query_units_WQ, identity_SND=identity_SND)
        yield from self.decoder.components(given, generator)

    def expected_counts(
        self,
        batch: ForecastBatch,
        query_units_WQ: Tensor | None = None,
        *,
        identity_SND: Tensor | None = None,
    ) -> Tensor:
        """Forecast the expected counts of each bin, (W, N, B) or (W, Q, B)."""
        total, number = torch.zeros(()), 0
        for parameters in self.components(batch, query_units_WQ, identity_SND=identity_SND):
            mean_RWNB = self.likelihood.mean(parameters)
            total, number = total + mean_RWNB.sum(dim=0), number + len(mean_RWNB)
        return total / number

    def sample_counts(
        self, batch: ForecastBatch, *, num_samples: int, generator: torch.Generator
    ) -> Tensor:
        """Draw counts, (R, W, N, B); bins depend on each other if counts are fed back."""
        return self.decoder.sample(self.read(batch), num_samples=num_samples, generator=generator)

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
        given = self.read(batch, query_units_WQ)
        rate_WN = self._rates(batch)[batch.reference_W]
        return self.cosmoother(given, batch.smoothed_WNT, torch.log(rate_WN * self.spec.bin_s))
