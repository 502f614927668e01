"""One member of a sweep against the first: paired over what both were scored on.

Seeds of a member are averaged block by block before anything is paired, so an interval speaks
of the recordings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from neurohorizon.evaluation.bootstrap import Interval, bootstrap, bootstrap_difference
from neurohorizon.evaluation.metrics import bits_per_spike
from neurohorizon.evaluation.sweep_results import RecordingSums, SetSums

FloatArray = NDArray[np.float64]
#: With fewer recordings no order of signs is rarer than 5 %.
FEWEST_TESTED = 6


@dataclass(frozen=True)
class Step:
    """A member minus the first one, by horizon of the member.

    Parameters
    ----------
    interval : Interval
        NaN at horizons that the first was not scored at.
    by_seed : (S, H) float
        The same seed by seed.
    wins : (H,) int
        Recordings on which the member is above.
    p : (H,) float
        Wilcoxon's signed-rank test over recordings, two-sided; NaN with fewer than 6.
    num_recordings : int
        That both were scored on.
    same_windows : bool
        Whether what is paired are the same windows, or others of the same blocks of time.
    """

    interval: Interval
    by_seed: FloatArray
    wins: NDArray[np.int64]
    p: FloatArray
    num_recordings: int
    same_windows: bool

    @property
    def agreeing(self) -> NDArray[np.int64]:
        """Seeds whose difference has the sign of all together, (H,)."""
        return (np.sign(self.by_seed) == np.sign(self.interval.value)).sum(axis=0)

    @property
    def moved(self) -> NDArray[np.int64]:
        """1 where the member is surely above, -1 where it is surely below, (H,).

        Nothing is claimed on other windows: what they hold differs by more than the member.
        """
        claimed = self.same_windows & (self.agreeing == len(self.by_seed))
        return claimed * (self.interval.above.astype(int) - self.interval.below.astype(int))


def average(sets: Sequence[SetSums]) -> SetSums:
    """Average the gains of seeds, block by block: they were scored on the same windows."""
    first = sets[0]
    return replace(
        first,
        recordings={
            name: replace(one, gain=np.mean([each.recordings[name].gain for each in sets], axis=0))
            for name, one in first.recordings.items()
        },
    )


def level_of(sums: SetSums) -> Interval:
    """Return bits per spike with its interval over recordings or blocks."""
    every = list(sums.recordings.values()) or [_nothing(len(sums.horizons_s))]
    return bootstrap([each.gain for each in every], [each.spikes for each in every])


def step_between(mine: Mapping[int, SetSums], first: Mapping[int, SetSums]) -> Step | None:
    """Return a member minus the first, paired over what both were scored on; None if nothing.

    Parameters
    ----------
    mine, first : mapping of int to SetSums
        By seed.
    """
    one, other = next(iter(mine.values())), next(iter(first.values()))
    at = _common_horizons(one, other)
    blocks, same_windows = _common_blocks(one, other)
    if not blocks or not at:
        return None
    mine = {seed: _restricted(sums, blocks) for seed, sums in mine.items()}
    first = {seed: _restricted(sums, blocks) for seed, sums in first.items()}
    both = average(list(mine.values())), average(list(first.values()))
    columns = [index for index, _ in at], [index for _, index in at]
    mine_of, first_of = (
        [(each.gain[:, of], each.spikes[:, of]) for each in sums.recordings.values()]
        for sums, of in zip(both, columns, strict=True)
    )
    interval = bootstrap_difference(*zip(*mine_of, strict=True), *zip(*first_of, strict=True))
    per_recording = np.stack(
        [_total(*a) - _total(*b) for a, b in zip(mine_of, first_of, strict=True)]
    )
    seeds = [seed for seed in mine if seed in first] or list(mine)
    by_seed = np.stack(
        [
            bits_of(mine[seed])[columns[0]] - bits_of(first.get(seed, both[1]))[columns[1]]
            for seed in seeds
        ]
    )
    num_horizons = len(both[0].horizons_s)

    def spread_out(values: NDArray[Any]) -> FloatArray:
        full = np.full((*values.shape[:-1], num_horizons), np.nan)
        full[..., columns[0]] = values
        return full

    p = np.array([_signed_rank(each) for each in per_recording.T])
    return Step(
        interval=replace(
            interval,
            value=spread_out(interval.value),
            low=spread_out(interval.low),
            high=spread_out(interval.high),
        ),
        by_seed=spread_out(by_seed),
        wins=np.nan_to_num(spread_out((per_recording > 0).sum(axis=0))).astype(int),
        p=spread_out(p),
        num_recordings=len(blocks),
        same_windows=same_windows,
    )


def _common_blocks(one: SetSums, other: SetSums) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return the blocks to pair in each recording, and whether they hold the same windows.

    A shorter horizon leaves room for another window or two at the end: blocks in which windows
    differ are left out. Where that would be most of them, all that both have are paired.
    """
    both = {
        name: (one.recordings[name], other.recordings[name])
        for name in one.recordings
        if name in other.recordings
    }
    common = {name: np.intersect1d(a.block, b.block) for name, (a, b) in both.items()}
    same = {
        name: np.array(
            [
                block
                for block in common[name]
                if np.array_equal(
                    a.origin_ticks[a.origin_block == block], b.origin_ticks[b.origin_block == block]
                )
            ],
            dtype=np.int64,
        )
        for name, (a, b) in both.items()
    }
    if both and 2 * sum(map(len, same.values())) >= sum(map(len, common.values())):
        return {name: blocks for name, blocks in same.items() if len(blocks)}, True
    return {name: blocks for name, blocks in common.items() if len(blocks)}, False


def _restricted(sums: SetSums, blocks: Mapping[str, NDArray[np.int64]]) -> SetSums:
    """Keep some blocks of some recordings."""
    kept = {}
    for name, wanted in blocks.items():
        each = sums.recordings[name]
        where = np.isin(each.block, wanted)
        kept[name] = replace(
            each, gain=each.gain[where], spikes=each.spikes[where], block=each.block[where]
        )
    return replace(sums, recordings=kept)


def _common_horizons(one: SetSums, other: SetSums) -> list[tuple[int, int]]:
    """Return the places of the horizons that both have."""
    return [
        (index, other.horizons_s.index(horizon_s))
        for index, horizon_s in enumerate(one.horizons_s)
        if horizon_s in other.horizons_s
    ]


def _total(gain: FloatArray, spikes: NDArray[Any]) -> FloatArray:
    return bits_per_spike(gain.sum(axis=0), 0.0, spikes.sum(axis=0))


def _over(sums: SetSums, names: Sequence[str], columns: Sequence[int]) -> FloatArray:
    gain = np.sum([sums.recordings[name].gain.sum(axis=0) for name in names], axis=0)
    spikes = np.sum([sums.recordings[name].spikes.sum(axis=0) for name in names], axis=0)
    return bits_per_spike(gain, 0.0, spikes)[list(columns)]


def bits_of(sums: SetSums) -> FloatArray:
    """Return bits per spike by horizon, all recordings together; NaN if there is none."""
    if not sums.recordings:
        return np.full(len(sums.horizons_s), np.nan)
    return _over(sums, list(sums.recordings), range(len(sums.horizons_s)))


def _nothing(num_horizons: int) -> RecordingSums:
    none = np.zeros((0, num_horizons))
    empty = np.empty(0, dtype=np.int64)
    return RecordingSums(none, none.astype(np.int64), empty, empty, empty)


def _signed_rank(differences: FloatArray) -> float:
    some = differences[np.isfinite(differences) & (differences != 0)]
    if len(some) < FEWEST_TESTED:
        return float("nan")
    found: Any = wilcoxon(some)
    return float(found.pvalue)
