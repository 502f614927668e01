"""What can be configured: closed, frozen, checked as a whole before anything is built.

Every section is one class; alternatives are told apart by their ``name`` (held-out
recordings by ``by``). The text under a field is its description in
``neurohorizon config schema``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from neurohorizon.errors import ConfigError
from neurohorizon.recordings.windows import WindowSpec

Count = Annotated[int, Field(strict=True, ge=1)]
CountOrNone = Annotated[int, Field(strict=True, ge=0)]
Switch = Annotated[bool, Field(strict=True)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NotNegative = Annotated[float, Field(strict=True, ge=0)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
ShareOrNone = Annotated[float, Field(strict=True, ge=0, lt=1)]
Text = Annotated[str, Field(strict=True, min_length=1)]

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


class Section(BaseModel):
    """A part of the configuration: no unknown key, no change after it was checked."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class RunConfig(Section):
    """What a training run is called and where it writes."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "run"
    """Name in tables and figures; the recipe's name if absent."""
    seed: CountOrNone = 0
    """Seed of weights, batches and references (the simulated world has its own)."""
    folder: Path = Path("runs/run")
    """Folder that receives everything the run writes; runs/NAME if absent."""

    @model_validator(mode="before")
    @classmethod
    def _name_folder(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("folder") is None:
            return {**values, "folder": Path("runs") / str(values.get("name", "run"))}
        return values


class StoredSplit(Section):
    """Use the train, valid and test domains that the files hold."""

    name: Literal["stored"] = "stored"


class TimeSplit(Section):
    """Split every recording into earlier, later and last time."""

    name: Literal["time"] = "time"
    fractions: tuple[ShareOrNone, ShareOrNone, ShareOrNone] = (0.6, 0.1, 0.3)
    """Shares of train, valid and test."""


class InterleavedSplit(Section):
    """Split every recording into blocks that take turns."""

    name: Literal["interleaved"] = "interleaved"
    fractions: tuple[ShareOrNone, ShareOrNone, ShareOrNone] = (0.6, 0.1, 0.3)
    """Shares of train, valid and test."""
    block_s: Positive = 20.0
    """Length of a block with its guard, in seconds."""
    seed: CountOrNone = 0
    """Seed of the order of the blocks."""


class HoldOutNone(Section):
    """Train on all recordings; only their later time is scored."""

    by: Literal["none"] = "none"


class HoldOutIds(Section):
    """Hold out the recordings that are named."""

    by: Literal["id"] = "id"
    ids: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Ids of the recordings to hold out."""


class HoldOutFraction(Section):
    """Hold out a share of the recordings, drawn as whole groups."""

    fraction: Share = 0.3
    """Share of the recordings to hold out."""
    seed: CountOrNone = 0
    """Another seed holds out others."""
    stratify_by: Text | None = None
    """Metadata key (such as laboratory): its values are represented on both sides."""


class HoldOutRecordings(HoldOutFraction):
    """Hold out recordings, whatever animal they come from."""

    by: Literal["recording"] = "recording"


class HoldOutSubjects(HoldOutFraction):
    """Hold out whole subjects: no animal is on both sides."""

    by: Literal["subject"] = "subject"


HoldOut = Annotated[
    HoldOutNone | HoldOutIds | HoldOutRecordings | HoldOutSubjects, Field(discriminator="by")
]
SplitConfig = Annotated[StoredSplit | TimeSplit | InterleavedSplit, Field(discriminator="name")]


class FilesData(Section):
    """Recordings in files."""

    name: Literal["files"] = "files"
    recordings: Path
    """Folder of recordings (*.h5), or one file."""
    source: Text | None = None
    """Use only recordings of this source; absent, all that the folder holds."""
    leave_out: tuple[Text, ...] = ()
    """Ids of recordings that are not used at all."""
    split: SplitConfig = StoredSplit()
    """Which time of each recording is for training, validation and test."""
    hold_out: HoldOut = HoldOutNone()
    """Which recordings training never sees."""


class SimulatedData(Section):
    """Recordings of a simulated world, made on first use and kept."""

    name: Literal["simulated"] = "simulated"
    num_sessions: Annotated[int, Field(strict=True, ge=1, le=1000)] = 8
    """Training sessions."""
    num_held_out: CountOrNone = 4
    """Sessions that training never sees; the same ones for any number of training sessions."""
    units: tuple[Count, Count] = (40, 100)
    """Smallest and largest number of units of a session."""
    minutes: Positive = 10.0
    """Length of a session, in minutes."""
    seed: CountOrNone = 0
    """Seed of the world's sessions."""
    drift: Switch = True
    """Gains and a slow latent drift."""
    bursts: Switch = True
    """Some units burst."""
    trials: Switch = True
    """Activity is organised in trials."""
    behavior: Switch = True
    """Velocity is recorded."""
    folder: Path = Path("data/simulated")
    """Where simulated sessions are kept, in a folder of their own per world."""


DataConfig = Annotated[FilesData | SimulatedData, Field(discriminator="name")]


class WindowConfig(Section):
    """What a window holds."""

    context_s: Positive = 0.5
    """Seconds of spikes before the forecast."""
    horizon_s: Positive = 1.0
    """Seconds to forecast."""
    bin_s: Positive = 0.02
    """Width of a forecast bin, in seconds; the horizon is a whole number of them."""

    @model_validator(mode="after")
    def _check(self) -> WindowConfig:
        self.spec()
        return self

    def spec(self) -> WindowSpec:
        """Return the geometry, which checks itself."""
        return WindowSpec(context_s=self.context_s, horizon_s=self.horizon_s, bin_s=self.bin_s)


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
    identity: Literal["functional", "statistics", "learned", "random", "linear"] = "functional"
    """What stands for a unit."""
    decoder: Literal["unit_queries", "causal_bins"] = "unit_queries"
    """Whether units, or bins of the horizon, ask the latents."""
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
    num_basis: Count = 16
    """Functions of the horizon in the head of unit_queries."""
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
        if self.num_encoder_layers == 0:
            if self.decoder == "causal_bins":
                raise ConfigError(
                    "model.decoder causal_bins reads the encoder's latents, but "
                    "model.num_encoder_layers is 0: use unit_queries, or at least 1 layer"
                )
            for key in ("use_events", "use_unit_tokens", "use_population_tokens"):
                _refuse_idle(self, key, "without an encoder (model.num_encoder_layers is 0)")
            if self.num_latents != SIZES[self.size]["num_latents"]:
                raise _idle("model.num_latents", "without an encoder")
        elif not (self.use_events or self.use_unit_tokens or self.use_population_tokens):
            raise ConfigError(
                "model.use_events, use_unit_tokens and use_population_tokens are all false: the "
                "encoder reads nothing; set model.num_encoder_layers=0 to leave it out"
            )
        if self.identity in ("learned", "random"):
            _refuse_idle(self, "identity_noise", f"with model.identity={self.identity}")
        if self.decoder == "causal_bins":
            _refuse_idle(self, "num_basis", "with model.decoder=causal_bins")
        return self


class ReferenceConfig(Section):
    """The stretches from which units' identities are computed while training."""

    num_references: Count = 6
    """References drawn from each training recording."""
    shortest_s: Annotated[float, Field(strict=True, ge=10)] = 20.0
    """Shortest of them, in seconds."""
    longest_s: Annotated[float, Field(strict=True, ge=10)] = 300.0
    """Longest of them, in seconds (at most half of a recording's training time is used)."""
    valid_s: Annotated[float, Field(strict=True, ge=10)] = 120.0
    """Reference of the validation windows, in seconds."""

    @model_validator(mode="after")
    def _check(self) -> ReferenceConfig:
        if self.longest_s < self.shortest_s:
            raise ConfigError(
                f"reference.longest_s is {self.longest_s:g} s: expected at least "
                f"reference.shortest_s, {self.shortest_s:g} s"
            )
        return self


class TrainingConfig(Section):
    """How the model learns."""

    max_epochs: Count = 30
    """Epochs; the learning rate's cycle spans them all."""
    steps_per_epoch: Count = 100
    """Batches between two validations."""
    learning_rate: Positive = 3e-3
    """Peak of the one-cycle schedule."""
    weight_decay: NotNegative = 0.02
    """AdamW's, on matrices."""
    warmup_share: Share = 0.1
    """Share of the steps in which the learning rate rises."""
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient."""
    accumulate_batches: Count = 1
    """Batches summed before each step."""
    tokens_per_batch: Count = 12_000
    """Units and context spikes that a batch may hold, padding included."""
    references_per_batch: Count = 4
    """Sessions (each through one reference) in a batch."""
    queries_per_window: Count = 24
    """Units drawn for the loss in each window."""
    adapter_dropout: ShareOrNone = 0.1
    """Share of windows from which the population adapter is withheld."""
    ema_decay: ShareOrNone = 0.0
    """Moving average of the weights, which is then what is kept; 0 for none."""
    patience: CountOrNone = 0
    """Epochs without improvement after which training stops; 0 for never."""
    valid_origin_step_s: Positive = 0.5
    """Seconds between validation windows."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic."""
    accelerator: Text = "auto"
    """Lightning's: auto, cpu, cuda, mps."""
    devices: Count | Literal["auto"] = "auto"
    """How many of them."""
    strategy: Text = "auto"
    """Lightning's: auto, ddp, fsdp."""
    num_workers: CountOrNone = 0
    """Processes that prepare batches; 0 prepares them in the training process."""

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        if self.patience >= self.max_epochs:
            raise _idle("training.patience", f"with {self.max_epochs} epochs: it is never reached")
        if self.max_epochs * self.steps_per_epoch % self.accumulate_batches:
            raise ConfigError(
                f"training.accumulate_batches is {self.accumulate_batches}: expected a divisor of "
                f"the {self.max_epochs * self.steps_per_epoch} batches of the training"
            )
        return self


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
    """Seconds that are read of a session to know its units; null for all that may be read."""
    origin_step_s: Positive = 0.5
    """Seconds between forecasts."""
    fewest_spikes: CountOrNone = 2000
    """A recording with fewer test spikes is shown, not scored."""
    left_out_qualities: tuple[Text, ...] = ("unsorted",)
    """Units with these quality words are left out: not read, not trained on, not scored."""
    observer: ObserverConfig | None = None
    """The ideal observer, for simulated data; null for none."""


class Config(Section):
    """Everything a training run depends on."""

    run: RunConfig = RunConfig()
    data: DataConfig = SimulatedData()
    window: WindowConfig = WindowConfig()
    model: ModelConfig = ModelConfig()
    reference: ReferenceConfig = ReferenceConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _check(self) -> Config:
        spec = self.window.spec()
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
            ("reference.valid_s", self.reference.valid_s),
            ("evaluation.reference_s", self.evaluation.reference_s),
        ):
            if length_s is not None and length_s < needed_s:
                raise ConfigError(
                    f"{key} is {length_s:g} s: expected at least {needed_s:g} s, a window of "
                    f"{spec.context_s:g} + {spec.horizon_s:g} s and 1 s of past"
                )
        if not self.model.use_adapter and self.training.adapter_dropout not in (0.0, 0.1):
            raise _idle("training.adapter_dropout", "with model.use_adapter=false")
        if self.evaluation.observer is not None and not isinstance(self.data, SimulatedData):
            raise ConfigError(
                "evaluation.observer knows simulated worlds only, and data.name is "
                f"{self.data.name}: set evaluation.observer=null"
            )
        return self


def _bins(spec: WindowSpec, horizon_s: float) -> int:
    try:
        return spec.bins_until(horizon_s)
    except ConfigError as error:
        raise ConfigError(f"evaluation.horizons_s: {error}") from error


def _idle(key: str, why: str) -> ConfigError:
    return ConfigError(f"{key} has no effect {why}: leave it out")


def _refuse_idle(section: ModelConfig, key: str, why: str) -> None:
    if getattr(section, key) != type(section).model_fields[key].default:
        raise _idle(f"model.{key}", why)
