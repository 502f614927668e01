"""The section ``model`` of a decoder that reads windows through a forecaster's encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from neurohorizon.configs.model_schema import SIZES
from neurohorizon.configs.section import Count, NotNegative, Section, ShareOrNone, Switch, idle
from neurohorizon.errors import ConfigError

_SIZED = ("width", "num_heads", "num_encoder_layers", "num_latents")


class ForecasterModel(Section):
    """A forecaster's encoder, read by queries: its own weights, or from scratch."""

    name: Literal["forecaster"] = "forecaster"
    run: Path | None = None
    """Run folder or model file of the forecaster; null for a new encoder of model.size."""
    weights: Literal["run", "random"] = "run"
    """With model.run: the run's weights, or random ones in its architecture, to compare."""
    frozen: Switch = False
    """Leave the encoder as it is; false tunes it."""
    encoder_rate_share: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.1
    """Of the learning rate, what the encoder of a run is tuned with."""
    offsets: Switch = True
    """Learn an offset of each unit's identity; false knows units by a reference alone."""
    num_query_layers: Count = 1
    """Cross-attention layers between queries and what the encoder says."""
    size: Literal["tiny", "small", "base", "large"] | None = None
    """Without model.run: sets width, heads, layers and latents where they are not given."""
    width: Count | None = None
    """Features of a token; null for the run's."""
    num_heads: Count | None = None
    """Attention heads, which divide the width; null for the run's."""
    num_encoder_layers: Count | None = None
    """Self-attention layers over the latents; null for the run's."""
    num_latents: Count | None = None
    """Latents of the encoder; null for the run's."""
    dropout: ShareOrNone | None = None
    """Dropout in all layers; null for the run's, or none."""
    identity_noise: NotNegative | None = None
    """Noise on the reference's standardised features in training; null for the run's, or none."""

    @model_validator(mode="before")
    @classmethod
    def _expand_size(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("run") is not None:
            return values
        given = {key: value for key, value in values.items() if value is not None}
        size = str(given.get("size", "tiny"))
        sized = {key: SIZES[size][key] for key in _SIZED} if size in SIZES else {}
        return {"size": size, **sized, **given}

    @model_validator(mode="after")
    def _check(self) -> ForecasterModel:
        if self.width is not None and self.num_heads is not None and self.width % self.num_heads:
            raise ConfigError(
                f"model.num_heads is {self.num_heads}: expected a divisor of model.width, "
                f"{self.width}"
            )
        given = {key for key in ("size", *_SIZED) if self._is_given(key)}
        if self.run is not None and given:
            raise idle(f"model.{min(given)}", "with model.run, which brings its own size")
        if self.run is None and self._is_given("weights"):
            raise idle("model.weights", "without model.run")
        tuned = self.run is not None and self.weights == "run" and not self.frozen
        if not tuned and self._is_given("encoder_rate_share"):
            why = "with model.frozen=true" if self.frozen else "without the weights of model.run"
            raise idle("model.encoder_rate_share", why)
        if self.frozen and self._is_given("identity_noise"):
            raise idle("model.identity_noise", "with model.frozen=true")
        return self

    def _is_given(self, key: str) -> bool:
        return getattr(self, key) != type(self).model_fields[key].default

    @property
    def units(self) -> Literal["vocabulary", "identity"]:
        """What stands for a unit: also a row of its own, or its reference alone."""
        return "vocabulary" if self.offsets else "identity"

    @property
    def is_pretrained(self) -> bool:
        """Whether the encoder's weights are those of a run."""
        return self.run is not None and self.weights == "run"

    def sized(self) -> dict[str, int]:
        """Return the keys that `size` stands for; none with a run."""
        return {} if self.size is None else {key: SIZES[self.size][key] for key in _SIZED}
