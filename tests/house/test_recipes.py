"""Every recipe that ships loads, builds, and takes a step."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from neurohorizon.configs import build
from neurohorizon.configs.load import load_any, load_config
from neurohorizon.configs.model_schema import SIZES
from neurohorizon.configs.recipe_file import RECIPES, read_yaml
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.configs.trainings import check
from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.embeddings import ShownImages
from neurohorizon.recordings.schema import Recording, Series
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.data import ForecastData
from worlds import waving_recording

ALL_NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))
#: Of forecasters; those of decoders: test_decoder_recipes.py.
NAMES = [name for name in ALL_NAMES if isinstance(load_any(name).config, ForecastConfig)]
#: Made in a small size: theirs is a size's own recipe's. On files: test_recipes_on_files.py.
PUBLIC = ("ibl", "perich")


def small_config(name: str) -> ForecastConfig:
    """Return a recipe's configuration, of a public data set's with the tiny model."""
    return load_config(name, ["model.size=tiny"] if name.startswith(PUBLIC) else []).config


def with_conditions(config: ForecastConfig) -> list[Recording] | None:
    """Return a recording that has the conditions of a recipe for files."""
    spec = config.conditions.spec()
    if not spec or config.data.name == "simulated":
        return None
    times = np.arange(0.0, 60.0, 0.1)
    shown = ShownImages(
        table="scenes",
        start=times[:4],
        end=times[1:5],
        row=np.arange(4),
        vectors=np.eye(4, 8, dtype=np.float32),
        hashes=np.array([f"{row:064x}" for row in range(4)]),
        fingerprint="{}",
    )
    series = {name: Series(times, np.sin(times)[:, None], unit="") for name in spec.behavior}
    embeddings = {spec.images: shown} if spec.images else {}
    return [replace(waving_recording(duration_s=60), series=series, embeddings=embeddings)]


@cache
def small_batch(spec: WindowSpec) -> ForecastBatch:
    """Return a small training batch of a geometry."""
    recordings = [waving_recording(num_units=units, duration_s=120, seed=units) for units in (5, 7)]
    data = ForecastData(recordings=recordings, spec=spec, tokens_per_batch=800)
    return next(iter(data.train_loader(lambda: 0)))


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_recipe_says_what_it_is_for_and_repeats_nothing(name: str) -> None:
    path = RECIPES / f"{name}.yaml"
    assert path.read_text(encoding="utf-8").startswith("# ")
    loaded = load_any(name)
    check(loaded.config)
    values = read_yaml(path)
    base = load_any(values["base"]).config if "base" in values else None
    if base is not None:
        same = base.model_dump(exclude={"run"}) == loaded.config.model_dump(exclude={"run"})
        assert not same, "the recipe changes nothing of its base"


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_a_model_that_takes_a_step(name: str) -> None:
    from neurohorizon.training.module import ForecastModule

    config = small_config(name)
    batch = small_batch(config.window_spec())
    model = build.forecaster(config, recordings=with_conditions(config))
    settings = build.fit_arguments(config)
    module = ForecastModule(
        model,
        num_steps=100,
        learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        warmup_share=settings["warmup_share"],
        queries_per_window=settings["queries_per_window"],
    )
    optimizer = module.configure_optimizers()["optimizer"]
    before = [parameter.detach().clone() for parameter in model.head.parameters()]
    loss = module.loss(batch)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    after = list(model.head.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "large"])
def test_an_untrained_model_forecasts_the_reference_rate(name: str) -> None:
    config = small_config(name)
    batch = small_batch(config.window_spec())
    model = build.forecaster(config, recordings=with_conditions(config)).eval()
    with torch.inference_mode():
        log_mean = torch.log(model.expected_counts(batch))
    rate = batch.rate_SN[batch.reference_W] if config.model.use_rate else torch.ones(1)
    expected = torch.log(rate * config.window.bin_s).unsqueeze(-1).expand(*log_mean.shape[:2], 1)
    mask = batch.unit_mask_WN
    np.testing.assert_allclose(
        log_mean[mask], expected.expand_as(log_mean)[mask], atol=1e-6, rtol=0
    )


def test_the_same_seed_gives_the_same_weights() -> None:
    models = [
        build.forecaster(load_config("default", [f"run.seed={seed}"]).config) for seed in (1, 1, 2)
    ]
    first, again, other = (torch.cat([p.flatten() for p in m.parameters()]) for m in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_original_design_differs_from_its_rate_variant_in_the_rate_alone() -> None:
    plain, with_rate = (load_config(name).config for name in ("original", "original-rate"))
    assert not plain.model.use_rate
    assert plain.model.model_copy(update={"use_rate": True}) == with_rate.model
    assert plain.training == with_rate.training


@pytest.mark.parametrize("name", ["tiny", "small", "base", "large"])
def test_a_size_takes_recordings_of_one_s_own(name: str) -> None:
    config = load_config(name, ["data.name=files", "data.recordings=mine"]).config
    assert (config.data.name, config.model.size) == ("files", name)


@pytest.mark.parametrize("size", SIZES)
def test_pages_and_recipes_say_how_large_a_size_is(size: str, root: Path) -> None:
    model = build.forecaster(load_config(size).config)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    (row,) = re.findall(
        rf"^\| {size} \|.*\| ([\d.]+) M \|$", (root / "docs" / "recipes.md").read_text(), re.M
    )
    first = (RECIPES / f"{size}.yaml").read_text(encoding="utf-8").splitlines()[0]
    (comment,) = re.findall(r"about ([\d.]+) M parameters", first)
    assert row == comment
    assert float(row) == pytest.approx(millions, rel=0.05)
