"""Sufficient statistics of one forecaster on one recording.

Forecasts are added window by window and forgotten. What is kept is small, and enough for
every number that a report prints: sums of log-likelihood and spikes by block of time, unit
and bin (bits/spike at any horizon, per bin, per unit; bootstrap over blocks), and sums for
correlation, R², calibration and PSTHs by unit and span of bins.

An (origin, bin) pair counts once: an origin that was added before is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from neurohorizon.errors import DataError
from neurohorizon.evaluation.calibration import (
    PIT_EDGES,
    CountBounds,
    pit_histogram,
    poisson_bounds,
)
from neurohorizon.evaluation.metrics import (
    correlation_from_moments,
    log_likelihood_kernel,
    psth_r2,
    r2_from_moments,
)
from neurohorizon.evaluation.protocol import Protocol, SessionCase
from neurohorizon.ops.binning import to_ticks
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import Windows

FloatArray = NDArray[np.float64]

#: Edges of the forecast's value in calibration curves, in Hz; the last bin is open.
CALIBRATION_EDGES_HZ = np.concatenate([[0.0], np.geomspace(0.05, 200.0, 25)])
PSTH_BIN_S = 0.1
PSTH_LENGTH_S = 3.0
#: A time in trial enters a PSTH if at least so many windows fell on it.
PSTH_FEWEST_WINDOWS = 10

_ARRAYS = (
    "unit_index",
    "null_counts",
    "block",
    "num_windows",
    "origin_ticks",
    "log_likelihood",
    "own_log_likelihood",
    "spikes",
    "saturated",
    "moments",
    "calibration",
    "pit",
    "psth",
    "psth_windows",
    "trial_starts",
)


def spans_of(protocol: Protocol) -> NDArray[np.int64]:
    """Return the spans of bins that moments are kept for, (S, 2): first bin, last bin + 1.

    The horizon groups come first, then the cumulative horizons that tables report.
    """
    edges = protocol.spec.group_edges
    cumulative = [(0, int(end)) for end in protocol.horizon_bins]
    return np.array([*pairwise(edges), *cumulative], dtype=np.int64)


@dataclass(eq=False)
class Scores:
    """Sums over the forecasts of one forecaster on one recording; they grow with `add`.

    Parameters
    ----------
    forecaster, recording : str
        Name and id.
    protocol : Protocol
    unit_index : (M,) int
        Rows of the scored units in the recording.
    null_counts : (M,) float
        The null's expected count per bin.
    block : (K,) int
        Blocks of time that hold origins: `floor(origin / block_s)`.
    num_windows : (K,) int
    origin_ticks : (T,) int64
        Microseconds of the origins added.
    log_likelihood : (K, M, B) float
        Kernel log-likelihood (without the constant of the counts), in nats, of Poisson counts
        with the expected counts that were forecast.
    own_log_likelihood : (K, M, B) float
        The same under the forecaster's own distribution of counts.
    spikes : (K, M, B) int
        Summed counts.
    saturated : (M, B) float
        Kernel log-likelihood of a forecast equal to the counts.
    moments : (5, M, S) float
        Sums of p, y, p², y² and p·y over windows, where p and y are the expected and the
        observed count in a span of bins (:func:`spans_of`).
    calibration : (3, S, C) float
        Forecasts, expected and observed counts by value of the forecast.
    pit : (H, 20) float
        Histograms of the probability integral transform of counts summed from the origin to
        each reported horizon (:mod:`~neurohorizon.evaluation.calibration`); all 0 where a
        forecaster with a distribution of its own does not say.
    psth : (2, P, M, G) float
        Expected and observed counts summed by time since the last trial's start and
        horizon group; P is 0 without trials.
    psth_windows : (P, G) int
        Windows summed there.
    trial_starts : (R,) float
        Starts of the recording's trials, in seconds, sorted; empty without trials.
    """

    forecaster: str
    recording: str
    protocol: Protocol
    unit_index: NDArray[np.int64]
    null_counts: FloatArray
    block: NDArray[np.int64]
    num_windows: NDArray[np.int64]
    origin_ticks: NDArray[np.int64]
    log_likelihood: FloatArray
    own_log_likelihood: FloatArray
    spikes: NDArray[np.int64]
    saturated: FloatArray
    moments: FloatArray
    calibration: FloatArray
    pit: FloatArray
    psth: FloatArray
    psth_windows: NDArray[np.int64]
    trial_starts: FloatArray

    @classmethod
    def empty(cls, forecaster: str, case: SessionCase) -> Scores:
        """Start with no window."""
        protocol = case.protocol
        unit_index = np.flatnonzero(case.scored_units)
        units, bins = len(unit_index), protocol.spec.num_bins
        num_spans = len(spans_of(protocol))
        block = np.unique(np.floor(case.origins_s / protocol.block_s).astype(np.int64))
        trials = case.recording.tables.get("trials")
        trial_starts = np.sort(trials.start) if trials is not None else np.empty(0)
        times = round(PSTH_LENGTH_S / PSTH_BIN_S) if len(trial_starts) else 0
        return cls(
            forecaster=forecaster,
            recording=case.recording.id,
            protocol=protocol,
            unit_index=unit_index,
            null_counts=case.null.rate_hz[unit_index] * protocol.spec.bin_s,
            block=block,
            num_windows=np.zeros(len(block), dtype=np.int64),
            origin_ticks=np.empty(0, dtype=np.int64),
            log_likelihood=np.zeros((len(block), units, bins)),
            own_log_likelihood=np.zeros((len(block), units, bins)),
            spikes=np.zeros((len(block), units, bins), dtype=np.int64),
            saturated=np.zeros((units, bins)),
            moments=np.zeros((5, units, num_spans)),
            calibration=np.zeros((3, num_spans, len(CALIBRATION_EDGES_HZ))),
            pit=np.zeros((len(protocol.horizons_s), len(PIT_EDGES) - 1)),
            psth=np.zeros((2, times, units, protocol.spec.num_groups)),
            psth_windows=np.zeros((times, protocol.spec.num_groups), dtype=np.int64),
            trial_starts=trial_starts,
        )

    def add(
        self,
        windows: Windows,
        expected_counts: NDArray[np.floating],
        log_prob: NDArray[np.floating] | None = None,
        totals: CountBounds | None = None,
    ) -> None:
        """Add the forecast of some windows.

        Parameters
        ----------
        windows : Windows
            Of the recording.
        expected_counts : (T, N, B) float
            Left-out units included.
        log_prob : (T, N, B) float, optional
            Of the counts that were observed, under the forecaster's own distribution. Default:
            Poisson with the expected counts.
        totals : CountBounds, optional
            Of the counts summed to each horizon, (T, N, H). Default: none with `log_prob`, else
            Poisson with the summed expected counts.

        Raises
        ------
        DataError
            If an origin was added before, the shape is not that of the counts, an expected
            count is not a positive, finite number, or a log-probability is not finite or above
            0. Nothing is added then.
        """
        where = f"{self.forecaster} on {self.recording}"
        for values in (expected_counts, log_prob):
            if values is not None and values.shape != windows.counts.shape:
                raise DataError(
                    f"{where}: the forecast has shape {values.shape}, expected (origins, "
                    f"units, bins) = {windows.counts.shape}"
                )
        expected = np.asarray(expected_counts, dtype=np.float64)[:, self.unit_index]
        if not (np.isfinite(expected).all() and expected.min(initial=1.0) > 0):
            raise DataError(
                f"{where}: expected counts must be positive and finite, got values from "
                f"{np.min(expected):.3g} to {np.max(expected):.3g}"
            )
        own = None
        if log_prob is not None:
            own = np.asarray(log_prob, dtype=np.float64)[:, self.unit_index]
            # Single precision may put a certain count a little above certainty.
            if not (np.isfinite(own).all() and own.max(initial=0.0) < 1e-4):
                raise DataError(
                    f"{where}: log-probabilities of counts must be finite and at most 0, got "
                    f"values from {np.min(own):.3g} to {np.max(own):.3g}"
                )
        self.origin_ticks = self._joined_origins(to_ticks(windows.origins_s))
        counts = windows.counts[:, self.unit_index].astype(np.int64)
        block = np.floor(windows.origins_s / self.protocol.block_s).astype(np.int64)
        row = np.searchsorted(self.block, block)
        assert np.array_equal(self.block[np.minimum(row, len(self.block) - 1)], block)
        kernel = log_likelihood_kernel(counts, expected)
        own_kernel = kernel if own is None else own + gammaln(counts + 1.0)
        for index in np.unique(row):
            self.log_likelihood[index] += kernel[row == index].sum(axis=0)
            self.own_log_likelihood[index] += own_kernel[row == index].sum(axis=0)
            self.spikes[index] += counts[row == index].sum(axis=0)
        self.num_windows += np.bincount(row, minlength=len(self.block))
        values = np.arange(counts.max(initial=0) + 1)
        self.saturated += (xlogy(values, values) - values)[counts].sum(axis=0)

        spans = spans_of(self.protocol)
        p, y = _sum_spans(expected, spans), _sum_spans(counts, spans).astype(np.float64)
        for moment, product in zip(self.moments, (p, y, p * p, y * y, p * y), strict=True):
            moment += product.sum(axis=0)
        self.calibration += _calibration(p, y, spans, self.protocol.spec)
        if totals is not None:
            self._add_to_pit(totals.below[:, self.unit_index], totals.here[:, self.unit_index])
        elif log_prob is None:
            cumulative = slice(self.protocol.spec.num_groups, None)
            summed = poisson_bounds(y[..., cumulative].astype(np.int64), p[..., cumulative])
            self._add_to_pit(summed.below, summed.here)
        if len(self.psth_windows):
            self._add_to_psth(windows.origins_s, p, y)

    def merge(self, other: Scores) -> None:
        """Add scores that were added over other windows of the same recording.

        Raises
        ------
        DataError
            If they are of another forecaster, recording, protocol or null, or share an origin.
        """
        same = (self.forecaster, self.recording, self.protocol) == (
            other.forecaster,
            other.recording,
            other.protocol,
        )
        if not (same and np.array_equal(self.null_counts, other.null_counts)):
            raise DataError(
                f"scores of {self.forecaster} on {self.recording} cannot be merged with those of "
                f"{other.forecaster} on {other.recording}: expected the same protocol and null"
            )
        self.origin_ticks = self._joined_origins(other.origin_ticks)
        block = np.union1d(self.block, other.block)
        for name in ("num_windows", "log_likelihood", "own_log_likelihood", "spikes"):
            mine, theirs = getattr(self, name), getattr(other, name)
            joined = np.zeros((len(block), *mine.shape[1:]), dtype=mine.dtype)
            joined[np.searchsorted(block, self.block)] += mine
            joined[np.searchsorted(block, other.block)] += theirs
            setattr(self, name, joined)
        self.block = block
        for name in ("saturated", "moments", "calibration", "pit", "psth", "psth_windows"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def null_log_likelihood(self) -> FloatArray:
        """Kernel log-likelihood of the null, (K, M, B), in nats."""
        null = self.null_counts[:, None]
        return self.spikes * np.log(null) - self.num_windows[:, None, None] * null

    @property
    def gain(self) -> FloatArray:
        """Log-likelihood above the null, (K, M, B), in nats."""
        return self.log_likelihood - self.null_log_likelihood

    @property
    def own_gain(self) -> FloatArray:
        """Log-likelihood of the forecaster's own distribution above the null, (K, M, B), nats."""
        return self.own_log_likelihood - self.null_log_likelihood

    def at_horizons(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sum (..., B) values over the bins up to each reported horizon, (..., H)."""
        return np.cumsum(values, axis=-1)[..., self.protocol.horizon_bins - 1]

    @property
    def num_entries(self) -> NDArray[np.int64]:
        """Counts scored per unit up to each reported horizon, (H,)."""
        return int(self.num_windows.sum()) * self.protocol.horizon_bins

    def correlation(self) -> FloatArray:
        """Return the correlation of expected and observed counts over windows, (M, S)."""
        return correlation_from_moments(self.num_windows.sum(), *self.moments)

    def r2(self) -> FloatArray:
        """Return R² of observed counts in each span, (M, S)."""
        _, sum_y, sum_pp, sum_yy, sum_py = self.moments
        return r2_from_moments(self.num_windows.sum(), sum_y, sum_pp, sum_yy, sum_py)

    def psth_r2(self) -> FloatArray:
        """Return R² of each unit's PSTH by horizon group, (M, G); NaN without trials."""
        units, groups = self.moments.shape[1], self.protocol.spec.num_groups
        result = np.full((units, groups), np.nan)
        for group in range(groups):
            enough = self.psth_windows[:, group] >= PSTH_FEWEST_WINDOWS
            if enough.sum() >= 2:
                windows = self.psth_windows[enough, group][:, None]
                expected, observed = self.psth[..., group][:, enough] / windows
                result[:, group] = psth_r2(expected, observed)
        return result

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name, for an npz file."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(
        cls, forecaster: str, recording: str, protocol: Protocol, arrays: Mapping[str, Any]
    ) -> Scores:
        """Make scores from what :meth:`to_arrays` returned.

        Results of versions that kept no transforms have none.
        """
        return cls(
            forecaster=forecaster,
            recording=recording,
            protocol=protocol,
            **{name: np.asarray(arrays[name]) for name in _ARRAYS},
        )

    def _add_to_pit(self, below_TMH: FloatArray, here_TMH: FloatArray) -> None:
        for horizon, histogram in enumerate(self.pit):
            bounds = CountBounds(below_TMH[..., horizon], here_TMH[..., horizon])
            histogram += pit_histogram(bounds)

    def _joined_origins(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        joined = np.concatenate([self.origin_ticks, ticks])
        values, times = np.unique(joined, return_counts=True)
        if times.max(initial=1) > 1:
            raise DataError(
                f"{self.forecaster} on {self.recording}: the origin at "
                f"{values[np.argmax(times)] * 1e-6:.6f} s was scored before: an origin and its "
                "bins may count only once"
            )
        return joined

    def _add_to_psth(self, origins_s: FloatArray, p: FloatArray, y: FloatArray) -> None:
        """Add spans to the PSTHs by the time since the last trial start before their middle."""
        num_times, edges = len(self.psth_windows), self.protocol.spec.group_edges
        for group in range(self.protocol.spec.num_groups):
            middle = origins_s + 0.5 * (edges[group] + edges[group + 1]) * self.protocol.spec.bin_s
            trial = np.searchsorted(self.trial_starts, middle, side="right") - 1
            since = middle - self.trial_starts[np.maximum(trial, 0)]
            time = np.floor(since / PSTH_BIN_S).astype(np.int64)
            member = (np.arange(num_times)[:, None] == time) & (trial >= 0)
            self.psth[0, :, :, group] += member @ p[:, :, group]
            self.psth[1, :, :, group] += member @ y[:, :, group]
            self.psth_windows[:, group] += member.sum(axis=1)


def _sum_spans(values: NDArray[Any], spans: NDArray[np.int64]) -> NDArray[Any]:
    """Sum (T, M, B) values over spans of bins, (T, M, S)."""
    total = np.zeros((*values.shape[:2], values.shape[2] + 1), dtype=values.dtype)
    np.cumsum(values, axis=2, out=total[:, :, 1:])
    return total[:, :, spans[:, 1]] - total[:, :, spans[:, 0]]


def _calibration(
    p: FloatArray, y: FloatArray, spans: NDArray[np.int64], spec: WindowSpec
) -> FloatArray:
    """Sum forecasts, expected and observed counts by span and value, (3, S, C)."""
    num_spans, num_values = len(spans), len(CALIBRATION_EDGES_HZ)
    rate_hz = p / ((spans[:, 1] - spans[:, 0]) * spec.bin_s)
    value = np.searchsorted(CALIBRATION_EDGES_HZ, rate_hz, side="right") - 1
    cell = (np.arange(num_spans) * num_values + value).ravel()
    sums = np.empty((3, num_spans, num_values))
    for row, weights in zip(sums, (None, p.ravel(), y.ravel()), strict=True):
        summed = np.bincount(cell, weights=weights, minlength=row.size)
        row[:] = summed.reshape(row.shape)
    return sums
