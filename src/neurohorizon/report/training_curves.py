"""How a training went: loss and validation scores against steps."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.ablations import SHADES
from neurohorizon.report.rows import RowStyle, label_ends
from neurohorizon.report.style import BLUE, GREY

_SCORE = re.compile(r"valid_bits_per_spike_(\d+)ms$")
#: The palest shades are too pale for text.
TEXT_SHADES = {"#4FA3D1": "#2E86B5", "#9CC9E3": "#5D93B3"}


@dataclass(frozen=True)
class TrainingCurves:
    """Scores on validation windows and the loss, one value an epoch.

    Parameters
    ----------
    steps : (E,) float
    loss : (E,) float
        Mean over the epoch's batches, in nats a bin.
    scores : dict of str to (E,) float
        By what they are called: horizons, or tasks and their metrics. The last one decides.
    best_epoch : int
        Index of the epoch whose weights were kept.
    scored_in : str
        What the scores are.
    loss_in : str
        What the loss is in.
    """

    steps: FloatArray
    loss: FloatArray
    scores: dict[str, FloatArray]
    best_epoch: int
    scored_in: str = "bits per spike"
    loss_in: str = "nats a bin"

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record an epoch."""
        return [
            {
                "step": int(step),
                "train_loss": self.loss[epoch],
                **{f"valid {name}": values[epoch] for name, values in self.scores.items()},
                "kept": epoch == self.best_epoch,
            }
            for epoch, step in enumerate(self.steps)
        ]


def compute_training_curves(metrics_file: Path | str) -> TrainingCurves | None:
    """Read the log of a training; None if there is none with scores."""
    path = Path(metrics_file)
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = list(rows[0]) if rows else []
    horizons = sorted((int(found[1]), key) for key in keys if (found := _SCORE.match(key)))
    named = {f"{ms} ms": key for ms, key in horizons}
    if not named:
        # Of a decoder: its tasks and, if there are several, their mean, which comes last.
        valid = [key for key in keys if key.startswith("valid_")]
        named = {key.removeprefix("valid_").replace("_", " "): key for key in valid}
    if not named:
        return None

    def column(key: str) -> FloatArray:
        return np.array([float(row[key]) for row in rows])

    scores = {name: column(key) for name, key in named.items()}
    last = next(reversed(scores.values()))
    return TrainingCurves(
        steps=column("step"),
        loss=column("train_loss"),
        scores=scores,
        best_epoch=int(np.nanargmax(last)),
        **({} if horizons else {"scored_in": "score", "loss_in": "weighted sum of tasks"}),
    )


def draw_training_curves(data: TrainingCurves, axes: Sequence[Axes]) -> None:
    """Draw validation scores in the first axes and the training loss in the second."""
    scores, loss = axes
    looks = {
        name: RowStyle(colour, TEXT_SHADES.get(colour, colour), 1.2)
        for name, colour in zip(data.scores, _shades(len(data.scores)), strict=True)
    }
    for look, values in zip(looks.values(), data.scores.values(), strict=True):
        scores.plot(data.steps, values, **look.line, marker="o", markersize=2.0, clip_on=False)
    scores.axvline(data.steps[data.best_epoch], color=GREY, linewidth=0.8, linestyle=":")
    scores.set_ylabel(f"{data.scored_in} on validation time")
    loss.plot(data.steps, data.loss, color=BLUE, marker="o", markersize=2.0, clip_on=False)
    loss.axvline(
        data.steps[data.best_epoch], color=GREY, linewidth=0.8, linestyle=":", label="kept"
    )
    loss.set_ylabel(f"training loss ({data.loss_in})")
    loss.legend(loc="upper right")
    for ax in axes:
        ax.set_xlabel("step")
        # From the untrained model, which is no point of the curves, to their last ones.
        ax.set_xlim(0.0, data.steps[-1])
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    label_ends(scores, list(looks), [each[-1] for each in data.scores.values()], looks)


def _shades(number: int) -> list[str]:
    return [SHADES[min(index, len(SHADES) - 1)] for index in range(number)]
