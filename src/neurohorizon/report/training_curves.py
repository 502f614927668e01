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
    looks = {
        f"{ms} ms": RowStyle(colour, TEXT_SHADES.get(colour, colour), 1.2)
        for ms, colour in zip(data.bits_per_spike, _shades(len(data.bits_per_spike)), strict=True)
    }
    for look, values in zip(looks.values(), data.bits_per_spike.values(), strict=True):
        scores.plot(data.steps, values, **look.line, marker="o", markersize=2.0, clip_on=False)
    scores.axvline(data.steps[data.best_epoch], color=GREY, linewidth=0.8, linestyle=":")
    scores.set_ylabel("bits per spike on validation windows")
    loss.plot(data.steps, data.loss, color=BLUE, marker="o", markersize=2.0, clip_on=False)
    loss.axvline(
        data.steps[data.best_epoch], color=GREY, linewidth=0.8, linestyle=":", label="kept"
    )
    loss.set_ylabel("training loss (nats a bin)")
    loss.legend(loc="upper right")
    for ax in axes:
        ax.set_xlabel("step")
        # From the untrained model, which is no point of the curves, to their last ones.
        ax.set_xlim(0.0, data.steps[-1])
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    label_ends(scores, list(looks), [each[-1] for each in data.bits_per_spike.values()], looks)


def _shades(number: int) -> list[str]:
    return [SHADES[min(index, len(SHADES) - 1)] for index in range(number)]
