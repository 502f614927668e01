"""Experiment files: a recipe, what is varied from it, and how often.

An experiment is a YAML file::

    # One line that says what it asks
    recipe: tiny                  # what everything is varied from
    seeds: 3
    settings:                     # over the recipe, for all members
      training.max_epochs: 15
    vary:
      model.decoder: [unit_queries, causal_bins]     # a key: a member for each value
      no rate term: {model.use_rate: false}          # a name: one member

One factor at a time by default; ``grid: true`` crosses all of them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from neurohorizon.configs.problems import describe_problem
from neurohorizon.configs.recipe_file import RECIPES, find_recipe, read_yaml
from neurohorizon.configs.section import Count, CountOrNone, Section, Switch, Text
from neurohorizon.errors import ConfigError

EXPERIMENTS = Path(__file__).parent / "experiments"
#: Seconds; less says too little of a unit.
SHORTEST_REFERENCE_S = 10.0
_PLAIN = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)


class Experiment(Section):
    """What an experiment file says."""

    recipe: Text
    """Recipe that everything is varied from."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Over the recipe, for all members."""
    seeds: Count | Annotated[tuple[CountOrNone, ...], Field(min_length=1)] = 1
    """How many seeds (0, 1, ...), or which."""
    vary: dict[str, Annotated[list[Any], Field(min_length=1)] | dict[str, Any]] = Field(
        default_factory=dict
    )
    """A key with its values, or a name with the settings that it stands for."""
    grid: Switch = False
    """Cross all that is varied, instead of one factor at a time from the recipe."""
    each: Text | None = None
    """Train on each recording, subject, or value of another of their metadata (such as laboratory)
    alone and hold out all others, for recordings in files."""
    reference_lengths_s: tuple[Annotated[float, Field(ge=SHORTEST_REFERENCE_S)], ...] = ()
    """Lengths of the reference that are scored beside the recipe's own, in seconds."""


def load_experiment(name: str) -> tuple[str, Experiment] | None:
    """Read an experiment of this package, or a file that holds one.

    Parameters
    ----------
    name : str
        Name, or path of a ``.yaml`` file.

    Returns
    -------
    (str, Experiment) or None
        What it is called, and what it says; None if `name` is a recipe's.

    Raises
    ------
    ConfigError
        If it is neither, or says something that an experiment does not.
    """
    path = EXPERIMENTS / f"{name}.yaml"
    if not path.is_file():
        path = _recipe_path(name)
        if path.parent == RECIPES or "recipe" not in read_yaml(path):
            return None
    values = read_yaml(path)
    try:
        return path.stem, Experiment.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][:2])
        if first["type"] == "extra_forbidden":
            keys = ", ".join(Experiment.model_fields)
            raise ConfigError(f"{path}: unknown key '{where}': an experiment has {keys}") from None
        raise ConfigError(f"{path}: {describe_problem(error, values, {})}") from None


def list_experiments() -> list[tuple[str, str]]:
    """Return the name of each experiment of this package and the first line of its comment."""
    return [
        (path.stem, path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip())
        for path in sorted(EXPERIMENTS.glob("*.yaml"))
    ]


def as_words(settings: Mapping[str, Any]) -> list[str]:
    """Write settings as ``key=value``; a section within a section has dotted keys.

    Examples
    --------
    >>> as_words({"data.units": [5, 9], "model": {"decoder": "causal_bins"}})
    ['data.units=[5, 9]', 'model.decoder=causal_bins']
    """
    words = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            words += as_words({f"{key}.{inner}": each for inner, each in value.items()})
        else:
            words.append(f"{key}={as_text(value)}")
    return words


def as_text(value: Any) -> str:
    """Write a value so that it is read as the same again, without quotes where none are needed."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value)


def _recipe_path(name: str) -> Path:
    try:
        return find_recipe(name)
    except ConfigError as error:
        known = [each for each, _ in list_experiments()]
        near = difflib.get_close_matches(name, known, n=1)
        if near:
            meant = f"did you mean {near[0]}?"
        elif name.endswith((".yaml", ".yml")) or "/" in name:
            raise
        else:
            meant = f"experiments are {', '.join(known)}"
        raise ConfigError(f"{error}; {meant}") from None
