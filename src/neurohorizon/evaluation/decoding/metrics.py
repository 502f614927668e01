"""How well values or classes were decoded.

Where a score has no meaning (a target that never changes, one class alone) it is NaN;
:mod:`~neurohorizon.evaluation.decoding.sums` says why.

Shapes: T time stamps, D columns, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray


def r2(values: ArrayLike, decoded: ArrayLike) -> FloatArray:
    r"""Return the coefficient of determination of each column.

    Parameters
    ----------
    values, decoded : (T, D) array_like

    Returns
    -------
    (D,) array
        :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2`, with the mean of what is scored;
        NaN for a column that is constant there. Their mean is scikit-learn's ``r2_score``.

    Examples
    --------
    >>> r2([[0.0], [1.0], [2.0]], [[0.0], [1.0], [1.0]]).tolist()
    [0.5]
    """
    values, decoded = _columns(values, decoded)
    residual, total = _residual_and_total(values, decoded)
    return np.divide(total - residual, total, out=np.full(total.shape, np.nan), where=total > 0)


def r2_weighted(values: ArrayLike, decoded: ArrayLike) -> float:
    """Return R² of all columns together: columns weigh by their variance.

    It is that of squared distances, so of a position's two coordinates in one unit.
    """
    values, decoded = _columns(values, decoded)
    residual, total = _residual_and_total(values, decoded)
    return float(1.0 - residual.sum() / total.sum()) if total.sum() > 0 else float("nan")


def correlation(values: ArrayLike, decoded: ArrayLike) -> FloatArray:
    """Return Pearson's correlation of each column, (D,); NaN where either is constant."""
    values, decoded = _columns(values, decoded)
    left, right = values - values.mean(axis=0), decoded - decoded.mean(axis=0)
    norm = np.linalg.norm(left, axis=0) * np.linalg.norm(right, axis=0)
    floor = 1e-12 * np.linalg.norm(values, axis=0) * np.linalg.norm(decoded, axis=0)
    product = np.sum(left * right, axis=0)
    return np.divide(product, norm, out=np.full(norm.shape, np.nan), where=norm > floor)


def distances(values: ArrayLike, decoded: ArrayLike) -> FloatArray:
    """Return Euclidean distances of decoded from true values, (T,), in the values' unit."""
    values, decoded = _columns(values, decoded)
    return np.linalg.norm(values - decoded, axis=1)


def confusion(classes: ArrayLike, decoded: ArrayLike, *, num_classes: int) -> NDArray[np.int64]:
    """Count how often each class (rows) was decoded as which (columns), (C, C)."""
    classes, decoded = np.asarray(classes), np.asarray(decoded)
    counts = np.bincount(classes * num_classes + decoded, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def accuracy(counts: NDArray[Any]) -> float:
    """Return the share of time stamps whose class was decoded, of a confusion matrix."""
    return float(np.trace(counts) / counts.sum()) if counts.sum() else float("nan")


def balanced_accuracy(counts: NDArray[Any]) -> float:
    """Return the mean over classes of the share decoded, of a confusion matrix.

    Classes that do not occur are left out; NaN if fewer than two occur: a constant answer
    would then be perfect.
    """
    occurs = counts.sum(axis=1) > 0
    if occurs.sum() < 2:
        return float("nan")
    return float(np.mean(np.diag(counts)[occurs] / counts.sum(axis=1)[occurs]))


def _columns(values: ArrayLike, decoded: ArrayLike) -> tuple[FloatArray, FloatArray]:
    values, decoded = np.asarray(values, dtype=np.float64), np.asarray(decoded, dtype=np.float64)
    if values.shape != decoded.shape or values.ndim != 2:
        raise DataError(
            f"values have shape {values.shape}, decoded ones {decoded.shape}: expected (time "
            "stamps, columns), equal"
        )
    return values, decoded


def _residual_and_total(values: FloatArray, decoded: FloatArray) -> tuple[FloatArray, FloatArray]:
    total = np.sum((values - values.mean(axis=0)) ** 2, axis=0) if len(values) else 0.0
    total = np.broadcast_to(np.asarray(total, dtype=np.float64), values.shape[1:])
    # Below this a sum of squared deviations is rounding, not variance.
    total = np.where(total > 1e-18 * np.sum(values**2, axis=0), total, 0.0)
    return np.sum((values - decoded) ** 2, axis=0), total
