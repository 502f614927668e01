"""Intervals of decoders' scores, and of their paired differences.

Over sessions the score is the mean of each session's own. It is resampled over sessions where
there are 8 or more; with fewer, blocks of 30 s are resampled within each session, of which each
must have two at least, the score is computed anew, and the interval speaks of these sessions only.
Neighbouring time stamps share spikes and say nearly the same: resampled one by one, intervals
would be far too narrow.

References
----------
Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, chapters 8 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.bootstrap import (
    FEWEST_SESSIONS,
    NUM_DRAWS,
    Interval,
    draw_blocks,
    enough_blocks,
)
from neurohorizon.evaluation.decoding.sums import LOWER_IS_BETTER, Sums
from neurohorizon.recordings.schema import FloatArray


def score_interval(
    sessions: Sequence[Sums], metric: str, *, num_draws: int = NUM_DRAWS, seed: int = 0
) -> Interval:
    """Return the mean score over sessions, with a 95 % interval.

    Parameters
    ----------
    sessions : sequence of Sums
        Of one row and task; those whose score has no meaning are left out.
    metric : str
    num_draws, seed : int

    Returns
    -------
    Interval
        With arrays of one element.
    """
    return _interval(*_draw(sessions, None, metric, num_draws=num_draws, seed=seed))


def paired_difference(
    sessions: Sequence[Sums],
    others: Sequence[Sums],
    metric: str,
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Interval:
    """Return one row's mean score minus another's on the same sessions, with an interval.

    Both are resampled together: what makes a session or a block hard cancels.

    Raises
    ------
    DataError
        If the two were not scored on the same time.
    """
    for one, other in zip(sessions, others, strict=True):
        if not np.array_equal(one.block, other.block) or one.num_times != other.num_times:
            raise DataError("rows cannot be compared: they were scored on other time stamps")
    return _interval(*_draw(sessions, others, metric, num_draws=num_draws, seed=seed))


def session_scores(sessions: Sequence[Sums], metric: str) -> FloatArray:
    """Return the score of each session; NaN where it has no meaning."""
    return np.array([each.score(metric) for each in sessions], dtype=np.float64)


def count_wins(sessions: Sequence[Sums], others: Sequence[Sums], metric: str) -> tuple[int, int]:
    """Count the sessions on which a row is better than another, and those that have a score."""
    step = session_scores(sessions, metric) - session_scores(others, metric)
    better = step < 0 if metric in LOWER_IS_BETTER else step > 0
    return int(np.sum(better)), int(np.sum(np.isfinite(step)))


def _draw(
    sessions: Sequence[Sums],
    others: Sequence[Sums] | None,
    metric: str,
    *,
    num_draws: int,
    seed: int,
) -> tuple[float, FloatArray | None, Literal["sessions", "blocks"], int]:
    """Return the value, the value when resampled, over what, and how many there were."""
    values = session_scores(sessions, metric)
    if others is not None:
        values = values - session_scores(others, metric)
    some = np.flatnonzero(np.isfinite(values)).tolist()
    value = float(values[some].mean()) if len(some) else float("nan")
    generator = np.random.default_rng(seed)
    if len(some) >= FEWEST_SESSIONS:
        share = np.full(len(some), 1.0 / len(some))
        times = generator.multinomial(len(some), share, size=num_draws)
        return value, times @ values[some] / len(some), "sessions", len(some)
    counts = [len(sessions[index].block) for index in some]
    if min(counts, default=0) < 2 or not enough_blocks(counts):
        return value, None, "blocks", sum(counts)
    drawn = np.zeros(num_draws)
    for index, count in zip(some, counts, strict=True):
        times = draw_blocks(count, num_draws, generator)
        score = sessions[index].resampled(metric, times)
        if others is not None:
            score = score - others[index].resampled(metric, times)
        drawn += score / len(some)
    return value, drawn, "blocks", sum(counts)


def _interval(
    value: float, drawn: FloatArray | None, over: Literal["sessions", "blocks"], count: int
) -> Interval:
    low, high = float("nan"), float("nan")
    if drawn is not None and np.isfinite(drawn).any():
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(np.array([value]), np.array([low]), np.array([high]), over, count)
