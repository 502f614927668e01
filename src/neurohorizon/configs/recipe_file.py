"""Recipes as files: which there are, and reading their YAML more strictly than YAML asks for."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

from neurohorizon.errors import ConfigError

RECIPES = Path(__file__).parent / "recipes"


class _RecipeLoader(yaml.SafeLoader):
    """YAML 1.2's numbers (1e-3 is one), and no key twice."""


_RecipeLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:float"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\d+[eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def _construct_mapping(loader: _RecipeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    values: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.MarkedYAMLError(
                problem=f"a key is {key!r}, not a word", problem_mark=key_node.start_mark
            )
        if key in values:
            raise yaml.MarkedYAMLError(
                problem=f"'{key}' is there twice", problem_mark=key_node.start_mark
            )
        values[key] = loader.construct_object(value_node, deep=True)
    return values


_RecipeLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


class _RecipeDumper(yaml.SafeDumper):
    """Quotes what the loader would take for a number."""


_RecipeDumper.yaml_implicit_resolvers = _RecipeLoader.yaml_implicit_resolvers


def write_yaml(values: dict[str, Any]) -> str:
    """Write keys and values such that :func:`read_yaml` reads the same."""
    return yaml.dump(values, Dumper=_RecipeDumper, sort_keys=False)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Raises
    ------
    ConfigError
        If it cannot be read, with the line.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _RecipeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        reason = " ".join(str(getattr(error, "problem", error)).split())
        raise ConfigError(f"{path}{line}: not a valid recipe ({reason})") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values, got {values!r:.40}")
    return values


def find_recipe(recipe: str) -> Path:
    """Return the file of a recipe.

    Raises
    ------
    ConfigError
        If there is none, with those that there are.
    """
    if recipe.endswith((".yaml", ".yml")) or "/" in recipe:
        path = Path(recipe)
        if not path.is_file():
            raise ConfigError(f"{recipe}: no such recipe file")
        return path
    path = RECIPES / f"{recipe}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in RECIPES.glob("*.yaml"))
        near = difflib.get_close_matches(recipe, known, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"unknown recipe '{recipe}': {meant}there are {', '.join(known)}, "
            "or give the path of a .yaml file"
        )
    return path


def list_recipes() -> list[tuple[str, str]]:
    """Return the name of each recipe of this package and the first line of its comment."""
    found = []
    for path in sorted(RECIPES.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        found.append((path.stem, first.removeprefix("#").strip()))
    return found


def recipes_for(source: str) -> list[str]:
    """Return the names of this package's recipes for a source of recordings.

    Examples
    --------
    >>> recipes_for("retinal_waves"), recipes_for("npz")
    (['retinal-waves'], ['nwb'])
    """
    made_for = [
        path.stem
        for path in sorted(RECIPES.glob("*.yaml"))
        if read_yaml(path).get("data", {}).get("source") == source
    ]
    return made_for or ["nwb"]
