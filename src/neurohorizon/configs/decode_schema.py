"""What can be configured of a decoder: recordings, tasks, the model, training, scores."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from neurohorizon.configs.data_schema import (
    FilesData,
    InterleavedSplit,
    SimulatedData,
    StoredSplit,
    TimeSplit,
)
from neurohorizon.configs.forecaster_schema import ForecasterModel
from neurohorizon.configs.schema import RunConfig
from neurohorizon.configs.section import (
    Count,
    CountOrNone,
    Duration,
    NotNegative,
    Positive,
    Section,
    Seed,
    ShareOrNone,
    Switch,
    Text,
    idle,
)
from neurohorizon.configs.training_schema import LoopConfig, ReferenceConfig
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.decoding.rows import ROWS, RowName
from neurohorizon.recordings.decoding.tasks import Loss, Metric, TaskKind, TaskSpec, Transform

DECODER_SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "width": 64,
        "num_layers": 2,
        "num_latents_per_step": 8,
        "head_width": 32,
        "num_self_heads": 4,
    },
    "small": {
        "width": 64,
        "num_layers": 6,
        "num_latents_per_step": 16,
        "head_width": 64,
        "num_self_heads": 8,
    },
    "base": {
        "width": 128,
        "num_layers": 24,
        "num_latents_per_step": 32,
        "head_width": 64,
        "num_self_heads": 8,
    },
}
"""What `model.size` of a decoder stands for; a key that is given beside it overrides it."""


class BlockSplit(InterleavedSplit):
    """Split every recording into blocks that take turns; a window never leaves its block."""

    guard_s: NotNegative = 1.0
    """Seconds left empty between blocks of different parts."""


class TrialSplit(Section):
    """Split every recording by whole trials, which take turns."""

    name: Literal["trials"] = "trials"
    table: Text = "trials"
    """Table of the trials."""
    fractions: tuple[ShareOrNone, ShareOrNone, ShareOrNone] = (0.6, 0.1, 0.3)
    """Shares of train, valid and test."""
    stratify_by: Text | None = None
    """Column of the table whose values are represented in all parts."""
    seed: Seed = 0
    """Seed of the order of the trials."""


DecodeSplit = Annotated[
    StoredSplit | TimeSplit | BlockSplit | TrialSplit, Field(discriminator="name")
]


class DecodeFiles(FilesData):
    """Recordings in files."""

    split: DecodeSplit = BlockSplit()
    """Which time of each recording is for training, validation and test."""


class DecodeSimulated(SimulatedData):
    """Recordings of a simulated world, made on first use and kept."""

    split: DecodeSplit = BlockSplit()
    """Which time of each recording is for training, validation and test."""
    carrier_share: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    """Share of the units that movement drives; the others tell nothing of it."""
    calcium: Switch = False
    """Record calcium traces of the units in place of their spikes."""


class TaskConfig(Section):
    """A quantity to decode; give a series, or a table and its column."""

    kind: TaskKind = "continuous"
    """What its values are."""
    series: str = ""
    """Series of the recordings that holds it."""
    table: str = ""
    """Table that holds it, one value an interval."""
    column: str = ""
    """Column of that table."""
    at: Literal["start", "middle", "end"] | float = "middle"
    """Of a table: when in its interval the value is asked for; a number is seconds since start."""
    columns: tuple[CountOrNone, ...] = ()
    """Of a series: which of its columns; empty for all."""
    transform: Transform = "value"
    """Of a series: itself, its derivative, the norm of that, or sectors of its direction."""
    smooth_s: NotNegative = 0.0
    """Of a series: deviation of a Gaussian that smooths it first, in seconds."""
    slowest: NotNegative = 0.0
    """Of a heading: slower than this, in units of the series a second, it is missing."""
    rate_hz: NotNegative = 0.0
    """Of a series: how often it is asked for; 0 for each of its time stamps."""
    num_classes: CountOrNone = 0
    """Of a categorical task; 0 for those that the training recordings have."""
    loss: Loss | Literal[""] = ""
    """What training minimises; empty for what suits the kind."""
    metric: Metric | Literal[""] = ""
    """What models are chosen and compared by; empty for what suits the kind."""
    standardise: Switch = True
    """Of a continuous task: learn deviations from the training mean."""
    weight: Positive = 1.0
    """Of the task in the loss."""
    interval_weights: dict[str, float] = Field(default_factory=dict)
    """Weight of time stamps inside the intervals of a table, by its name."""
    evaluate: str = ""
    """Table within whose intervals time stamps are trained on and scored; empty for all."""

    def spec(self, name: str) -> TaskSpec:
        """Return the task, which checks itself."""
        return TaskSpec(name=name, **{key: getattr(self, key) for key in type(self).model_fields})


class DecoderModel(Section):
    """What all decoders are made of."""

    size: Literal["tiny", "small", "base"] = "tiny"
    """Sets width, depth, latents and heads where they are not given."""
    width: Count = DECODER_SIZES["tiny"]["width"]
    """Features of a token."""
    num_layers: Count = DECODER_SIZES["tiny"]["num_layers"]
    """Self-attention layers over the latents."""
    num_latents_per_step: Count = DECODER_SIZES["tiny"]["num_latents_per_step"]
    """Different latents, repeated at each step of their grid."""
    latent_step_s: Duration = 0.125
    """Step of the latents' grid, in seconds."""
    head_width: Count = DECODER_SIZES["tiny"]["head_width"]
    """Features of an attention head; half of them turn with time."""
    num_self_heads: Count = DECODER_SIZES["tiny"]["num_self_heads"]
    """Heads of the self-attention layers."""
    num_cross_heads: Count = 2
    """Heads of what reads the spikes, and of what reads the latents."""
    shortest_period_s: Positive = 1e-4
    """Shortest period by which attention tells times apart, in seconds."""
    longest_period_s: Positive | None = None
    """Longest such period; null for twice the window, and no less than the published 2.0627 s."""
    units: Literal["vocabulary", "identity"] = "vocabulary"
    """What stands for a unit: a learned vector, or a function of its reference."""
    dropout: ShareOrNone = 0.2
    """Dropout in feed-forward layers."""
    layer_dropout: ShareOrNone = 0.4
    """Dropout on what a layer adds to the latents."""
    attention_dropout: ShareOrNone = 0.0
    """Dropout of attention."""

    @model_validator(mode="before")
    @classmethod
    def _expand_size(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {**DECODER_SIZES.get(str(values.get("size", "tiny")), {}), **values}
        return values

    @model_validator(mode="after")
    def _check(self) -> DecoderModel:
        if self.head_width % 4:
            raise ConfigError(
                f"model.head_width is {self.head_width}: expected a multiple of 4, half of which "
                "turns with time, in pairs"
            )
        return self


class PoyoModel(DecoderModel):
    """POYO: one task, from spikes."""

    name: Literal["poyo"] = "poyo"


class PoyoPlusModel(DecoderModel):
    """POYO+: several tasks at once, from spikes."""

    name: Literal["poyo_plus"] = "poyo_plus"


class CapoyoModel(DecoderModel):
    """CaPOYO: several tasks at once, from continuous signals."""

    name: Literal["capoyo"] = "capoyo"
    signal: Text | None = None
    """Signal that is read, by name; null where the recordings have one."""


DecoderConfig = Annotated[
    PoyoModel | PoyoPlusModel | CapoyoModel | ForecasterModel, Field(discriminator="name")
]


class DecodeWindowConfig(Section):
    """What a window holds."""

    length_s: Duration = 1.0
    """Seconds that are read, and decoded, at once."""


class UnitDropoutConfig(Section):
    """Units that are left out of training windows at random; null in training for none."""

    min_units: Count = 20
    """Fewest that are shown; a recording with no more than these shows all."""
    mode_units: Count = 100
    """The likeliest number."""
    max_units: CountOrNone = 0
    """Most that are drawn; 0 for as many as the recording has."""
    peak: Positive = 4.0
    """How much likelier the mode is than either end."""


class DecodeTrainingConfig(LoopConfig):
    """How a decoder learns."""

    learning_rate: Positive = 2e-3
    """Peak of the one-cycle schedule."""
    row_rate_share: Positive = 5.0
    """Of the learning rate, what rows of units and recordings are learned with."""
    weight_decay: NotNegative = 0.01
    """AdamW's, on matrices; rows of units that a batch does not hold are left as they are."""
    tokens_per_batch: Count = 40_000
    """Tokens that a batch is expected to hold."""
    unit_dropout: UnitDropoutConfig | None = None
    """Leave units out of training windows at random; null to keep all."""


class DecodeEvaluationConfig(Section):
    """How decoding is scored."""

    rows: tuple[RowName, ...] = ROWS
    """Simple decoders that the model is scored beside."""
    stride_share: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.5
    """Step between windows, as a share of their length; overlapping ones are averaged."""
    reference_s: Annotated[float, Field(strict=True, ge=10)] | None = 120.0
    """Seconds read of a session to know units by a reference; null for all that may be read."""
    minutes: tuple[Positive, ...] = (1.0, 2.0, 4.0)
    """Of a new session, minutes with behaviour that it may be adapted with."""


class DecodeConfig(Section):
    """Everything a decoder's training depends on."""

    run: RunConfig = RunConfig()
    data: Annotated[DecodeFiles | DecodeSimulated, Field(discriminator="name")] = DecodeSimulated()
    window: DecodeWindowConfig = DecodeWindowConfig()
    tasks: dict[str, TaskConfig]
    model: DecoderConfig
    reference: ReferenceConfig = ReferenceConfig()
    training: DecodeTrainingConfig = DecodeTrainingConfig()
    evaluation: DecodeEvaluationConfig = DecodeEvaluationConfig()

    @model_validator(mode="after")
    def _check(self) -> DecodeConfig:
        if not self.tasks:
            raise ConfigError("tasks is empty: name what is to be decoded, such as tasks.velocity")
        self.task_specs()
        if self.model.name == "poyo" and len(self.tasks) > 1:
            raise ConfigError(
                f"model.name is poyo, which decodes one task, and tasks are "
                f"{', '.join(self.tasks)}: use model.name=poyo_plus"
            )
        if isinstance(self.model, ForecasterModel):
            if self.training.unit_dropout is not None:
                raise ConfigError(
                    "training.unit_dropout with model.name=forecaster: its encoder reads all "
                    "units of a recording; leave it out"
                )
            return self
        steps = self.window.length_s / self.model.latent_step_s
        if abs(steps - round(steps)) > 1e-6 or steps < 1:
            raise ConfigError(
                f"window.length_s is {self.window.length_s:g} s: expected a whole number of "
                f"model.latent_step_s, {self.model.latent_step_s:g} s"
            )

        if self.model.units != "identity" and self.reference != ReferenceConfig():
            raise idle("reference", "with model.units=vocabulary: it reads no references")
        return self

    def sized(self) -> dict[str, int]:
        """Return the keys that `model.size` stands for."""
        if isinstance(self.model, ForecasterModel):
            return self.model.sized()
        return DECODER_SIZES[self.model.size]

    def task_specs(self) -> tuple[TaskSpec, ...]:
        """Return the tasks, as they are declared."""
        return tuple(task.spec(name) for name, task in self.tasks.items())
