"""Poisson regression with an offset, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Log-rates are bounded against the offset, as the model's are.
LOG_LIMIT = 10.0

_CHUNK = 16384
_LARGEST_STEP = 3.0


@dataclass(frozen=True)
class PoissonFit:
    """A fitted Poisson regression.

    Parameters
    ----------
    mean, scale : (F,) float
        Standardisation of the features.
    intercept : float
    weights : (F,) float
        For the standardised features.
    """

    mean: FloatArray
    scale: FloatArray
    intercept: float
    weights: FloatArray

    def log_ratio(self, features: NDArray[np.floating]) -> FloatArray:
        """Return the logarithm of the expected count over the offset's, (...,)."""
        scaled = self.weights / self.scale
        flat = features @ scaled + (self.intercept - self.mean @ scaled)
        return np.clip(flat, -LOG_LIMIT, LOG_LIMIT)


def standardisation(features: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of each column; a constant column has scale 1."""
    mean = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64)
    return mean, np.where(scale > 1e-9, scale, 1.0)


def fit_poisson(
    features: NDArray[np.floating],
    counts: NDArray[Any],
    log_offset: NDArray[np.floating],
    *,
    penalty: float,
    start: PoissonFit | None = None,
    max_steps: int = 30,
    tolerance: float = 1e-7,
) -> PoissonFit:
    r"""Fit a Poisson regression with L2 penalty.

    Parameters
    ----------
    features : (R, F) float
        Standardised inside.
    counts, log_offset : (R,) arrays
        Counts, and the logarithm of what is expected of them before any feature is read.
    penalty : float
        In units of the total count: with P spikes in all the weights cost
        ``penalty * P * sum(weights ** 2) / 2``. The intercept is free.
    start : PoissonFit, optional
        Where to start from.
    max_steps : int
    tolerance : float
        Stop when a step gains less than this share of the total count.

    Notes
    -----
    Minimises :math:`\sum_r (\lambda_r - k_r \log \lambda_r) + \tfrac12 \rho P |w|^2` with
    :math:`\log \lambda_r = o_r + b + w^\top x_r`, by Newton's method in float64 with step
    halving; convex, so there is one minimum. Products of the Hessian are taken in float32,
    twice as fast: it leads to the minimum and does not say where it is.

    References
    ----------
    McCullagh & Nelder 1989, *Generalized Linear Models*, sections 2.5 and 6.
    """
    mean, scale = standardisation(features)
    num_features = features.shape[1]
    total = max(float(np.sum(counts)), 1.0)
    ridge = np.full(num_features + 1, penalty * total)
    ridge[0] = 0.0
    weights = np.zeros(num_features + 1)
    if start is not None:
        weights[1:] = start.weights
        weights[0] = start.intercept
    else:
        weights[0] = np.log(total / np.exp(log_offset, dtype=np.float64).sum())

    problem = _Problem(features, counts, log_offset, mean, scale)
    value, gradient, hessian = problem.evaluate(weights, ridge)
    for _ in range(max_steps):
        # A constant feature has no curvature; the tiny ridge keeps the solve regular.
        step = np.linalg.solve(hessian + 1e-9 * total * np.eye(num_features + 1), gradient)
        step *= min(1.0, _LARGEST_STEP / max(np.abs(step).max(), 1e-12))
        if gradient @ step < tolerance * total:
            break
        for _ in range(30):
            candidate = problem.evaluate(weights - step, ridge)
            if candidate[0] <= value:
                break
            step = step / 2
        else:
            break
        weights = weights - step
        value, gradient, hessian = candidate
    return PoissonFit(mean=mean, scale=scale, intercept=float(weights[0]), weights=weights[1:])


class _Problem:
    """Objective, gradient and Hessian, accumulated over chunks of rows to bound memory."""

    def __init__(
        self,
        features: NDArray[np.floating],
        counts: NDArray[Any],
        log_offset: NDArray[np.floating],
        mean: FloatArray,
        scale: FloatArray,
    ) -> None:
        self.features, self.counts, self.log_offset = features, counts, log_offset
        self.mean, self.scale = mean, scale

    def evaluate(
        self, weights: FloatArray, ridge: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        value = 0.5 * float(np.sum(ridge * weights**2))
        gradient = ridge * weights
        hessian = np.zeros((len(weights), len(weights)))
        np.fill_diagonal(hessian, ridge)
        for first in range(0, len(self.features), _CHUNK):
            rows = slice(first, first + _CHUNK)
            inputs = np.empty((len(self.counts[rows]), len(weights)))
            inputs[:, 0] = 1.0
            inputs[:, 1:] = (self.features[rows] - self.mean) / self.scale
            ratio = np.clip(inputs @ weights, -LOG_LIMIT, LOG_LIMIT)
            log_rate = ratio + self.log_offset[rows]
            rate = np.exp(log_rate)
            value += float(np.sum(rate - self.counts[rows] * log_rate))
            gradient += inputs.T @ (rate - self.counts[rows])
            rough = inputs.astype(np.float32)
            hessian += (rough * rate[:, None].astype(np.float32)).T @ rough
        return value, gradient, hessian
