"""Which configuration a recipe is of: a forecaster's, a decoder's, bridges', pretraining's."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.masked_schema import MaskedConfig
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.errors import ConfigError

TrainConfig = ForecastConfig | DecodeConfig
"""What `train` takes."""
AnyConfig = ForecastConfig | DecodeConfig | BridgeConfig | MaskedConfig
Root = type[ForecastConfig] | type[DecodeConfig] | type[BridgeConfig] | type[MaskedConfig]

ROOTS: dict[str, Root] = {
    "horizon": ForecastConfig,
    "poyo": DecodeConfig,
    "poyo_plus": DecodeConfig,
    "capoyo": DecodeConfig,
    "forecaster": DecodeConfig,
    "bridge": BridgeConfig,
    "masked": MaskedConfig,
}
"""By ``model.name``."""


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of recipes of every kind."""
    return {"type": "object", **TypeAdapter(AnyConfig).json_schema()}


def verb_of(config: AnyConfig) -> str:
    """Return the command that takes a configuration."""
    if isinstance(config, BridgeConfig):
        return "neurohorizon bridge align"
    return f"neurohorizon {'bridge pretrain' if isinstance(config, MaskedConfig) else 'train'}"


def root_of(values: Mapping[str, Any]) -> Root:
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
