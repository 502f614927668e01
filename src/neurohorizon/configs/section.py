"""What every section of a configuration is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from neurohorizon.errors import ConfigError

Count = Annotated[int, Field(strict=True, ge=1)]
CountOrNone = Annotated[int, Field(strict=True, ge=0)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Switch = Annotated[bool, Field(strict=True)]
Positive = Annotated[float, Field(strict=True, gt=0)]
Duration = Annotated[float, Field(strict=True, ge=1e-3)]
NotNegative = Annotated[float, Field(strict=True, ge=0)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
ShareOrNone = Annotated[float, Field(strict=True, ge=0, lt=1)]
Text = Annotated[str, Field(strict=True, min_length=1)]


class Section(BaseModel):
    """A part of the configuration: no unknown key, no change after it was checked."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def idle(key: str, why: str) -> ConfigError:
    """Return the error of a setting without effect."""
    return ConfigError(f"{key} has no effect {why}: leave it out")
