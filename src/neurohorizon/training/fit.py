"""Train a forecaster into a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import lightning
from torch import nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.checkpoint import save_forecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.training.callbacks import EpochReport, StepReport
from neurohorizon.training.data import ForecastData
from neurohorizon.training.loop import FitSummary, LoopSettings, run_loop
from neurohorizon.training.module import ForecastModule
from neurohorizon.training.objectives import ObjectiveName
from neurohorizon.training.teacher_forcing import TeacherForcing
from neurohorizon.training.validation import Validation


def fit_forecaster(
    *,
    model: HorizonForecaster,
    data: ForecastData,
    run_folder: Path,
    settings: LoopSettings,
    objective: ObjectiveName = "likelihood",
    learning_rate: float = 3e-3,
    weight_decay: float = 0.02,
    warmup_share: float = 0.1,
    queries_per_window: int = 24,
    adapter_dropout: float = 0.1,
    condition_dropout: float = 0.0,
    ema_decay: float = 0.0,
    teacher_forcing: TeacherForcing | None = None,
    checkpoint_activations: bool = False,
    horizons_s: Sequence[float] = (0.1, 0.24, 0.5, 1.0),
    resume: bool = False,
    on_epoch: EpochReport | None = None,
    on_step: StepReport | None = None,
    stop_after_epochs: int | None = None,
) -> FitSummary:
    """Train a forecaster; the run folder then holds the best model and the log.

    Parameters
    ----------
    model : HorizonForecaster
        Its standardisation is set from the data here, so it travels with the weights.
    data : ForecastData
    run_folder : Path
        What it receives, and how it is gone on with: :func:`~neurohorizon.training.loop.run_loop`.
    settings : LoopSettings
    objective : {"likelihood", "squared_error"}
        What is minimised (:func:`~neurohorizon.training.objectives.objective_of_counts`).
    learning_rate, weight_decay, warmup_share, queries_per_window, adapter_dropout, \
    condition_dropout, ema_decay, teacher_forcing
        As :class:`~neurohorizon.training.module.ForecastModule` takes them.
    checkpoint_activations : bool
        Compute activations again in the backward pass: less memory, more time.
    horizons_s : sequence of float
        Horizons that validation reports; the longest one decides.
    resume, on_epoch, on_step, stop_after_epochs
        As `run_loop` takes them.

    Returns
    -------
    FitSummary

    Raises
    ------
    CheckpointError, ConfigError
        What `run_loop` raises.
    """
    num_steps = settings.num_steps(data.steps_per_epoch)
    if settings.strategy == "fsdp" and ema_decay > 0:
        raise ConfigError(
            "training.ema_decay and training.strategy=fsdp: an average of weights that are "
            "shared out is not kept; set training.ema_decay=0 or training.strategy=ddp"
        )
    lightning.seed_everything(settings.seed, verbose=False)
    statistics, functional = data.feature_scalers()
    for standardise, scaler in (
        (model.identity.standardise_statistics, statistics),
        (model.identity.standardise_functional, functional),
    ):
        standardise.set(log=scaler.log, mean=scaler.mean, scale=scaler.scale)
    model.set_pictures(*data.picture_scaler())
    if checkpoint_activations:
        model.checkpoint_activations()
    module = ForecastModule(
        model,
        num_steps=num_steps,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup_share=warmup_share,
        queries_per_window=queries_per_window,
        adapter_dropout=adapter_dropout,
        condition_dropout=condition_dropout,
        ema_decay=ema_decay,
        objective=objective,
        teacher_forcing=teacher_forcing,
    )

    def save(kept: nn.Module, path: Path) -> None:
        save_forecaster(cast(HorizonForecaster, kept), path, known_units=data.known_units)

    used = ("use_events", "use_unit_tokens", "use_population_tokens")
    return run_loop(
        module,
        settings=settings,
        num_steps=num_steps,
        run_folder=run_folder,
        make_loader=data.train_loader,
        validation=Validation(data.valid_groups, horizons_s=horizons_s),
        save=save,
        all_weights_used=all(model.settings[name] for name in used)
        and model.settings["decoder"] == "unit_queries"
        and not model.spec.conditions,
        resume=resume,
        on_epoch=on_epoch,
        on_step=on_step,
        stop_after_epochs=stop_after_epochs,
    )
