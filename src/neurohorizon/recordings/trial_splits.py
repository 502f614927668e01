"""Train, validation and test by whole trials that take turns, for decoding.

A decoder reads and predicts inside one window. Where training windows lie inside training
trials (see :func:`~neurohorizon.recordings.decoding.placement.start_rooms`) nothing is shared
with other trials, so no guard is needed between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import as_intervals, intersect
from neurohorizon.recordings.schema import FloatArray, Split, Table
from neurohorizon.recordings.splits import FRACTIONS, PARTS, check_shares, keep_off


def split_by_trials(
    domain: FloatArray,
    table: Table,
    *,
    fractions: tuple[float, float, float] = FRACTIONS,
    stratify: str = "",
    pauses: bool = True,
    guard_s: float = 0.0,
    seed: int = 0,
) -> Split:
    """Deal out whole trials to train, validation and test, spread over the session.

    Parameters
    ----------
    domain : (K, 2) array
        Stretches recorded, in seconds.
    table : Table
        Trials; of two that overlap, the first ends where the second starts.
    fractions : (float, float, float)
        Shares of the trials for train, valid and test; they sum to 1.
    stratify : str
        Column whose values each part shall have in equal shares (direction, contrast); "" for
        none. Trials without a value are a stratum too.
    pauses : bool
        Whether the time from a trial's end to the next one's start belongs to it. Trials of one
        part that follow each other then are one stretch, which longer windows fit into.
    guard_s : float
        Seconds cut from training time beside validation and test, and from validation time
        beside test.
    seed : int

    Returns
    -------
    Split
        With `interleaved` set.

    Raises
    ------
    ConfigError
        If fractions or guard make no sense.
    DataError
        If there is no such column, or too few trials for all parts.

    Examples
    --------
    >>> trials = Table(np.arange(0.0, 10), np.arange(0.0, 10) + 0.5)
    >>> split = split_by_trials(np.array([[0.0, 10.0]]), trials, fractions=(0.8, 0.1, 0.1))
    >>> float(np.diff(split.train).sum()), split.interleaved
    (8.0, True)
    """
    shares = check_shares(fractions, guard_s)
    start, end = np.asarray(table.start, np.float64), np.asarray(table.end, np.float64)
    strata = _strata(table, stratify)
    order = np.argsort(start, kind="stable")
    order = order[np.isfinite(start[order]) & (end[order] > start[order])]
    start, end, strata = start[order], end[order], strata[order]
    rows = np.column_stack([start, end])
    inside = np.array([len(intersect(row[None], domain)) > 0 for row in rows], dtype=bool)
    start, end, strata = start[inside], end[inside], strata[inside]
    if len(start) < np.count_nonzero(shares):
        raise DataError(
            f"{len(start)} trials lie in the recording, too few for {np.count_nonzero(shares)} "
            "parts: split it in blocks of time, or use another table"
        )
    following = np.append(start[1:], np.inf)
    until = following if pauses else np.minimum(end, following)
    rows = np.column_stack([start, np.minimum(until, domain[-1, 1])])
    owner = _deal(shares, strata, np.random.default_rng(seed))
    parts = {
        part: intersect(as_intervals(rows[owner == index]), domain)
        for index, part in enumerate(PARTS)
    }
    parts["valid"] = keep_off(parts, "valid", ("test",), guard_s)
    parts["train"] = keep_off(parts, "train", ("valid", "test"), guard_s)
    return Split(**parts, interleaved=True)


def _strata(table: Table, column: str) -> NDArray[np.int64]:
    """Return the number of each trial's value in a column; 0 for all without one."""
    if not column:
        return np.zeros(len(table), dtype=np.int64)
    if column not in table.columns:
        raise DataError(
            f"no column {column!r} to stratify by; columns here: "
            f"{', '.join(table.columns) or 'none'}"
        )
    values = np.asarray(table.columns[column])
    if values.ndim != 1:
        raise DataError(f"column {column!r} has shape {values.shape}: expected one value a trial")
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _deal(
    shares: FloatArray, strata: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the part of each trial: the shares met in every stratum, spread over time."""
    owner = np.empty(len(strata), dtype=np.int64)
    carry = np.zeros(len(shares))
    for stratum in np.unique(strata):
        mine = np.flatnonzero(strata == stratum)
        # What one stratum had too little of, the next has more of.
        wanted = shares * len(mine) + carry
        number = np.floor(np.maximum(wanted, 0.0)).astype(np.int64)
        while number.sum() < len(mine):
            number[np.argmax(wanted - number)] += 1
        while number.sum() > len(mine):
            number[np.argmin(np.where(number > 0, wanted - number, np.inf))] -= 1
        carry = wanted - number
        # Each part's trials are spread evenly, at random places within their shares of time.
        place = [(np.arange(count) + rng.random(count)) / max(count, 1) for count in number]
        part = np.repeat(np.arange(len(shares)), number)
        owner[mine] = part[np.argsort(np.concatenate(place), kind="stable")]
    # However small its share, no part that is asked for is left without a trial.
    for index in np.flatnonzero(shares):
        if not np.any(owner == index):
            largest = int(np.argmax(np.bincount(owner, minlength=len(shares))))
            owner[rng.choice(np.flatnonzero(owner == largest))] = index
    return owner
