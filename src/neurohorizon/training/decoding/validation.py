"""Scores on the validation time of the training recordings while a decoder trains."""

from __future__ import annotations

import numpy as np
import torch

from neurohorizon.evaluation.decoding.sums import Sums
from neurohorizon.models.decoding import decoded_of, empty_stitches
from neurohorizon.models.stitching import Stitched
from neurohorizon.models.task_decoder import TaskDecoder
from neurohorizon.training.decoding.data import DecodeData
from neurohorizon.training.processes import exchange


class DecodeValidation:
    """Stitched predictions of the valid domains, scored against any state of a model.

    Parameters
    ----------
    data : DecodeData

    Notes
    -----
    A task's score is its metric, averaged over the recordings that have it; the best model is
    chosen by the mean over tasks, weighted as in the loss.
    """

    def __init__(self, data: DecodeData) -> None:
        self.data = data
        named = [f"{task.name}_{task.spec.metric_used}" for task in data.tasks]
        self.decisive = named[0] if len(named) == 1 else "mean_of_tasks"

    def score(
        self,
        model: TaskDecoder,
        device: torch.device | str,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> dict[str, float]:
        """Return the score of each task and, of several, their mean."""
        was_training = model.training
        model.eval()
        mine = self._sums(model, device, rank, world_size)
        model.train(was_training)
        every = exchange(mine)
        scores, total, weights = {}, 0.0, 0.0
        found: dict[str, list[float]] = {task.name: [] for task in self.data.tasks}
        for index, session in enumerate(self.data.valid_sessions):
            stitched = every[0][index]
            for name, sums in stitched.items():
                sums.merge(part[index][name] for part in every[1:])
            valid = session.reader.recording.require_split().valid
            for name, decoded in decoded_of(session, stitched, valid).items():
                if len(decoded.times_s):
                    task = decoded.task
                    sums = Sums.of(task, decoded.times_s, decoded.truth, decoded.values)
                    found[name].append(sums.score(task.spec.metric_used))
        for task in self.data.tasks:
            known = [value for value in found[task.name] if np.isfinite(value)]
            mean = float(np.mean(known)) if known else float("nan")
            scores[f"{task.name}_{task.spec.metric_used}"] = mean
            if known:
                total += task.spec.weight * mean
                weights += task.spec.weight
        if len(self.data.tasks) > 1:
            scores[self.decisive] = total / weights if weights else float("nan")
        return scores

    def _sums(
        self, model: TaskDecoder, device: torch.device | str, rank: int, world_size: int
    ) -> list[dict[str, Stitched]]:
        sessions = self.data.valid_sessions
        sums = [empty_stitches(session, model.tasks) for session in sessions]
        position = {id(session): index for index, session in enumerate(sessions)}
        with torch.inference_mode():
            for session, cover in self.data.valid_batches(rank=rank, world_size=world_size):
                for name, values in model(cover.batch.to(device)).items():
                    added = sums[position[id(session)]][name]
                    added.add(cover.rows[name], values.double().cpu().numpy())
        return sums
