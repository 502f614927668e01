"""Recipes and overrides: layers, origins, and one clear line for each kind of mistake."""

from pathlib import Path

import pytest

from neurohorizon.configs.load import (
    load_config,
    parse_overrides,
    to_yaml,
)
from neurohorizon.configs.recipe_file import find_recipe, list_recipes, read_yaml
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.errors import ConfigError


def refused(*overrides: str, recipe: str = "default") -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(recipe, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_each_value_says_where_it_comes_from(tmp_path):
    write(tmp_path / "below.yaml", "model: {size: small, dropout: 0.2}\ntraining: {patience: 3}\n")
    recipe = write(
        tmp_path / "mine.yaml", "base: below.yaml\nmodel: {width: 128}\ntraining: {patience: 4}\n"
    )
    loaded = load_config(recipe, ["training.max_epochs=7"])
    found = {key: (value, origin) for key, value, origin in loaded.lines()}
    expected = {
        "run.name": ("mine", "recipe's name"),
        "run.folder": ("runs/mine", "run.name"),
        "run.seed": ("0", "default"),
        "model.size": ("small", "base below"),
        "model.dropout": ("0.2", "base below"),
        "model.width": ("128", "recipe mine"),
        "model.num_encoder_layers": ("4", "size small"),
        "training.patience": ("4", "recipe mine"),
        "training.max_epochs": ("7", "command line"),
    }
    assert {key: found[key] for key in expected} == expected
    assert set(found) == set(loaded.origin)


def test_the_resolved_configuration_is_a_recipe_that_gives_the_same_again(tmp_path):
    loaded = load_config("demo", ["model.size=small", "training.learning_rate=1e-4"])
    again = load_config(write(tmp_path / "again.yaml", to_yaml(loaded.config)))
    assert again.config == loaded.config


def test_names_that_look_like_numbers_stay_names(tmp_path):
    words = ["data.name=files", "data.recordings=x", "data.hold_out.by=id"]
    loaded = load_config("tiny", [*words, "data.hold_out.ids=['12e3', '007', 'null', '1e3.h5']"])
    again = load_config(write(tmp_path / "again.yaml", to_yaml(loaded.config)))
    assert again.config == loaded.config


def test_another_alternative_leaves_nothing_of_the_one_it_replaces(tmp_path):
    recipe = write(
        tmp_path / "mine.yaml",
        "data: {name: files, recordings: x, hold_out: {by: subject, fraction: 0.4, seed: 3}}\n",
    )
    kept = load_config(recipe, ["data.hold_out.seed=4"])
    assert kept.config.data.hold_out.fraction == 0.4
    assert kept.origin["data.hold_out.seed"] == "command line"
    by_id = load_config(recipe, ["data.hold_out.by=id", "data.hold_out.ids=[a]"])
    assert by_id.config.data.hold_out.ids == ("a",)
    assert not [key for key in by_id.origin if key.endswith("fraction")]
    simulated = load_config(recipe, ["data.name=simulated", "data.minutes=5"])
    assert simulated.config.data.minutes == 5
    assert not [key for key in simulated.origin if "hold_out" in key]


def test_switching_an_optional_section_off_and_on():
    assert load_config("default").config.evaluation.observer is not None
    off = load_config("default", ["evaluation.observer=null"])
    assert off.config.evaluation.observer is None
    assert off.origin["evaluation.observer"] == "command line"
    on = load_config("default", ["evaluation.observer.num_windows=5"])
    assert on.config.evaluation.observer.num_windows == 5


def test_an_explicit_key_overrides_its_size():
    model = load_config("default", ["model.size=base", "model.num_latents=7"]).config.model
    assert (model.width, model.num_heads, model.num_latents) == (512, 8, 7)


def test_the_folder_option_sets_the_run_folder(tmp_path):
    loaded = load_config("default", folder=tmp_path / "1")
    assert loaded.config.run.folder == tmp_path / "1"
    assert loaded.origin["run.folder"] == "command line"
    with pytest.raises(ConfigError, match="say the same"):
        load_config("default", ["run.folder=a"], folder=Path("b"))
    with pytest.raises(ConfigError, match="say the same"):
        load_config("default", ["run=3"], folder=Path("b"))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.max_epoch=3", ["'training.max_epoch'", "did you mean training.max_epochs?"]),
        ("traning.max_epochs=3", ["'traning'", "did you mean training?"]),
        ("learning_rate=3", ["did you mean training.learning_rate?"]),
        ("training.lr=3", ["training has max_epochs, steps_per_epoch,", "learning_rate"]),
        ("data.recordings=x", ["it belongs to data.name=files"]),
        ("model.width.x=3", ["model.width", "expected a whole number", "got a section"]),
        ("training.max_epochs=three", ["a whole number", "'three'", "command line"]),
        ("training.max_epochs=2.5", ["a whole number", "2.5"]),
        ("training.max_epochs=true", ["a whole number", "true"]),
        ("training.max_epochs=0", ["at least 1", "got 0"]),
        ("training.max_epochs=", ["a whole number", "nothing"]),
        ("training.learning_rate=-1", ["more than 0", "-1"]),
        ("training.learning_rate='1'", ["a number", "'1'"]),
        ("training.warmup_share=1.5", ["less than 1", "1.5"]),
        ("training.devices=x", ["a whole number or 'auto'", "'x'"]),
        ("model.use_rate=1", ["true or false", "got 1"]),
        ("model.size=smal", ["'tiny', 'small', 'base' or 'large'", "'smal'"]),
        ("model=3", ["a section of keys and values", "3"]),
        ("data.name=file", ["data.name", "'files', 'simulated'", "'file'"]),
        ("data.units=3", ["a list", "3"]),
        ("evaluation.horizons_s=[0.1, x]", ["evaluation.horizons_s[1]", "a number", "'x'"]),
        ("evaluation.horizons_s=[]", ["a list with at least 1 value"]),
        ("run.name=a/b", ["letters, digits", "'a/b'"]),
        ("window.horizon_s=0.25", ["choose 0.24 or 0.26 s"]),
        ("model.num_heads=64", ["a single feature", "choose fewer heads"]),
        ("run.seed=4294967296", ["run.seed", "less than 4.29"]),
    ],
)
def test_a_bad_key_or_value_gives_one_line(override, words):
    message = refused(override)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.name=files"], "data.recordings is missing"),
        (["data.name=files", "data.recordings=x", "data.hold_out.fraction=0.1"], "by is missing"),
        (
            ["data.name=files", "data.recordings=x", "data.hold_out={by: subject, ids: [a]}"],
            "it belongs to data.hold_out.by=id",
        ),
        (
            ["data.name=files", "data.recordings=x", "data.split={name: time, block_s: 3}"],
            "it belongs to data.split.name=interleaved",
        ),
        (["training.max_epochs=0", "training.patience=-1"], "(and 1 more)"),
    ],
)
def test_mistakes_that_take_several_keys(overrides, words):
    assert words in refused(*overrides)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["training"], "expected key=value"),
        (["=3"], "expected key=value"),
        (["training..max_epochs=3"], "expected key=value"),
        (["--fast=3"], "expected key=value"),
        (["a=1", "a=2"], "given twice"),
        (["a=[1"], "not valid YAML"),
    ],
)
def test_arguments_that_are_no_overrides(overrides, words):
    with pytest.raises(ConfigError, match="'") as caught:
        parse_overrides(overrides)
    assert words in str(caught.value)


def test_values_of_overrides_are_yaml():
    assert parse_overrides(["a.b=1e-3", "a.c=[1, x]", "d=null", "e=true", "f=x=y"]) == {
        "a": {"b": 0.001, "c": [1, "x"]},
        "d": None,
        "e": True,
        "f": "x=y",
    }


def test_an_unknown_recipe_names_the_nearest_and_all():
    message = refused(recipe="defualt")
    assert "did you mean default?" in message
    assert "retinal-waves" in message
    assert "no such recipe file" in refused(recipe="nowhere.yaml")


def test_a_base_has_no_base(tmp_path):
    recipe = write(tmp_path / "mine.yaml", "base: demo\n")
    message = refused(recipe=recipe)
    assert "one level only" in message
    assert "base it on 'default'" in message
    assert "base is 3" in refused(recipe=write(tmp_path / "other.yaml", "base: 3\n"))
    assert "unknown recipe 'nothing'" in refused(
        recipe=write(tmp_path / "third.yaml", "base: nothing\n")
    )


def test_an_unknown_key_says_which_file_it_stands_in(tmp_path):
    recipe = write(tmp_path / "mine.yaml", "base: default\nmodel: {widht: 3}\n")
    assert "'model.widht' (recipe mine): did you mean model.width?" in refused(recipe=recipe)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: {width: 1}\nmodel: {width: 2}\n", "line 2: not a valid recipe ('model' is there"),
        ("model:\n  width: [1\n", "line 3: not a valid recipe"),
        ("- 1\n", "expected keys and values"),
        ("1: 2\n", "a key is 1, not a word"),
    ],
)
def test_a_damaged_recipe_is_refused_with_its_line(tmp_path, text, words):
    assert words in refused(recipe=write(tmp_path / "mine.yaml", text))


def test_numbers_in_recipes_are_those_of_yaml_1_2(tmp_path):
    path = tmp_path / "a.yaml"
    write(path, "a: 1e-3\nb: 1.5\nc: -2E5\nd: .5\ne: 12\nf: 1.2.3\n")
    assert read_yaml(path) == {"a": 1e-3, "b": 1.5, "c": -2e5, "d": 0.5, "e": 12, "f": "1.2.3"}


def test_an_empty_recipe_is_the_schema_with_its_name(tmp_path):
    config = load_config(write(tmp_path / "mine.yaml", "")).config
    assert config.model_dump(exclude={"run"}) == ForecastConfig().model_dump(exclude={"run"})
    assert config.run.name == "mine"


def test_recipes_are_listed_with_what_they_are_for():
    recipes = dict(list_recipes())
    assert {"default", "demo", "nwb", "original"} <= set(recipes)
    assert all(line and not line.startswith("#") for line in recipes.values())
    assert all(find_recipe(name).is_file() for name in recipes)
