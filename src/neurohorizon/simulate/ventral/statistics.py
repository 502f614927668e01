"""Numbers about electrodes that are published with the responses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurohorizon.simulate.ventral.electrodes import Electrodes
from neurohorizon.simulate.ventral.recording import LEAST_NOISE, Array, Recorded

Statistic = NDArray[np.float64]


def signal_to_noise(recorded: Recorded, noise: float) -> Statistic:
    """Return each day's mean answer to the test pictures over the noise, (days, 1024)."""
    days = []
    for day in range(recorded.num_days):
        shown = recorded.repeats[recorded.repeat_day == day].mean(axis=(0, 1), dtype=np.float64)
        evoked = (shown - recorded.offset[day]) / recorded.scale[day]
        days.append(evoked / np.hypot(noise, LEAST_NOISE))
    return np.array(days)


def latencies(electrodes: Electrodes, *, num_days: int, seed: int) -> Statistic:
    """Return each day's estimate of the latencies in ms, (days, 1024); NaN where there is none."""
    rng = np.random.default_rng([seed, 30])
    found = electrodes.latency_ms + rng.normal(scale=2.0, size=(num_days, len(electrodes.area)))
    found[:, electrodes.is_missing | electrodes.is_deaf] = np.nan
    return np.round(found)


def reliability(repeats: Array) -> tuple[Statistic, Statistic]:
    """Return how well presentations of the test pictures agree.

    Parameters
    ----------
    repeats : (repeats, pictures, 1024) float32

    Returns
    -------
    pairs : (repeats (repeats - 1) / 2, 1024) float
        Correlation of each two repeats over pictures.
    oracle : (1, 1024) float
        Mean correlation of a repeat with the mean of all others.
    """
    num_repeats = len(repeats)
    trials = repeats.transpose(2, 0, 1).astype(np.float64)
    first, second = np.triu_indices(num_repeats, k=1)
    standard = _standard(trials)
    pairs = (standard @ standard.transpose(0, 2, 1))[:, first, second].T
    others = (trials.sum(axis=1, keepdims=True) - trials) / (num_repeats - 1)
    oracle = (standard * _standard(others)).sum(axis=2).mean(axis=1)
    return pairs, oracle[None]


def _standard(values: Statistic) -> Statistic:
    """Return values with mean 0 and length 1 along the last axis; NaN where they are constant."""
    centred = values - values.mean(axis=-1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    length[length < 1e-12] = np.nan
    return centred / length
