"""Exponential traces of spike trains, exact at any time.

A trace forgets its past at one rate: between spikes it decays, at a spike it jumps. So
its value at any time follows exactly from its value at an earlier time and the spikes in
between, and a few states kept along a recording are enough to start from anywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohorizon.ops.binning import search_times, to_ticks

FloatArray = NDArray[np.float64]


def exponential_traces(
    spike_times: FloatArray,
    spike_unit_index: NDArray[np.integer[Any]],
    *,
    num_units: int,
    at_s: ArrayLike,
    time_constants_s: ArrayLike,
    start_s: float,
    start_rate_hz: ArrayLike,
) -> FloatArray:
    r"""Compute causal exponential traces of every unit at given times.

    Parameters
    ----------
    spike_times, spike_unit_index : (S,) arrays
        Sorted seconds, and the unit of each spike.
    num_units : int
    at_s : (T,) array_like
        Sorted seconds, none before `start_s`. A spike at exactly such a time belongs to
        its future and does not count.
    time_constants_s : (K,) array_like
        Time constants, in seconds.
    start_s : float
        Where history starts; earlier spikes are not read.
    start_rate_hz : (N,) array_like
        Rate that stands for the time before `start_s`.

    Returns
    -------
    (T, N, K) float64
        Traces in Hz: their expectation under a constant rate is that rate.

    Notes
    -----
    .. math:: x_\tau(t) = r_0 e^{-(t-t_0)/\tau}
              + \frac{1}{\tau} \sum_{t_0 \le t_i < t} e^{-(t-t_i)/\tau}
    """
    at = np.asarray(at_s, dtype=np.float64)
    time_constants = np.asarray(time_constants_s, dtype=np.float64)
    num_constants = len(time_constants)
    state = np.repeat(np.asarray(start_rate_hz, dtype=np.float64)[:, None], num_constants, axis=1)
    traces = np.empty((len(at), num_units, num_constants))
    if len(at) == 0:
        return traces
    assert at[0] >= start_s - 1e-9, "a time lies before the start of history"
    assert np.all(np.diff(at) >= 0), "times must be sorted"

    low, high = search_times(spike_times, (start_s - 1e-6, at[-1] + 1e-6))
    ticks, unit = to_ticks(spike_times[low:high]), np.asarray(spike_unit_index[low:high])
    at_ticks = to_ticks(at)
    used = (ticks >= to_ticks(start_s)) & (ticks < at_ticks[-1])
    ticks, unit = ticks[used], unit[used]
    # Each spike first counts at the next requested time, decayed over what lies between.
    row = np.searchsorted(at_ticks, ticks, side="right")
    delay_s = (at_ticks[row] - ticks) * 1e-6
    arrived = np.empty((len(at), num_units, num_constants))
    for constant, time_constant in enumerate(time_constants):
        arrived[:, :, constant] = np.bincount(
            row * num_units + unit,
            weights=np.exp(-delay_s / time_constant) / time_constant,
            minlength=len(at) * num_units,
        ).reshape(len(at), num_units)
    decay = np.exp(-np.diff(at, prepend=start_s)[:, None] / time_constants)
    for index in range(len(at)):
        state = state * decay[index] + arrived[index]
        traces[index] = state
    return traces


def trace_log_ratios(
    traces_hz: FloatArray,
    rate_hz: ArrayLike,
    *,
    time_constants_s: ArrayLike,
    pseudo_count: float = 0.5,
) -> FloatArray:
    r"""Compare traces with expected rates on a log scale, finite for silent units.

    Parameters
    ----------
    traces_hz : (T, N, K) array
    rate_hz : (N,) or (T, N, K) array_like
        Expected rates: one a unit, or one a trace.
    time_constants_s : (K,) array_like
        Time constant of each trace, in seconds.
    pseudo_count : float
        Spikes added to both sides: keeps a unit that said nothing from saying much.

    Returns
    -------
    (T, N, K) array
        :math:`\log (\tau x + c) - \log (\tau r + c)`.
    """
    time_constants = np.asarray(time_constants_s, dtype=np.float64)
    rates = np.asarray(rate_hz, dtype=np.float64)
    expected = (rates[:, None] if rates.ndim == 1 else rates) * time_constants + pseudo_count
    return np.log(traces_hz * time_constants + pseudo_count) - np.log(expected)
