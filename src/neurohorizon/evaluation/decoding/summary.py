"""Tables of decoders' scores: everything that a report prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurohorizon.evaluation.bootstrap import Interval
from neurohorizon.evaluation.decoding.intervals import (
    count_wins,
    paired_difference,
    score_interval,
)
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.sums import LOWER_IS_BETTER

Table = list[dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """A paired difference of two rows on one task.

    Parameters
    ----------
    row, to, task, metric : str
    interval : Interval
        Of `row` minus `to`.
    wins, recordings : int
        Recordings on which `row` is better, of those where both have a score.
    """

    row: str
    to: str
    task: str
    metric: str
    interval: Interval
    wins: int
    recordings: int

    @property
    def better(self) -> bool:
        """Whether the whole interval says that `row` is better."""
        lower = self.metric in LOWER_IS_BETTER
        return bool((self.interval.below if lower else self.interval.above)[0])

    @property
    def worse(self) -> bool:
        """Whether the whole interval says that `row` is worse."""
        lower = self.metric in LOWER_IS_BETTER
        return bool((self.interval.above if lower else self.interval.below)[0])


def pooled(result: DecodingResult, row: str, task: str, metric: str = "") -> Interval:
    """Return a row's mean score over recordings, with its interval.

    The task's own metric unless another is named.
    """
    metric = metric or result.task(task).spec.metric_used
    return score_interval(list(result.sums(row, task).values()), metric)


def difference(result: DecodingResult, row: str, to: str, task: str, metric: str = "") -> Step:
    """Return a paired difference of two rows, on the recordings that both decoded."""
    metric = metric or result.task(task).spec.metric_used
    mine, theirs = result.sums(row, task), result.sums(to, task)
    common = [name for name in mine if name in theirs]
    one, other = [mine[name] for name in common], [theirs[name] for name in common]
    wins, num_scored = count_wins(one, other, metric)
    interval = paired_difference(one, other, metric)
    return Step(row, to, task, metric, interval, wins, num_scored)


def strongest(result: DecodingResult, task: str) -> str:
    """Return the baseline with the best mean score, of those on most recordings; "" if none."""
    best, level = "", (0, -np.inf)
    for name in result.names("baseline"):
        sums = result.sums(name, task)
        value = pooled(result, name, task).value[0] if sums else np.nan
        if np.isfinite(value) and (len(sums), value) > level:
            best, level = name, (len(sums), float(value))
    return best


def summarise(result: DecodingResult, *, compare_to: Sequence[str] = ()) -> dict[str, Any]:
    """Compute everything that a report prints.

    Parameters
    ----------
    result : DecodingResult
    compare_to : sequence of str
        Rows to take paired differences to, besides the strongest baseline of each task.

    Returns
    -------
    dict
        ``strongest`` (by task) and ``tables`` (lists of flat records by the names of
        :mod:`~neurohorizon.evaluation.decoding.result_files`).
    """
    return {
        "strongest": {task.name: strongest(result, task.name) for task in result.tasks},
        "tables": {
            "scores": score_table(result),
            "differences": difference_table(result, compare_to=compare_to),
            "recordings": recording_table(result),
            "confusion": confusion_table(result),
        },
    }


def score_table(result: DecodingResult) -> Table:
    """Return mean scores over recordings by task, row and metric."""
    table = []
    for task in result.tasks:
        for row in result.rows:
            sums = list(result.sums(row.name, task.name).values())
            for metric in sums[0].metrics if sums else ():
                interval = score_interval(sums, metric)
                table.append(
                    {
                        "task": task.name,
                        "row": row.name,
                        "role": row.role,
                        "metric": metric,
                        "is_the_tasks": metric == task.spec.metric_used,
                        "value": interval.value[0],
                        "low": interval.low[0],
                        "high": interval.high[0],
                        "interval_over": interval.over,
                        "recordings": sum(np.isfinite(each.score(metric)) for each in sums),
                    }
                )
    return table


def difference_table(result: DecodingResult, *, compare_to: Sequence[str] = ()) -> Table:
    """Return paired differences of every row to the strongest baseline, and to named rows."""
    table = []
    for task in result.tasks:
        rows = result.scored_rows(task.name)
        best = strongest(result, task.name)
        for target in dict.fromkeys([best, *compare_to]):
            for row in rows if target in rows else ():
                if row == target:
                    continue
                step = difference(result, row, target, task.name)
                table.append(
                    {
                        "task": task.name,
                        "metric": step.metric,
                        "row": row,
                        "to": target,
                        "to_is_strongest": target == best,
                        "difference": step.interval.value[0],
                        "low": step.interval.low[0],
                        "high": step.interval.high[0],
                        "interval_over": step.interval.over,
                        "better": step.better,
                        "worse": step.worse,
                        "wins": step.wins,
                        "recordings": step.recordings,
                    }
                )
    return table


def recording_table(result: DecodingResult) -> Table:
    """Return scores by recording, task, row and metric, with the settings that were chosen.

    A row that was left out has one record that says why.
    """
    table = []
    for case in result.cases:
        for row in result.rows:
            entry = result.entries.get((row.name, case.task, case.recording))
            if entry is None:
                continue
            head = {
                "recording": case.recording,
                "held_out": case.held_out,
                "task": case.task,
                "row": row.name,
            }
            tail = {
                "unit": case.unit,
                "time_stamps": case.num_test,
                "units": case.num_units,
                "settings": str(entry.chosen) if entry.chosen.settings else "",
                "tried": entry.chosen.num_tried if entry.chosen.settings else 0,
                "on_validation": entry.chosen.score,
                "seconds": round(entry.seconds, 2),
            }
            nothing = {"metric": "", "value": np.nan, "low": np.nan, "high": np.nan}
            if entry.sums is None:
                table.append({**head, **nothing, "note": entry.left_out, **tail})
                continue
            for metric in entry.sums.metrics:
                interval = score_interval([entry.sums], metric)
                table.append(
                    {
                        **head,
                        "metric": metric,
                        "value": interval.value[0],
                        "low": interval.low[0],
                        "high": interval.high[0],
                        "note": entry.sums.why_not(metric),
                        **tail,
                    }
                )
    return table


def confusion_table(result: DecodingResult) -> Table:
    """Return how often each class was decoded as which, by categorical task and row."""
    table = []
    for task in result.tasks:
        if not task.spec.is_categorical:
            continue
        for row in result.scored_rows(task.name):
            counts = sum(each.confusion for each in result.sums(row, task.name).values())
            for true, name in enumerate(task.classes):
                for said, other in enumerate(task.classes):
                    table.append(
                        {
                            "task": task.name,
                            "row": row,
                            "true": name,
                            "decoded": other,
                            "time_stamps": int(np.asarray(counts)[true, said]),
                        }
                    )
    return table
