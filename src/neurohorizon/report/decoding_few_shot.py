"""The k-minute curve of decoders: the task's metric against minutes of a new session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.errors import DataError
from neurohorizon.evaluation.bootstrap import Interval
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import Step, difference, pooled
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.decoding_rows import METRIC_WORDS
from neurohorizon.report.style import BLACK, GREY, LIGHT_GREY, PALETTE
from neurohorizon.training.decoding.few_shot import name_and_minutes

_SIMPLE = ((GREY, "--"), (BLACK, ":"), (LIGHT_GREY, "-."))


@dataclass(frozen=True)
class MinutesCurve:
    """One row, by minutes.

    Parameters
    ----------
    name : str
    role : str
        "model", or "baseline" of simple decoders.
    minutes : tuple of float
        M of them.
    scores : tuple of Interval
        M, of one element each.
    steps : tuple of Step or None
        Paired differences to the strongest simple decoder at these minutes; None without one.
    """

    name: str
    role: str
    minutes: tuple[float, ...]
    scores: tuple[Interval, ...]
    steps: tuple[Step | None, ...]

    def bounds(self, key: Literal["value", "low", "high"]) -> FloatArray:
        """Return the scores, or an end of their intervals, (M,)."""
        return np.array([getattr(score, key)[0] for score in self.scores])


@dataclass(frozen=True)
class DecodingFewShot:
    """Curves of one task.

    Parameters
    ----------
    task, metric : str
    num_recordings : int
    curves : list of MinutesCurve
    """

    task: str
    metric: str
    num_recordings: int
    curves: list[MinutesCurve]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and number of minutes."""
        table = []
        for curve in self.curves:
            for minutes, score, step in zip(curve.minutes, curve.scores, curve.steps, strict=True):
                paired = None if step is None else step.interval
                table.append(
                    {
                        "task": self.task,
                        "metric": self.metric,
                        "row": curve.name,
                        "role": curve.role,
                        "minutes": minutes,
                        "value": float(score.value[0]),
                        "low": float(score.low[0]),
                        "high": float(score.high[0]),
                        "interval_over": score.over,
                        "recordings": self.num_recordings,
                        "to": "" if step is None else name_and_minutes(step.to)[0],
                        "difference": np.nan if paired is None else float(paired.value[0]),
                        "difference_low": np.nan if paired is None else float(paired.low[0]),
                        "difference_high": np.nan if paired is None else float(paired.high[0]),
                        "wins": 0 if step is None else step.wins,
                    }
                )
        return table


def compute_decoding_few_shot(result: DecodingResult, *, task: str = "") -> DecodingFewShot:
    """Gather the curves of a task.

    Parameters
    ----------
    result : DecodingResult
        What :func:`neurohorizon.training.decoding.few_shot.measure_decoding_few_shot` found.
    task : str
        The first one, if empty.

    Raises
    ------
    DataError
        If there is no such task, or no row decoded it.

    Notes
    -----
    The strongest simple decoder is told at each number of minutes by itself, by what is scored:
    that favours it, not the models.
    """
    task = task or result.tasks[0].name
    rows = {name: name_and_minutes(name) for name in result.scored_rows(task)}
    if not rows:
        raise DataError(f"no row decoded the task {task}: there is no curve of it")
    roles = {row.name: row.role for row in result.rows}
    scores = {name: pooled(result, name, task) for name in rows}
    strongest: dict[float, str] = {}
    for name, (_, minutes) in rows.items():
        best = strongest.get(minutes)
        if roles[name] == "baseline" and (
            best is None or scores[name].value[0] > scores[best].value[0]
        ):
            strongest[minutes] = name
    curves = []
    for called in dict.fromkeys(each for each, _ in rows.values()):
        mine = sorted((minutes, name) for name, (each, minutes) in rows.items() if each == called)
        steps = [
            difference(result, name, strongest[minutes], task) if minutes in strongest else None
            for minutes, name in mine
        ]
        curves.append(
            MinutesCurve(
                called,
                roles[mine[0][1]],
                tuple(minutes for minutes, _ in mine),
                tuple(scores[name] for _, name in mine),
                tuple(steps),
            )
        )
    metric = result.task(task).spec.metric_used
    return DecodingFewShot(task, metric, len(result.recordings(task)), curves)


def draw_decoding_few_shot(data: DecodingFewShot, ax: Axes) -> None:
    """Draw the score of each row on a logarithmic axis of minutes, with its intervals."""
    models = [curve for curve in data.curves if curve.role == "model"]
    simple = [curve for curve in data.curves if curve.role != "model"]
    for number, curve in enumerate([*models, *simple]):
        # Beside each other, so that no whisker hides another.
        at = np.array(curve.minutes) * 1.02 ** (number - (len(data.curves) - 1) / 2)
        if curve.role == "model":
            colour, line = PALETTE[number % len(PALETTE)], "-"
        else:
            colour, line = _SIMPLE[(number - len(models)) % len(_SIMPLE)]
        marker = "o" if curve.role == "model" else None
        ax.plot(at, curve.bounds("value"), line, marker=marker, color=colour, label=curve.name)
        ax.vlines(at, curve.bounds("low"), curve.bounds("high"), color=colour, linewidth=0.7)
    every = sorted({length for curve in data.curves for length in curve.minutes})
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(every))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("minutes of the new session")
    ax.set_ylabel(f"{METRIC_WORDS[data.metric]} of {data.task}")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
