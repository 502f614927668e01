"""From a recipe and ``key=value`` to a checked configuration that knows where each value is from.

A recipe is a YAML file with at most one ``base:``. Values come from, weakest first: the
schema's defaults, the base, the recipe, the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import yaml
from omegaconf import OmegaConf
from pydantic import ValidationError

from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.keys import explain_unknown, find_unknown, section_at
from neurohorizon.configs.masked_schema import MaskedConfig
from neurohorizon.configs.problems import describe_problem, format_value
from neurohorizon.configs.recipe_file import find_recipe, read_yaml, write_yaml
from neurohorizon.configs.root import AnyConfig, TrainConfig, root_of, verb_of
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.errors import ConfigError

COMMAND_LINE = "command line"
DEFAULT = "default"
_OVERRIDE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*=", re.ASCII)

C = TypeVar("C", bound=AnyConfig, covariant=True)


@dataclass(frozen=True)
class LoadedConfig(Generic[C]):
    """A configuration and where it is from.

    Parameters
    ----------
    config : ForecastConfig, DecodeConfig, BridgeConfig or MaskedConfig
    origin : dict of str to str
        For each dotted key: "default", "base NAME", "recipe NAME", "command line", or what
        it follows from ("size small", "run.name").
    recipe : str
        What was asked for.
    """

    config: C
    origin: dict[str, str]
    recipe: str

    def lines(self) -> list[tuple[str, str, str]]:
        """Return (key, value, origin) of every value, in the schema's order."""
        return [(key, format_value(value), self.origin[key]) for key, value in flatten(self.config)]


def load_config(
    recipe: str, overrides: Sequence[str] = (), *, folder: Path | None = None
) -> LoadedConfig[ForecastConfig]:
    """Load the recipe of a forecaster, as `load_any` does.

    Raises
    ------
    ConfigError
        What `load_any` raises, and if the recipe is a decoder's.

    Examples
    --------
    >>> loaded = load_config("default", ["training.max_epochs=3"])
    >>> loaded.config.training.max_epochs, loaded.origin["training.max_epochs"]
    (3, 'command line')
    """
    loaded = load_trained(recipe, overrides, folder=folder)
    if not isinstance(loaded.config, ForecastConfig):
        raise ConfigError(
            f"{recipe} is the recipe of a decoder (model.name={loaded.config.model.name}), and "
            "this is about forecasts: give a forecaster's (`neurohorizon config list`)"
        )
    return cast("LoadedConfig[ForecastConfig]", loaded)


def load_trained(
    recipe: str, overrides: Sequence[str] = (), *, folder: Path | None = None
) -> LoadedConfig[TrainConfig]:
    """Load the recipe of a forecaster or a decoder, as `load_any` does.

    Raises
    ------
    ConfigError
        What `load_any` raises, and if the recipe is another's.
    """
    loaded = load_any(recipe, overrides, folder=folder)
    if not isinstance(loaded.config, ForecastConfig | DecodeConfig):
        raise _not_of("forecasts or decoding", loaded)
    return cast("LoadedConfig[TrainConfig]", loaded)


def load_bridges(
    recipe: str, overrides: Sequence[str] = (), *, folder: Path | None = None
) -> LoadedConfig[BridgeConfig]:
    """Load a recipe of bridges, as `load_any` does.

    Raises
    ------
    ConfigError
        What `load_any` raises, and if the recipe is another's.
    """
    loaded = load_any(recipe, overrides, folder=folder)
    if not isinstance(loaded.config, BridgeConfig):
        raise _not_of("bridges", loaded)
    return cast("LoadedConfig[BridgeConfig]", loaded)


def load_pretraining(
    recipe: str, overrides: Sequence[str] = (), *, folder: Path | None = None
) -> LoadedConfig[MaskedConfig]:
    """Load a recipe of masked pretraining, as `load_any` does.

    Raises
    ------
    ConfigError
        What `load_any` raises, and if the recipe is another's.
    """
    loaded = load_any(recipe, overrides, folder=folder)
    if not isinstance(loaded.config, MaskedConfig):
        raise _not_of("masked pretraining", loaded)
    return cast("LoadedConfig[MaskedConfig]", loaded)


def _not_of(what: str, loaded: LoadedConfig[AnyConfig]) -> ConfigError:
    return ConfigError(
        f"{loaded.recipe} is no recipe of {what} (model.name={loaded.config.model.name}): it is "
        f"for `{verb_of(loaded.config)} {loaded.recipe}`"
    )


def load_any(
    recipe: str, overrides: Sequence[str] = (), *, folder: Path | None = None
) -> LoadedConfig[AnyConfig]:
    """Load a recipe of any kind, apply overrides, and check the whole.

    Parameters
    ----------
    recipe : str
        Name of a recipe of this package, or path of a ``.yaml`` file.
    overrides : sequence of str
        ``key=value``, the key dotted, the value in YAML.
    folder : Path, optional
        Sets ``run.folder``.

    Raises
    ------
    ConfigError
        One line: what, where it is from, expected against got, and what to do.
    """
    path = find_recipe(recipe)
    layers = _read_layers(path)
    given = parse_overrides(overrides)
    if folder is not None:
        if any(text.startswith(("run=", "run.folder=")) for text in overrides):
            raise ConfigError("run.folder and --out say the same: give one of them")
        given.setdefault("run", {})["folder"] = folder
    layers.append((COMMAND_LINE, given))
    values: dict[str, Any] = {"run": {"name": path.stem}}
    origin = {"run.name": "recipe's name"}
    for label, layer in layers:
        known = _tagged(layer, values)
        # Which schema it is of is said by the model, whose section the layer may not hold.
        if "model" in values:
            known.setdefault("model", {"name": values["model"].get("name", "horizon")})
        unknown = find_unknown(known)
        if unknown is not None:
            meant = explain_unknown(unknown, known)
            raise ConfigError(f"unknown key '{unknown}' ({label}): {meant}")
        _merge(values, layer, label=label, origin=origin)
    try:
        config = root_of(values).model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_problem(error, values, origin)) from None
    return LoadedConfig(config, _complete(origin, config), recipe)


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Turn ``key=value`` arguments into nested values.

    Raises
    ------
    ConfigError
        If one is not of that form, or a key comes twice.

    Examples
    --------
    >>> parse_overrides(["training.max_epochs=3", "data.units=[5, 9]"])
    {'training': {'max_epochs': 3}, 'data': {'units': [5, 9]}}
    """
    values: dict[str, Any] = {}
    seen: set[str] = set()
    for text in overrides:
        if not _OVERRIDE.match(text):
            raise ConfigError(
                f"'{text}': expected key=value with a dotted key, such as training.max_epochs=20"
            )
        key = text.partition("=")[0]
        if key in seen:
            raise ConfigError(f"'{key}' is given twice: give it once")
        seen.add(key)
        try:
            parsed = OmegaConf.to_container(OmegaConf.from_dotlist([text]), resolve=False)
        except yaml.YAMLError as error:
            reason = " ".join(str(getattr(error, "problem", error)).split())
            raise ConfigError(f"'{text}': the value is not valid YAML ({reason})") from error
        assert isinstance(parsed, dict)
        layer = {str(word): value for word, value in parsed.items()}
        _merge(values, layer, label=COMMAND_LINE, origin={})
    return values


def flatten(config: AnyConfig) -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every value of a configuration, in the schema's order."""
    yield from _leaves(config.model_dump(), "")


def to_yaml(config: AnyConfig) -> str:
    """Write a configuration as a recipe that gives the same again."""
    return write_yaml(config.model_dump(mode="json"))


def _read_layers(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (label, values) of the base, if there is one, and of the recipe."""
    values = read_yaml(path)
    layers: list[tuple[str, dict[str, Any]]] = []
    if "base" in values:
        name = values.pop("base")
        if not isinstance(name, str):
            raise ConfigError(f"{path}: base is {name!r}: expected the name of one recipe")
        beside = path.parent / name
        base_path = beside if name.endswith((".yaml", ".yml")) else find_recipe(name)
        base = read_yaml(base_path)
        if "base" in base:
            raise ConfigError(
                f"{path}: its base '{name}' has a base itself, and there is one level only: "
                f"base it on '{base['base']}' and repeat what '{name}' adds"
            )
        layers.append((f"base {base_path.stem}", base))
    layers.append((f"recipe {path.stem}", values))
    return layers


def _tagged(layer: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layer with the tags that it inherits, so that its keys can be looked up."""
    tagged = dict(layer)
    for key, value in values.items():
        if key in ("name", "by"):
            tagged.setdefault(key, value)
        elif isinstance(value, Mapping) and isinstance(tagged.get(key), Mapping):
            tagged[key] = _tagged(tagged[key], value)
    return tagged


def _merge(
    into: dict[str, Any],
    layer: Mapping[str, Any],
    *,
    label: str,
    origin: dict[str, str],
    path: str = "",
    root: dict[str, Any] | None = None,
) -> None:
    """Put a layer's values over those that are there, and note where they are from."""
    root = into if root is None else root
    for key, value in layer.items():
        here = f"{path}{key}"
        inside = isinstance(value, Mapping)
        found = section_at(here, root)
        tag = found.tag if found is not None else ""
        old = into.get(key)
        changed = inside and bool(tag) and isinstance(old, Mapping) and tag in value
        # Another alternative shares no key with the one it replaces.
        if not inside or not isinstance(old, dict) or (changed and old.get(tag) != value[tag]):
            for known in [k for k in origin if k == here or k.startswith(f"{here}.")]:
                del origin[known]
            into[key] = {} if inside else value
        if inside:
            _merge(into[key], value, label=label, origin=origin, path=f"{here}.", root=root)
        else:
            origin[here] = label


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _complete(origin: Mapping[str, str], config: AnyConfig) -> dict[str, str]:
    """Return the origin of every value of the checked configuration."""
    follows = {}
    if "model.size" in origin and isinstance(config, ForecastConfig | DecodeConfig):
        follows = {f"model.{key}": f"size {config.model.size}" for key in config.sized()}
    follows["run.folder"] = "run.name"
    return {key: origin.get(key, follows.get(key, DEFAULT)) for key, _ in flatten(config)}
