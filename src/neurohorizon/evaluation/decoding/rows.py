"""The simple decoders by name, in the order of tables."""

from __future__ import annotations

from typing import Literal

RowName = Literal[
    "mean", "Wiener", "Kalman", "Kalman smoother", "Bayes", "Bayes continuous", "MLP", "GRU"
]
ROWS: tuple[RowName, ...] = (
    "mean",
    "Wiener",
    "Kalman",
    "Kalman smoother",
    "Bayes",
    "Bayes continuous",
    "MLP",
    "GRU",
)
