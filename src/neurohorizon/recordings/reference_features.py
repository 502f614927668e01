"""The 33 numbers that describe a unit's firing in a reference stretch.

=====  ==========================================================================
index  feature
=====  ==========================================================================
0      mean rate (Hz)
1      coefficient of variation of the inter-spike intervals
2-21   share of inter-spike intervals in 20 logarithmic bins, 1 ms to 10 s
22-31  autocorrelogram over its expectation, 10 bins of 10 ms
32     Fano factor of counts in 1 s
=====  ==========================================================================

Raw values are what files and users see; a model sees them standardised with the
:class:`FeatureScaler` that was fitted on its training recordings and travels in its
checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.recordings.schema import FloatArray

NUM_REFERENCE_FEATURES = 33
ISI_EDGES_S = np.logspace(-3, 1, 21)
AUTOCORRELOGRAM_EDGES_S = np.linspace(0.0, 0.1, 11)
FANO_BIN_S = 1.0


def reference_features(
    spike_times: FloatArray,
    spike_unit_index: NDArray[np.integer[Any]],
    *,
    num_units: int,
    start_s: float,
    end_s: float,
) -> FloatArray:
    """Compute the 33 reference features of every unit.

    Parameters
    ----------
    spike_times, spike_unit_index : (S,) arrays
        Sorted seconds within ``[start_s, end_s)``, and the unit of each spike.
    num_units : int
    start_s, end_s : float
        The reference stretch, in seconds.

    Returns
    -------
    (N, 33) float64
        Raw values, finite for every unit: what cannot be computed (no interval, no spike)
        takes the value of a Poisson train (CV, Fano factor and autocorrelogram 1) or 0.
    """
    duration_s = end_s - start_s
    counts = np.bincount(spike_unit_index, minlength=num_units)
    order = np.argsort(spike_unit_index, kind="stable")
    times, unit = spike_times[order], np.asarray(spike_unit_index)[order]

    same_unit = unit[1:] == unit[:-1]
    intervals, owner = np.diff(times)[same_unit], unit[1:][same_unit]
    num_intervals = np.bincount(owner, minlength=num_units)
    enough = num_intervals >= 2
    denominator = np.maximum(num_intervals, 1)
    mean = np.bincount(owner, weights=intervals, minlength=num_units) / denominator
    spread = np.bincount(owner, weights=(intervals - mean[owner]) ** 2, minlength=num_units)
    deviation = np.sqrt(spread / denominator)
    variation = np.where(enough, deviation / np.maximum(mean, 1e-9), 1.0)

    clipped = np.clip(intervals, ISI_EDGES_S[0], ISI_EDGES_S[-1] * (1 - 1e-9))
    cell = owner * 20 + np.searchsorted(ISI_EDGES_S, clipped, side="right") - 1
    histogram = np.bincount(cell, minlength=num_units * 20).reshape(num_units, 20)
    histogram = histogram / denominator[:, None]

    num_bins = max(int(duration_s / FANO_BIN_S), 1)
    binned = count_in_windows(
        spike_times,
        spike_unit_index,
        num_units=num_units,
        starts_s=[start_s],
        bin_s=FANO_BIN_S,
        num_bins=num_bins,
    )[0]
    mean_count = binned.mean(axis=1)
    fano = np.where(mean_count > 0, binned.var(axis=1) / np.maximum(mean_count, 1e-9), 1.0)

    return np.column_stack(
        [
            counts / duration_s,
            variation,
            histogram,
            _autocorrelogram(times, unit, num_units=num_units, duration_s=duration_s),
            fano,
        ]
    )


def _autocorrelogram(
    times: FloatArray, unit: NDArray[np.integer[Any]], *, num_units: int, duration_s: float
) -> FloatArray:
    """Count later spikes of the same unit by lag, over what a Poisson train would give."""
    edges = AUTOCORRELOGRAM_EDGES_S
    num_lags = len(edges) - 1
    pairs = np.zeros(num_units * num_lags)
    for shift in range(1, len(times)):
        lag = times[shift:] - times[:-shift]
        near = (unit[shift:] == unit[:-shift]) & (lag < edges[-1])
        if not near.any():
            break
        column = np.searchsorted(edges, lag[near], side="right") - 1
        pairs += np.bincount(unit[shift:][near] * num_lags + column, minlength=len(pairs))
    counts = np.bincount(unit, minlength=num_units)
    expected = (counts**2 / duration_s)[:, None] * np.diff(edges)
    # One pseudo-pair on both sides: a silent unit looks like Poisson, not like 0 / 0.
    return (pairs.reshape(num_units, num_lags) + 1.0) / (expected + 1.0)


@dataclass(frozen=True)
class FeatureScaler:
    """Standardisation of features, fitted on training recordings.

    Parameters
    ----------
    log : (F,) bool
        Columns that are skewed and positive: their logarithm is standardised.
    mean, scale : (F,) float
        Of the (logged) columns.
    """

    log: NDArray[np.bool_]
    mean: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, features: FloatArray, *, log: NDArray[np.bool_]) -> FeatureScaler:
        """Fit on stacked features of training units, shape (N, F)."""
        return cls.fit_in_one_pass([features], log=log)

    @classmethod
    def fit_in_one_pass(
        cls, batches: Iterable[FloatArray], *, log: NDArray[np.bool_]
    ) -> FeatureScaler:
        """Fit on (N, F) features of one recording after another, none of which is kept.

        References
        ----------
        Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance.
        """
        num, mean, spread = 0, np.zeros(len(log)), np.zeros(len(log))
        for features in batches:
            values = _log_columns(features, log)
            if len(values) == 0:
                continue
            shift = values.mean(axis=0) - mean
            share = len(values) / (num + len(values))
            spread += ((values - values.mean(axis=0)) ** 2).sum(axis=0) + shift**2 * num * share
            mean += shift * share
            num += len(values)
        if num == 0:
            raise DataError("no units to fit the standardisation of features on")
        scale = np.sqrt(spread / num)
        return cls(log=log, mean=mean, scale=np.where(scale > 1e-6, scale, 1.0))

    def transform(self, features: FloatArray) -> FloatArray:
        """Standardise (N, F) features, clipped to five standard deviations."""
        values = (_log_columns(features, self.log) - self.mean) / self.scale
        return np.clip(values, -5.0, 5.0)


def skewed_reference_features() -> NDArray[np.bool_]:
    """Tell which of the 33 features are logged before standardisation, shape (33,)."""
    log = np.zeros(NUM_REFERENCE_FEATURES, dtype=bool)
    log[[0, 1, 32]] = True
    log[22:32] = True
    return log


def _log_columns(features: FloatArray, log: NDArray[np.bool_]) -> FloatArray:
    return np.where(log, np.log(np.maximum(features, 1e-3)), features)
