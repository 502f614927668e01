"""Scores of all rows side by side, and paired differences session by session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from neurohorizon.evaluation.decoding.intervals import paired_difference
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import Step, difference, pooled
from neurohorizon.evaluation.decoding.sums import LOWER_IS_BETTER
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.decoding_rows import metric_word
from neurohorizon.report.rows import FAINT, RowStyle, style_of
from neurohorizon.report.style import BLACK, BLUE, GREY, LIGHT_GREY, VERMILION

_MOST_NAMED = 24


@dataclass(frozen=True, eq=False)
class ScoreBars:
    """Scores of all rows on one task.

    Parameters
    ----------
    task, metric, unit : str
    rows : list of str
    value, low, high : (R,) float
        Mean over recordings, with its interval.
    recordings : list of str
    by_recording : (R, S) float
        NaN where a row has no score.
    over : str
        What was resampled.
    """

    task: str
    metric: str
    unit: str
    rows: list[str]
    value: FloatArray
    low: FloatArray
    high: FloatArray
    recordings: list[str]
    by_recording: FloatArray
    over: str

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and recording, and one for the mean."""
        records = []
        for index, row in enumerate(self.rows):
            head = {"task": self.task, "metric": self.metric, "unit": self.unit, "row": row}
            records.append(
                {
                    **head,
                    "recording": "mean of all",
                    "value": self.value[index],
                    "low": self.low[index],
                    "high": self.high[index],
                }
            )
            for name, value in zip(self.recordings, self.by_recording[index], strict=True):
                nothing = {"low": np.nan, "high": np.nan}
                records.append({**head, "recording": name, "value": value, **nothing})
        return records


def compute_bars(
    result: DecodingResult, task: str, metric: str = "", *, rows: Sequence[str] | None = None
) -> ScoreBars:
    """Gather the scores of rows on a task.

    Parameters
    ----------
    result : DecodingResult
    task : str
    metric : str
        The task's own by default.
    rows : sequence of str, optional
        Those that decoded the task by default; others have no bar.
    """
    metric = metric or result.task(task).spec.metric_used
    rows = list(rows) if rows is not None else result.scored_rows(task)
    recordings = result.recordings(task)
    intervals = [pooled(result, row, task, metric) for row in rows]
    by_recording = np.full((len(rows), len(recordings)), np.nan)
    for index, row in enumerate(rows):
        for name, sums in result.sums(row, task).items():
            by_recording[index, recordings.index(name)] = sums.score(metric)
    units = {case.unit for case in result.cases if case.task == task}
    return ScoreBars(
        task=task,
        metric=metric,
        unit=units.pop() if len(units) == 1 and metric in LOWER_IS_BETTER else "",
        rows=rows,
        value=np.array([each.value[0] for each in intervals]),
        low=np.array([each.low[0] for each in intervals]),
        high=np.array([each.high[0] for each in intervals]),
        recordings=recordings,
        by_recording=by_recording,
        over="sessions" if any(each.over == "sessions" for each in intervals) else "blocks",
    )


def draw_bars(data: ScoreBars, ax: Axes, *, styles: Mapping[str, RowStyle]) -> None:
    """Draw one bar a row with its interval, and a point a recording."""
    at = np.arange(len(data.rows))
    colours = [style_of(styles, row).colour for row in data.rows]
    colours = ["#D0D0D0" if colour == FAINT else colour for colour in colours]
    ax.barh(at, data.value, height=0.62, color=colours, zorder=2)
    for index in at:
        points = data.by_recording[index]
        points = points[np.isfinite(points)]
        if len(points) > 1:
            spread = np.linspace(-0.16, 0.16, len(points)) if len(points) > 2 else [-0.1, 0.1]
            ax.plot(
                points,
                at[index] + spread,
                "o",
                markersize=2.6,
                zorder=3,
                markerfacecolor="white",
                markeredgecolor="#404040",
                markeredgewidth=0.5,
            )
    ax.hlines(at, data.low, data.high, color=BLACK, linewidth=1.0, zorder=4)
    for index in at.tolist():
        text = _with_interval(data.value[index], data.low[index], data.high[index], data.metric)
        ax.text(
            1.02,
            index,
            text,
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=6.5,
            color="#404040",
        )
    ax.set_yticks(at, data.rows)
    for label, row in zip(ax.get_yticklabels(), data.rows, strict=True):
        label.set(**style_of(styles, row).text)
    ax.set_ylim(len(data.rows) - 0.4, -0.6)
    ax.set_xlabel(f"{data.task}: {metric_word(data.metric, data.unit)}")
    ax.axvline(0.0, color=BLACK, linewidth=0.7, zorder=4)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=LIGHT_GREY, linewidth=0.4, zorder=0)
    ax.set_axisbelow(True)
    every = np.concatenate([data.value, data.low, data.high, data.by_recording.ravel()])
    every = every[np.isfinite(every)]
    low, top = float(np.min(every, initial=0.0)), float(np.max(every, initial=0.0))
    # A row far below 0 is cut off: all others could be told apart no more.
    ax.set_xlim(max(1.05 * low, -0.25 * top) if low < 0 else 0.0, 1.04 * top if top else 1.0)


@dataclass(frozen=True, eq=False)
class SessionSteps:
    """One row minus another on each recording, sorted.

    Parameters
    ----------
    step : Step
        All recordings together.
    recordings : list of str
    value, low, high : (S,) float
        Intervals over the recording's 30 s blocks.
    unit : str
    """

    step: Step
    recordings: list[str]
    value: FloatArray
    low: FloatArray
    high: FloatArray
    unit: str = ""

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a recording and one for all together."""
        pooled_values = [getattr(self.step.interval, name)[0] for name in ("value", "low", "high")]
        names = [*self.recordings, "all recordings"]
        columns = (
            np.append(each, one)
            for each, one in zip((self.value, self.low, self.high), pooled_values, strict=True)
        )
        return [
            {
                "task": self.step.task,
                "metric": self.step.metric,
                "row": self.step.row,
                "to": self.step.to,
                "recording": name,
                "difference": value,
                "low": low,
                "high": high,
            }
            for name, value, low, high in zip(names, *columns, strict=True)
        ]


def compute_steps(result: DecodingResult, row: str, to: str, task: str) -> SessionSteps:
    """Take one row's paired differences to another, recording by recording."""
    step = difference(result, row, to, task)
    mine, theirs = result.sums(row, task), result.sums(to, task)
    names, found = [], []
    for name in mine:
        if name in theirs:
            each = paired_difference([mine[name]], [theirs[name]], step.metric)
            if np.isfinite(each.value[0]):
                names.append(name)
                found.append([each.value[0], each.low[0], each.high[0]])
    value, low, high = np.array(found, dtype=np.float64).reshape(-1, 3).T
    order = np.argsort(value)
    units = {case.unit for case in result.cases if case.task == task}
    return SessionSteps(
        step=step,
        recordings=[names[index] for index in order],
        value=value[order],
        low=low[order],
        high=high[order],
        unit=units.pop() if len(units) == 1 and step.metric in LOWER_IS_BETTER else "",
    )


def draw_steps(data: SessionSteps, ax: Axes) -> None:
    """Draw a point a recording with its interval, and the diamond of all together beneath.

    Blue: the row is better, and the interval says so; orange-red: worse; grey: it holds 0.
    """
    lower = data.step.metric in LOWER_IS_BETTER
    rows = np.arange(len(data.value)) + 1.8
    ax.axvline(0.0, color=BLACK, linewidth=0.7, zorder=1)
    ax.axhspan(-0.8, 0.9, color="#F2F2F2", zorder=0)
    for y, value, low, high in zip(rows, data.value, data.low, data.high, strict=True):
        colour = _colour(low, high, lower=lower)
        ax.plot([low, high], [y, y], color=colour, linewidth=1.0)
        ax.plot(value, y, "o", color=colour, markersize=3.5)
    value, low, high = (getattr(data.step.interval, name)[0] for name in ("value", "low", "high"))
    colour = _colour(low, high, lower=lower)
    ax.plot([low, high], [0.05, 0.05], color=colour, linewidth=2.0, solid_capstyle="butt")
    ax.plot(value, 0.05, "D", color=colour, markersize=5.5)
    ends = np.abs(np.concatenate([data.value, data.low, data.high, [value, low, high]]))
    limit = 1.1 * float(np.max(ends[np.isfinite(ends)], initial=1e-3))
    ax.set_xlim(-limit, limit)
    ax.set_ylim(-0.8, len(rows) + 1.6)
    interval = f" [{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else ""
    ax.set_title(
        f"{data.step.task}: {data.step.row}\n"
        f"better on {data.step.wins} of {data.step.recordings}\n"
        + f"{value:+.3f}{interval}".replace("-", "−"),
        fontsize=7.5,
        linespacing=1.35,
    )
    ax.set_xlabel(f"{metric_word(data.step.metric, data.unit)}, minus {data.step.to}")
    ax.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=LIGHT_GREY, linewidth=0.4, zorder=0)
    ax.set_axisbelow(True)
    named = data.recordings if len(rows) <= _MOST_NAMED else []
    ax.set_yticks([0.05, *(rows if named else [])], ["all together", *named])
    ax.get_yticklabels()[0].set_fontweight("bold")


def bars_height_mm(panels: Sequence[ScoreBars]) -> float:
    """Return how high the figure of bars is to be."""
    return 16.0 + 5.2 * max(len(each.rows) for each in panels)


def steps_height_mm(panels: Sequence[SessionSteps]) -> float:
    """Return how high the figure of differences is to be."""
    most = max(len(each.recordings) for each in panels)
    return 34.0 + (4.6 if most <= _MOST_NAMED else 2.4) * (most + 2)


def _colour(low: float, high: float, *, lower: bool) -> str:
    if lower:
        low, high = -high, -low
    return BLUE if low > 0 else VERMILION if high < 0 else GREY


def _with_interval(value: float, low: float, high: float, metric: str) -> str:
    if not np.isfinite(value):
        return "left out"
    kind = ".1f" if metric in LOWER_IS_BETTER else ".3f"
    ends = f" [{low:{kind}}, {high:{kind}}]" if np.isfinite(low) else ""
    return f"{value:{kind}}{ends}".replace("-", "−")
