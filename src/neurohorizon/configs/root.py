"""Which configuration a recipe is of: that of a forecaster, or of a decoder."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.errors import ConfigError

AnyConfig = ForecastConfig | DecodeConfig

ROOTS: dict[str, type[ForecastConfig] | type[DecodeConfig]] = {
    "horizon": ForecastConfig,
    "poyo": DecodeConfig,
    "poyo_plus": DecodeConfig,
    "capoyo": DecodeConfig,
    "forecaster": DecodeConfig,
}
"""By ``model.name``."""


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of recipes of either kind."""
    return {"type": "object", **TypeAdapter(AnyConfig).json_schema()}


def root_of(values: Mapping[str, Any]) -> type[ForecastConfig] | type[DecodeConfig]:
    """Return the class of a configuration, told by ``model.name`` (by default a forecaster).

    Raises
    ------
    ConfigError
        If there is no such model.
    """
    model = values.get("model")
    name = model.get("name", "horizon") if isinstance(model, Mapping) else "horizon"
    if name not in ROOTS:
        near = difflib.get_close_matches(str(name), ROOTS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"model.name is '{name}': {meant}there are {', '.join(ROOTS)}")
    return ROOTS[name]
