"""The section ``model``: the forecaster and its sizes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from neurohorizon.configs.section import (
    Count,
    CountOrNone,
    NotNegative,
    Section,
    ShareOrNone,
    Switch,
    idle,
)
from neurohorizon.errors import ConfigError
from neurohorizon.recordings.reference_samples import SPIKES_OF_A_RUN, SampleSpec

SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "width": 64,
        "num_heads": 4,
        "num_encoder_layers": 2,
        "num_decoder_layers": 1,
        "num_latents": 16,
    },
    "small": {
        "width": 256,
        "num_heads": 4,
        "num_encoder_layers": 4,
        "num_decoder_layers": 2,
        "num_latents": 32,
    },
    "base": {
        "width": 512,
        "num_heads": 8,
        "num_encoder_layers": 8,
        "num_decoder_layers": 4,
        "num_latents": 64,
    },
    "large": {
        "width": 768,
        "num_heads": 12,
        "num_encoder_layers": 12,
        "num_decoder_layers": 6,
        "num_latents": 64,
    },
}
"""What `model.size` stands for; a key that is given beside it overrides it."""


class ModelConfig(Section):
    """The forecaster."""

    name: Literal["horizon"] = "horizon"
    size: Literal["tiny", "small", "base", "large"] = "tiny"
    """Sets width, heads, layers and latents where they are not given."""
    width: Count = SIZES["tiny"]["width"]
    """Features of a token."""
    num_heads: Count = SIZES["tiny"]["num_heads"]
    """Attention heads; they divide the width."""
    num_encoder_layers: CountOrNone = SIZES["tiny"]["num_encoder_layers"]
    """Self-attention layers over the latents; 0 leaves the encoder out."""
    num_decoder_layers: Count = SIZES["tiny"]["num_decoder_layers"]
    """Layers between the latents and the forecast."""
    num_latents: Count = SIZES["tiny"]["num_latents"]
    """Latents of the encoder."""
    identity: Literal[
        "functional", "statistics", "windows", "events", "learned", "random", "linear"
    ] = "functional"
    """What stands for a unit."""
    identity_windows: Count = 60
    """Of identity windows: windows of binned counts that are drawn from a reference."""
    identity_window_s: Annotated[float, Field(strict=True, ge=0.01, le=10)] = 1.0
    """Of identity windows: their length, in seconds; a whole number of bins."""
    identity_spikes: Annotated[int, Field(strict=True, ge=SPIKES_OF_A_RUN)] = 128
    """Of identity events: spikes of each unit that are drawn from a reference."""
    standardise: Switch = True
    """Standardise the reference's features; false takes them as they are."""
    decoder: Literal["unit_queries", "causal_bins", "autoregressive", "coarse_to_fine"] = (
        "unit_queries"
    )
    """All bins at once by unit, or by bin; with counts fed back; 100 ms first, then bins."""
    causal: Switch = True
    """Bins of the decoder causal_bins read earlier bins alone; false lets them read all."""
    feedback: Literal["expected", "sampled"] = "expected"
    """What forecasts of the decoder autoregressive feed back."""
    num_paths: Annotated[int, Field(strict=True, ge=2)] = 32
    """Sampled paths whose mean is the forecast, with sampled feedback."""
    likelihood: Literal["poisson", "negative_binomial", "zero_inflated_poisson", "categorical"] = (
        "poisson"
    )
    """How counts spread around what is expected."""
    num_classes: Annotated[int, Field(strict=True, ge=2, le=64)] = 6
    """Of the likelihood categorical: counts 0, 1, ... and one class for all larger ones."""
    use_rate: Switch = True
    """Forecast relative to the unit's reference rate."""
    use_past: Switch = True
    """Give each unit its own past (traces and recent spikes)."""
    use_adapter: Switch = True
    """Give each unit the closed-form population forecast."""
    use_events: Switch = True
    """The encoder reads single spikes."""
    use_unit_tokens: Switch = True
    """The encoder reads one token a unit."""
    use_population_tokens: Switch = True
    """The encoder reads the population's activity by time slot."""
    use_labels: Switch = True
    """Single spikes tell which unit fired; false shuffles that, to see what it is worth."""
    num_basis: Count = 16
    """Functions of the horizon, in the heads of all decoders but causal_bins."""
    dropout: ShareOrNone = 0.0
    """Dropout in all layers."""
    identity_noise: NotNegative = 0.0
    """Standard deviation of noise on the reference's standardised features, in training."""

    @model_validator(mode="before")
    @classmethod
    def _expand_size(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {**SIZES.get(str(values.get("size", "tiny")), {}), **values}
        return values

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.width % self.num_heads:
            divisors = [n for n in range(1, self.width + 1) if self.width % n == 0]
            below = [n for n in divisors if n < self.num_heads][-1:]
            above = [n for n in divisors if n > self.num_heads][:1]
            raise ConfigError(
                f"model.num_heads is {self.num_heads}, which does not divide model.width "
                f"{self.width}: choose {' or '.join(map(str, below + above))}"
            )
        if self.width == self.num_heads:
            raise ConfigError(
                f"model.num_heads is {self.num_heads}, which leaves each head a single feature of "
                f"model.width {self.width}, and time is told by pairs: choose fewer heads"
            )
        if self.num_encoder_layers == 0:
            if self.decoder in ("causal_bins", "autoregressive"):
                raise ConfigError(
                    f"model.decoder {self.decoder} reads the encoder's latents, but "
                    "model.num_encoder_layers is 0: use unit_queries, or at least 1 layer"
                )
            for key in ("use_events", "use_unit_tokens", "use_population_tokens", "use_labels"):
                _refuse_idle(self, key, "without an encoder (model.num_encoder_layers is 0)")
            if self.num_latents != SIZES[self.size]["num_latents"]:
                raise idle("model.num_latents", "without an encoder")
        elif not (self.use_events or self.use_unit_tokens or self.use_population_tokens):
            raise ConfigError(
                "model.use_events, use_unit_tokens and use_population_tokens are all false: the "
                "encoder reads nothing; set model.num_encoder_layers=0 to leave it out"
            )
        if self.identity in ("windows", "events", "learned", "random"):
            _refuse_idle(self, "identity_noise", f"with model.identity={self.identity}")
            _refuse_idle(self, "standardise", f"with model.identity={self.identity}")
        for mode, keys in _KEYS_OF_IDENTITY.items():
            for key in keys if self.identity != mode else ():
                _refuse_idle(self, key, f"with model.identity={self.identity}")
        if self.decoder == "causal_bins":
            _refuse_idle(self, "num_basis", "with model.decoder=causal_bins")
        if self.decoder != "causal_bins":
            _refuse_idle(self, "causal", f"with model.decoder={self.decoder}")
        if not self.use_events:
            _refuse_idle(self, "use_labels", "with model.use_events=false")
        if self.decoder != "autoregressive":
            _refuse_idle(self, "feedback", f"with model.decoder={self.decoder}")
        if self.feedback != "sampled":
            _refuse_idle(self, "num_paths", f"with model.feedback={self.feedback}")
        if self.likelihood != "categorical":
            _refuse_idle(self, "num_classes", f"with model.likelihood={self.likelihood}")
        return self

    def samples(self) -> SampleSpec:
        """Return what the identity reads of a reference besides features."""
        if self.identity == "windows":
            return SampleSpec(num_windows=self.identity_windows, window_s=self.identity_window_s)
        return SampleSpec(num_spikes=self.identity_spikes if self.identity == "events" else 0)


_KEYS_OF_IDENTITY = {
    "windows": ("identity_windows", "identity_window_s"),
    "events": ("identity_spikes",),
}


def _refuse_idle(section: ModelConfig, key: str, why: str) -> None:
    if getattr(section, key) != type(section).model_fields[key].default:
        raise idle(f"model.{key}", why)
