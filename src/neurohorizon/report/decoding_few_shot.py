"""The k-minute curve of decoders: the task's metric against minutes of a new session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import difference, pooled
from neurohorizon.evaluation.protocol import Role
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import BLACK, GREY, LIGHT_GREY, PALETTE
from neurohorizon.training.decoding.few_shot import name_and_minutes

METRIC_LABELS = {
    "r2": "R²",
    "correlation": "correlation",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
}
_SIMPLE = ((GREY, "--"), (BLACK, ":"), (LIGHT_GREY, "-."))


@dataclass(frozen=True)
class MinutesCurve:
    """One row, by minutes.

    Parameters
    ----------
    name : str
    role : {"model", "baseline", "ceiling", "cheat"}
    minutes : (M,) float
    value, low, high : (M,) float
        The score, with its 95 % interval.
    to : tuple of str
        The strongest simple decoder at these minutes; "" where there is none.
    step, step_low, step_high : (M,) float
        Paired difference to it, with its 95 % interval.
    wins : tuple of (int, int)
        Recordings on which the row is better than it, of how many.
    """

    name: str
    role: Role
    minutes: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray
    to: tuple[str, ...]
    step: FloatArray
    step_low: FloatArray
    step_high: FloatArray
    wins: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class DecodingFewShot:
    """Curves of one task.

    Parameters
    ----------
    task, metric : str
    num_recordings : int
    over : {"sessions", "blocks"}
        What the intervals resample.
    curves : list of MinutesCurve
    """

    task: str
    metric: str
    num_recordings: int
    over: str
    curves: list[MinutesCurve]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and number of minutes."""
        return [
            {
                "task": self.task,
                "metric": self.metric,
                "row": curve.name,
                "role": curve.role,
                "minutes": float(curve.minutes[index]),
                "value": float(curve.value[index]),
                "low": float(curve.low[index]),
                "high": float(curve.high[index]),
                "interval_over": self.over,
                "recordings": self.num_recordings,
                "to": curve.to[index],
                "difference": float(curve.step[index]),
                "difference_low": float(curve.step_low[index]),
                "difference_high": float(curve.step_high[index]),
                "wins": curve.wins[index][0],
            }
            for curve in self.curves
            for index in range(len(curve.minutes))
        ]


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
    metric = result.task(task).spec.metric_used
    names: dict[str, dict[float, str]] = {}
    roles: dict[str, Role] = {}
    for row in result.rows:
        if result.sums(row.name, task):
            name, minutes = name_and_minutes(row.name)
            names.setdefault(name, {})[minutes] = row.name
            roles[name] = row.role
    if not names:
        raise DataError(f"no row decoded the task {task}: there is no curve of it")
    scores = {row: pooled(result, row, task) for rows in names.values() for row in rows.values()}
    strongest: dict[float, str] = {}
    for name, rows in names.items():
        for minutes, row in rows.items():
            best = strongest.get(minutes)
            if roles[name] == "baseline" and (
                best is None or scores[row].value[0] > scores[best].value[0]
            ):
                strongest[minutes] = row
    curves = []
    for name, rows in names.items():
        lengths = sorted(rows)
        to = [strongest.get(length, "") for length in lengths]
        steps = [
            difference(result, rows[length], other, task) if other else None
            for length, other in zip(lengths, to, strict=True)
        ]
        intervals = [None if step is None else step.interval for step in steps]
        curves.append(
            MinutesCurve(
                name=name,
                role=roles[name],
                minutes=np.array(lengths),
                value=np.array([scores[rows[length]].value[0] for length in lengths]),
                low=np.array([scores[rows[length]].low[0] for length in lengths]),
                high=np.array([scores[rows[length]].high[0] for length in lengths]),
                to=tuple(name_and_minutes(other)[0] if other else "" for other in to),
                step=np.array([np.nan if i is None else i.value[0] for i in intervals]),
                step_low=np.array([np.nan if i is None else i.low[0] for i in intervals]),
                step_high=np.array([np.nan if i is None else i.high[0] for i in intervals]),
                wins=tuple(
                    (0, 0) if step is None else (step.wins, step.recordings) for step in steps
                ),
            )
        )
    return DecodingFewShot(
        task, metric, len(result.recordings(task)), next(iter(scores.values())).over, curves
    )


def draw_decoding_few_shot(data: DecodingFewShot, ax: Axes) -> None:
    """Draw the score of each row on a logarithmic axis of minutes, with its intervals."""
    models = [curve for curve in data.curves if curve.role == "model"]
    simple = [curve for curve in data.curves if curve.role != "model"]
    for number, curve in enumerate([*models, *simple]):
        # Beside each other, so that no whisker hides another.
        at = curve.minutes * 1.02 ** (number - (len(data.curves) - 1) / 2)
        if curve.role == "model":
            colour, line = PALETTE[number % len(PALETTE)], "-"
        else:
            colour, line = _SIMPLE[(number - len(models)) % len(_SIMPLE)]
        marker = "o" if curve.role == "model" else None
        ax.plot(at, curve.value, line, marker=marker, color=colour, label=curve.name)
        ax.vlines(at, curve.low, curve.high, color=colour, linewidth=0.7)
    every = sorted({float(length) for curve in data.curves for length in curve.minutes})
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(every))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("minutes of the new session")
    ax.set_ylabel(f"{METRIC_LABELS.get(data.metric, data.metric)} of {data.task}")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
