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
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.training.callbacks import (
    DONE_FILE,
    EpochReport,
    KeepBest,
    SeedSteps,
    StepProgress,
    StepReport,
)
from neurohorizon.training.data import ForecastData
from neurohorizon.training.module import ForecastModule
from neurohorizon.training.objectives import ObjectiveName
from neurohorizon.training.processes import Processes, batches_of_each, plan_processes
from neurohorizon.training.resume import RESUME_FILE, ResumePointIO, SaveResumePoint
from neurohorizon.training.teacher_forcing import TeacherForcing
from neurohorizon.training.validation import Validation

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
StrategyName = Literal["auto", "ddp", "fsdp"]


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
    objective: ObjectiveName = "likelihood",
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
    checkpoint_activations: bool = False,
    save_every_steps: int = 0,
    patience: int = 0,
    horizons_s: Sequence[float] = (0.1, 0.24, 0.5, 1.0),
    precision: Precision = "32-true",
    accelerator: str = "auto",
    devices: int | str = "auto",
    strategy: StrategyName = "auto",
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
    objective : {"likelihood", "squared_error"}
        What is minimised (:func:`~neurohorizon.training.objectives.objective_of_counts`).
    gradient_clip : float
        Largest norm of the gradient.
    accumulate_batches : int
        Batches summed before each step, over all processes: each sums its share, so that a
        training does not depend on how many there are.
    teacher_forcing : TeacherForcing, optional
        Of a model that feeds counts back.
    checkpoint_activations : bool
        Compute activations again in the backward pass: less memory, more time.
    save_every_steps : int
        Steps between points to resume from, beside those at the ends of epochs; 0 for none.
    patience : int
        Epochs without improvement before stopping early; 0 for never.
    precision, accelerator, devices : str
        As Lightning's Trainer takes them; "auto" devices are those that torchrun or Slurm
        started processes for, otherwise one.
    strategy : {"auto", "ddp", "fsdp"}
        What several processes do with the weights: each holds all of them ("ddp", which is
        also what "auto" means), or a part ("fsdp").
    resume : bool
        Go on from ``last.ckpt`` if it is there, with any number of processes.
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
    ConfigError
        If processes cannot share the batches, or there are no such devices.

    Notes
    -----
    A process that is sent SIGTERM or SIGUSR1 ends the step at hand, writes ``last.ckpt`` and
    stops as if it had been interrupted from the keyboard.
    """
    processes = plan_processes(devices)
    own_batches = batches_of_each(accumulate_batches, processes)
    if data.steps_per_epoch % accumulate_batches:
        raise ConfigError(
            f"training.accumulate_batches is {accumulate_batches}: expected a divisor of the "
            f"{data.steps_per_epoch} batches of an epoch"
        )
    if strategy == "fsdp" and ema_decay > 0:
        raise ConfigError(
            "training.ema_decay and training.strategy=fsdp: an average of weights that are "
            "shared out is not kept; set training.ema_decay=0 or training.strategy=ddp"
        )
    lightning.seed_everything(seed, verbose=False)
    statistics, functional = data.feature_scalers()
    for standardise, scaler in (
        (model.identity.standardise_statistics, statistics),
        (model.identity.standardise_functional, functional),
    ):
        standardise.set(log=scaler.log, mean=scaler.mean, scale=scaler.scale)
    model.set_pictures(*data.picture_scaler())
    if checkpoint_activations:
        model.checkpoint_activations()
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
        objective=objective,
        teacher_forcing=teacher_forcing,
    )
    keep_best = KeepBest(
        run_folder=run_folder,
        validation=Validation(data.valid_groups, horizons_s=horizons_s),
        known_units=data.known_units,
        patience=patience,
        report=on_epoch,
    )
    # In this order: a resume point holds what the others have noted of its step.
    callbacks: list[lightning.Callback] = [
        SeedSteps(seed),
        keep_best,
        SaveResumePoint(run_folder, every_steps=save_every_steps),
    ]
    if on_step is not None:
        callbacks.append(StepProgress(on_step, num_steps))
    run_folder.mkdir(parents=True, exist_ok=True)
    trainer = _quiet_trainer(
        max_epochs=max_epochs if stop_after_epochs is None else stop_after_epochs,
        callbacks=callbacks,
        gradient_clip_val=gradient_clip,
        accumulate_grad_batches=own_batches,
        precision=precision,
        accelerator=accelerator,
        devices=processes.per_node,
        num_nodes=processes.num_nodes,
        strategy=_make_strategy(strategy, processes, model),
        use_distributed_sampler=False,  # batches are shared out by their numbers
        plugins=_make_plugins(processes),
        default_root_dir=run_folder,
    )
    last = run_folder / RESUME_FILE
    ckpt_path = str(last) if resume and last.is_file() else None
    try:
        batches = data.train_loader(
            lambda: trainer.global_step * accumulate_batches,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        trainer.fit(module, batches, ckpt_path=ckpt_path, weights_only=True)
    except Exception as error:
        # Whatever stands in that file, reading it failed before a step was taken.
        if ckpt_path is None or trainer.global_step > 0:
            raise
        raise CheckpointError(
            f"{last}: cannot resume from it ({type(error).__name__}): train into another "
            "folder, or delete this one to start again"
        ) from error
    stopped = stop_after_epochs is not None and stop_after_epochs < max_epochs
    if stopped and trainer.is_global_zero:
        (run_folder / DONE_FILE).unlink(missing_ok=True)
    if stopped or not trainer.is_global_zero:
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
    try:
        return lightning.Trainer(
            **settings,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10_000_000,
        )
    except (MisconfigurationException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"training.accelerator, devices, precision: {reason}") from error


def _make_strategy(name: StrategyName, processes: Processes, model: HorizonForecaster) -> Any:
    if name == "fsdp":
        # The second FSDP, which shares out single weights, on any kind of device.
        return ModelParallelStrategy(
            data_parallel_size=processes.world_size,
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
        )
    if name == "auto" and processes.world_size == 1:
        return "auto"
    # Looking for weights that a batch left unused costs time: where no batch can, nobody looks.
    used = ("use_events", "use_unit_tokens", "use_population_tokens")
    all_used = (
        all(model.settings[name] for name in used)
        and model.decoder == "unit_queries"
        and not model.spec.conditions
    )
    return DDPStrategy(find_unused_parameters=not all_used)


def _make_plugins(processes: Processes) -> list[Any]:
    plugins: list[Any] = [ResumePointIO()]
    if processes.launcher == "slurm":
        # The job is told by its own script whether to begin again.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins
