"""Co-smoothing: some units are hidden, and what they did is told from all others.

Of a hidden unit nothing is read but the reference: none of its spikes in the window or in
the past before it. What is asked for are its counts in the context, while the others' spikes
there are seen.

Shapes: W windows, N units, T bins of the context.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neurohorizon.ops.binning import TICKS_PER_S, to_ticks
from neurohorizon.ops.kalman import smooth_windows
from neurohorizon.recordings.adapter import FORECAST_LIMITS
from neurohorizon.recordings.dynamics import LinearDynamics, poisson_deviation
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import Windows

#: Unit column that marks what the Neural Latents Benchmark holds out.
HELD_OUT_COLUMN = "held_out"


def context_counts(windows: Windows) -> NDArray[np.int64]:
    """Count the spikes of the context by unit and bin, the oldest bin first: (W, N, T).

    Bins end at the origin. Where the context is no whole number of bins, its oldest part
    belongs to none.
    """
    num_bins = windows.spec.num_context_bins
    bin_ticks = round(windows.spec.bin_s * TICKS_PER_S)
    ago = -to_ticks(windows.event_time_s)
    place = num_bins - 1 - (ago - 1) // bin_ticks
    window = np.repeat(np.arange(len(windows)), np.diff(windows.event_offsets))
    cell = (window * windows.num_units + windows.event_unit_index) * num_bins + place
    shape = (len(windows), windows.num_units, num_bins)
    return np.bincount(cell[place >= 0], minlength=int(np.prod(shape))).reshape(shape)


def hide_units(windows: Windows, hidden: NDArray[np.bool_], *, rate_hz: FloatArray) -> Windows:
    """Return the windows without anything that some units did before the origin.

    Parameters
    ----------
    windows : Windows
    hidden : (N,) bool
    rate_hz : (N,) array
        Reference rates, which stand in for the traces of hidden units: nothing is known.

    Returns
    -------
    Windows
        Latents of the population dynamics, which have read every unit, are 0; counts after
        the origin stay, being targets.
    """
    kept = ~hidden[windows.event_unit_index]
    before = np.concatenate([[0], np.cumsum(kept)])
    return replace(
        windows,
        traces_hz=np.where(hidden[:, None], np.asarray(rate_hz)[:, None], windows.traces_hz),
        event_time_s=windows.event_time_s[kept],
        event_unit_index=np.asarray(windows.event_unit_index)[kept],
        event_offsets=before[windows.event_offsets],
        states=np.zeros_like(windows.states),
    )


def smoothed_rates(
    counts_WNT: NDArray[np.integer], hidden: NDArray[np.bool_], dynamics: LinearDynamics
) -> FloatArray:
    """Tell every unit's rate in each bin from the counts of the units that are seen.

    Parameters
    ----------
    counts_WNT : (W, N, T) array
        Of hidden units nothing is read.
    hidden : (N,) bool
    dynamics : LinearDynamics
        Of the reference.

    Returns
    -------
    (W, N, T) array
        Relative to the reference rates, minus one; clipped as the adapter's forecasts are.

    Notes
    -----
    The Kalman smoother of the reference's dynamics, with hidden units left out of what is
    observed. Their loadings, known from the reference, tell what its latents mean for them.
    """
    seen = ~hidden
    expected = dynamics.rate_hz[seen] * dynamics.bin_s
    deviation = poisson_deviation(dynamics.rate_hz[seen], dynamics.bin_s)
    observed = (counts_WNT[:, seen].transpose(0, 2, 1) - expected) / deviation
    states = smooth_windows(
        observed,
        loadings=dynamics.loadings[seen],
        transition=dynamics.transition,
        step_noise=dynamics.step_noise,
        count_noise=dynamics.count_noise[seen],
    )
    rates = np.einsum("wtr,nr->wnt", states, dynamics.readout, optimize=True)
    return np.clip(rates, *FORECAST_LIMITS)


def every_fourth(num_units: int, among: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Hide every fourth unit among some; the last of them if they are fewer than four.

    Examples
    --------
    >>> every_fourth(8).nonzero()[0].tolist(), every_fourth(3).nonzero()[0].tolist()
    ([3, 7], [2])
    """
    candidates = np.arange(num_units) if among is None else np.flatnonzero(among)
    hidden = np.zeros(num_units, dtype=bool)
    hidden[candidates[3::4] if len(candidates) > 3 else candidates[-1:]] = True
    return hidden
