"""What can be configured of masked pretraining: responses, masks, the model, its training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from neurohorizon.configs.bridge_schema import ResponsesConfig
from neurohorizon.configs.schema import RunConfig
from neurohorizon.configs.section import (
    Count,
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
from neurohorizon.models.bridge.masks import MaskKind
from neurohorizon.training.bridge.masked import MaskedSettings

_DEFAULT = MaskedSettings()


class MasksConfig(Section):
    """What is hidden of a response."""

    kind: MaskKind = _DEFAULT.kind
    """Where: random places, each region's share, one whole region, within one, time bins, mixed."""
    share: Share = _DEFAULT.share
    """Share of the places (of the time bins, with temporal)."""


class MaskedModelConfig(Section):
    """The Perceiver that is pretrained; rows of bridges that start from it have its sizes."""

    name: Literal["masked"] = "masked"
    width: Count = _DEFAULT.width
    """Of tokens; a multiple of 4."""
    num_layers: Count = _DEFAULT.num_layers
    """Of self-attention."""
    num_latents: Count = _DEFAULT.num_latents
    """Region tokens of each area."""
    dropout: ShareOrNone = _DEFAULT.dropout
    """In pretraining."""
    root: Switch = _DEFAULT.root
    """Take the square root of the responses."""


class MaskedTraining(Section):
    """How it is pretrained."""

    num_folds: Annotated[int, Field(strict=True, ge=3)] = 10
    """Folds of the training pictures: one stops the training, one scores it."""
    mixtures: ShareOrNone = _DEFAULT.mixtures
    """Share of a batch that is random sums of training responses, which never come twice."""
    category_weight: NotNegative = _DEFAULT.category_weight
    """Of telling the picture's category besides; 0 leaves it out."""
    max_steps: Count = _DEFAULT.max_steps
    """At most."""
    batch_size: Count = _DEFAULT.batch_size
    """Responses, to different pictures."""
    learning_rate: Positive = _DEFAULT.learning_rate
    """The highest of AdamW."""
    weight_decay: NotNegative = _DEFAULT.weight_decay
    """Of AdamW."""
    device: Text = "cpu"
    """Where it is trained: cpu, cuda, cuda:1."""


class MaskedConfig(Section):
    """Everything that masked pretraining depends on."""

    run: RunConfig = RunConfig()
    data: ResponsesConfig
    masks: MasksConfig = MasksConfig()
    model: MaskedModelConfig = MaskedModelConfig()
    training: MaskedTraining = MaskedTraining()

    @model_validator(mode="after")
    def _check(self) -> MaskedConfig:
        if self.data.grey_bank is not None:
            raise idle("data.grey_bank", "in pretraining, which reads no picture")
        if self.masks.kind == "whole_region" and self.masks.share != _DEFAULT.share:
            raise idle("masks.share", "with masks.kind=whole_region")
        if self.model.width % 4:
            raise ConfigError(
                f"model.width is {self.model.width}: expected a multiple of 4, which heads share"
            )
        return self

    @property
    def folds(self) -> tuple[int, float]:
        """How many folds of the training pictures there are; a share with one alone."""
        return self.training.num_folds, 1.0

    def settings(self) -> MaskedSettings:
        """Return what the training is given."""
        training = self.training.model_dump(exclude={"num_folds", "device"})
        return MaskedSettings(
            **self.masks.model_dump(), **self.model.model_dump(exclude={"name"}), **training
        )
