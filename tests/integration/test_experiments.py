"""Every member of every experiment on simulated data takes a training step."""

import pytest
import torch

from neurohorizon.configs.build import fit_arguments, forecast_data, forecaster
from neurohorizon.configs.sessions import open_sessions
from neurohorizon.configs.sweep_plan import plan_sweep
from neurohorizon.training.module import ForecastModule

SMALL_WORLD = [
    "data.num_sessions=2",
    "data.num_held_out=0",
    "data.minutes=2.5",
    "data.units=[5, 7]",
    "reference.num_references=1",
    "training.tokens_per_batch=1200",
    "training.references_per_batch=2",
]
EXPERIMENTS = ("ablations", "contributions", "horizons", "scaling_parameters", "teacher_forcing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("worlds")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_member_takes_a_step(name, folder):
    words = [*SMALL_WORLD, f"data.folder={folder}"]
    plan = plan_sweep(name, words, num_seeds=1, folder=folder / name)
    made = {}
    for run in plan.runs:
        config = run.loaded.config
        key = (config.data, config.window_spec(), config.evaluation, config.model.use_labels)
        if str(key) not in made:
            recordings = [each.recording for each in open_sessions(config).training]
            data = forecast_data(config, recordings)
            made[str(key)] = recordings, data, next(iter(data.train_loader()))
        recordings, data, batch = made[str(key)]
        model = forecaster(config, num_known_units=len(data.known_units), recordings=recordings)
        settings = fit_arguments(config)
        module = ForecastModule(
            model,
            num_steps=2,
            objective=settings["objective"],
            teacher_forcing=settings["teacher_forcing"],
        )
        loss = module.loss(batch)
        loss.backward()
        assert torch.isfinite(loss), run.name
        gradients = [p.grad for p in model.head.parameters() if p.grad is not None]
        assert any(bool(gradient.any()) for gradient in gradients), run.name
        with torch.no_grad():
            expected = model.eval().expected_counts(batch)
        assert bool(torch.isfinite(expected).all()), run.name
