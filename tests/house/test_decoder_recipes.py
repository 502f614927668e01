"""Every recipe of a decoder that ships builds, and takes a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from decoding_worlds import moving_recording
from neurohorizon.configs import decode_build
from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.load import load_any
from neurohorizon.configs.recipe_file import RECIPES
from neurohorizon.configs.sessions import prepare_recording
from neurohorizon.recordings.schema import Recording, Series, Table
from neurohorizon.training.decoding.fit import teach
from neurohorizon.training.decoding.module import DecodeModule

CONFIGS = {
    path.stem: config
    for path in sorted(RECIPES.glob("*.yaml"))
    if isinstance(config := load_any(path.stem).config, DecodeConfig)
}


def with_tasks(config: DecodeConfig, seed: int) -> Recording:
    """Return a recording that has what a recipe decodes, and what it reads."""
    recording = moving_recording(duration_s=300.0, seed=seed, name=f"m{seed}")
    moved = recording.series["velocity"]
    moved = replace(moved, values=100 * moved.values)  # as fast as an animal in pixels
    series = {task.series: moved for task in config.tasks.values() if task.series}
    start, end = np.array([0.0]), np.array([300.0])
    named = {name for task in config.tasks.values() for name in task.interval_weights}
    named |= {task.evaluate for task in config.tasks.values() if task.evaluate}
    tables = {"trials": recording.tables["trials"]} | {n: Table(start, end) for n in named}
    for task in config.tasks.values():
        if task.table:
            side = {task.column: recording.tables["trials"].columns["side"]}
            tables[task.table] = replace(recording.tables["trials"], columns=side)
    if config.model.name == "capoyo":
        clock = np.arange(0.0, 300.0, 0.1)
        values = np.random.default_rng(seed).standard_normal((len(clock), recording.num_units))
        recording = replace(
            recording,
            spike_times=np.empty(0),
            spike_unit_index=np.empty(0, dtype=np.int64),
            signals={config.model.signal or "calcium": Series(clock, values)},
        )
    return replace(recording, series=series, tables=tables)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_recipe_builds_a_decoder_that_takes_a_step(name: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    recordings = [
        prepare_recording(with_tasks(config, seed), config, path=tmp_path / "a.h5")
        for seed in (0, 1)
    ]
    quick = ["training.tokens_per_batch=2000", "training.num_workers=0"]
    if config.model.name == "forecaster":
        quick += ["reference.num_references=1", "reference.longest_s=60.0"]
        quick += ["evaluation.reference_s=60.0"]  # not all that may be read: no folds
    small = load_any(name, quick).config
    assert isinstance(small, DecodeConfig)
    data = decode_build.decode_data(small, recordings)
    model = decode_build.decoder(small, data.tasks, num_features=data.num_unit_features)
    teach(model, data)
    module = DecodeModule(model, num_steps=100)
    optimizer = module.configure_optimizers()["optimizer"]
    batch = next(iter(data.train_loader()))
    loss = module.loss(batch)
    before = [parameter.detach().clone() for parameter in model.readouts.parameters()]
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    after = list(model.readouts.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
