"""What happens beside the steps: seeds, validation, the log, early stopping, progress."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch

from neurohorizon.models.checkpoint import MODEL_FILE
from neurohorizon.ops.files import atomic_path
from neurohorizon.training.processes import exchange

METRICS_FILE = "metrics.csv"
DONE_FILE = "training.json"

EpochReport = Callable[[Mapping[str, float]], None]
StepReport = Callable[[int, int], None]


class TrainedModule(lightning.LightningModule):
    """A Lightning module that says which of its models is validated and saved."""

    model: Any

    def kept(self) -> Any:
        """Return that model, whole; all processes ask at once."""
        raise NotImplementedError


class Validator(Protocol):
    """Scores of any state of a model."""

    @property
    def decisive(self) -> str:
        """The score by which the best model is chosen; larger is better."""
        ...

    def score(
        self, model: Any, device: torch.device | str, *, rank: int = 0, world_size: int = 1
    ) -> dict[str, float]:
        """Return all scores; processes share the work, each returns the scores of them all."""
        ...


class SeedSteps(lightning.Callback):
    """Make the randomness of a batch a function of the seed and its number alone."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch for this batch; processes take turns in their numbers."""
        number = batch_idx * trainer.world_size + trainer.global_rank
        torch.manual_seed(hash((self.seed, trainer.current_epoch, number)) % 2**63)


class KeepBest(lightning.Callback):
    """Validate after each epoch; keep the best model, the log and a point to resume from.

    Parameters
    ----------
    run_folder : Path
    validation : Validator
    save : callable
        Writes a model to a file.
    patience : int
        Epochs without improvement after which training stops; 0 for never.
    report : callable, optional
        Told each epoch's metrics.
    """

    def __init__(
        self,
        *,
        run_folder: Path,
        validation: Validator,
        save: Callable[[torch.nn.Module, Path], None],
        patience: int,
        report: EpochReport | None = None,
    ) -> None:
        self.run_folder = run_folder
        self.validation = validation
        self.save = save
        self.patience = patience
        self.report = report
        self.rows: list[dict[str, float]] = []
        self.best_epoch = -1
        self.best_score = -float("inf")
        self.seconds = 0.0
        self._losses: list[float] = []
        self._started = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs to go on; all processes ask at once."""
        self._gather()
        self._count_seconds()
        return {
            "rows": self.rows,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "seconds": self.seconds,
            "losses": self._losses,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over where an interrupted training stopped."""
        self.rows = state_dict["rows"]
        self.best_epoch = state_dict["best_epoch"]
        self.best_score = state_dict["best_score"]
        self.seconds = state_dict["seconds"]
        self._losses = state_dict["losses"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Start the clock; of a resumed epoch's losses one process keeps account."""
        self._started = time.monotonic()
        if not trainer.is_global_zero:
            self._losses = []

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the loss."""
        # Lightning has divided it by the batches that it sums.
        self._losses.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Validate, log, and keep what is worth keeping."""
        module: TrainedModule = pl_module
        kept = module.kept()
        scores = self.validation.score(
            kept, module.device, rank=trainer.global_rank, world_size=trainer.world_size
        )
        decisive = scores[self.validation.decisive]
        self._count_seconds()
        losses = [loss for part in exchange(self._losses) for loss in part]
        self._losses = []
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "seconds": round(self.seconds, 2),
            # Rounded once: the same sum in whatever order it was added up.
            "train_loss": math.fsum(losses) / max(len(losses), 1),
            **{f"valid_{name}": value for name, value in scores.items()},
        }
        self.rows.append(row)
        if decisive > self.best_score:
            self.best_score, self.best_epoch = decisive, trainer.current_epoch
            if trainer.is_global_zero:
                self.save(kept, self.run_folder / MODEL_FILE)
        if trainer.is_global_zero:
            self._write_metrics()
            if self.report is not None:
                self.report(row)
        if self.patience and trainer.current_epoch - self.best_epoch >= self.patience:
            trainer.should_stop = True

    def _gather(self) -> None:
        """Bring the losses of all processes together in the first."""
        parts = exchange(self._losses)
        if len(parts) > 1:
            first = not torch.distributed.get_rank()
            self._losses = [loss for part in parts for loss in part] if first else []

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.seconds, self._started = self.seconds + now - self._started, now

    def _write_metrics(self) -> None:
        with (
            atomic_path(self.run_folder / METRICS_FILE) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, fieldnames=list(self.rows[-1]))
            writer.writeheader()
            writer.writerows(self.rows)

    def summary(self, trainer: lightning.Trainer, module: Any) -> dict[str, Any]:
        """Return how the training went so far."""
        return {
            "epochs": len(self.rows),
            "steps": trainer.global_step,
            "seconds": round(self.seconds, 1),
            "best_epoch": self.best_epoch,
            "best_valid": self.best_score,
            "chosen_by": f"valid_{self.validation.decisive}",
            "num_parameters": sum(p.numel() for p in module.model.parameters()),
        }

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Mark the run as finished."""
        if trainer.is_global_zero and not trainer.interrupted:
            summary = self.summary(trainer, pl_module)
            with atomic_path(self.run_folder / DONE_FILE) as temporary:
                temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


class StepProgress(lightning.Callback):
    """Tell the first process's caller each step taken, out of all."""

    def __init__(self, report: StepReport, num_steps: int) -> None:
        self.report = report
        self.num_steps = num_steps

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Report."""
        if trainer.is_global_zero:
            self.report(trainer.global_step, self.num_steps)
