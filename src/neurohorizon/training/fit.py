"""Train a forecaster into a run folder."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch

from neurohorizon.errors import CheckpointError
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.training.callbacks import (
    DONE_FILE,
    RESUME_FILE,
    EpochReport,
    KeepBest,
    ResumePointIO,
    SaveResumePoint,
    SeedSteps,
    StepProgress,
    StepReport,
)
from neurohorizon.training.data import ForecastData
from neurohorizon.training.module import ForecastModule
from neurohorizon.training.teacher_forcing import TeacherForcing
from neurohorizon.training.validation import Validation

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class FitSummary:
    """How a training went.

    Parameters
    ----------
    epochs, steps, best_epoch, num_parameters : int
    seconds : float
        Training and validation, of all its parts if it was resumed.
    best_valid_bits_per_spike : float
        At the longest horizon: what the kept model was chosen by.
    """

    epochs: int
    steps: int
    best_epoch: int
    num_parameters: int
    seconds: float
    best_valid_bits_per_spike: float


def fit_forecaster(
    *,
    model: HorizonForecaster,
    data: ForecastData,
    run_folder: Path,
    max_epochs: int,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.02,
    warmup_share: float = 0.1,
    gradient_clip: float = 1.0,
    accumulate_batches: int = 1,
    queries_per_window: int = 24,
    adapter_dropout: float = 0.1,
    condition_dropout: float = 0.0,
    ema_decay: float = 0.0,
    teacher_forcing: TeacherForcing | None = None,
    patience: int = 0,
    horizons_s: Sequence[float] = (0.1, 0.24, 0.5, 1.0),
    precision: Precision = "32-true",
    accelerator: str = "auto",
    devices: int | str = "auto",
    strategy: str = "auto",
    seed: int = 0,
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
        Receives ``model.safetensors`` (best by validation), ``metrics.csv``,
        ``last.ckpt`` (to resume from) and, at the end, ``training.json``.
    max_epochs : int
        Epochs of ``data.steps_per_epoch`` steps; the learning rate's cycle spans them all.
    gradient_clip : float
        Largest norm of the gradient.
    accumulate_batches : int
        Batches summed before each step.
    teacher_forcing : TeacherForcing, optional
        Of a model that feeds counts back.
    patience : int
        Epochs without improvement before stopping early; 0 for never.
    precision, accelerator, devices, strategy : str
        As Lightning's Trainer takes them.
    resume : bool
        Go on from ``last.ckpt`` if it is there.
    on_epoch, on_step : callable, optional
        Told each epoch's metrics, and each (step, steps in all).
    stop_after_epochs : int, optional
        Stop (as if interrupted) after so many epochs; the rest can be resumed.

    Returns
    -------
    FitSummary

    Raises
    ------
    CheckpointError
        If ``last.ckpt`` is damaged or belongs to another model.
    """
    lightning.seed_everything(seed, verbose=False)
    statistics, functional = data.feature_scalers()
    for standardise, scaler in (
        (model.identity.standardise_statistics, statistics),
        (model.identity.standardise_functional, functional),
    ):
        standardise.set(log=scaler.log, mean=scaler.mean, scale=scaler.scale)
    model.set_pictures(*data.picture_scaler())
    num_steps = max_epochs * data.steps_per_epoch // accumulate_batches
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
        teacher_forcing=teacher_forcing,
    )
    keep_best = KeepBest(
        run_folder=run_folder,
        validation=Validation(data.valid_groups, horizons_s=horizons_s),
        known_units=data.known_units,
        patience=patience,
        report=on_epoch,
    )
    callbacks: list[lightning.Callback] = [SeedSteps(seed), keep_best, SaveResumePoint(run_folder)]
    if on_step is not None:
        callbacks.append(StepProgress(on_step, num_steps))
    run_folder.mkdir(parents=True, exist_ok=True)
    trainer = _quiet_trainer(
        max_epochs=max_epochs if stop_after_epochs is None else stop_after_epochs,
        callbacks=callbacks,
        gradient_clip_val=gradient_clip,
        accumulate_grad_batches=accumulate_batches,
        precision=precision,
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        plugins=[ResumePointIO()],
        default_root_dir=run_folder,
    )
    last = run_folder / RESUME_FILE
    ckpt_path = str(last) if resume and last.is_file() else None
    try:
        batches = data.train_loader(lambda: trainer.global_step * accumulate_batches)
        trainer.fit(module, batches, ckpt_path=ckpt_path, weights_only=True)
    except Exception as error:
        # Whatever stands in that file, reading it failed before a step was taken.
        if ckpt_path is None or trainer.global_step > 0:
            raise
        raise CheckpointError(
            f"{last}: cannot resume from it ({type(error).__name__}): train into another "
            "folder, or delete this one to start again"
        ) from error
    if stop_after_epochs is not None and stop_after_epochs < max_epochs:
        (run_folder / DONE_FILE).unlink(missing_ok=True)
        return _summary(keep_best, trainer, model)
    return read_summary(run_folder)


def read_summary(run_folder: Path) -> FitSummary:
    """Read how a finished run went.

    Raises
    ------
    CheckpointError
        If the run is not finished.
    """
    path = run_folder / DONE_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{run_folder}: the training is not finished: go on with `neurohorizon train ... "
            "--resume`"
        )
    return FitSummary(**json.loads(path.read_text(encoding="utf-8")))


def _summary(keep_best: KeepBest, trainer: lightning.Trainer, model: torch.nn.Module) -> FitSummary:
    return FitSummary(
        epochs=len(keep_best.rows),
        steps=trainer.global_step,
        best_epoch=keep_best.best_epoch,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=keep_best.seconds,
        best_valid_bits_per_spike=keep_best.best_score,
    )


def _quiet_trainer(**settings: Any) -> lightning.Trainer:
    """Make a Trainer that leaves talking and files to our own callbacks."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    return lightning.Trainer(
        **settings,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10_000_000,
    )
