"""The section ``conditions``: what a forecast may know besides spikes."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from neurohorizon.configs.section import (
    Count,
    Duration,
    NotNegative,
    Section,
    ShareOrNone,
    Switch,
    Text,
    idle,
)
from neurohorizon.recordings.conditions import ConditionSpec


class ConditionsConfig(Section):
    """Behaviour and pictures, where recordings have them."""

    behavior: tuple[Text, ...] = ()
    """Series that are read, by name, of any rate; a recording may lack them."""
    images: Text | None = None
    """Embeddings of pictures that are read, by name; null for none."""
    known_schedule: Switch = False
    """Read the pictures that will come on within the horizon too: another task."""
    span_s: Duration = 1.0
    """How far back, in seconds."""
    step_s: Duration = 0.1
    """Width of the slots that behaviour is averaged in, in seconds."""
    delay_s: NotNegative = 0.0
    """Seconds before the origin in which behaviour is not read, because its filter looks ahead."""
    inject: Literal["layers", "input"] = "layers"
    """Latents read conditions after encoder layers, or beside the spikes."""
    inject_every: Count = 1
    """With inject=layers: after every so many-th layer."""
    use_tuning: Switch = True
    """Give each unit what its reference says of its tuning to the conditions."""
    dropout: ShareOrNone = 0.15
    """Share of training windows in which each condition is missing."""

    @model_validator(mode="after")
    def _check(self) -> ConditionsConfig:
        self.spec()
        fields = type(self).model_fields
        if not (self.behavior or self.images):
            for key in ("span_s", "step_s", "inject", "inject_every", "use_tuning", "dropout"):
                if getattr(self, key) != fields[key].default:
                    raise idle(f"conditions.{key}", "without conditions.behavior or images")
        if not self.behavior and self.delay_s:
            raise idle("conditions.delay_s", "without conditions.behavior")
        if self.inject == "input" and self.inject_every != fields["inject_every"].default:
            raise idle("conditions.inject_every", "with conditions.inject=input")
        return self

    def spec(self) -> ConditionSpec:
        """Return what is read, which checks itself."""
        return ConditionSpec(
            behavior=self.behavior,
            images=self.images or "",
            known_schedule=self.known_schedule,
            span_s=self.span_s,
            step_s=self.step_s,
            delay_s=self.delay_s,
        )
