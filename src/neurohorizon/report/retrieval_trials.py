"""Scores against the number of trials that a response is the mean of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.evaluation.retrieval.results import Metric, RetrievalResult
from neurohorizon.evaluation.retrieval.summary import Estimate, estimate
from neurohorizon.report.rows import RowStyle, label_ends, style_of
from neurohorizon.report.style import BLACK, GREY


@dataclass(frozen=True, eq=False)
class TrialCurves:
    """Scores of rows by number of trials.

    Parameters
    ----------
    metric : Metric
    recordings : list of str
        Those with single trials.
    trials : list of float
        The last is the median number of all trials.
    curves : dict of str to list of Estimate
        By row, one a number of trials.
    ceiling : Estimate or None
        Of half of the trials against the others.
    chance : float
    """

    metric: Metric
    recordings: list[str]
    trials: list[float]
    curves: dict[str, list[Estimate]]
    ceiling: Estimate | None
    chance: float

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and number of trials."""
        every = [
            (row, trials, found)
            for row, each in self.curves.items()
            for trials, found in zip(self.trials, each, strict=True)
        ]
        if self.ceiling is not None:
            every.append(("other half of the trials", self.trials[-1] / 2, self.ceiling))
        return [
            {
                "row": row,
                "trials": trials,
                "metric": self.metric.name,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "chance": self.chance,
            }
            for row, trials, found in every
        ]


def compute_trials(
    result: RetrievalResult,
    by_trials: Mapping[int, RetrievalResult],
    rows: Sequence[str],
    metric: Metric,
    *,
    ceiling: str = "",
) -> TrialCurves | None:
    """Gather the scores from numbers of trials, and from all; None where there are no trials.

    Parameters
    ----------
    result : RetrievalResult
        From all trials.
    by_trials : mapping of int to RetrievalResult
    rows : sequence of str
    metric : Metric
    ceiling : str
        Its row.
    """
    if not by_trials:
        return None
    fewest = next(iter(by_trials.values()))
    rows = [row for row in rows if all(each.scored(row) for each in by_trials.values())]
    recordings = [case.recording for case in fewest.scored(rows[0])] if rows else []
    every = [
        name
        for name in recordings
        if all((row, name, "picture") in each.better for row in rows for each in by_trials.values())
    ]
    if not every:
        return None
    cases = [result.case(name) for name in every]
    trials: list[float] = [float(number) for number in by_trials]
    trials.append(float(np.median(np.concatenate([case.trials for case in cases]))))
    curves = {
        row: [estimate(each, row, metric, recordings=every) for each in by_trials.values()]
        + [estimate(result, row, metric, recordings=every)]
        for row in rows
    }
    there = all((ceiling, name, "picture") in result.better for name in every)
    return TrialCurves(
        metric=metric,
        recordings=every,
        trials=trials,
        curves=curves,
        ceiling=estimate(result, ceiling, metric, recordings=every) if there else None,
        chance=float(np.mean([metric.chance(len(case)) for case in cases])),
    )


def draw_trials(data: TrialCurves, ax: Axes, *, styles: Mapping[str, RowStyle]) -> None:
    """Draw one line a row on a logarithmic axis of trials, with intervals."""
    for number, (row, found) in enumerate(data.curves.items()):
        style = style_of(styles, row)
        # Beside each other, so that no whisker hides another.
        at = np.array(data.trials) * 1.02 ** (number - (len(data.curves) - 1) / 2)
        ax.plot(at, [100 * each.value for each in found], marker="o", **style.line)
        ax.vlines(
            at,
            [100 * each.low for each in found],
            [100 * each.high for each in found],
            color=style.colour,
            linewidth=0.7,
        )
    names, heights = list(data.curves), [100 * each[-1].value for each in data.curves.values()]
    ax.axhline(100 * data.chance, color=GREY, linewidth=0.8, linestyle=":")
    if data.ceiling is not None:
        ax.axhline(100 * data.ceiling.value, color=BLACK, linewidth=0.9, linestyle=(0, (4, 2)))
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(data.trials))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("trials that a response is the mean of")
    ax.set_ylabel(f"{data.metric.name} (%)")
    ax.set_ylim(0, 101)
    texts = {"chance": "chance"}
    names.append("chance")
    heights.append(100 * data.chance)
    if data.ceiling is not None:
        names.append("ceiling")
        heights.append(100 * data.ceiling.value)
        texts["ceiling"] = "halves of the trials"
    looks = {**styles, "ceiling": RowStyle(BLACK, BLACK, 0.9)}
    label_ends(ax, names, heights, looks, texts=texts, gap=0.06)
