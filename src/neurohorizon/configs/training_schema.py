"""The sections ``reference`` and ``training``: how the model learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from neurohorizon.configs.section import (
    Count,
    CountOrNone,
    NotNegative,
    Positive,
    Section,
    Share,
    ShareOrNone,
    Switch,
    Text,
    idle,
)
from neurohorizon.errors import ConfigError


class ReferenceConfig(Section):
    """The stretches from which units' identities are computed while training."""

    num_references: Count = 6
    """References of random length drawn from each training recording."""
    shortest_s: Annotated[float, Field(strict=True, ge=10)] = 20.0
    """Shortest of them, in seconds."""
    longest_s: Annotated[float, Field(strict=True, ge=10)] = 300.0
    """Longest of them, in seconds (at most half of a recording's training time is used)."""

    @model_validator(mode="after")
    def _check(self) -> ReferenceConfig:
        if self.longest_s < self.shortest_s:
            raise ConfigError(
                f"reference.longest_s is {self.longest_s:g} s: expected at least "
                f"reference.shortest_s, {self.shortest_s:g} s"
            )
        return self


class TeacherForcingConfig(Section):
    """What a model that feeds counts back is told in training: true counts, or its own."""

    schedule: Literal["constant", "linear", "exponential", "inverse_sigmoid"] = "constant"
    """How the share of true counts falls from 1 to the floor; constant leaves it at 1."""
    warmup_share: ShareOrNone = 0.1
    """Share of the steps before it falls."""
    floor: Share = 0.1
    """Share of true counts at the end."""

    @model_validator(mode="after")
    def _check(self) -> TeacherForcingConfig:
        if self.schedule == "constant":
            for key in ("warmup_share", "floor"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise idle(f"training.teacher_forcing.{key}", "with the schedule constant")
        return self


class LoopConfig(Section):
    """How long training goes on, in what steps, and where."""

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
    """Batches summed before each step, over all processes, which share them out."""
    tokens_per_batch: Count = 12_000
    """Units and context spikes that a batch is expected to hold."""
    ema_decay: ShareOrNone = 0.0
    """Moving average of the weights, which is then what is kept; 0 for none."""
    patience: CountOrNone = 0
    """Epochs without improvement after which training stops; 0 for never."""
    sampling: Literal["sessions", "sqrt", "equal"] = "sessions"
    """How often a data set of n sessions is drawn: as n, as the root of n, or as any other."""
    checkpoint_activations: Switch = False
    """Compute activations again in the backward pass: less memory, more time."""
    save_every_steps: CountOrNone = 0
    """Steps between points to resume from, beside the ends of epochs; 0 for none."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic."""
    accelerator: Text = "auto"
    """Lightning's: auto, cpu, cuda, mps."""
    devices: Count | Literal["auto"] = "auto"
    """How many of them on a node; auto: one, or as many as torchrun or Slurm started."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """Whether each process holds all weights (ddp, which auto means too) or a part (fsdp)."""
    num_workers: CountOrNone = 0
    """Processes that prepare batches; 0 prepares them in the training process."""

    @model_validator(mode="after")
    def _check_loop(self) -> LoopConfig:
        if self.patience >= self.max_epochs:
            raise idle("training.patience", f"with {self.max_epochs} epochs: it is never reached")
        if self.steps_per_epoch % self.accumulate_batches:
            raise ConfigError(
                f"training.accumulate_batches is {self.accumulate_batches}: expected a divisor of "
                f"the {self.steps_per_epoch} batches of an epoch (training.steps_per_epoch)"
            )
        if self.save_every_steps * self.accumulate_batches >= self.steps_per_epoch:
            raise idle("training.save_every_steps", "beside the point at the end of each epoch")
        if self.strategy == "fsdp" and self.ema_decay > 0:
            raise ConfigError(
                "training.ema_decay with training.strategy=fsdp: an average of weights that are "
                "shared out is not kept; set training.ema_decay=0 or training.strategy=ddp"
            )
        return self


class TrainingConfig(LoopConfig):
    """How the forecaster learns."""

    objective: Literal["likelihood", "squared_error"] = "likelihood"
    """What is minimised: counts' negative log-likelihood, or the squared error of their mean."""
    references_per_batch: Count = 4
    """Sessions (each through one reference) in a batch."""
    queries_per_window: Count = 24
    """Units drawn for the loss in each window."""
    adapter_dropout: ShareOrNone = 0.1
    """Share of windows from which the population adapter is withheld."""
    cosmoothing_share: ShareOrNone = 0.0
    """Share of windows in which units are hidden and told from the others in the context."""
    cosmoothing_units: Share = 0.25
    """Share of the units that are hidden there."""
    teacher_forcing: TeacherForcingConfig = TeacherForcingConfig()
    """Scheduled sampling, with model.decoder=autoregressive."""
    valid_origin_step_s: Positive = 0.5
    """Seconds between validation windows."""

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        default = type(self).model_fields["cosmoothing_units"].default
        if not self.cosmoothing_share and self.cosmoothing_units != default:
            raise idle("training.cosmoothing_units", "with training.cosmoothing_share=0")
        return self
