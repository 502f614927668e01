"""What happens between epochs: validation, files, early stopping, progress."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from neurohorizon.models.checkpoint import MODEL_FILE, save_forecaster
from neurohorizon.ops.files import atomic_path
from neurohorizon.training.module import ForecastModule
from neurohorizon.training.validation import Validation

METRICS_FILE = "metrics.csv"
RESUME_FILE = "last.ckpt"
DONE_FILE = "training.json"

EpochReport = Callable[[Mapping[str, float]], None]
StepReport = Callable[[int, int], None]


class SeedSteps(lightning.Callback):
    """Make the randomness of a step a function of the seed and the step alone."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Seed torch for this step."""
        torch.manual_seed(hash((self.seed, trainer.current_epoch, batch_idx)) % 2**63)


class KeepBest(lightning.Callback):
    """Validate after each epoch; keep the best model, the log and a point to resume from.

    Parameters
    ----------
    run_folder : Path
    validation : Validation
    known_units : mapping of str to int
        Stored with the model.
    patience : int
        Epochs without improvement after which training stops; 0 for never.
    report : callable, optional
        Told each epoch's metrics.
    """

    def __init__(
        self,
        *,
        run_folder: Path,
        validation: Validation,
        known_units: Mapping[str, int],
        patience: int,
        report: EpochReport | None = None,
    ) -> None:
        self.run_folder = run_folder
        self.validation = validation
        self.known_units = known_units
        self.patience = patience
        self.report = report
        self.rows: list[dict[str, float]] = []
        self.best_epoch = -1
        self.best_score = -float("inf")
        self.seconds = 0.0
        self._loss_sum, self._loss_count, self._started = 0.0, 0, time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs to go on."""
        return {
            "rows": self.rows,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over where an interrupted training stopped."""
        self.rows = state_dict["rows"]
        self.best_epoch = state_dict["best_epoch"]
        self.best_score = state_dict["best_score"]
        self.seconds = state_dict["seconds"]

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self._loss_sum, self._loss_count, self._started = 0.0, 0, time.monotonic()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add up the loss."""
        self._loss_sum += float(outputs["loss"])
        self._loss_count += 1

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Validate, log, and keep what is worth keeping."""
        module: ForecastModule = pl_module
        scores = self.validation.score(module.kept, module.device)
        decisive = scores[f"bits_per_spike_{round(module.model.spec.horizon_s * 1000)}ms"]
        self.seconds += time.monotonic() - self._started
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "seconds": round(self.seconds, 2),
            "train_loss": self._loss_sum / max(self._loss_count, 1),
            **{f"valid_{name}": value for name, value in scores.items()},
        }
        self.rows.append(row)
        if decisive > self.best_score:
            self.best_score, self.best_epoch = decisive, trainer.current_epoch
            if trainer.is_global_zero:
                save_forecaster(
                    module.kept, self.run_folder / MODEL_FILE, known_units=self.known_units
                )
        if trainer.is_global_zero:
            self._write_metrics()
        if self.report is not None:
            self.report(row)
        if self.patience and trainer.current_epoch - self.best_epoch >= self.patience:
            trainer.should_stop = True

    def _write_metrics(self) -> None:
        with (
            atomic_path(self.run_folder / METRICS_FILE) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, fieldnames=list(self.rows[-1]))
            writer.writeheader()
            writer.writerows(self.rows)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Mark the run as finished."""
        if trainer.is_global_zero and not trainer.interrupted:
            summary = {
                "epochs": len(self.rows),
                "steps": trainer.global_step,
                "seconds": round(self.seconds, 1),
                "best_epoch": self.best_epoch,
                "best_valid_bits_per_spike": self.best_score,
                "num_parameters": sum(p.numel() for p in pl_module.model.parameters()),
            }
            with atomic_path(self.run_folder / DONE_FILE) as temporary:
                temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


class SaveResumePoint(lightning.Callback):
    """Write ``last.ckpt`` after each epoch, so that an interruption costs one epoch at most."""

    def __init__(self, run_folder: Path) -> None:
        self.run_folder = run_folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Write it to a temporary name first."""
        with atomic_path(self.run_folder / RESUME_FILE) as temporary:
            trainer.save_checkpoint(temporary)


class ResumePointIO(TorchCheckpointIO):
    """Write a resume point where it is wanted, not first to the system's temporary folder."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write what Lightning has gathered."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).write_bytes(content.getbuffer())


class StepProgress(lightning.Callback):
    """Tell a caller each step taken, out of all."""

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
        self.report(trainer.global_step, self.num_steps)
