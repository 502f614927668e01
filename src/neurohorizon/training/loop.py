"""The training loop that all models share: devices, steps, validation, resuming, the summary."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import lightning
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch.utils.data import DataLoader

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.training.callbacks import (
    DONE_FILE,
    EpochReport,
    KeepBest,
    SeedSteps,
    StepProgress,
    StepReport,
    TrainedModule,
    Validator,
)
from neurohorizon.training.processes import Processes, batches_of_each, plan_processes
from neurohorizon.training.resume import RESUME_FILE, ResumePointIO, SaveResumePoint

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
StrategyName = Literal["auto", "ddp", "fsdp"]


class MakeLoader(Protocol):
    """Makes the loader of the rest of an epoch, of one process."""

    def __call__(
        self, batches_seen: Callable[[], int], *, rank: int, world_size: int
    ) -> DataLoader[Any]:
        """Make it; `batches_seen` tells how many all processes together have seen."""
        ...


@dataclass(frozen=True)
class FitSummary:
    """How a training went.

    Parameters
    ----------
    epochs, steps, best_epoch, num_parameters : int
    seconds : float
        Training and validation, of all its parts if it was resumed.
    best_valid : float
        Validation score of the kept model, larger is better.
    chosen_by : str
        Which score that is, as in ``metrics.csv``.
    """

    epochs: int
    steps: int
    best_epoch: int
    num_parameters: int
    seconds: float
    best_valid: float
    chosen_by: str


@dataclass(frozen=True)
class LoopSettings:
    """How the loop runs, whatever it trains.

    Parameters
    ----------
    max_epochs : int
    accumulate_batches : int
        Batches summed before each step, over all processes: each sums its share, so that a
        training does not depend on how many there are.
    gradient_clip : float
        Largest norm of the gradient.
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
    seed : int
    """

    max_epochs: int
    accumulate_batches: int = 1
    gradient_clip: float = 1.0
    save_every_steps: int = 0
    patience: int = 0
    precision: Precision = "32-true"
    accelerator: str = "auto"
    devices: int | str = "auto"
    strategy: StrategyName = "auto"
    seed: int = 0

    def num_steps(self, batches_per_epoch: int) -> int:
        """Return the steps of the whole training; an epoch's batches are those of all processes.

        Raises
        ------
        ConfigError
            If an epoch holds no whole number of steps, or processes cannot share its batches.
        """
        batches_of_each(self.accumulate_batches, plan_processes(self.devices))
        if batches_per_epoch % self.accumulate_batches:
            raise ConfigError(
                f"training.accumulate_batches is {self.accumulate_batches}: expected a divisor of "
                f"the {batches_per_epoch} batches of an epoch"
            )
        return self.max_epochs * batches_per_epoch // self.accumulate_batches


def run_loop(
    module: TrainedModule,
    *,
    settings: LoopSettings,
    num_steps: int,
    run_folder: Path,
    make_loader: MakeLoader,
    validation: Validator,
    save: Callable[[torch.nn.Module, Path], None],
    all_weights_used: bool = True,
    resume: bool = False,
    on_epoch: EpochReport | None = None,
    on_step: StepReport | None = None,
    stop_after_epochs: int | None = None,
) -> FitSummary:
    """Train a module; the run folder then holds the best model and the log.

    Parameters
    ----------
    module : TrainedModule
        A Lightning module that says which of its models is validated and kept.
    settings : LoopSettings
    num_steps : int
        Of the whole training.
    run_folder : Path
        Receives ``model.safetensors`` (best by validation), ``metrics.csv``,
        ``last.ckpt`` (to resume from) and, at the end, ``training.json``.
    make_loader : MakeLoader
    validation : Validator
    save : callable
        Writes a model to a file.
    all_weights_used : bool
        Whether every batch uses every weight: then several processes need not look.
    resume : bool
        Go on from ``last.ckpt`` if it is there, with any number of processes.
    on_epoch, on_step : callable, optional
        Told each epoch's metrics, and each (step, steps in all).
    stop_after_epochs : int, optional
        Stop (as if interrupted) after so many epochs; the rest can be resumed.

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
    processes = plan_processes(settings.devices)
    max_epochs = settings.max_epochs
    keep_best = KeepBest(
        run_folder=run_folder,
        validation=validation,
        save=save,
        patience=settings.patience,
        report=on_epoch,
    )
    # In this order: a resume point holds what the others have noted of its step.
    callbacks: list[lightning.Callback] = [
        SeedSteps(settings.seed),
        keep_best,
        SaveResumePoint(run_folder, every_steps=settings.save_every_steps),
    ]
    if on_step is not None:
        callbacks.append(StepProgress(on_step, num_steps))
    run_folder.mkdir(parents=True, exist_ok=True)
    trainer = _quiet_trainer(
        max_epochs=max_epochs if stop_after_epochs is None else stop_after_epochs,
        callbacks=callbacks,
        gradient_clip_val=settings.gradient_clip,
        accumulate_grad_batches=batches_of_each(settings.accumulate_batches, processes),
        precision=settings.precision,
        accelerator=settings.accelerator,
        devices=processes.per_node,
        num_nodes=processes.num_nodes,
        strategy=_make_strategy(settings.strategy, processes, all_weights_used=all_weights_used),
        use_distributed_sampler=False,  # batches are shared out by their numbers
        plugins=_make_plugins(processes),
        default_root_dir=run_folder,
    )
    last = run_folder / RESUME_FILE
    ckpt_path = str(last) if resume and last.is_file() else None
    try:
        batches = make_loader(
            lambda: trainer.global_step * settings.accumulate_batches,
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
        return FitSummary(**keep_best.summary(trainer, module))
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


def _make_strategy(name: StrategyName, processes: Processes, *, all_weights_used: bool) -> Any:
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
    return DDPStrategy(find_unused_parameters=not all_weights_used)


def _make_plugins(processes: Processes) -> list[Any]:
    plugins: list[Any] = [ResumePointIO()]
    if processes.launcher == "slurm":
        # The job is told by its own script whether to begin again.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins
