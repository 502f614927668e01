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

from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.rows import label_ends
from neurohorizon.report.style import BLUE, GREY

_SCORE = re.compile(r"valid_bits_per_spike_(\d+)ms$")
#: From short to long horizons.
_SHADES = ("#08306B", "#2171B5", "#4FA3D1", "#9CC9E3")


@dataclass(frozen=True)
class TrainingCurves:
    """Scores on validation windows and the loss, one value an epoch.

    Parameters
    ----------
    steps : (E,) float
    loss : (E,) float
        Mean over the epoch's batches, in nats a bin.
    bits_per_spike : dict of int to (E,) float
        By horizon in milliseconds.
    best_epoch : int
        Index of the epoch whose weights were kept: best at the longest horizon.
    """

    steps: FloatArray
    loss: FloatArray
    bits_per_spike: dict[int, FloatArray]
    best_epoch: int

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record an epoch."""
        return [
            {
                "step": int(step),
                "train_loss": self.loss[epoch],
                **{f"valid_{ms}ms": values[epoch] for ms, values in self.bits_per_spike.items()},
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
    scores = {
        int(found[1]): key for key in (rows[0] if rows else {}) if (found := _SCORE.match(key))
    }
    if not scores:
        return None

    def column(key: str) -> FloatArray:
        return np.array([float(row[key]) for row in rows])

    bits = {ms: column(key) for ms, key in sorted(scores.items())}
    return TrainingCurves(
        steps=column("step"),
        loss=column("train_loss"),
        bits_per_spike=bits,
        best_epoch=int(np.nanargmax(bits[max(bits)])),
    )


def draw_training_curves(data: TrainingCurves, axes: Sequence[Axes]) -> None:
    """Draw validation scores in the first axes and the training loss in the second."""
    scores, loss = axes
    for number, (ms, values) in enumerate(data.bits_per_spike.items()):
        colour = _SHADES[min(number, len(_SHADES) - 1)]
        scores.plot(data.steps, values, color=colour, marker="o", markersize=2.0, label=f"{ms} ms")
    scores.axvline(data.steps[data.best_epoch], color=GREY, linewidth=0.8, linestyle=":")
    scores.set_ylabel("bits per spike on validation windows")
    label_ends(
        scores,
        [f"{ms} ms" for ms in data.bits_per_spike],
        [values[-1] for values in data.bits_per_spike.values()],
        {},
    )
    loss.plot(data.steps, data.loss, color=BLUE, marker="o", markersize=2.0)
    loss.axvline(
        data.steps[data.best_epoch], color=GREY, linewidth=0.8, linestyle=":", label="kept"
    )
    loss.set_ylabel("training loss (nats a bin)")
    loss.legend(loc="upper right")
    for ax in axes:
        ax.set_xlabel("step")
