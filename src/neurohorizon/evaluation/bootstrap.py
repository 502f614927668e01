"""Intervals for ratios of sums, by resampling sessions or blocks of time.

Every interval here is *paired*: the gain that is resampled is the difference of two
log-likelihoods of the same counts, block by block, so what makes a session easy or hard
cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.metrics import LN2

FloatArray = NDArray[np.float64]

FEWEST_SESSIONS = 8
#: With fewer sessions or blocks than this, no interval is given.
FEWEST_RESAMPLED = 5
NUM_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """Values with 95 % intervals.

    Parameters
    ----------
    value, low, high : (H,) float
        Bits per spike by horizon; `low` and `high` are NaN if too little was resampled.
    over : {"sessions", "blocks"}
        What was resampled.
    num_resampled : int
        How many there were.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    over: Literal["sessions", "blocks"]
    num_resampled: int

    @property
    def above(self) -> NDArray[np.bool_]:
        """Where the whole interval lies above 0."""
        return self.low > 0

    @property
    def below(self) -> NDArray[np.bool_]:
        """Where the whole interval lies below 0."""
        return self.high < 0


def bootstrap(
    gain: Sequence[FloatArray],
    spikes: Sequence[NDArray[Any]],
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Interval:
    r"""Bootstrap bits per spike over sessions or, if there are few, over blocks of time.

    Parameters
    ----------
    gain : sequence of (K_i, H) arrays
        Log-likelihood differences of each session, in nats, by block and horizon.
    spikes : sequence of (K_i, H) arrays
        Spikes, likewise.
    num_draws : int
    seed : int

    Notes
    -----
    The statistic is :math:`\sum g / (\sum k \ln 2)`, numerator and denominator resampled
    together. With 8 sessions or more, sessions are drawn; with fewer, blocks are drawn
    within each session, and the interval speaks of these sessions only. Percentile
    intervals, the same draws for every pair of rows.

    References
    ----------
    Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, chapters 8 and 13.
    """
    return _interval(_draw(gain, spikes, num_draws=num_draws, seed=seed))


def bootstrap_difference(
    gain: Sequence[FloatArray],
    spikes: Sequence[NDArray[Any]],
    other_gain: Sequence[FloatArray],
    other_spikes: Sequence[NDArray[Any]],
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Interval:
    """Bootstrap the difference of two rows in bits per spike, paired block by block.

    Where both rows are scored on the same spikes it is the bootstrap of the difference of their
    log-likelihoods. It also holds where they are not, because a longer context begins its windows
    elsewhere in the same block of time.

    Parameters
    ----------
    gain, spikes : sequence of (K_i, H) arrays
        Of one row, as :func:`bootstrap` takes them.
    other_gain, other_spikes : sequence of (K_i, H) arrays
        Of the other, on the same sessions and blocks.
    num_draws, seed : int
    """
    one = _draw(gain, spikes, num_draws=num_draws, seed=seed)
    other = _draw(other_gain, other_spikes, num_draws=num_draws, seed=seed)
    return _interval(
        _Draws(
            value=one.value - other.value,
            drawn=None if one.drawn is None or other.drawn is None else one.drawn - other.drawn,
            over=one.over,
            num_resampled=one.num_resampled,
        )
    )


@dataclass(frozen=True)
class _Draws:
    """Bits per spike, and what they are when resampled, (draws, H); None if there is too little."""

    value: FloatArray
    drawn: FloatArray | None
    over: Literal["sessions", "blocks"]
    num_resampled: int


def _draw(
    gain: Sequence[FloatArray], spikes: Sequence[NDArray[Any]], *, num_draws: int, seed: int
) -> _Draws:
    generator = np.random.default_rng(seed)
    over_sessions = len(gain) >= FEWEST_SESSIONS
    num_resampled = len(gain) if over_sessions else sum(len(rows) for rows in gain)
    total = np.sum([rows.sum(axis=0) for rows in gain], axis=0)
    total_spikes = np.sum([rows.sum(axis=0) for rows in spikes], axis=0)
    value = _ratio(total, total_spikes)
    if num_resampled < FEWEST_RESAMPLED:
        return _Draws(value, None, "blocks", num_resampled)
    if over_sessions:
        strata = [
            (
                np.stack([rows.sum(axis=0) for rows in gain]),
                np.stack([rows.sum(axis=0) for rows in spikes]),
            )
        ]
    else:
        strata = list(zip(gain, spikes, strict=True))
    drawn, drawn_spikes = np.zeros((num_draws, len(value))), np.zeros((num_draws, len(value)))
    for rows, row_spikes in strata:
        count = len(rows)
        times = generator.multinomial(count, np.full(count, 1.0 / count), size=num_draws)
        drawn += times @ rows
        drawn_spikes += times @ row_spikes
    bits = _ratio(drawn, drawn_spikes)
    return _Draws(value, bits, "sessions" if over_sessions else "blocks", num_resampled)


def _interval(draws: _Draws) -> Interval:
    low, high = np.full((2, len(draws.value)), np.nan)
    some = np.isfinite(draws.value)
    if draws.drawn is not None and some.any():
        low[some], high[some] = np.nanpercentile(draws.drawn[:, some], [2.5, 97.5], axis=0)
    return Interval(draws.value, low, high, draws.over, draws.num_resampled)


def _ratio(gain: FloatArray, spikes: FloatArray) -> FloatArray:
    return np.divide(gain, spikes * LN2, out=np.full(gain.shape, np.nan), where=spikes > 0)
