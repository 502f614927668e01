"""What can be configured: closed, frozen, checked as a whole before anything is built.

Every section is one class; ``data``, ``model`` and ``training`` have a file each.
Alternatives are told apart by their ``name`` (held-out recordings by ``by``). The text under
a field is its description in ``neurohorizon config schema``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from neurohorizon.configs.conditions_schema import ConditionsConfig
from neurohorizon.configs.data_schema import DataConfig, SimulatedData
from neurohorizon.configs.model_schema import SIZES, ModelConfig
from neurohorizon.configs.section import Count, CountOrNone, Duration, Positive, Section, Seed, idle
from neurohorizon.configs.training_schema import (
    ReferenceConfig,
    TeacherForcingConfig,
    TrainingConfig,
)
from neurohorizon.errors import ConfigError
from neurohorizon.recordings.window_spec import WindowSpec


class RunConfig(Section):
    """What a training run is called and where it writes."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "run"
    """Name in tables and figures; the recipe's name if absent."""
    seed: Seed = 0
    """Seed of weights, batches and references (the simulated world has its own)."""
    folder: Path = Path("runs/run")
    """Folder that receives everything the run writes; runs/NAME if absent."""

    @model_validator(mode="before")
    @classmethod
    def _name_folder(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("folder") is None:
            return {**values, "folder": Path("runs") / str(values.get("name", "run"))}
        return values


class WindowConfig(Section):
    """What a window holds."""

    context_s: Duration = 0.5
    """Seconds of spikes before the forecast."""
    horizon_s: Duration = 1.0
    """Seconds to forecast."""
    bin_s: Duration = 0.02
    """Width of a forecast bin, in seconds; the horizon is a whole number of them."""

    @model_validator(mode="after")
    def _check(self) -> WindowConfig:
        # All else that a geometry can be wrong in is a field's own bound.
        try:
            self.spec()
        except ConfigError as error:
            raise ConfigError(f"window.horizon_s: {error}") from error
        return self

    def spec(self) -> WindowSpec:
        """Return the geometry, which checks itself."""
        return WindowSpec(context_s=self.context_s, horizon_s=self.horizon_s, bin_s=self.bin_s)


class ObserverConfig(Section):
    """The ideal observer of a simulated world: a particle filter, slow."""

    num_windows: Count | None = None
    """Windows of each session that it is scored on; absent, all."""
    num_particles: Count = 1000
    """Hypotheses that it follows."""
    num_rollouts: Count = 250
    """Futures that it imagines at each origin."""


class EvaluationConfig(Section):
    """How forecasts are scored."""

    horizons_s: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.1, 0.24, 0.5, 1.0)
    """Horizons that tables report, in seconds, each a whole number of bins."""
    reference_s: Annotated[float, Field(strict=True, ge=10)] | None = 120.0
    """Seconds read of a session to know its units, in validation too; null for all it may read."""
    origin_step_s: Positive = 0.5
    """Seconds between forecasts."""
    fewest_spikes: CountOrNone = 2000
    """A recording with fewer test spikes is shown, not scored."""
    observer: ObserverConfig | None = None
    """The ideal observer, for simulated data; null for none."""


class ForecastConfig(Section):
    """Everything a training run depends on."""

    run: RunConfig = RunConfig()
    data: DataConfig = SimulatedData()
    window: WindowConfig = WindowConfig()
    conditions: ConditionsConfig = ConditionsConfig()
    model: ModelConfig = ModelConfig()
    reference: ReferenceConfig = ReferenceConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _check(self) -> ForecastConfig:
        try:
            spec = self.window_spec()
        except ConfigError as error:
            raise ConfigError(f"model.identity_window_s: {error}") from error
        bins = [_bins(spec, horizon_s) for horizon_s in self.evaluation.horizons_s]
        if sorted(set(bins)) != bins or not 1 <= bins[0] <= bins[-1] <= spec.num_bins:
            raise ConfigError(
                f"evaluation.horizons_s is {list(self.evaluation.horizons_s)}: expected rising "
                f"horizons up to window.horizon_s, {spec.horizon_s:g} s"
            )
        # A reference must hold a window and some past before it.
        needed_s = spec.context_s + spec.horizon_s + 1.0
        for key, length_s in (
            ("reference.shortest_s", self.reference.shortest_s),
            ("evaluation.reference_s", self.evaluation.reference_s),
        ):
            if length_s is not None and length_s < needed_s:
                raise ConfigError(
                    f"{key} is {length_s:g} s: expected at least {needed_s:g} s, a window of "
                    f"{spec.context_s:g} + {spec.horizon_s:g} s and 1 s of past"
                )
        if not self.model.use_adapter and self.training.adapter_dropout not in (0.0, 0.1):
            raise idle("training.adapter_dropout", "with model.use_adapter=false")
        if self.training.objective == "squared_error" and self.model.likelihood != "poisson":
            raise ConfigError(
                f"training.objective is squared_error, which teaches expected counts alone, and "
                f"model.likelihood {self.model.likelihood} has more to learn: use poisson"
            )
        if self.training.cosmoothing_share and not self.model.use_labels:
            raise ConfigError(
                "model.use_labels=false gives hidden units' spikes to units that are seen: set "
                "training.cosmoothing_share=0"
            )
        if self.model.decoder != "autoregressive":
            default = TeacherForcingConfig()
            for key in TeacherForcingConfig.model_fields:
                if getattr(self.training.teacher_forcing, key) != getattr(default, key):
                    why = f"with model.decoder={self.model.decoder}: it feeds no counts back"
                    raise idle(f"training.teacher_forcing.{key}", why)
        if self.model.decoder == "coarse_to_fine" and spec.bins_per_block < 2:
            raise ConfigError(
                f"window.bin_s is {spec.bin_s:g} s and the horizon {spec.horizon_s:g} s, which "
                "leaves model.decoder=coarse_to_fine nothing to divide: choose several bins of at "
                "most 0.06 s, or unit_queries"
            )
        if self.evaluation.observer is not None and not isinstance(self.data, SimulatedData):
            raise ConfigError(
                "evaluation.observer knows simulated worlds only, and data.name is "
                f"{self.data.name}: set evaluation.observer=null"
            )
        if self.evaluation.observer is not None and getattr(self.data, "driven", False):
            raise ConfigError(
                "evaluation.observer sees spikes alone, and with data.driven=true running and "
                "pictures drive units too: set evaluation.observer=null"
            )
        if self.model.num_encoder_layers == 0:
            if self.conditions.inject != "layers" or self.conditions.inject_every != 1:
                raise idle(
                    "conditions.inject", "without an encoder (model.num_encoder_layers is 0)"
                )
        elif self.conditions.inject_every > self.model.num_encoder_layers:
            raise ConfigError(
                f"conditions.inject_every is {self.conditions.inject_every}: expected at most the "
                f"{self.model.num_encoder_layers} layers of the encoder"
            )
        return self

    def sized(self) -> dict[str, int]:
        """Return the keys that `model.size` stands for."""
        return SIZES[self.model.size]

    def window_spec(self) -> WindowSpec:
        """Return the geometry of the windows, with what is read besides spikes."""
        return replace(
            self.window.spec(), conditions=self.conditions.spec(), samples=self.model.samples()
        )


def _bins(spec: WindowSpec, horizon_s: float) -> int:
    try:
        return spec.bins_until(horizon_s)
    except ConfigError as error:
        raise ConfigError(f"evaluation.horizons_s: {error}") from error
