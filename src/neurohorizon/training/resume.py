"""Points to resume from: after each epoch, every so many steps, and when a job is told to end."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import ModelParallelStrategy

from neurohorizon.ops.files import atomic_path

RESUME_FILE = "last.ckpt"
#: Sent by Slurm and by clouds some time before they take a machine back.
STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
# Counted by each process in batches of its own.
_COUNTERS = ("ready", "started", "processed")


class SaveResumePoint(lightning.Callback):
    """Write ``last.ckpt``; on a stop signal write it after the step at hand, and stop.

    Parameters
    ----------
    run_folder : Path
    every_steps : int
        Steps between points within an epoch; 0 for points at its end only.

    Notes
    -----
    Batches seen are counted over all processes in the file, so that a training can be gone
    on with by another number of them.
    """

    def __init__(self, run_folder: Path, *, every_steps: int = 0) -> None:
        self.run_folder = run_folder
        self.every_steps = every_steps
        self._told_to_stop = False
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Listen for stop signals."""
        self._told_to_stop = False
        if threading.current_thread() is threading.main_thread():
            self._handlers = {each: signal.signal(each, self._note) for each in STOP_SIGNALS}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._told_to_stop = True

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save between steps; the end of an epoch has a point of its own."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if not stepped or batch_idx + 1 >= trainer.num_training_batches:
            return
        stop = self._shall_stop(trainer)
        if stop or (self.every_steps and trainer.global_step % self.every_steps == 0):
            self._save(trainer)
        if stop:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Save what the epoch came to."""
        self._save(trainer)
        if self._shall_stop(trainer):
            self._stop(trainer)

    def _shall_stop(self, trainer: lightning.Trainer) -> bool:
        """Tell whether any process was told to."""
        return trainer.strategy.reduce_boolean_decision(self._told_to_stop, all=False)

    def _stop(self, trainer: lightning.Trainer) -> None:
        # Nobody ends the others before all have written what they must.
        trainer.strategy.barrier("stopping")
        raise KeyboardInterrupt("told to stop by a signal")

    def _save(self, trainer: lightning.Trainer) -> None:
        """Write it to a temporary name first; all processes help, the first one writes."""
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.run_folder / RESUME_FILE)
            return
        with atomic_path(self.run_folder / RESUME_FILE) as temporary:
            trainer.save_checkpoint(temporary)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Count batches over all processes, and call the optimiser's weights by their names."""
        for counts in _batch_counts(checkpoint):
            _recount(counts, lambda number: number * trainer.world_size)
        names = {id(weight): name for name, weight in pl_module.named_parameters()}
        if isinstance(trainer.strategy, ModelParallelStrategy):
            # It numbers them as the module does, others as the optimiser does.
            ordered = list(names.values())
        else:
            groups = trainer.optimizers[0].param_groups
            ordered = [names[id(weight)] for group in groups for weight in group["params"]]
        _rename(checkpoint, dict(enumerate(ordered)))

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Count batches as this process has to, and number the optimiser's weights again."""
        for counts in _batch_counts(checkpoint):
            _recount(counts, lambda number: number // trainer.world_size)
        # Where weights are shared out they have been read by their names.
        for state in checkpoint.get("optimizer_states", ()):
            ordered = [name for group in state["param_groups"] for name in group["params"]]
            _rename(checkpoint, {name: number for number, name in enumerate(ordered)})

    def teardown(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Leave signals as they were."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def _batch_counts(checkpoint: dict[str, Any]) -> list[dict[str, int]]:
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return [progress["total"], progress["current"]]


def _recount(counts: dict[str, int], convert: Callable[[int], int]) -> None:
    """Count otherwise; within a batch, the last one is not completed yet, however one counts."""
    unfinished = counts["ready"] - counts["completed"]
    counts.update({name: convert(counts[name]) for name in _COUNTERS})
    counts["completed"] = counts["ready"] - unfinished


def _rename(checkpoint: dict[str, Any], new: Mapping[Any, Any]) -> None:
    """Call the weights of the optimiser's state otherwise."""
    for state in checkpoint["optimizer_states"]:
        if state:  # only the first process holds one that was put together from parts
            state["state"] = {new[key]: values for key, values in state["state"].items()}
            state["param_groups"] = [
                group | {"params": [new[key] for key in group["params"]]}
                for group in state["param_groups"]
            ]


class ResumePointIO(TorchCheckpointIO):
    """Write a resume point where it is wanted, not first to the system's temporary folder."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write what Lightning has gathered."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).write_bytes(content.getbuffer())
