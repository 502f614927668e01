"""``neurohorizon config``: what can be configured, and what a recipe comes to."""

from __future__ import annotations

import json

from neurohorizon.configs.experiment import list_experiments
from neurohorizon.configs.load import load_any
from neurohorizon.configs.recipe_file import list_recipes
from neurohorizon.configs.root import json_schema
from neurohorizon.configs.trainings import check


def explain(recipe: str, /, *overrides: str) -> None:
    """Show every setting of a recipe and where its value comes from.

    Parameters
    ----------
    recipe
        Name of a recipe (`neurohorizon config list`) or path of a .yaml file.
    overrides
        key=value, as for `neurohorizon train`.
    """
    loaded = load_any(recipe, overrides)
    check(loaded.config)
    lines = loaded.lines()
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    for key, value, origin in lines:
        print(f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}")


def schema() -> None:
    """Print the JSON schema of recipes: every key, its type, default and meaning."""
    print(json.dumps(json_schema(), indent=2))


def list_all() -> None:
    """List the recipes and the experiments, and what each is for."""
    recipes, experiments = list_recipes(), list_experiments()
    width = max(len(name) for name, _ in (*recipes, *experiments))
    for name, line in recipes:
        print(f"{name:<{width}}  {line}")
    print("\nexperiments (neurohorizon sweep NAME)")
    for name, line in experiments:
        print(f"{name:<{width}}  {line}")
