"""What spike trains tell about their own quality: refractoriness, twins, silences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]
CHUNK = 500_000


def refractory_violations(
    spike_times: FloatArray,
    spike_unit_index: IntArray,
    *,
    num_units: int,
    refractory_s: float = 0.0015,
) -> FloatArray:
    """Return the share of each unit's inter-spike intervals that are too short for a neuron.

    Parameters
    ----------
    spike_times, spike_unit_index : (S,) arrays
        Sorted seconds, and the unit of each spike.
    num_units : int
    refractory_s : float
        No neuron fires twice within this time, in seconds.

    Returns
    -------
    (N,) array
        NaN for units with fewer than two spikes. Spikes of several neurons taken for one
        unit of rate r give 1 - exp(-r * refractory_s).

    Examples
    --------
    >>> refractory_violations(np.array([0.0, 0.001, 1.0]), np.zeros(3, int), num_units=1)
    array([0.5])
    """
    order = np.argsort(spike_unit_index, kind="stable")
    times, units = np.asarray(spike_times)[order], np.asarray(spike_unit_index)[order]
    same = units[1:] == units[:-1]
    short = same & (np.diff(times) < refractory_s)
    num_intervals = np.bincount(units[1:][same], minlength=num_units)
    num_short = np.bincount(units[1:][short], minlength=num_units)
    return np.where(num_intervals > 0, num_short / np.maximum(num_intervals, 1), np.nan)


def coincidences(
    spike_times: FloatArray,
    spike_unit_index: IntArray,
    *,
    num_units: int,
    window_s: float = 0.0002,
) -> tuple[IntArray, NDArray[np.bool_]]:
    """Count how many spikes of one unit another unit fires along with.

    Parameters
    ----------
    spike_times, spike_unit_index : (S,) arrays
        Sorted seconds, and the unit of each spike.
    num_units : int
    window_s : float
        Two spikes coincide if they are no further apart than this, in seconds.

    Returns
    -------
    matched : (N, N) int array
        ``matched[a, b]``: spikes of a with a spike of b beside them; 0 on the diagonal.
    shared : (S,) bool array
        Whether any other unit fires along with the spike.
    """
    num_spikes = len(spike_times)
    matched = np.zeros(num_units**2, dtype=np.int64)
    shared = np.zeros(num_spikes, dtype=bool)
    waiting = np.empty(0, dtype=np.int64)
    for low in range(0, num_spikes, CHUNK):
        # Spikes of the chunk, and those after it that one of them may coincide with.
        high = min(low + CHUNK, num_spikes)
        end = int(np.searchsorted(spike_times, spike_times[high - 1] + window_s, side="right"))
        units = np.asarray(spike_unit_index[low:end], dtype=np.int64)
        earlier, later = _pairs(
            np.asarray(spike_times[low:end]), units, num_first=high - low, window_s=window_s
        )
        shared[low + earlier] = shared[low + later] = True
        # A cell is (spike, other unit), counted once however many spikes that unit fires
        # beside it. Spikes after the chunk wait: the next one may find the same cell again.
        cells = [(low + a) * num_units + units[b] for a, b in ((earlier, later), (later, earlier))]
        cell = np.unique(np.concatenate([waiting, *cells]))
        known = cell < high * num_units
        cell, waiting = cell[known], cell[~known]
        own = np.asarray(spike_unit_index[cell // num_units], dtype=np.int64)
        matched += np.bincount(own * num_units + cell % num_units, minlength=num_units**2)
    return matched.reshape(num_units, num_units), shared


def _pairs(
    times: FloatArray, units: IntArray, *, num_first: int, window_s: float
) -> tuple[IntArray, IntArray]:
    """Return (earlier, later) of all pairs of different units within the window."""
    earlier, later = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    candidates = np.arange(num_first)
    step = 1
    while len(candidates := candidates[candidates + step < len(times)]):
        candidates = candidates[times[candidates + step] - times[candidates] <= window_s]
        differ = candidates[units[candidates + step] != units[candidates]]
        earlier.append(differ)
        later.append(differ + step)
        step += 1
    return np.concatenate(earlier), np.concatenate(later)


def expected_shared(num_spikes: IntArray, *, duration_s: float, window_s: float = 0.0002) -> float:
    """Return the share of spikes that coincide with another unit's by chance.

    Parameters
    ----------
    num_spikes : (N,) array
        Spikes of each unit.
    duration_s : float
        Seconds recorded.
    window_s : float
        As in `coincidences`.

    Notes
    -----
    For independent units of constant rate, a spike of unit a meets none of the others with
    probability exp(-2 w (R - r_a)), R being the sum of the rates.
    """
    rates = num_spikes / duration_s
    alone = np.exp(-2 * window_s * (rates.sum() - rates))
    return float(np.average(1 - alone, weights=num_spikes)) if num_spikes.sum() else 0.0


def twin_pairs(
    matched: IntArray, num_spikes: IntArray, *, least_share: float = 0.5
) -> list[tuple[int, int]]:
    """Return pairs of units that are one train recorded twice.

    Parameters
    ----------
    matched : (N, N) array
        From `coincidences`.
    num_spikes : (N,) array
        Spikes of each unit.
    least_share : float
        Share of **both** units' spikes that must coincide.
    """
    share = matched / np.maximum(num_spikes, 1)[:, None]
    both = np.triu(np.minimum(share, share.T) >= least_share, 1)
    return [(int(a), int(b)) for a, b in np.argwhere(both)]


def silent_stretches(
    spike_times: FloatArray,
    domain: FloatArray,
    *,
    least_s: float = 2.0,
    times_expected: float = 5.0,
    times_typical: float = 3.0,
) -> FloatArray:
    """Find stretches in which a population that was being recorded fell silent.

    Parameters
    ----------
    spike_times : (S,) array
        Sorted seconds, of all units.
    domain : (K, 2) array
        Stretches recorded; its own gaps are not silences.
    least_s : float
        Shortest silence worth a word, in seconds.
    times_expected : float
        How often longer than the longest pause that constant firing would give.
    times_typical : float
        How often longer than the recording's own tenth-longest pause, so that waves or
        slow oscillations, silent between bursts as a matter of course, are not flagged.

    Returns
    -------
    (G, 2) array
        Starts and ends, in seconds.

    Notes
    -----
    Of S intervals of a Poisson process of rate R, the longest is about ln(S) / R.
    """
    edges = []
    for start, end in domain:
        low, high = np.searchsorted(spike_times, (start, end))
        inside = np.concatenate([[start], spike_times[low:high], [end]])
        edges.append(np.column_stack([inside[:-1], inside[1:]]))
    pauses = np.concatenate([np.empty((0, 2)), *edges])
    lengths = pauses[:, 1] - pauses[:, 0]
    if len(pauses) < 2:
        return pauses
    expected = np.log(len(lengths)) * lengths.sum() / len(lengths)
    typical = np.sort(lengths)[-min(10, len(lengths))]
    return pauses[lengths > max(least_s, times_expected * expected, times_typical * typical)]
