"""Fit population dynamics to a reference by expectation-maximisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurohorizon.ops.kalman import SteadyFilter, make_stable, smooth
from neurohorizon.recordings.dynamics import LinearDynamics, poisson_deviation
from neurohorizon.recordings.schema import FloatArray

NUM_LATENTS = 12
NUM_ITERATIONS = 30

_SMALLEST_NOISE = 0.3
_START_DECAY_S = 0.65
_START_VARIANCE = 0.5
_LOADING_RIDGE = 1.0
_SMOOTHING_S = 0.1
# Ten minutes of 20 ms bins, read in pieces of one: more would cost more than it tells.
_MOST_BINS = 30_000
_PIECE_BINS = 3_000


def fit_linear_dynamics(
    stretches: Sequence[NDArray[np.number]],
    *,
    rate_hz: FloatArray,
    bin_s: float,
    num_latents: int = NUM_LATENTS,
    num_iterations: int = NUM_ITERATIONS,
) -> LinearDynamics:
    """Fit a linear dynamical system by expectation-maximisation.

    Parameters
    ----------
    stretches : sequence of (T, N) array
        Counts in consecutive bins, stretch by stretch.
    rate_hz : (N,) array
        Reference rates.
    bin_s : float
        Width of a bin, in seconds.
    num_latents : int
        At most; never more than half of the units.
    num_iterations : int
        Of expectation-maximisation. It starts from slow latents, which few iterations
        then sharpen as far as the data tell.
    """
    deviation = poisson_deviation(rate_hz, bin_s)
    observed: list[FloatArray] = [
        (np.asarray(counts, dtype=np.float64) - rate_hz * bin_s) / deviation
        for counts in _thin(stretches)
        if len(counts) > 1
    ]
    num_units = len(rate_hz)
    size = max(min(num_latents, (num_units + 1) // 2), 1)
    decay = np.exp(-bin_s / _START_DECAY_S)
    transition = decay * np.eye(size)
    step_noise = _START_VARIANCE * (1.0 - decay**2) * np.eye(size)
    count_noise = np.ones(num_units)
    loadings: FloatArray = _first_loadings(observed, size, bin_s)
    num_bins = sum(map(len, observed))
    power = np.sum([np.einsum("tn,tn->n", part, part) for part in observed], axis=0)
    for _ in range(num_iterations):
        gain = SteadyFilter.of(loadings, transition, step_noise, count_noise)
        moments = smooth(observed, gain, transition)
        before = moments.before + 1e-6 * np.eye(size)
        transition = make_stable(moments.across @ np.linalg.inv(before))
        left = moments.after - transition @ moments.across.T
        step_noise = (left + left.T) / 2 / moments.num_steps + 1e-8 * np.eye(size)
        penalised = moments.every + _LOADING_RIDGE * np.eye(size)
        loadings = np.linalg.solve(penalised, moments.with_counts).T.astype(np.float64)
        explained = np.einsum("rn,nr->n", moments.with_counts, loadings)
        count_noise = np.maximum((power - explained) / num_bins, _SMALLEST_NOISE)
    return LinearDynamics(
        bin_s=bin_s,
        rate_hz=rate_hz,
        loadings=loadings,
        transition=transition,
        step_noise=step_noise,
        count_noise=count_noise,
    )


def _thin(stretches: Sequence[NDArray[np.number]]) -> list[NDArray[np.number]]:
    """Return the stretches or, if they are very long, evenly spaced pieces of them."""
    if sum(map(len, stretches)) <= _MOST_BINS:
        return list(stretches)
    pieces = [
        counts[first : first + _PIECE_BINS]
        for counts in stretches
        for first in range(0, len(counts), _PIECE_BINS)
    ]
    share = _MOST_BINS / sum(map(len, pieces))
    due = np.floor(np.arange(1, len(pieces) + 1) * share) > np.floor(np.arange(len(pieces)) * share)
    return [piece for piece, taken in zip(pieces, due, strict=True) if taken]


def _first_loadings(observed: Sequence[FloatArray], size: int, bin_s: float) -> FloatArray:
    """Return directions (N, R) in which units' pasts go with other units' futures."""
    num_units = observed[0].shape[1]
    decay = np.exp(-bin_s / _SMOOTHING_S)
    product = np.zeros((num_units, num_units))
    for part in observed:
        past = np.asarray(lfilter([1.0], [1.0, -decay], part, axis=0))
        future = np.asarray(lfilter([1.0], [1.0, -decay], part[::-1], axis=0))[::-1]
        product += past[:-1].T @ future[1:]
    # A unit's own refractoriness and bursts are no population activity.
    np.fill_diagonal(product, 0.0)
    _, vectors = np.linalg.eigh(product @ product.T + product.T @ product)
    return vectors[:, ::-1][:, :size]
