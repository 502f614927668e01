"""The Wiener filter: a regression on binned activity around each moment.

Continuous tasks by ridge regression in closed form, categorical ones by multinomial logistic
regression. How far it reads to both sides, in which bins, and the penalty are chosen on the
validation part.

References
----------
Wiener 1949; Carmena et al. 2003, PLoS Biology 1:e42; Glaser et al. 2020, eNeuro 7:0506-19
(how it is used as a decoder).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from neurohorizon.evaluation.decoding.activity import Activity, Binned, scale_of, standardised
from neurohorizon.evaluation.decoding.cases import Asked, FitData
from neurohorizon.evaluation.decoding.grid import at_times, bin_classes, bin_values, lagged
from neurohorizon.evaluation.decoding.tuning import Chosen, Search
from neurohorizon.evaluation.protocol import Role
from neurohorizon.recordings.schema import FloatArray

BINS_S = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
NUM_LAGS = (0, 1, 3, 5, 10, 20)
#: Of the largest eigenvalue's scale: times rows, since inputs are standardised.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
INVERSE_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
#: Designs with more columns are left out: solving them takes minutes.
MOST_COLUMNS = 2000
_LOGISTIC_ROWS = 20_000


@dataclass(frozen=True)
class Design:
    """Bins around each moment.

    Parameters
    ----------
    bin_s : float
    num_lags : int
        Bins read on each side.
    """

    bin_s: float
    num_lags: int

    @property
    def settings(self) -> dict[str, float]:
        """Bin and reach to each side, in seconds."""
        return {"bin_s": self.bin_s, "reach_s": self.bin_s * self.num_lags}


def designs(
    num_units: int,
    *,
    shortest_bin_s: float = 0.0,
    bins_s: tuple[float, ...] = BINS_S,
    num_lags: tuple[int, ...] = NUM_LAGS,
    most_columns: int = MOST_COLUMNS,
) -> list[Design]:
    """List the designs to choose from; those of fewest lags at least."""
    usable = [bin_s for bin_s in bins_s if bin_s >= 0.9 * shortest_bin_s] or [shortest_bin_s]
    every = [Design(bin_s, lags) for bin_s in usable for lags in num_lags]
    small = [each for each in every if (2 * each.num_lags + 1) * num_units <= most_columns]
    return small or [each for each in every if each.num_lags == min(num_lags)]


@dataclass(frozen=True, eq=False)
class LinearWeights:
    """A fitted regression: how inputs are scaled, weights and intercept."""

    design: Design
    mean: FloatArray
    deviation: FloatArray
    weights_FP: FloatArray
    intercept_P: FloatArray

    def by_bin(self, binned: Binned) -> Iterator[FloatArray]:
        """Yield what is decoded in the bins of each stretch, (B, P)."""
        for each in standardised(binned, self.mean, self.deviation):
            yield lagged(each, self.design.num_lags) @ self.weights_FP + self.intercept_P


class Wiener:
    r"""Decodes by a regression on lagged bins.

    Parameters
    ----------
    bins_s : tuple of float
        Widths to choose from, in seconds.
    num_lags : tuple of int
        Bins to each side to choose from.
    penalties : tuple of float
        Ridge penalties to choose from, as shares of the number of rows (inputs are
        standardised).
    inverse_penalties : tuple of float
        scikit-learn's C to choose from, for classes.

    Notes
    -----
    Weights solve :math:`(X^\top S X + \rho n I) W = X^\top S Y` with centred targets Y and
    the time stamps' weights S. One eigendecomposition a design serves all penalties. For
    classes the design is chosen by the same regression on indicators of the classes, and the
    penalty by the logistic regression on that design.
    """

    name = "Wiener"
    role: Role = "baseline"

    def __init__(
        self,
        *,
        bins_s: tuple[float, ...] = BINS_S,
        num_lags: tuple[int, ...] = NUM_LAGS,
        penalties: tuple[float, ...] = PENALTIES,
        inverse_penalties: tuple[float, ...] = INVERSE_PENALTIES,
    ) -> None:
        self.bins_s = bins_s
        self.num_lags = num_lags
        self.penalties = penalties
        self.inverse_penalties = inverse_penalties
        self.fitted: LinearWeights | None = None
        self.categorical = False

    def why_not(self, data: FitData) -> str:
        """Say why not: never."""
        return ""

    def fit(self, data: FitData) -> Chosen:
        """Choose a design and a penalty, and fit."""
        self.categorical = data.task.spec.is_categorical
        search = Search(data.task, data.valid)
        usable = designs(
            data.activity.num_units,
            shortest_bin_s=data.activity.shortest_bin_s,
            bins_s=self.bins_s,
            num_lags=self.num_lags,
        )
        for bin_s in dict.fromkeys(design.bin_s for design in usable):
            train = data.activity.binned(data.train.stretches, bin_s)
            valid = data.activity.binned(data.valid.stretches, bin_s)
            targets, weights = self._targets(data, bin_s)
            for design in (each for each in usable if each.bin_s == bin_s):
                for penalty, fitted in ridge_path(train, targets, weights, design, self.penalties):
                    decoded = at_times(data.valid, bin_s, list(fitted.by_bin(valid)))
                    settings = {**design.settings, "penalty": penalty}
                    search.offer(decoded, settings, fitted)
        self.fitted = search.best
        return self._logistic(data, search) if self.categorical else search.chosen()

    def predict(self, activity: Activity, asked: Asked) -> FloatArray:
        """Decode values, or probabilities of classes."""
        assert self.fitted is not None, "fit first"
        bin_s = self.fitted.design.bin_s
        by_bin = list(self.fitted.by_bin(activity.binned(asked.stretches, bin_s)))
        if self.categorical:
            by_bin = [probabilities(each) for each in by_bin]
        return at_times(asked, bin_s, by_bin)

    def _targets(self, data: FitData, bin_s: float) -> tuple[list[FloatArray], list[FloatArray]]:
        if not self.categorical:
            return bin_values(data.train, bin_s)
        classes, weights = bin_classes(data.train, bin_s, data.task.num_outputs)
        indicators = np.eye(data.task.num_outputs)
        return [indicators[each] for each in classes], weights

    def _logistic(self, data: FitData, by_ridge: Search) -> Chosen:
        """Fit the logistic regression on the design that ridge regression chose."""
        design = by_ridge.best.design
        bin_s, num_classes = design.bin_s, data.task.num_outputs
        classes, weights = bin_classes(data.train, bin_s, num_classes)
        binned = data.activity.binned(data.train.stretches, bin_s)
        valid = data.activity.binned(data.valid.stretches, bin_s)
        search = Search(data.task, data.valid)
        for settings, fitted in fit_logistic(
            binned,
            classes,
            weights,
            by_ridge.best,
            num_classes=num_classes,
            inverse_penalties=self.inverse_penalties,
        ):
            by_bin = [probabilities(each) for each in fitted.by_bin(valid)]
            decoded = at_times(data.valid, bin_s, by_bin)
            search.offer(decoded, {**design.settings, **settings}, fitted)
        if search.best is None:
            return by_ridge.chosen()
        search.num_tried += by_ridge.num_tried
        self.fitted = search.best
        return search.chosen()


def ridge_path(
    binned: Binned,
    targets: list[FloatArray],
    weights: list[FloatArray],
    design: Design,
    penalties: tuple[float, ...],
) -> Iterator[tuple[float, LinearWeights]]:
    """Yield ridge regressions of binned targets on a design, one a penalty.

    Parameters
    ----------
    binned : list of (B, N) array
        Stretch by stretch; lags never cross from one to another.
    targets : list of (B, P) array
        Rows of no weight are left out.
    weights : list of (B,) array
    design : Design
    penalties : tuple of float
        Shares of the number of rows.
    """
    mean, deviation = scale_of(binned)
    size = (2 * design.num_lags + 1) * len(mean)
    num_outputs = targets[0].shape[1]
    gram, cross = np.zeros((size, size)), np.zeros((size, num_outputs))
    input_sum, target_sum, total, num_rows = np.zeros(size), np.zeros(num_outputs), 0.0, 0
    for inputs, target, weight in zip(
        standardised(binned, mean, deviation), targets, weights, strict=True
    ):
        used = weight > 0
        x = lagged(inputs, design.num_lags)[used]
        y, w = target[used], weight[used]
        weighted = x * w[:, None].astype(np.float32)
        gram += weighted.T @ x
        cross += weighted.T @ y
        input_sum += weighted.sum(axis=0)
        target_sum += w @ y
        total += float(w.sum())
        num_rows += len(y)
    x_mean, y_mean = input_sum / total, target_sum / total
    gram -= total * np.outer(x_mean, x_mean)
    cross -= total * np.outer(x_mean, y_mean)
    values, vectors = linalg.eigh(gram / total)
    rotated = vectors.T @ (cross / total)
    for penalty in penalties:
        solution = vectors @ (rotated / (np.maximum(values, 0.0) + penalty)[:, None])
        yield (
            penalty,
            LinearWeights(design, mean, deviation, solution, y_mean - x_mean @ solution),
        )


def fit_logistic(
    binned: Binned,
    classes: Sequence[NDArray[np.int64]],
    weights: Sequence[FloatArray],
    ridge: LinearWeights,
    *,
    num_classes: int,
    inverse_penalties: tuple[float, ...],
) -> Iterator[tuple[dict[str, float | str], LinearWeights]]:
    """Yield settings and logistic regressions on the design of a ridge regression.

    Parameters
    ----------
    binned : list of (B, N) array
        Stretch by stretch; lags never cross from one to another.
    classes : sequence of (B,) int
        -1 where there is none.
    weights : sequence of (B,) array
    ridge : LinearWeights
    num_classes : int
    inverse_penalties : tuple of float
        scikit-learn's C. Nothing is yielded where training has one class alone.
    """
    from sklearn.linear_model import LogisticRegression

    design, mean, deviation = ridge.design, ridge.mean, ridge.deviation
    inputs = np.concatenate(
        [lagged(each, design.num_lags) for each in standardised(binned, mean, deviation)]
    )
    label, weight = np.concatenate(classes), np.concatenate(weights)
    rows = np.flatnonzero(label >= 0)
    rows = rows[:: max(-(-len(rows) // _LOGISTIC_ROWS), 1)]
    if len(np.unique(label[rows])) < 2:
        return
    for inverse in inverse_penalties:
        for classes_weigh in ("as they are", "alike"):
            model = LogisticRegression(
                C=inverse,
                class_weight="balanced" if classes_weigh == "alike" else None,
                max_iter=300,
                tol=1e-3,
            )
            model.fit(inputs[rows], label[rows], sample_weight=weight[rows])
            fitted = LinearWeights(design, mean, deviation, *_all_classes(model, num_classes))
            yield {"C": inverse, "classes weigh": classes_weigh}, fitted


def _all_classes(model: object, num_classes: int) -> tuple[FloatArray, FloatArray]:
    """Return weights and intercepts of all classes; those not met in training are never told."""
    coefficients, intercepts = model.coef_, model.intercept_  # type: ignore[attr-defined]
    known = model.classes_  # type: ignore[attr-defined]
    if len(known) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weights = np.zeros((coefficients.shape[1], num_classes))
    intercept = np.full(num_classes, -1e9)
    weights[:, known], intercept[known] = coefficients.T, intercepts
    return weights, intercept


def probabilities(logits: NDArray[np.floating]) -> FloatArray:
    """Return the probability of each class, (B, P)."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)
