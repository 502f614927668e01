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
from neurohorizon.configs.keys import explain_unknown, find_unknown, section_at
from neurohorizon.configs.recipe_file import find_recipe, read_yaml
from neurohorizon.configs.root import AnyConfig, TrainConfig, root_of
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.errors import ConfigError

COMMAND_LINE = "command line"
DEFAULT = "default"
_OVERRIDE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*=", re.ASCII)

EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "some text",
    "path_type": "a path",
    "tuple_type": "a list, such as [1, 2]",
    "list_type": "a list, such as [1, 2]",
    "dict_type": "a section of keys and values",
    "too_short": "a list with at least {min_length} value",
    "too_long": "a list with {max_length} values",
    "missing": "a value",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-'",
    "union_tag_invalid": "one of {expected_tags}",
    "model_type": "a section of keys and values",
    "model_attributes_type": "a section of keys and values",
}
"""What was expected where pydantic found something else, by its name for the error."""


C = TypeVar("C", bound=AnyConfig, covariant=True)


@dataclass(frozen=True)
class LoadedConfig(Generic[C]):
    """A configuration and where it is from.

    Parameters
    ----------
    config : ForecastConfig, DecodeConfig or BridgeConfig
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
        What `load_any` raises, and if the recipe is of bridges.
    """
    loaded = load_any(recipe, overrides, folder=folder)
    if isinstance(loaded.config, BridgeConfig):
        raise ConfigError(
            f"{recipe} is a recipe of bridges: fit them with `neurohorizon bridge align {recipe}`"
        )
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
        raise ConfigError(
            f"{recipe} is no recipe of bridges (model.name={loaded.config.model.name}): train it "
            f"with `neurohorizon train {recipe}`"
        )
    return cast("LoadedConfig[BridgeConfig]", loaded)


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


def format_value(value: Any) -> str:
    """Write a value as it would be written in a recipe."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def to_yaml(config: AnyConfig) -> str:
    """Write a configuration as a recipe that gives the same again."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


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
    if "model.size" in origin and not isinstance(config, BridgeConfig):
        follows = {f"model.{key}": f"size {config.model.size}" for key in config.sized()}
    follows["run.folder"] = "run.name"
    return {key: origin.get(key, follows.get(key, DEFAULT)) for key, _ in flatten(config)}


def describe_problem(
    error: ValidationError, values: Mapping[str, Any], origin: Mapping[str, str]
) -> str:
    """Say the first thing that is wrong, in one line.

    Parameters
    ----------
    error : ValidationError
    values : mapping
        What was validated.
    origin : mapping of str to str
        Where each dotted key is from.
    """
    problems: dict[str, list[Any]] = {}
    for one in error.errors(include_url=False):
        problems.setdefault(_dotted(one["loc"], values), []).append(one)
    key, found = next(iter(problems.items()))
    first = found[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "value_error":
        return f"{first['ctx']['error']}{more}"
    whence = _whence(key, origin)
    if first["type"] == "union_tag_not_found":
        tag = first["ctx"]["discriminator"].strip("'")
        choices = section_at(key, values)
        names = ", ".join(choices.sections) if choices is not None else ""
        return f"{key}.{tag} is missing{whence}: expected one of {names}{more}"
    if first["type"] == "union_tag_invalid":
        key, whence = f"{key}.{first['ctx']['discriminator'].strip(chr(39))}", ""
        first = {**first, "input": first["ctx"]["tag"]}
    if first["type"] == "missing":
        return f"{key} is missing: give it a value{more}"
    expected = " or ".join(dict.fromkeys(_expected(one) for one in found))
    return f"{key}: expected {expected}, got {_got(first['input'])}{whence}{more}"


def _expected(error: Any) -> str:
    pattern = EXPECTED.get(error["type"])
    return pattern.format(**error.get("ctx", {})) if pattern else error["msg"].lower()


def _got(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"'{value}'"
    return format_value(value) if not isinstance(value, Mapping) else "a section"


def _dotted(location: Sequence[str | int], values: Any) -> str:
    """Return the dotted key of an error, without the words that pydantic adds for unions."""
    path = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            path += f"[{part}]"
            values = None
        elif isinstance(values, Mapping) and (
            part in values or (position == len(location) - 1 and "-" not in part)
        ):
            path += f".{part}" if path else part
            values = values.get(part)
    return path


def _whence(key: str, origin: Mapping[str, str]) -> str:
    key = key.partition("[")[0]
    label = origin.get(key) or next(
        (value for known, value in origin.items() if known.startswith(f"{key}.")), None
    )
    return f" ({label})" if label else ""
