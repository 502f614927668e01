"""Choosing settings of a simple decoder on the validation part, and saying what was tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.evaluation.decoding.cases import Asked, FitData, Part
from neurohorizon.evaluation.decoding.sums import Sums
from neurohorizon.evaluation.protocol import Role
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.schema import FloatArray

Settings = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Chosen:
    """What was chosen on the validation part.

    Parameters
    ----------
    settings : mapping of str to number or str
    metric : str
    score : float
        On the validation part.
    num_tried : int
        Settings that were compared.
    """

    settings: Settings
    metric: str = ""
    score: float = float("nan")
    num_tried: int = 1

    def __str__(self) -> str:
        told = ", ".join(
            f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in self.settings.items()
        )
        return told or "nothing to choose"


class Decoder(Protocol):
    """A row of the ladder: one task of one session, fitted on that session."""

    name: str
    role: Role

    def why_not(self, data: FitData) -> str:
        """Say why this decoder cannot decode the task; empty if it can."""
        ...

    def fit(self, data: FitData) -> Chosen:
        """Fit on the training part, with settings chosen on the validation part."""
        ...

    def predict(self, activity: Activity, asked: Asked) -> FloatArray:
        """Decode at time stamps, reading activity inside their stretches alone.

        Returns
        -------
        (T, P) array
            Values in the task's units, or a probability a class.
        """
        ...


class Search:
    """Keeps the best of the settings that are tried.

    Parameters
    ----------
    task : Task
    valid : Part
    """

    def __init__(self, task: Task, valid: Part) -> None:
        self.task = task
        self.valid = valid
        self.metric = task.spec.metric_used
        self.best_score = -np.inf
        self.best_settings: Settings = {}
        self.best: Any = None
        self.num_tried = 0

    def score(self, decoded: NDArray[Any]) -> float:
        """Return the task's metric on the validation part; -inf where it has no meaning."""
        sums = Sums.of(self.task, self.valid.times_s, self.valid.values, decoded)
        score = sums.score(self.metric)
        if not np.isfinite(score):
            # One class, or a constant target: what is left to go by.
            score = (
                -sums.score("mean_error") if sums.kind == "continuous" else sums.score("accuracy")
            )
        return score if np.isfinite(score) else -np.inf

    def offer(self, decoded: NDArray[Any], settings: Settings, keep: Any = None) -> bool:
        """Count settings as tried; keep them, and what comes with them, if they are the best."""
        self.num_tried += 1
        score = self.score(decoded)
        if score <= self.best_score and self.best_settings:
            return False
        self.best_score, self.best_settings, self.best = score, settings, keep
        return True

    def chosen(self) -> Chosen:
        """Return the best settings."""
        return Chosen(self.best_settings, self.metric, float(self.best_score), self.num_tried)
