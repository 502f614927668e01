"""What was decoded beside what was true, second by second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.results import Predictions
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.rows import RowStyle
from neurohorizon.report.style import GREY, PALETTE

SHOWN_S = 60.0
#: Of the stretches of the test part, how lively the one is that the figure starts with: chosen by
#: what is true, never by what was decoded.
LIVELY = 0.75
#: Time stamps further apart than this many usual steps are not joined by a line.
_GAP_STEPS = 3.0
_TRUE_COLOUR = "#B3B3B3"


@dataclass(frozen=True, eq=False)
class Traces:
    """A minute of one recording's test part, its stretches laid end to end.

    Parameters
    ----------
    recording, unit : str
    task : Task
    times_s : (T,) float
        On the recording's clock.
    shown_s : (T,) float
        On the figure's axis: seconds since the start, breaks between stretches left out.
    breaks_s : list of float
        Where another stretch begins.
    values : (T, D) float or (T,) int
    decoded : mapping of str to (T, P) float
    """

    recording: str
    unit: str
    task: Task
    times_s: FloatArray
    shown_s: FloatArray
    breaks_s: list[float]
    values: NDArray[Any]
    decoded: Mapping[str, NDArray[Any]]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a time stamp."""
        records = []
        for index, time_s in enumerate(self.times_s):
            record: dict[str, Any] = {"recording": self.recording, "time_s": time_s}
            if self.task.spec.is_categorical:
                record["true"] = self.task.classes[int(self.values[index])]
                for row, outputs in self.decoded.items():
                    record[row] = self.task.classes[int(np.argmax(outputs[index]))]
            else:
                for column, value in enumerate(self.values[index]):
                    record[f"true {column}"] = value
                    for row, outputs in self.decoded.items():
                        record[f"{row} {column}"] = outputs[index, column]
            records.append(record)
        return records


def compute_traces(
    recording: str,
    task: Task,
    predictions: Predictions,
    rows: Sequence[str],
    *,
    unit: str = "",
    length_s: float = SHOWN_S,
) -> Traces:
    """Choose a lively minute of a recording, and gather what some rows decoded there.

    Parameters
    ----------
    recording : str
    task : Task
    predictions : Predictions
    rows : sequence of str
        Any of the rows that decoded the task.
    unit : str
        Of the values.
    length_s : float
        Seconds to show, about.

    Raises
    ------
    DataError
        If a row did not decode the task, or there is no time stamp.
    """
    for row in rows:
        if row not in predictions.decoded:
            known = ", ".join(predictions.decoded)
            raise DataError(f"{recording}: {row!r} did not decode {task.name}: choose of {known}")
    times = predictions.times_s
    if not len(times):
        raise DataError(f"{recording}, task {task.name}: no time stamp to show")
    pieces = _pieces(times, predictions.stretch, length_s)
    chosen, shown, first = [], 0.0, _lively_piece(pieces, predictions.values)
    for piece in pieces[first:] + pieces[:first]:
        chosen.append(piece)
        shown += times[piece[-1]] - times[piece[0]]
        if shown >= 0.8 * length_s:
            break
    chosen.sort(key=lambda piece: piece[0])
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    at, breaks, offset = [], [], 0.0
    for piece in chosen:
        if at:
            breaks.append(offset)
        at.append(offset + times[piece] - times[piece[0]])
        offset = float(at[-1][-1]) + step
    kept = np.concatenate(chosen)
    return Traces(
        recording=recording,
        unit=unit,
        task=task,
        times_s=times[kept],
        shown_s=np.concatenate(at),
        breaks_s=breaks,
        values=predictions.values[kept],
        decoded={row: predictions.decoded[row][kept] for row in rows},
    )


def draw_traces(data: Traces, axes: Sequence[Axes], *, styles: Mapping[str, RowStyle]) -> None:
    """Draw one panel a column, what is true beneath what was decoded; or a strip a row of classes.

    Parameters
    ----------
    data : Traces
    axes : sequence of Axes
        One a column of a continuous task; one of a categorical task.
    styles : mapping of str to RowStyle
    """
    if data.task.spec.is_categorical:
        _draw_classes(data, axes[0])
        return
    gaps = _gaps(data)
    for column, ax in enumerate(axes):
        at = np.insert(data.shown_s, gaps, np.nan)
        truth = np.insert(data.values[:, column].astype(float), gaps, np.nan)
        ax.plot(at, truth, color=_TRUE_COLOUR, linewidth=3.2, label="true", zorder=1)
        for row, outputs in data.decoded.items():
            said = np.insert(outputs[:, column].astype(float), gaps, np.nan)
            ax.plot(at, said, **styles[row].line, label=row)
        _mark_breaks(data, ax)
        name = data.task.name if len(axes) == 1 else f"{data.task.name} {column}"
        ax.set_ylabel(f"{name} ({data.unit})" if data.unit else name)
        ax.set_xlim(data.shown_s[0], data.shown_s[-1])
        if column < len(axes) - 1:
            ax.set_xticklabels([])
    axes[-1].set_xlabel("seconds of the test part")
    axes[0].set_title(data.recording, loc="left")
    axes[0].legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=1 + len(data.decoded), borderpad=0.1
    )


def _draw_classes(data: Traces, ax: Axes) -> None:
    classes = data.task.classes
    names = ["true", *data.decoded]
    colours = ListedColormap([PALETTE[index % len(PALETTE)] for index in range(len(classes))])
    steps = np.diff(data.times_s)
    usual = float(np.median(steps)) if len(steps) else 1.0
    gaps = _gaps(data)
    # A class holds for a step; where there is no time stamp, nothing is drawn.
    edges = np.insert(data.shown_s, gaps, data.shown_s[gaps - 1] + usual)
    edges = np.append(edges, data.shown_s[-1] + usual)
    for place, name in enumerate(names):
        label = data.values if name == "true" else np.argmax(data.decoded[name], axis=1)
        ax.pcolormesh(
            edges,
            [place - 0.4, place + 0.4],
            np.insert(label.astype(float), gaps, np.nan)[None],
            cmap=colours,
            vmin=-0.5,
            vmax=len(classes) - 0.5,
            rasterized=True,
        )
    for number, name in enumerate(classes):
        ax.plot([], [], "s", color=colours(number), label=name, markersize=5)
    _mark_breaks(data, ax)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("seconds of the test part")
    ax.set_title(f"{data.recording}, {data.task.name}", loc="left")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=min(len(classes), 8))


def _mark_breaks(data: Traces, ax: Axes) -> None:
    for at in data.breaks_s:
        ax.axvline(at, color=GREY, linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)


def _gaps(data: Traces) -> NDArray[np.int64]:
    """Return before which time stamps values are missing, or another stretch begins."""
    steps = np.diff(data.times_s)
    usual = float(np.median(steps)) if len(steps) else 1.0
    return np.flatnonzero(steps > _GAP_STEPS * usual) + 1


def _pieces(
    times: FloatArray, stretch: NDArray[np.int64], length_s: float
) -> list[NDArray[np.int64]]:
    """Return the time stamps of each stretch, at most so many seconds of it."""
    pieces = []
    for row in np.unique(stretch):
        here = np.flatnonzero(stretch == row)
        pieces.append(here[times[here] <= times[here[0]] + length_s])
    return pieces


def _lively_piece(pieces: list[NDArray[np.int64]], values: NDArray[Any]) -> int:
    columns = values.reshape(len(values), -1).astype(np.float64)
    scale = columns.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    lively = [float(np.mean(columns[piece].std(axis=0) / scale)) for piece in pieces]
    return int(np.argsort(lively, kind="stable")[round(LIVELY * (len(lively) - 1))])
