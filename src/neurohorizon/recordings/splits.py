"""Train, validation and test: within a recording by time, and between recordings.

Within a recording, stretches of different parts are kept a guard apart. A guard of context +
horizon means that no forecast bin, and no spike of a context, of one part can lie in
another part, wherever in its part a window's origin is placed.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.intervals import as_intervals, dilate, intersect, subtract, total_s
from neurohorizon.recordings.schema import FloatArray, Split, Table, empty_intervals

PARTS = ("train", "valid", "test")
FRACTIONS = (0.6, 0.1, 0.3)
GUARD_S = 1.5
# Float seconds of a day-long recording are exact to far less than this.
TOLERANCE_S = 1e-6
BLOCKS_A_ROUND = 20
#: What a table may call the parts; other words (none, held_in, ...) belong to no part.
WORDS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}


def split_in_time(
    domain: FloatArray,
    *,
    fractions: tuple[float, float, float] = FRACTIONS,
    guard_s: float = GUARD_S,
) -> Split:
    """Split a recording into earlier (train), later (valid) and last (test) time.

    Parameters
    ----------
    domain : (K, 2) array
        Stretches recorded, in seconds; gaps between them count for nothing.
    fractions : (float, float, float)
        Shares of train, valid and test in what the guards leave; they sum to 1.
    guard_s : float
        Seconds between parts: at least context + horizon.

    Returns
    -------
    Split

    Raises
    ------
    ConfigError
        If fractions or guard make no sense.
    DataError
        If the recording is so short that a part would be shorter than one window.

    Examples
    --------
    >>> split_in_time(np.array([[0.0, 103.0]]), guard_s=1.5).test.tolist()
    [[73.0, 103.0]]
    """
    shares = check_shares(fractions, guard_s)
    domain = as_intervals(domain)
    num_guards = np.count_nonzero(shares) - 1
    usable_s = total_s(domain) - num_guards * guard_s
    _require_room(domain, usable_s * shares, guard_s)
    parts, position = {}, 0.0
    last = int(np.flatnonzero(shares)[-1])
    for index, (part, share) in enumerate(zip(PARTS, shares, strict=True)):
        parts[part] = empty_intervals()
        if share:
            end = np.inf if index == last else position + np.round(usable_s * share, 3)
            parts[part] = _recorded_between(domain, position, end)
            position = end + guard_s
    return Split(**parts)


def split_interleaved(
    domain: FloatArray,
    *,
    block_s: float = 20.0,
    fractions: tuple[float, float, float] = FRACTIONS,
    guard_s: float = GUARD_S,
    seed: int = 0,
) -> Split:
    """Split a recording into short blocks that take turns, so that drift hits all parts alike.

    Parameters
    ----------
    domain : (K, 2) array
        Stretches recorded, in seconds.
    block_s : float
        Length of a block with its guard, in seconds.
    fractions : (float, float, float)
        Shares of the blocks for train, valid and test; they sum to 1.
    guard_s : float
        Seconds left empty between blocks of different parts.
    seed : int
        Seed of the order; within every 20 blocks the shares are met as well as they can be.

    Returns
    -------
    Split
        With `interleaved` set.

    Raises
    ------
    ConfigError
        If fractions, guard or block length make no sense.
    DataError
        If there are too few blocks for all parts.
    """
    shares = check_shares(fractions, guard_s)
    if not block_s > 2 * guard_s:
        raise ConfigError(
            f"block_s is {block_s:g} s with a guard of {guard_s:g} s: expected more than "
            f"{2 * guard_s:g} s, so that a window fits between guards"
        )
    domain = as_intervals(domain)
    num_blocks = int(np.floor(total_s(domain) / block_s + 1e-9))
    if num_blocks < np.count_nonzero(shares):
        raise DataError(
            f"{total_s(domain):.0f} s recorded give {num_blocks} blocks of {block_s:g} s, too few "
            f"for {np.count_nonzero(shares)} parts; choose shorter blocks"
        )
    owner = _interleave(shares, num_blocks, np.random.default_rng(seed))
    # Neighbours of one part join: no guard is needed between them.
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    last = np.append(first[1:], num_blocks) - 1
    rows: dict[str, list[FloatArray]] = {part: [empty_intervals()] for part in PARTS}
    for start, end in zip(first, last, strict=True):
        part = PARTS[owner[start]]
        # The last block also takes what is left over.
        until = np.inf if end == num_blocks - 1 else (end + 1) * block_s - guard_s
        rows[part].append(_recorded_between(domain, start * block_s, until))
    return Split(
        **{part: np.concatenate(stretches) for part, stretches in rows.items()}, interleaved=True
    )


def split_by_table(
    domain: FloatArray, table: Table, column: str, *, guard_s: float = GUARD_S
) -> Split:
    """Split a recording as a column of one of its tables says: a benchmark's own split.

    Parameters
    ----------
    domain : (K, 2) array
        Stretches recorded, in seconds.
    table : Table
        Trials, blocks or segments.
    column : str
        Its column with the word of each row: train, valid (or val, validation) or test, in any
        case. Rows with another word, and time in no row, belong to no part.
    guard_s : float
        Seconds cut from training time beside validation and test, and from validation time
        beside test; test stays whole.

    Returns
    -------
    Split
        Parts that the table does not name are empty: the test file of a benchmark has a test
        domain alone. `interleaved` unless all of train lies before all of valid, and that
        before all of test.

    Raises
    ------
    ConfigError
        If the guard is no number of seconds.
    DataError
        If there is no such column, none of its words is a part's, its rows lie outside of the
        recording, or the guard leaves nothing of a part.

    Notes
    -----
    Tables put the parts side by side: one trial trains, the next tests. A forecast of a trial's
    last moment then has its targets in the next trial, and a context reaches back into the one
    before. A guard of context + horizon keeps windows of one part off the targets of another.
    A decoder reads and predicts within one window: where its windows lie inside of the rows,
    nothing is shared, and ``guard_s=0`` keeps the rows whole. Test is never cut, so scores stay
    those of the benchmark's test time.

    Examples
    --------
    >>> words = np.array(["train", "val", "train", "test"])
    >>> trials = Table(np.arange(0.0, 40, 10), np.arange(10.0, 50, 10), {"part": words})
    >>> split_by_table(np.array([[0.0, 40.0]]), trials, "part", guard_s=2.0).train.tolist()
    [[0.0, 8.0], [22.0, 28.0]]
    """
    _check_guard(guard_s)
    if column not in table.columns:
        raise DataError(
            f"no column {column!r} to split by; columns here: {', '.join(table.columns) or 'none'}"
        )
    values = np.asarray(table.columns[column])
    words = np.char.lower(np.char.strip(values.astype(np.str_))).ravel().tolist()
    owner = np.array([WORDS.get(word, "") for word in words], dtype=np.str_)
    if values.ndim != 1 or not np.any(owner != ""):
        seen = list(dict.fromkeys(words))
        listed = ", ".join(seen[:4]) + (", ..." if len(seen) > 4 else "")
        raise DataError(
            f"column {column!r} names no part, expected one of the words train, valid and test a "
            f"row: it has {listed or 'no rows'}"
        )
    rows = np.column_stack([table.start, table.end])
    parts = {part: intersect(as_intervals(rows[owner == part]), domain) for part in PARTS}
    if not any(len(stretches) for stretches in parts.values()):
        raise DataError(f"the rows of column {column!r} lie outside of the recording")
    parts["valid"] = keep_off(parts, "valid", ("test",), guard_s)
    parts["train"] = keep_off(parts, "train", ("valid", "test"), guard_s)
    starts = np.concatenate([parts[part][:, 0] for part in PARTS])
    turn = np.repeat(np.arange(len(PARTS)), [len(parts[part]) for part in PARTS])
    alternate = np.any(np.diff(turn[np.argsort(starts, kind="stable")]) < 0)
    return Split(**parts, interleaved=bool(alternate))


def hold_out(
    groups: Mapping[str, str],
    *,
    strata: Mapping[str, str] | None = None,
    fraction: float = 0.3,
    seed: int = 0,
) -> tuple[list[str], list[str]]:
    """Hold out whole groups of recordings, in every stratum alike.

    Parameters
    ----------
    groups : mapping of str to str
        Recording id -> what must not be on both sides: the subject, or the date.
    strata : mapping of str to str, optional
        Recording id -> laboratory (or whatever shall be represented on both sides).
    fraction : float
        Share of the recordings to hold out, met in each stratum as closely as whole groups
        allow. A stratum with one group stays in training.
    seed : int
        Another seed holds out other groups. A stratum's choice depends on nothing outside it.

    Returns
    -------
    train, held_out : list of str
        Recording ids, sorted.

    Raises
    ------
    ConfigError
        If `fraction` is not between 0 and 1.
    DataError
        If nothing can be held out because no stratum has two groups.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction to hold out is {fraction:g}: expected between 0 and 1")
    members: dict[str, list[str]] = {}
    for recording in sorted(groups):
        members.setdefault(groups[recording], []).append(recording)
    # A group of several strata is counted in one of them: it is never split.
    by_stratum: dict[str, list[str]] = {}
    for group, recordings in members.items():
        stratum = min(strata.get(recording, "") for recording in recordings) if strata else ""
        by_stratum.setdefault(stratum, []).append(group)
    held_out: list[str] = []
    for stratum, names in sorted(by_stratum.items()):
        if len(names) < 2:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(stratum.encode())])
        wanted = fraction * sum(len(members[name]) for name in names)
        chosen = 0
        for name in rng.permutation(sorted(names))[:-1]:
            size = len(members[name])
            if chosen == 0 or abs(chosen + size - wanted) < abs(chosen - wanted):
                held_out += members[name]
                chosen += size
    if not held_out:
        raise DataError(
            f"nothing can be held out: {len(groups)} recordings of {len(members)} groups; "
            "at least two groups (subjects or dates) are needed"
        )
    return sorted(set(groups) - set(held_out)), sorted(held_out)


def assert_no_leakage(split: Split, *, context_s: float, horizon_s: float) -> None:
    """Refuse a split in which windows of one part could touch another part.

    Parameters
    ----------
    split : Split
    context_s, horizon_s : float
        What a window reads before its origin and forecasts after it, in seconds.

    Raises
    ------
    DataError
        If stretches overlap, are out of order, or are less than context + horizon apart.
    """
    needed_s = context_s + horizon_s
    rows = []
    for part in PARTS:
        stretches = split.domain(part)
        backwards = stretches[stretches[:, 1] <= stretches[:, 0]]
        if len(backwards) or not np.isfinite(stretches).all():
            raise DataError(f"the split's {part} domain has an empty or endless stretch")
        rows += [(float(start), float(end), part) for start, end in stretches]
    rows.sort()
    reach: dict[str, float] = {}
    for start, end, part in rows:
        for other, other_end in reach.items():
            gap_s = start - other_end
            allowed_s = needed_s if other != part else 0.0
            if gap_s < allowed_s - TOLERANCE_S:
                what = "overlap" if gap_s < -TOLERANCE_S else f"are {gap_s:.3g} s apart"
                raise DataError(
                    f"split leaks: {other} and {part} {what} at {start:.3f} s, expected at least "
                    f"{allowed_s:g} s (context + horizon); split again with guard_s >= {needed_s:g}"
                )
        reach[part] = max(end, reach.get(part, -np.inf))


def check_shares(fractions: tuple[float, float, float], guard_s: float) -> FloatArray:
    """Return the shares of train, valid and test, or refuse them (ConfigError)."""
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not np.all(shares >= 0) or abs(shares.sum() - 1) > 1e-6:
        raise ConfigError(
            f"fractions are {tuple(fractions)}: expected train, valid and test that sum to 1"
        )
    _check_guard(guard_s)
    return shares


def _check_guard(guard_s: float) -> None:
    if not (np.isfinite(guard_s) and guard_s >= 0):
        raise ConfigError(f"guard_s is {guard_s:g}: expected seconds, at least context + horizon")


def keep_off(
    parts: Mapping[str, FloatArray], part: str, others: tuple[str, ...], guard_s: float
) -> FloatArray:
    """Return a part without what lies within the guard of other parts."""
    near = dilate(as_intervals(np.concatenate([parts[other] for other in others])), guard_s)
    kept = subtract(parts[part], near)
    # What rounding leaves between rows that touch is no stretch of time.
    kept = kept[kept[:, 1] - kept[:, 0] > TOLERANCE_S]
    if len(parts[part]) and not len(kept):
        raise DataError(
            f"nothing is left of {part} after the guard of {guard_s:g} s: all of it lies that "
            f"close to {' or '.join(others)}; give a smaller guard_s (0 for decoding)"
        )
    return kept


def _require_room(domain: FloatArray, length_s: FloatArray, guard_s: float) -> None:
    """Refuse parts that could not hold one window (a guard is as long as a window)."""
    for part, length in zip(PARTS, length_s, strict=True):
        if length < 0 or 0 < length < guard_s:
            raise DataError(
                f"{total_s(domain):.1f} s recorded are too short to split: {part} would have "
                f"{max(length, 0):.1f} s, less than one window ({guard_s:g} s)"
            )


def _interleave(
    shares: FloatArray, num_blocks: int, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the part of each block, the shares met in every round of blocks."""
    owner = []
    for low, high in pairwise([*range(0, num_blocks, BLOCKS_A_ROUND), num_blocks]):
        wanted = np.diff(np.round(np.cumsum(shares) * high), prepend=0.0)
        counts = np.maximum(wanted.astype(int) - np.bincount(owner, minlength=3), 0)
        counts[(shares > 0) & (counts == 0) & (low == 0)] = 1
        while counts.sum() != high - low:
            counts[np.argmax(counts)] += np.sign(high - low - counts.sum())
        owner += rng.permutation(np.repeat(np.arange(3), counts)).tolist()
    return np.array(owner, dtype=np.int64)


def _recorded_between(domain: FloatArray, start_s: float, end_s: float) -> FloatArray:
    """Return the stretches between two amounts of recorded time."""
    lengths = domain[:, 1] - domain[:, 0]
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    low = domain[:, 0] + np.clip(start_s - before, 0, lengths)
    high = domain[:, 0] + np.clip(end_s - before, 0, lengths)
    return intersect(as_intervals(np.column_stack([low, high])), domain)
