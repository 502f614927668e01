"""What a unit's own spikes do to its rate: drawing spikes with it, and measuring it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurohorizon.ops.binning import TICKS_PER_S, to_ticks
from neurohorizon.simulate.world import ADAPTATION, PopulationWorld


def kernel_decay(world: PopulationWorld) -> NDArray[np.float64]:
    """Return by how much each kernel decays in one spike step, shape (3,)."""
    return np.exp(-world.spike_step_s / np.array(world.kernel_s))


def draw_spikes(
    log_rate: NDArray[np.float64],
    history_weight: NDArray[np.float64],
    *,
    world: PopulationWorld,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw spikes of units whose log-rate is raised and lowered by their own spikes.

    Parameters
    ----------
    log_rate : (T, N)
        Natural logarithm of the rate in Hz, one row per `world.grid_s`.
    history_weight : (N, 3)
        Weights of the kernels in `world.kernel_s`.
    world : PopulationWorld
    rng : numpy.random.Generator

    Returns
    -------
    spike_times : (S,) float64
        Seconds, sorted, whole microseconds.
    spike_unit_index : (S,) int64

    Notes
    -----
    In a step of length `dt` a unit spikes once with probability
    ``1 - exp(-dt exp(log_rate + h))``, that is, if a standard exponential draw is below
    ``dt exp(log_rate + h)``. Here ``h = sum_k w_k g_k``, and each ``g_k`` decays by
    ``exp(-dt / tau_k)`` a step; after a spike it is 1 (refractory, burst) or has grown by 1
    (adaptation). The step that follows a spike feels the full weight.
    """
    num_rows, num_units = log_rate.shape
    substeps = round(world.grid_s / world.spike_step_s)
    decay = kernel_decay(world)[:, None]
    weight = np.ascontiguousarray(history_weight.T)
    # Each kernel times its weight.
    filters = np.zeros((3, num_units))
    steps, units = [], []
    rows_per_chunk = 1000
    for first_row in range(0, num_rows, rows_per_chunk):
        chunk = log_rate[first_row : first_row + rows_per_chunk]
        draw = rng.standard_exponential((len(chunk), substeps, num_units))
        # A spike falls where the effect of history exceeds this threshold.
        threshold = np.log(draw / world.spike_step_s) - chunk[:, None, :]
        for step, needed in enumerate(threshold.reshape(-1, num_units), start=first_row * substeps):
            fired = (np.add.reduce(filters) > needed).nonzero()[0]
            filters *= decay
            if fired.size:
                filters[:ADAPTATION, fired] = weight[:ADAPTATION, fired]
                filters[ADAPTATION, fired] += weight[ADAPTATION, fired]
                steps.append(np.full(fired.size, step))
                units.append(fired)
    if not steps:
        return np.empty(0), np.empty(0, dtype=np.int64)
    ticks_per_step = round(world.spike_step_s * TICKS_PER_S)
    unit = np.concatenate(units)
    tick = np.concatenate(steps) * ticks_per_step + rng.integers(ticks_per_step, size=len(unit))
    order = np.argsort(tick, kind="stable")
    return tick[order] / TICKS_PER_S, unit[order].astype(np.int64)


def history_effect(
    spike_times: NDArray[np.float64],
    spike_unit_index: NDArray[np.integer],
    history_weight: NDArray[np.float64],
    *,
    num_rows: int,
    world: PopulationWorld,
) -> NDArray[np.float32]:
    """Return the mean factor by which each unit's past spikes multiply its rate.

    Parameters
    ----------
    spike_times, spike_unit_index : (S,) arrays
        Sorted seconds, and the unit of each spike.
    history_weight : (N, 3)
        Weights of the kernels in `world.kernel_s`.
    num_rows : int
        Steps of `world.grid_s` to cover from time 0.
    world : PopulationWorld

    Returns
    -------
    (num_rows, N) float32
        ``exp(h)`` averaged over the spike steps of each row.
    """
    substeps = round(world.grid_s / world.spike_step_s)
    num_steps = num_rows * substeps
    step = to_ticks(spike_times) // round(world.spike_step_s * TICKS_PER_S)
    decay = kernel_decay(world)
    index = np.arange(num_steps)
    effect = np.empty((num_rows, len(history_weight)), dtype=np.float32)
    for unit, weight in enumerate(history_weight):
        own = step[spike_unit_index == unit]
        spiked = np.zeros(num_steps)
        spiked[own[own < num_steps]] = 1.0
        accumulated = lfilter([0.0, 1.0], [1.0, -decay[ADAPTATION]], spiked)
        history = weight[ADAPTATION] * accumulated
        # Steps since the last spike, seen from step 1 on.
        last = np.maximum.accumulate(np.where(spiked, index, -1))[:-1]
        lag = np.where(last < 0, np.inf, index[:-1] - last)
        for kernel in range(ADAPTATION):
            if weight[kernel] != 0.0:
                history[1:] += weight[kernel] * decay[kernel] ** lag
        effect[:, unit] = np.exp(history).reshape(num_rows, substeps).mean(axis=1)
    return effect


def history_response(
    rate_hz: NDArray[np.floating],
    effect: NDArray[np.floating],
    *,
    step_s: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the mean rate of each unit, its own spikes included, to its latent-driven rate.

    Parameters
    ----------
    rate_hz : (T, N)
        Latent-driven rates.
    effect : (T, N)
        Factor by which past spikes multiplied them (`history_effect`).
    step_s : float
        Length of a row, in seconds.

    Returns
    -------
    factor, exponent : (N,) float64
        The mean rate at latent-driven rate `r` is ``factor * r ** exponent``.

    Notes
    -----
    Maximises the expected Poisson log-likelihood ``sum_t y log(m) - m`` with
    ``y = rate * effect * step``, ``m = factor * rate ** exponent * step``, minus
    ``(exponent - 1) ** 2 / 2``, by Newton's method. The exponent is mostly below 1: a unit
    that is driven hard fires more and is held back more by what it fired. Only conditional
    intensities enter, not the spikes' own luck, so some minutes determine both numbers.
    """
    log_rate = np.log(rate_hz, dtype=np.float64)
    mean = log_rate.mean(axis=0)
    centred = log_rate - mean
    observed = rate_hz * effect * step_s
    exponent = np.ones(rate_hz.shape[1])
    level = np.log(observed.sum(axis=0) / np.exp(centred).sum(axis=0))
    for _ in range(12):
        fitted = np.exp(level + exponent * centred)
        residual = observed - fitted
        slope_level = residual.sum(axis=0)
        slope_exponent = (residual * centred).sum(axis=0) - (exponent - 1.0)
        curve_level = fitted.sum(axis=0)
        curve_both = (fitted * centred).sum(axis=0)
        curve_exponent = (fitted * centred**2).sum(axis=0) + 1.0
        determinant = curve_level * curve_exponent - curve_both**2
        change = (curve_level * slope_exponent - curve_both * slope_level) / determinant
        level_change = (curve_exponent * slope_level - curve_both * slope_exponent) / determinant
        exponent += np.clip(change, -0.25, 0.25)
        level += np.clip(level_change, -0.5, 0.5)
    return np.exp(level - exponent * mean) / step_s, exponent
