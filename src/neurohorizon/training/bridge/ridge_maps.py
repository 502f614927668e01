"""Linear maps whose penalty cross-validation chooses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurohorizon.recordings.schema import FloatArray
from neurohorizon.training.bridge.closed_form import solve_ridge

NUM_FOLDS = 5
#: Over the number of rows and the mean variance of an input.
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, eq=False)
class RidgeMap:
    """A linear map.

    Parameters
    ----------
    weight : (n, m) array
    centre : (n,) array
        Of the inputs.
    offset : (m,) array
        What the centre is mapped to.
    held_out : (K, m) array
        What held-out rows were mapped to.
    """

    weight: FloatArray
    centre: FloatArray
    offset: FloatArray
    held_out: FloatArray

    def __call__(self, inputs: FloatArray) -> FloatArray:
        """Map inputs, (K, n)."""
        return (inputs - self.centre) @ self.weight + self.offset


def fit_ridge_map(inputs: FloatArray, targets: FloatArray) -> RidgeMap:
    """Fit a ridge regression from inputs, (K, n), to targets, (K, m), all of one penalty.

    Of the penalties tried, the one whose squared error on five held-out fifths is least is taken;
    the centre is not penalised.
    """
    scale = max(float(np.mean(inputs.var(axis=0))), 1e-12)
    fold = np.arange(len(inputs)) % NUM_FOLDS
    best = np.inf
    held_out, penalty = np.zeros_like(targets), PENALTIES[-1]
    for candidate in PENALTIES:
        mapped = np.empty_like(targets)
        for number in range(NUM_FOLDS):
            held, rest = fold == number, fold != number
            weight, centre, offset = _centred(inputs[rest], targets[rest], candidate * scale)
            mapped[held] = (inputs[held] - centre) @ weight + offset
        error = float(np.mean((mapped - targets) ** 2))
        if error < best:
            best, held_out, penalty = error, mapped, candidate
    return RidgeMap(*_centred(inputs, targets, penalty * scale), held_out)


def _centred(
    inputs: FloatArray, targets: FloatArray, penalty: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    centre, offset = inputs.mean(axis=0), targets.mean(axis=0)
    return solve_ridge(inputs - centre, targets - offset, penalty), centre, offset
