"""The Kalman filter as a decoder, and its smoother, which sees what follows too.

References
----------
Wu, Gao, Bienenstock, Donoghue & Black 2006, Neural Computation 18:80 (filter, closed-form fit);
Rauch, Tung & Striebel 1965, AIAA Journal 3:1445 (smoother).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurohorizon.evaluation.decoding.activity import Activity, Binned, scale_of, standardised
from neurohorizon.evaluation.decoding.cases import Asked, FitData
from neurohorizon.evaluation.decoding.grid import at_times, bin_values
from neurohorizon.evaluation.decoding.tuning import Chosen, Search
from neurohorizon.evaluation.protocol import Role
from neurohorizon.recordings.schema import FloatArray

BINS_S = (0.02, 0.05, 0.1, 0.25, 0.5)
ORDERS = (0, 1, 2)
LAGS_S = (-0.2, -0.1, 0.1, 0.2, 0.3)
NOISES = (0.3, 1.0, 3.0, 10.0, 30.0)
#: Share of the observation noise's covariance that is taken to be diagonal.
_SHRINK = 0.1
_FEWEST_STEPS = 50


@dataclass(frozen=True, eq=False)
class StateSpace:
    r"""A linear state space: :math:`x_t = A x_{t-1} + w`, :math:`z_t = H x_t + q`.

    Parameters
    ----------
    transition, step_noise : (R, R) array
        A, and the covariance of w.
    loadings : (N, R) array
        H.
    noise : (N, N) array
        Covariance of q.
    start : (R, R) array
        Covariance of the state before anything is observed; its mean is 0.
    """

    transition: FloatArray
    step_noise: FloatArray
    loadings: FloatArray
    noise: FloatArray
    start: FloatArray

    def states(
        self, observed: Sequence[FloatArray], *, lag: int = 0, smooth: bool = False
    ) -> list[FloatArray]:
        """Estimate the states of stretches from what was observed in each.

        Parameters
        ----------
        observed : sequence of (B, N) array
        lag : int
            The state of a bin is observed so many bins before it (negative: after it); where
            that lies outside of the stretch nothing is observed.
        smooth : bool
            Use observations after a bin too.

        Returns
        -------
        list of (B, R) array
        """
        solved = np.linalg.solve(self.noise, self.loadings)
        information, unit = self.loadings.T @ solved, np.eye(len(self.transition))
        lengths = np.array([len(each) for each in observed])
        longest, size = int(lengths.max()), len(self.transition)
        evidence = np.zeros((longest, len(observed), size))
        seen = np.zeros((longest, len(observed)), dtype=bool)
        for row, each in enumerate(observed):
            steps = np.arange(len(each)) - lag
            inside = (steps >= 0) & (steps < len(each))
            evidence[: len(each), row][inside] = each[steps[inside]] @ solved
            seen[: len(each), row] = inside
        # Covariances do not depend on what was observed: one recursion serves all stretches.
        # Those whose end is not observed stop using gains there, and are only predicted.
        first_seen = max(lag, 0)
        mean, predicted = np.zeros((len(observed), size)), self.start
        states, covariances = np.zeros((longest, len(observed), size)), []
        for step in range(longest):
            filtered = predicted
            if step >= first_seen:
                filtered = np.linalg.solve(unit + predicted @ information, predicted)
                filtered = (filtered + filtered.T) / 2
                surprise = evidence[step] - mean @ information
                mean = mean + seen[step][:, None] * (surprise @ filtered)
            states[step] = mean
            mean = mean @ self.transition.T
            predicted = self.transition @ filtered @ self.transition.T + self.step_noise
            covariances.append((filtered, predicted))
        if smooth:
            # What follows the last observation adds nothing to what lies before it.
            last = lengths - 1 + min(lag, 0)
            for step in range(longest - 2, -1, -1):
                filtered, predicted = covariances[step]
                back = filtered @ self.transition.T @ np.linalg.pinv(predicted, hermitian=True)
                ahead = states[step + 1] - states[step] @ self.transition.T
                states[step] += (step < last)[:, None] * (ahead @ back.T)
            for row, end in enumerate(last):
                for step in range(max(int(end), 0) + 1, int(lengths[row])):
                    states[step, row] = self.transition @ states[step - 1, row]
        return [states[:length, row] for row, length in enumerate(lengths)]


@dataclass(frozen=True, eq=False)
class _Fitted:
    space: StateSpace
    bin_s: float
    lag: int
    mean: FloatArray
    deviation: FloatArray
    target_mean: FloatArray
    order: int

    def by_bin(self, binned: Binned, *, smooth: bool) -> list[FloatArray]:
        observed = [
            each.astype(np.float64) for each in standardised(binned, self.mean, self.deviation)
        ]
        columns = len(self.target_mean)
        return [
            each[:, :columns] + self.target_mean
            for each in self.space.states(observed, lag=self.lag, smooth=smooth)
        ]


class Kalman:
    """Decodes continuous tasks by a Kalman filter, or smoother, fitted in closed form.

    Parameters
    ----------
    smooth : bool
        Use what follows a moment too, as networks on windows do.
    bins_s : tuple of float
        To choose from, in seconds.
    orders : tuple of int
        Derivatives in the state, to choose from.
    lags_s : tuple of float
        How long before what they tell spikes come, to choose from besides 0.
    noises : tuple of float
        Factors of the observations' covariance, to choose from: spikes of one moment repeat
        what those before have said, which a filter takes for news.

    Notes
    -----
    A, H and both covariances are least-squares estimates from binned values and their backward
    differences (Wu et al. 2006, equations 5 to 8). Before a stretch the state has the
    training part's mean and covariance: nothing of what lies before it is known.
    """

    role: Role = "baseline"

    def __init__(
        self,
        *,
        smooth: bool = False,
        bins_s: tuple[float, ...] = BINS_S,
        orders: tuple[int, ...] = ORDERS,
        lags_s: tuple[float, ...] = LAGS_S,
        noises: tuple[float, ...] = NOISES,
    ) -> None:
        self.smooth = smooth
        self.bins_s = bins_s
        self.orders = orders
        self.lags_s = lags_s
        self.noises = noises
        self.name = "Kalman smoother" if smooth else "Kalman"
        self._fitted: _Fitted | None = None

    def why_not(self, data: FitData) -> str:
        """Say why the task has no state that moves from bin to bin."""
        if data.task.spec.is_categorical:
            return "classes have no linear state"
        if not self._usable_bins(data):
            return "time stamps are too far apart for a state that moves from bin to bin"
        return ""

    def fit(self, data: FitData) -> Chosen:
        """Choose bin, order and noise, then the lag."""
        search = Search(data.task, data.valid)
        for bin_s in self._usable_bins(data):
            for order in self.orders:
                self._try(search, data, bin_s, order, 0, self.noises)
        best: _Fitted = search.best
        noise = float(search.best_settings["noise"])
        for lag in sorted({round(lag_s / best.bin_s) for lag_s in self.lags_s} - {0}):
            self._try(search, data, best.bin_s, best.order, lag, (noise,))
        self._fitted = search.best
        return search.chosen()

    def predict(self, activity: Activity, asked: Asked) -> FloatArray:
        """Decode values."""
        assert self._fitted is not None, "fit first"
        fitted = self._fitted
        binned = activity.binned(asked.stretches, fitted.bin_s)
        return at_times(asked, fitted.bin_s, fitted.by_bin(binned, smooth=self.smooth))

    def _usable_bins(self, data: FitData) -> list[float]:
        usable = []
        for bin_s in self.bins_s:
            if bin_s >= 0.9 * data.activity.shortest_bin_s:
                weights = bin_values(data.train, bin_s)[1]
                steps = sum(int(np.sum((each[1:] > 0) & (each[:-1] > 0))) for each in weights)
                known = sum(int(np.sum(each > 0)) for each in weights)
                if steps >= max(_FEWEST_STEPS, 0.5 * known):
                    usable.append(bin_s)
        return usable

    def _try(
        self,
        search: Search,
        data: FitData,
        bin_s: float,
        order: int,
        lag: int,
        noises: tuple[float, ...],
    ) -> None:
        fitted = _fit(data, bin_s, order, lag)
        if fitted is None:
            return
        valid = data.activity.binned(data.valid.stretches, bin_s)
        for noise in noises:
            space = replace(fitted.space, noise=fitted.space.noise * noise)
            louder = replace(fitted, space=space)
            decoded = at_times(data.valid, bin_s, louder.by_bin(valid, smooth=self.smooth))
            settings = {"bin_s": bin_s, "order": order, "lag_s": lag * bin_s, "noise": noise}
            search.offer(decoded, settings, louder)


def _fit(data: FitData, bin_s: float, order: int, lag: int) -> _Fitted | None:
    """Fit a state space by least squares; None if too few bins in a row have a value."""
    binned = data.activity.binned(data.train.stretches, bin_s)
    mean, deviation = scale_of(binned)
    values, _ = bin_values(data.train, bin_s)
    known = np.concatenate(values)
    target_mean = np.nanmean(known, axis=0)
    before, after, states, observed = [], [], [], []
    for inputs, value in zip(standardised(binned, mean, deviation), values, strict=True):
        state = _with_differences(value - target_mean, order)
        there = np.asarray(np.isfinite(state).all(axis=1))
        both = there[1:] & there[:-1]
        before.append(state[:-1][both])
        after.append(state[1:][both])
        steps = np.flatnonzero(there)
        steps = steps[(steps - lag >= 0) & (steps - lag < len(inputs))]
        states.append(state[steps])
        observed.append(inputs[steps - lag].astype(np.float64))
    x0, x1, x, z = (np.concatenate(each) for each in (before, after, states, observed))
    if min(len(x0), len(x)) < max(_FEWEST_STEPS, 2 * x.shape[1]):
        return None
    # A target that never changes has no variance at all.
    small = max(1e-6 * float(np.mean(x**2)), 1e-12) * np.eye(x.shape[1])
    transition = np.linalg.solve(x0.T @ x0 + len(x0) * small, x0.T @ x1).T
    loadings = np.linalg.solve(x.T @ x + len(x) * small, x.T @ z).T
    transition, loadings = transition.astype(np.float64), loadings.astype(np.float64)
    step_error, error = x1 - x0 @ transition.T, z - x @ loadings.T
    noise = error.T @ error / len(error)
    noise = (1 - _SHRINK) * noise + _SHRINK * np.diag(np.diag(noise)) + 1e-3 * np.eye(len(noise))
    step_noise = step_error.T @ step_error / len(step_error) + small
    space = StateSpace(transition, step_noise, loadings, noise, x.T @ x / len(x) + small)
    return _Fitted(space, bin_s, lag, mean, deviation, target_mean, order)


def _with_differences(values: FloatArray, order: int) -> FloatArray:
    """Return values with so many backward differences beside them; NaN where one is unknown."""
    columns = [values]
    for _ in range(order):
        last = columns[-1]
        columns.append(np.concatenate([np.full((1, last.shape[1]), np.nan), np.diff(last, axis=0)]))
    return np.concatenate(columns, axis=1)
