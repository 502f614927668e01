"""Which units a decoder reads: its score when what one unit did is taken out of its time.

Any decoder will do: it is asked to decode the same time stamps again, of a recording in which one
unit (or all of an area) did the same things at other times. The unit's own statistics stay;
what it says of the target is lost. Units whose neighbours say the same lose little: this is
what the decoder *loses*, not what the unit carries alone.

References
----------
Breiman 2001, Machine Learning 45:5 (permutation importance); Benjamini & Hochberg 1995,
J. R. Stat. Soc. B 57:289 (false discovery rate).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from neurohorizon.errors import DataError
from neurohorizon.evaluation.bootstrap import draw_blocks, enough_blocks
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.evaluation.decoding.out_of_time import WINDOW_S, Way, out_of_time
from neurohorizon.evaluation.decoding.sums import LOWER_IS_BETTER, Sums
from neurohorizon.recordings.schema import FloatArray, Recording

#: Decodes the time stamps of each case's test part, (T, P) by task, from a recording.
Decode = Callable[[Recording], Mapping[str, FloatArray]]
Progress = Callable[[int, int], None]

REPEATS = 5
FALSE_DISCOVERY = 0.05
#: More than for intervals: a p-value is no smaller than one over them.
NUM_DRAWS = 10_000
#: A median is slow to resample.
FEWER_DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Importance:
    """What a decoder loses without each unit, and without each area.

    Parameters
    ----------
    recording, task, row, metric, way : str
    score : float
        Of the decoder as it is.
    unit_id, unit_area : (N,) str
    loss, low, high : (N,) float
        Score lost (of an error: gained), mean over repeats, with 95 % intervals over blocks of
        time; NaN where there are too few.
    p : (N,) float
        One-sided, that nothing is lost.
    read : (N,) bool
        Whether the unit is read: at a false discovery rate of 5 % over the units.
    area : (A,) str
        None if there is one area alone.
    area_loss, area_low, area_high : (A,) float
    """

    recording: str
    task: str
    row: str
    metric: str
    way: str
    score: float
    unit_id: NDArray[np.str_]
    unit_area: NDArray[np.str_]
    loss: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    read: NDArray[np.bool_]
    area: NDArray[np.str_]
    area_loss: FloatArray
    area_low: FloatArray
    area_high: FloatArray

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a unit and one an area."""
        head = {"recording": self.recording, "task": self.task, "row": self.row}
        tail = {"metric": self.metric, "way": self.way, "whole": self.score}
        units = [
            {
                **head,
                "unit": str(self.unit_id[index]),
                "area": str(self.unit_area[index]),
                "loss": self.loss[index],
                "low": self.low[index],
                "high": self.high[index],
                "p": self.p[index],
                "read": bool(self.read[index]),
                **tail,
            }
            for index in range(len(self.unit_id))
        ]
        areas = [
            {
                **head,
                "unit": "all of the area",
                "area": str(self.area[index]),
                "loss": self.area_loss[index],
                "low": self.area_low[index],
                "high": self.area_high[index],
                "p": np.nan,
                "read": "",
                **tail,
            }
            for index in range(len(self.area))
        ]
        return [*units, *areas]


def measure_importance(
    cases: Sequence[DecodingCase],
    decode: Decode,
    *,
    row: str = "",
    way: Way = "windows",
    window_s: float = WINDOW_S,
    repeats: int = REPEATS,
    metric: str = "",
    units: Sequence[int] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Importance]:
    """Decode with one unit after the other out of its time, and see what is lost of each task.

    Parameters
    ----------
    cases : sequence of DecodingCase
        Tasks of one recording.
    decode : callable
        Given a recording, decodes the time stamps of each case's test part, (T, P) by task: what
        the decoder, as it is, makes of other spikes.
    row : str
        What tables call the decoder.
    way : {"windows", "shift"}
        Shuffle what a unit does between windows of the test part; or shift it in time within
        each stretch, around its ends, by a random amount. A shift leaves what lasts as long as
        a stretch.
    window_s : float
        Of windows that are shuffled, in seconds.
    repeats : int
    metric : str
        The tasks' own by default.
    units : sequence of int, optional
        Which; all by default.
    seed : int
    progress : callable, optional
        Called with decodings done, and decodings in all.

    Returns
    -------
    list of Importance
        One a task; those whose score has no meaning are left out.

    Raises
    ------
    DataError
        If no task has a score with a meaning.

    Notes
    -----
    The loss is averaged over repeats, and resampled over blocks of 30 s in pairs with the
    decoder as it is. The p-value is the share of resamplings in which nothing is lost: a normal
    approximation would not do, since an R² that is lost in a few blocks is far from normal.
    """
    activity = cases[0].activity
    recording, whole = activity.recording, decode(activity.recording)
    every = [_OfTask(case, whole[case.task.name], metric, seed) for case in cases]
    tasks = [each for each in every if np.isfinite(each.score)]
    if not tasks:
        why = "; ".join(f"task {each.case.task.name}: {each.why_not}" for each in every)
        raise DataError(f"{recording.id}, no importance without a score ({why})")
    stretches = np.unique(np.concatenate([each.test.stretches for each in tasks]), axis=0)
    chosen = list(range(recording.num_units)) if units is None else list(units)
    areas = sorted({str(area) for area in recording.units.area} - {""})
    areas = areas if len(areas) > 1 else []
    groups = [np.array([unit]) for unit in chosen]
    groups += [np.flatnonzero(recording.units.area == area) for area in areas]
    found = np.full((len(tasks), len(groups), 4), np.nan)
    for number, group in enumerate(groups):
        for task in tasks:
            task.start()
        for repeat in range(repeats):
            if progress is not None:
                progress(number * repeats + repeat, len(groups) * repeats)
            moved = out_of_time(
                activity,
                group,
                stretches,
                way=way,
                window_s=window_s,
                generator=np.random.default_rng([seed, number, repeat]),
            )
            decoded = decode(moved)
            for task in tasks:
                task.add(decoded[task.case.task.name], repeats)
        for index, task in enumerate(tasks):
            found[index, number] = task.told()
    if progress is not None:
        progress(len(groups) * repeats, len(groups) * repeats)
    return [
        _importance(task, of_task, row, way, chosen, areas)
        for task, of_task in zip(tasks, found, strict=True)
    ]


class _OfTask:
    """What is lost of one task."""

    def __init__(self, case: DecodingCase, decoded: FloatArray, metric: str, seed: int) -> None:
        self.case, self.test, self.why_not = case, case.part("test"), ""
        self.metric = metric or case.task.spec.metric_used
        whole = Sums.of(case.task, self.test.times_s, self.test.values, decoded)
        self.score = whole.score(self.metric)
        if not np.isfinite(self.score):
            self.why_not = whole.why_not(self.metric)
            return
        self.num_blocks = len(whole.block)
        num_draws = NUM_DRAWS if self.metric != "median_error" else FEWER_DRAWS
        self.drawn = draw_blocks(self.num_blocks, num_draws, np.random.default_rng(seed))
        self.base = whole.resampled(self.metric, self.drawn)
        self.sign = -1.0 if self.metric in LOWER_IS_BETTER else 1.0
        self.start()

    def start(self) -> None:
        """Forget what was lost without the units before."""
        self.value, self.spread = 0.0, np.zeros(len(self.drawn))

    def add(self, decoded: FloatArray, repeats: int) -> None:
        """Add what one of the repeats loses."""
        sums = Sums.of(self.case.task, self.test.times_s, self.test.values, decoded)
        self.value += self.sign * (self.score - sums.score(self.metric)) / repeats
        self.spread += self.sign * (self.base - sums.resampled(self.metric, self.drawn)) / repeats

    def told(self) -> tuple[float, float, float, float]:
        """Return the mean over repeats, its interval, and the p-value."""
        interval = _interval(self.spread, self.num_blocks)
        return self.value, *interval, _p_value(self.spread, self.num_blocks)


def _importance(
    task: _OfTask,
    found: FloatArray,
    row: str,
    way: Way,
    chosen: Sequence[int],
    areas: Sequence[str],
) -> Importance:
    units = task.case.activity.recording.units
    of_units, of_areas = found[: len(chosen)], found[len(chosen) :]
    p = np.nan_to_num(of_units[:, 3], nan=1.0)
    return Importance(
        recording=task.case.recording_id,
        task=task.case.task.name,
        row=row,
        metric=task.metric,
        way=way,
        score=task.score,
        unit_id=units.id[list(chosen)],
        unit_area=units.area[list(chosen)],
        loss=of_units[:, 0],
        low=of_units[:, 1],
        high=of_units[:, 2],
        p=p,
        read=false_discovery_control(p) < FALSE_DISCOVERY,
        area=np.array(areas, dtype=np.str_),
        area_loss=of_areas[:, 0],
        area_low=of_areas[:, 1],
        area_high=of_areas[:, 2],
    )


def _interval(drawn: FloatArray, num_blocks: int) -> tuple[float, float]:
    if not enough_blocks([num_blocks]) or not np.isfinite(drawn).any():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _p_value(drawn: FloatArray, num_blocks: int) -> float:
    known = drawn[np.isfinite(drawn)]
    if not enough_blocks([num_blocks]) or not len(known):
        return 1.0
    return float((1 + np.sum(known <= 0)) / (1 + len(known)))
