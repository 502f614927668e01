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

#: With fewer, blocks of time are resampled within each; and blocks must be as free to vary as
#: so many sessions are, or no interval is given.
FEWEST_SESSIONS = 8
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

    Of n blocks of a session n - 1 are drawn, each with the weight n / (n - 1): drawing n would
    make intervals too narrow where sessions have few (Rao & Wu). Sessions of a single block are
    drawn together as if they were one. All in all there must be 7 blocks more than sessions.

    References
    ----------
    Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, chapters 8 and 13.
    Rao & Wu 1988, J. Am. Stat. Assoc. 83:231.
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


def enough_blocks(num_blocks: Sequence[int]) -> bool:
    """Tell whether blocks of time are as free to vary as 8 sessions are.

    Parameters
    ----------
    num_blocks : sequence of int
        That are resampled together: of each session.
    """
    return sum(count - 1 for count in num_blocks if count) >= FEWEST_SESSIONS - 1


def draw_blocks(num_blocks: int, num_draws: int, generator: np.random.Generator) -> FloatArray:
    """Draw the weights of a session's blocks, whose sum is their number.

    A single block has the weight 1 in every draw: what it varies by cannot be known.

    Returns
    -------
    (num_draws, num_blocks) float

    References
    ----------
    Rao & Wu 1988, J. Am. Stat. Assoc. 83:231.
    """
    if num_blocks == 1:
        return np.ones((num_draws, 1))
    share = np.full(num_blocks, 1.0 / num_blocks)
    times = generator.multinomial(num_blocks - 1, share, size=num_draws)
    return times.astype(np.float64) * (num_blocks / (num_blocks - 1))


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
    total = np.sum([rows.sum(axis=0) for rows in gain], axis=0)
    total_spikes = np.sum([rows.sum(axis=0) for rows in spikes], axis=0)
    value = _ratio(total, total_spikes)
    if over_sessions:
        count = len(gain)
        times = generator.multinomial(count, np.full(count, 1.0 / count), size=num_draws)
        times = times.astype(np.float64)
        drawn = times @ np.stack([rows.sum(axis=0) for rows in gain])
        drawn_spikes = times @ np.stack([rows.sum(axis=0) for rows in spikes])
        return _Draws(value, _ratio(drawn, drawn_spikes), "sessions", count)
    num_blocks = sum(len(rows) for rows in gain)
    strata = _strata(gain, spikes)
    if not enough_blocks([len(rows) for rows, _ in strata]):
        return _Draws(value, None, "blocks", num_blocks)
    drawn, drawn_spikes = np.zeros((num_draws, len(value))), np.zeros((num_draws, len(value)))
    for rows, row_spikes in strata:
        times = draw_blocks(len(rows), num_draws, generator)
        drawn += times @ rows
        drawn_spikes += times @ row_spikes
    return _Draws(value, _ratio(drawn, drawn_spikes), "blocks", num_blocks)


def _strata(
    gain: Sequence[FloatArray], spikes: Sequence[NDArray[Any]]
) -> list[tuple[FloatArray, NDArray[Any]]]:
    """Return what blocks are drawn within: sessions, and all those of a single block as one."""
    pairs = [(rows, counts) for rows, counts in zip(gain, spikes, strict=True) if len(rows)]
    strata = [pair for pair in pairs if len(pair[0]) > 1]
    single = [pair for pair in pairs if len(pair[0]) == 1]
    if len(single) == 1 and strata:  # it cannot vary by itself
        single.append(strata.pop())
    if single:
        rows, counts = zip(*single, strict=True)
        strata.append((np.concatenate(rows), np.concatenate(counts)))
    return strata


def _interval(draws: _Draws) -> Interval:
    low, high = np.full((2, len(draws.value)), np.nan)
    some = np.isfinite(draws.value)
    if draws.drawn is not None and some.any():
        low[some], high[some] = np.nanpercentile(draws.drawn[:, some], [2.5, 97.5], axis=0)
    return Interval(draws.value, low, high, draws.over, draws.num_resampled)


def _ratio(gain: FloatArray, spikes: NDArray[Any]) -> FloatArray:
    return np.divide(gain, spikes * LN2, out=np.full(gain.shape, np.nan), where=spikes > 0)
