"""Poisson naive Bayes: the place, or the class, that makes the spikes most likely.

The standard decoder of the hippocampal field. Each unit's rate is mapped over a grid of values
(or over classes); spikes of a window then have a likelihood at each cell of the grid. Without
continuity every window stands alone; with it the cells form a hidden Markov chain, whose steps
are counted in training, and all windows of a stretch are used for each.

References
----------
Zhang, Ginzburg, McNaughton & Sejnowski 1998, J. Neurophysiol. 79:1017; Brown et al. 1998,
J. Neurosci. 18:7411 (with continuity); Rabiner 1989, Proc. IEEE 77:257 (forward-backward).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from neurohorizon.evaluation.decoding.activity import Activity, Binned
from neurohorizon.evaluation.decoding.cases import Asked, FitData
from neurohorizon.evaluation.decoding.grid import at_times, bin_classes, bin_values
from neurohorizon.evaluation.decoding.tuning import Chosen, Search
from neurohorizon.evaluation.protocol import Role
from neurohorizon.recordings.schema import FloatArray

STEP_S = 0.1
WINDOWS_S = (0.1, 0.3, 0.5, 1.1, 2.1, 4.1, 8.1)
CHAIN_BINS_S = (0.1, 0.25, 0.5)
SMOOTHS = (0.75, 1.5, 3.0)
TRUSTS = (0.25, 0.5, 1.0)
DOUBTS = (0.0, 0.01)
PSEUDO_STEPS = (0.1, 1.0, 10.0)
#: Cells along the longer side of what one column, or two, reach over.
CELLS = {1: 60, 2: 32}
#: Seconds at the unit's mean rate that each cell is taken to have been visited besides.
_PRIOR_S = 0.5


@dataclass(frozen=True, eq=False)
class Maps:
    """Rates of units over the cells of a grid, or over classes.

    Parameters
    ----------
    centres : (S, D) float
        Values of the cells that were visited, or of classes one indicator each.
    rate_hz : (N, S) float
    occupancy : (S,) float
        Share of the time spent there.
    """

    centres: FloatArray
    rate_hz: FloatArray
    occupancy: FloatArray

    def log_likelihood(self, counts: NDArray[np.floating], seconds: FloatArray) -> FloatArray:
        r"""Return the log-likelihood of counts (B, N) of windows (B,) at each cell, (B, S).

        :math:`\sum_i n_i \log \lambda_i(s) - \tau \sum_i \lambda_i(s)`; what does not depend on
        the cell is left out.
        """
        told: FloatArray = np.asarray(counts, dtype=np.float64) @ np.log(self.rate_hz)
        return told - seconds[:, None] * self.rate_hz.sum(axis=0)


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of equal size over the values of training.

    Parameters
    ----------
    low : (D,) float
    cell : (D,) float
        Sides of a cell.
    shape : tuple of int
    """

    low: FloatArray
    cell: FloatArray
    shape: tuple[int, ...]

    @classmethod
    def over(cls, values: FloatArray, num_cells: int) -> Grid:
        """Lay a grid over values (T, D), so many cells along the longest side."""
        # A few far values must not make the cells coarse: they count as the outermost ones.
        low, high = np.quantile(values, [0.001, 0.999], axis=0)
        extent = np.where(high > low, high - low, 1.0)
        cell = np.full(len(low), extent.max() / num_cells)
        # Columns of different units (a position and a speed) have cells of their own.
        if extent.min() < extent.max() / num_cells * 4:
            cell = extent / num_cells
        return cls(low, cell, tuple(int(np.ceil(each)) for each in extent / cell + 1e-9))

    def index_of(self, values: FloatArray) -> NDArray[np.int64]:
        """Return the flat cell of each value, (T,)."""
        place = np.floor((values - self.low) / self.cell).astype(np.int64)
        place = np.clip(place, 0, np.array(self.shape) - 1)
        return np.asarray(np.ravel_multi_index(tuple(place.T), self.shape), dtype=np.int64)

    def centres(self) -> FloatArray:
        """Return the middle of each cell, (cells, D)."""
        place = np.stack(np.unravel_index(np.arange(int(np.prod(self.shape))), self.shape), axis=1)
        return self.low + (place + 0.5) * self.cell


@dataclass(frozen=True, eq=False)
class _Labelled:
    """Training bins: cell (or class) of each, -1 where unknown, by stretch; and counts."""

    label: list[NDArray[np.int64]]
    counts: Binned
    grid: Grid | None
    num_cells: int

    def maps(self, bin_s: float, smooth: float) -> tuple[Maps, NDArray[np.int64]]:
        """Return rates over the cells that were visited, and the row of each cell there."""
        label, counts = np.concatenate(self.label), np.concatenate(self.counts)
        known = label >= 0
        label, counts = label[known], counts[known].astype(np.float64)
        seconds = bin_s * np.bincount(label, minlength=self.num_cells)
        spikes = np.stack(
            [np.bincount(label, weights=each, minlength=self.num_cells) for each in counts.T]
        )
        mean_hz = np.maximum(spikes.sum(axis=1, keepdims=True), 0.5) / seconds.sum()
        if self.grid is None:
            visited = seconds > 0
            centres = np.eye(self.num_cells)[visited]
        else:
            raw = seconds
            seconds = self._smoothed(seconds, smooth)
            spikes = np.stack([self._smoothed(each, smooth) for each in spikes])
            visited = raw > 0
            centres = self.grid.centres()[visited]
        rate = (spikes + _PRIOR_S * mean_hz) / (seconds + _PRIOR_S)
        row = np.where(visited, np.cumsum(visited) - 1, -1)
        share = seconds[visited] / seconds[visited].sum()
        return Maps(centres, np.maximum(rate[:, visited], 1e-4), share), row

    def _smoothed(self, values: NDArray[np.floating], smooth: float) -> FloatArray:
        assert self.grid is not None
        return gaussian_filter(values.reshape(self.grid.shape), smooth, mode="constant").ravel()

    def steps(self, row: NDArray[np.int64], size: int) -> FloatArray:
        """Count steps from cell to cell, (S, S)."""
        counted = np.zeros((size, size))
        for label in self.label:
            here = np.where(label >= 0, row[label], -1)
            both = (here[1:] >= 0) & (here[:-1] >= 0)
            np.add.at(counted, (here[:-1][both], here[1:][both]), 1.0)
        return counted


@dataclass(frozen=True, eq=False)
class _Fitted:
    maps: Maps
    step_s: float
    window_s: float
    trust: float
    prior: FloatArray
    chain: FloatArray | None
    doubt: float = 0.0

    def by_bin(self, binned: Binned) -> list[FloatArray]:
        # The mean has the least squared error; a class's centre is its indicator, so that of
        # classes it is the posterior itself.
        return [each @ self.maps.centres for each in self.posteriors(binned)]

    def posteriors(self, binned: Binned) -> list[FloatArray]:
        half = (max(round(self.window_s / self.step_s), 1) - 1) // 2
        evidence = []
        for each in binned:
            counts, seconds = sliding_sum(each, half), sliding_sum(np.ones((len(each), 1)), half)
            told = self.maps.log_likelihood(counts, seconds[:, 0] * self.step_s)
            told = self.trust * (told - told.max(axis=1, keepdims=True))
            evidence.append(np.logaddexp(told, np.log(self.doubt)) if self.doubt else told)
        if self.chain is None:
            return [normalised(each + np.log(self.prior)) for each in evidence]
        return forward_backward(evidence, self.chain, self.prior)


class Bayes:
    """Decodes values of one or two columns on a grid, or classes, from spikes.

    Parameters
    ----------
    continuous : bool
        Join the windows of a stretch by how the value moves.
    windows_s : tuple of float
        Windows to choose from, in seconds, moved by 0.1 s (without continuity).
    chain_bins_s : tuple of float
        Bins to choose from, in seconds (with continuity).
    smooths : tuple of float
        Standard deviations of the maps' smoothing, in cells, to choose from.
    trusts : tuple of float
        Powers of the likelihood to choose from: units are not independent, as its product
        takes them to be.
    doubts : tuple of float
        Share of a bin's largest likelihood that every cell keeps, to choose from (with
        continuity): a moment whose spikes fit no map, a replay or another unit's spikes, must
        not throw the chain off its way.
    pseudo_steps : tuple of float
        How many steps of a random walk each cell's counted steps are joined by (with
        continuity), to choose from.
    """

    role: Role = "baseline"

    def __init__(
        self,
        *,
        continuous: bool = False,
        windows_s: tuple[float, ...] = WINDOWS_S,
        chain_bins_s: tuple[float, ...] = CHAIN_BINS_S,
        smooths: tuple[float, ...] = SMOOTHS,
        trusts: tuple[float, ...] = TRUSTS,
        doubts: tuple[float, ...] = DOUBTS,
        pseudo_steps: tuple[float, ...] = PSEUDO_STEPS,
    ) -> None:
        self.continuous = continuous
        self.windows_s = windows_s
        self.chain_bins_s = chain_bins_s
        self.smooths = smooths
        self.trusts = trusts
        self.doubts = doubts
        self.pseudo_steps = pseudo_steps
        self.name = "Bayes continuous" if continuous else "Bayes"
        self._fitted: _Fitted | None = None

    def why_not(self, data: FitData) -> str:
        """Say why the task or the activity does not suit."""
        if not data.activity.is_spikes:
            return "Poisson counts need spikes, not a signal"
        if not data.task.spec.is_categorical and data.train.values.shape[1] > 2:
            return f"a grid over {data.train.values.shape[1]} columns has too many cells"
        if self.continuous and self._steps_known(data) < 50:
            return "time stamps are too far apart for values that move from bin to bin"
        return ""

    def fit(self, data: FitData) -> Chosen:
        """Choose window or bin, smoothing, and how far prior and likelihood are trusted."""
        search = Search(data.task, data.valid)
        categorical = data.task.spec.is_categorical
        smooths = (0.0,) if categorical else self.smooths
        for step_s in self.chain_bins_s if self.continuous else (STEP_S,):
            labelled = self._label(data, step_s)
            valid = data.activity.binned(data.valid.stretches, step_s)
            for smooth in smooths:
                maps, row = labelled.maps(step_s, smooth)
                for fitted, settings in self._candidates(labelled, maps, row, step_s):
                    told = settings if categorical else {**settings, "smooth_cells": smooth}
                    search.offer(at_times(data.valid, step_s, fitted.by_bin(valid)), told, fitted)
        self._fitted = search.best
        return search.chosen()

    def predict(self, activity: Activity, asked: Asked) -> FloatArray:
        """Decode values, or probabilities of classes."""
        assert self._fitted is not None, "fit first"
        binned = activity.binned(asked.stretches, self._fitted.step_s)
        return at_times(asked, self._fitted.step_s, self._fitted.by_bin(binned))

    def _candidates(
        self, labelled: _Labelled, maps: Maps, row: NDArray[np.int64], step_s: float
    ) -> Iterator[tuple[_Fitted, dict[str, float | int | str]]]:
        size = len(maps.centres)
        uniform = np.full(size, 1.0 / size)
        base = _Fitted(maps, step_s, step_s, trust=1.0, prior=maps.occupancy, chain=None)
        if not self.continuous:
            for window_s in self.windows_s:
                for trust in self.trusts:
                    for name, prior in (("occupancy", maps.occupancy), ("uniform", uniform)):
                        each = replace(base, window_s=window_s, trust=trust, prior=prior)
                        yield each, {"window_s": window_s, "trust": trust, "prior": name}
            return
        steps = labelled.steps(row, size)
        anywhere = np.full((size, size), 1.0 / size)
        walk = random_walk(maps.centres, steps) if labelled.grid is not None else anywhere
        for pseudo in self.pseudo_steps:
            chain = steps + pseudo * walk
            chain /= chain.sum(axis=1, keepdims=True)
            for trust, doubt in itertools.product(self.trusts, self.doubts):
                each = replace(base, trust=trust, chain=chain, doubt=doubt)
                yield each, {"bin_s": step_s, "trust": trust, "doubt": doubt, "walk": pseudo}

    def _label(self, data: FitData, bin_s: float) -> _Labelled:
        counts = data.activity.binned(data.train.stretches, bin_s)
        if data.task.spec.is_categorical:
            size = data.task.num_outputs
            return _Labelled(bin_classes(data.train, bin_s, size)[0], counts, None, size)
        grid = Grid.over(data.train.values, CELLS[data.train.values.shape[1]])
        labels = []
        for values in bin_values(data.train, bin_s)[0]:
            known = np.isfinite(values).all(axis=1)
            label = np.full(len(values), -1, dtype=np.int64)
            label[known] = grid.index_of(values[known])
            labels.append(label)
        return _Labelled(labels, counts, grid, int(np.prod(grid.shape)))

    def _steps_known(self, data: FitData) -> int:
        labels = self._label(data, self.chain_bins_s[0]).label
        return sum(int(np.sum((each[1:] >= 0) & (each[:-1] >= 0))) for each in labels)


def sliding_sum(values: NDArray[np.floating], half: int) -> FloatArray:
    """Sum each row with so many neighbours on both sides; at the ends, with those there are."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    at = np.arange(len(values))
    return total[np.minimum(at + half + 1, len(values))] - total[np.maximum(at - half, 0)]


def normalised(log_values: FloatArray) -> FloatArray:
    """Return probabilities along the last axis."""
    odds = np.exp(log_values - log_values.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def random_walk(centres: FloatArray, steps: FloatArray) -> FloatArray:
    """Return Gaussian steps between cells, (S, S), as wide as those that were counted."""
    square = np.sum((centres[:, None] - centres[None, :]) ** 2, axis=2)
    nearest = np.min(square + np.where(np.eye(len(square)), np.inf, 0.0)) if len(square) > 1 else 1
    variance = max(float(np.sum(steps * square) / max(steps.sum(), 1.0)), float(nearest))
    walk = np.exp(-square / variance)
    return walk / walk.sum(axis=1, keepdims=True)


def forward_backward(
    evidence: Sequence[FloatArray], chain: FloatArray, start: FloatArray
) -> list[FloatArray]:
    """Return each bin's posterior given all of its stretch.

    Parameters
    ----------
    evidence : sequence of (B, S) array
        Log-likelihoods, stretch by stretch.
    chain : (S, S) array
        Probabilities of steps, rows sum to 1.
    start : (S,) array
        Of the first bin's state.

    Returns
    -------
    list of (B, S) array
    """
    lengths = [len(each) for each in evidence]
    longest, size = max(lengths), len(start)
    told = np.ones((longest, len(evidence), size))
    for row, each in enumerate(evidence):
        told[: len(each), row] = np.exp(each - each.max(axis=1, keepdims=True))
    forward = np.empty_like(told)
    state = np.tile(start, (len(evidence), 1))
    for step in range(longest):
        state = told[step] * (state if step == 0 else state @ chain)
        state = np.maximum(state, 1e-300)
        state /= state.sum(axis=1, keepdims=True)
        forward[step] = state
    # Past a stretch's end nothing is told, and a message of ones says just that.
    message = np.ones((len(evidence), size))
    for step in range(longest - 1, -1, -1):
        forward[step] *= message
        forward[step] /= forward[step].sum(axis=1, keepdims=True)
        message = (told[step] * message) @ chain.T
        message /= message.max(axis=1, keepdims=True)
    return [forward[:length, row] for row, length in enumerate(lengths)]
