"""Sums over blocks of time from which every score of a decoder follows, resampled or not.

Shapes: K blocks, W resamplings, D columns, C classes, E edges of the distances' histogram.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.metrics import distances
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.schema import FloatArray

BLOCK_S = 30.0
CONTINUOUS = ("r2", "r2_weighted", "correlation", "median_error", "mean_error")
CATEGORICAL = ("balanced_accuracy", "accuracy")
LOWER_IS_BETTER = ("median_error", "mean_error")
_EDGES = 2000
_MOMENTS = ("n", "y", "p", "yy", "pp", "py")
_NEEDED = {"mean_error": ("n", "distance"), "median_error": ("n", "distance_counts")}


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of what one decoder made of one task on one recording.

    Parameters
    ----------
    kind : str
        Of the task.
    block : (K,) int
        Blocks of time that hold time stamps: ``floor(time / 30 s)``.
    arrays : mapping of str to (K, ...) array
        Continuous: ``n``, ``y``, ``p``, ``yy``, ``pp``, ``py`` (K, D), around the mean of what is
        scored; ``distance`` (K,) and ``distance_counts`` (K, E). Categorical: ``confusion``
        (K, C, C).
    edges : (E,) float
        Distances at which they are counted: quantiles of themselves, so that their median
        is exact to the 2000th part of the time stamps.
    """

    kind: str
    block: NDArray[np.int64]
    arrays: Mapping[str, NDArray[Any]]
    edges: FloatArray

    @classmethod
    def of(
        cls, task: Task, times_s: FloatArray, values: NDArray[Any], decoded: NDArray[Any]
    ) -> Sums:
        """Sum up what was decoded.

        Parameters
        ----------
        task : Task
        times_s : (T,) array
        values : (T, D) float or (T,) int
        decoded : (T, D) float, or (T, C) float
            Values in the task's units; or a number a class, the largest of which is decoded.

        Raises
        ------
        DataError
            If shapes do not fit, or something decoded is not finite.
        """
        if len(decoded) != len(values):
            raise DataError(
                f"task {task.name}: {len(decoded)} decoded, {len(values)} true values: expected "
                "one for each time stamp"
            )
        if not np.isfinite(decoded).all():
            raise DataError(
                f"task {task.name}: {int((~np.isfinite(decoded)).sum())} decoded values are not "
                "finite"
            )
        label = np.floor(np.asarray(times_s) / BLOCK_S).astype(np.int64)
        block, row = np.unique(label, return_inverse=True)
        if task.spec.is_categorical:
            num_classes = task.num_outputs
            cell = (row * num_classes + values) * num_classes + np.argmax(decoded, axis=1)
            counts = np.bincount(cell, minlength=len(block) * num_classes**2)
            arrays = {"confusion": counts.reshape(len(block), num_classes, num_classes)}
            return cls(task.spec.kind, block, arrays, np.empty(0))
        centre = values.mean(axis=0) if len(values) else 0.0
        y, p = values - centre, np.asarray(decoded, dtype=np.float64) - centre
        if len(values):
            # A mean is rounded: what never changes must not vary by that.
            y[:, np.ptp(values, axis=0) == 0] = 0.0
        error = distances(values, decoded)
        edges = np.unique(np.quantile(error, np.linspace(0, 1, _EDGES))) if len(error) else error
        cell = row * len(edges) + np.searchsorted(edges, error)
        counts = np.bincount(cell, minlength=len(block) * len(edges))
        arrays = {
            "n": np.bincount(row, minlength=len(block)).astype(np.float64),
            **{
                name: _by_block(each, row, len(block))
                for name, each in (("y", y), ("p", p), ("yy", y * y), ("pp", p * p), ("py", p * y))
            },
            "distance": _by_block(error[:, None], row, len(block))[:, 0],
            "distance_counts": counts.reshape(len(block), len(edges)),
        }
        return cls(task.spec.kind, block, arrays, edges)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return arrays, for a file."""
        return {"block": self.block, "edges": self.edges, **self.arrays}

    @classmethod
    def from_arrays(cls, kind: str, arrays: Mapping[str, NDArray[Any]]) -> Sums:
        """Make sums again of what `to_arrays` made of them."""
        rest = {name: each for name, each in arrays.items() if name not in ("block", "edges")}
        return cls(kind, arrays["block"], rest, arrays["edges"])

    @property
    def num_times(self) -> int:
        """Number of time stamps."""
        return int(self.arrays["n" if "n" in self.arrays else "confusion"].sum())

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the scores that a task of this kind has."""
        if self.kind == "continuous":
            return CONTINUOUS
        return (*CATEGORICAL, "correlation") if self.kind == "ordinal" else CATEGORICAL

    @property
    def confusion(self) -> NDArray[np.int64]:
        """How often each class (rows) was decoded as which (columns), (C, C)."""
        return self.arrays["confusion"].sum(axis=0)

    def by_column(self, metric: str) -> FloatArray:
        """Return R² or correlation of each column, (D,)."""
        return _COLUMN_SCORES[metric](self._totals(None, _MOMENTS))[0]

    def score(self, metric: str) -> float:
        """Return a score over all blocks."""
        return float(self.resampled(metric, None)[0])

    def resampled(self, metric: str, times: NDArray[Any] | None) -> FloatArray:
        """Return a score for each resampling of the blocks.

        Parameters
        ----------
        metric : str
        times : (W, K) int or None
            How often each block is drawn; None for each once.

        Returns
        -------
        (W,) array
            NaN where it has no meaning.
        """
        if metric not in self.metrics:
            raise DataError(
                f"no score {metric!r} of a {self.kind} task: choose one of "
                f"{', '.join(self.metrics)}"
            )
        total = self._totals(times, _NEEDED.get(metric, _MOMENTS))
        if self.kind != "continuous":
            return _class_score(metric, total["confusion"])
        if metric in ("r2", "correlation"):
            return _mean(_COLUMN_SCORES[metric](total))
        if metric == "r2_weighted":
            residual, variance = (each.sum(axis=-1) for each in _squares(total))
            return _ratio(variance - residual, variance)
        if metric == "mean_error":
            return _ratio(total["distance"], total["n"])
        if not len(self.edges):
            return np.full(len(total["n"]), np.nan)
        below = np.cumsum(total["distance_counts"], axis=-1)
        middle = np.sum(below < 0.5 * below[..., -1:], axis=-1)
        return self.edges[np.minimum(middle, len(self.edges) - 1)]

    def why_not(self, metric: str) -> str:
        """Say why a score is NaN, or what was left out of it; empty if there is nothing to say."""
        if not self.num_times:
            return "no time stamp in the test part"
        if self.kind != "continuous":
            occurs = self.confusion.sum(axis=1) > 0
            if metric != "accuracy" and occurs.sum() < 2:
                return "one class alone in the test part"
            if metric == "correlation" and not np.isfinite(self.score(metric)):
                return "one class alone was decoded"
            return ""
        if metric in LOWER_IS_BETTER:
            return ""
        variance = _squares(self._totals(None, _MOMENTS))[1][0]
        if not np.any(variance > 0):
            return "the target is constant in the test part"
        if metric == "correlation" and not np.isfinite(self.score(metric)):
            return "what was decoded is constant"
        if np.any(variance == 0) and metric != "r2_weighted":
            names = ", ".join(map(str, np.flatnonzero(variance == 0)))
            return f"column {names} is constant in the test part and left out"
        return ""

    def _totals(self, times: NDArray[Any] | None, names: tuple[str, ...]) -> dict[str, FloatArray]:
        if times is None:
            times = np.ones((1, len(self.block)))
        totals = {}
        for name in names if self.kind == "continuous" else ("confusion",):
            each = self.arrays[name]
            flat = each.reshape(len(each), int(np.prod(each.shape[1:]))).astype(np.float64)
            totals[name] = (times @ flat).reshape(len(times), *each.shape[1:])
        return totals


def _by_block(values: FloatArray, row: NDArray[np.int64], num_blocks: int) -> FloatArray:
    columns = [np.bincount(row, weights=each, minlength=num_blocks) for each in values.T]
    return np.stack(columns, axis=1).astype(np.float64)


def _squares(total: dict[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return summed squares of residuals and of deviations from the mean, (W, D) each."""
    variance = total["yy"] - _ratio(total["y"] ** 2, total["n"][:, None])
    # A difference of sums that is rounding alone is no variance.
    variance = np.where(variance > 1e-12 * total["yy"], variance, 0.0)
    return total["yy"] - 2 * total["py"] + total["pp"], variance


def _column_r2(total: dict[str, FloatArray]) -> FloatArray:
    residual, variance = _squares(total)
    return _ratio(variance - residual, variance)


def _column_correlation(total: dict[str, FloatArray]) -> FloatArray:
    n = total["n"][:, None]
    var_y = _squares(total)[1]
    var_p = total["pp"] - _ratio(total["p"] ** 2, n)
    var_p = np.where(var_p > 1e-12 * total["pp"], var_p, 0.0)
    covariance = total["py"] - _ratio(total["p"] * total["y"], n)
    return _ratio(covariance, np.sqrt(var_y * var_p))


_COLUMN_SCORES = {"r2": _column_r2, "correlation": _column_correlation}


def _class_score(metric: str, confusion: FloatArray) -> FloatArray:
    true, decoded = confusion.sum(axis=-1), confusion.sum(axis=-2)
    total = true.sum(axis=-1)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    if metric == "accuracy":
        return _ratio(right.sum(axis=-1), total)
    if metric == "balanced_accuracy":
        score = _mean(_ratio(right, true))
        return np.where((true > 0).sum(axis=-1) >= 2, score, np.nan)
    # Correlation of the classes' order.
    order = np.arange(confusion.shape[-1])
    y, p = _ratio(true @ order, total), _ratio(decoded @ order, total)
    var_y = _ratio(true @ order**2, total) - y**2
    var_p = _ratio(decoded @ order**2, total) - p**2
    together = _ratio(np.einsum("wij,i,j->w", confusion, order, order), total) - y * p
    return _ratio(together, np.sqrt(np.maximum(var_y, 0) * np.maximum(var_p, 0)))


def _ratio(top: NDArray[Any], bottom: NDArray[Any]) -> FloatArray:
    bottom = np.broadcast_to(bottom, np.shape(top))
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 1e-300)


def _mean(values: FloatArray) -> FloatArray:
    """Return means along the last axis over what is a number; NaN if nothing is."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
