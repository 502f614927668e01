"""What spike trains tell about their own quality: refractoriness, twins, silences.

Spikes are taken a block at a time, so that memory does not grow with the recording's length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.ops.blocks import blocks

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]


BLOCK_SPIKES = 2**19
# A recording's own typical long pause is the last of so many.
NUM_TYPICAL = 10


def count_spikes(spike_unit_index: IntArray, *, num_units: int) -> NDArray[np.int64]:
    """Return how many spikes each unit has, shape (N,).

    Examples
    --------
    >>> count_spikes(np.array([0, 2, 2]), num_units=4).tolist()
    [1, 0, 2, 0]
    """
    count = np.zeros(num_units, dtype=np.int64)
    for rows in blocks(len(spike_unit_index), size=BLOCK_SPIKES):
        count += np.bincount(spike_unit_index[rows], minlength=num_units)
    return count


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
    num_short = np.zeros(num_units, dtype=np.int64)
    before = np.full(num_units, -np.inf)  # each unit's last spike of earlier blocks
    for rows in blocks(len(spike_times), size=BLOCK_SPIKES):
        order = np.argsort(spike_unit_index[rows], kind="stable")
        times, units = np.asarray(spike_times[rows])[order], spike_unit_index[rows][order]
        first = np.concatenate([[True], units[1:] != units[:-1]])
        previous = np.where(first, before[units], np.concatenate([[-np.inf], times[:-1]]))
        num_short += np.bincount(units[times - previous < refractory_s], minlength=num_units)
        last = np.concatenate([first[1:], [True]])
        before[units[last]] = times[last]
    num_intervals = count_spikes(spike_unit_index, num_units=num_units) - 1
    return np.where(num_intervals > 0, num_short / np.maximum(num_intervals, 1), np.nan)


def coincidences(
    spike_times: FloatArray,
    spike_unit_index: IntArray,
    *,
    num_units: int,
    window_s: float = 0.0002,
) -> tuple[IntArray, int]:
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
    num_shared : int
        Spikes that any other unit fires along with.
    """
    num_shared = 0
    matched = np.zeros(num_units**2, dtype=np.int64)
    waiting = np.empty(0, dtype=np.int64)
    begun = np.empty(0, dtype=bool)  # of spikes that an earlier block has seen already
    for rows in blocks(len(spike_times), size=BLOCK_SPIKES):
        # Spikes of the block, and those after it that one of them may coincide with.
        low, high = rows.start, rows.stop
        end = int(np.searchsorted(spike_times, spike_times[high - 1] + window_s, side="right"))
        units = np.asarray(spike_unit_index[low:end], dtype=np.int64)
        earlier, later = _pairs(
            np.asarray(spike_times[low:end]), units, num_first=high - low, window_s=window_s
        )
        shared = np.zeros(end - low, dtype=bool)
        shared[: len(begun)] = begun
        shared[earlier] = shared[later] = True
        num_shared += int(shared[: high - low].sum())
        begun = shared[high - low :]
        # A cell is (spike, other unit), counted once however many spikes that unit fires
        # beside it. Spikes after the block wait: the next one may find the same cell again.
        cells = [(low + a) * num_units + units[b] for a, b in ((earlier, later), (later, earlier))]
        cell = np.sort(np.concatenate([waiting, *cells]))
        # np.unique hashes whole numbers, which is eight times slower here than sorting.
        cell = cell[np.diff(cell, prepend=-1) > 0]
        known = cell < high * num_units
        cell, waiting = cell[known], cell[~known]
        own = np.asarray(spike_unit_index[cell // num_units], dtype=np.int64)
        matched += np.bincount(own * num_units + cell % num_units, minlength=num_units**2)
    return matched.reshape(num_units, num_units), num_shared


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
    num_pauses, total = 0, 0.0
    longest = [np.empty((0, 2))]  # of each block, all that can matter in the end
    for start, end in domain:
        low, high = np.searchsorted(spike_times, (start, end))
        before = start
        for rows in blocks(high - low + 1, size=BLOCK_SPIKES):
            inside = np.asarray(spike_times[low + rows.start : min(low + rows.stop, high)])
            ends = inside if rows.stop <= high - low else np.append(inside, end)
            pauses = np.column_stack([np.append(before, ends[:-1]), ends])
            lengths = pauses[:, 1] - pauses[:, 0]
            num_pauses, total, before = num_pauses + len(pauses), total + lengths.sum(), ends[-1]
            kept = lengths > least_s
            kept[np.argpartition(lengths, -min(NUM_TYPICAL, len(lengths)))[-NUM_TYPICAL:]] = True
            longest.append(pauses[kept])
    pauses = np.concatenate(longest)
    if num_pauses < 2:
        return pauses
    lengths = pauses[:, 1] - pauses[:, 0]
    expected = np.log(num_pauses) * total / num_pauses
    typical = np.sort(lengths)[-min(NUM_TYPICAL, len(lengths))]
    return pauses[lengths > max(least_s, times_expected * expected, times_typical * typical)]
