"""The response card: one look at responses to pictures before anything is fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neurohorizon.recordings.responses import ResponseRecording
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import (
    GREY,
    PALETTE,
    PART_COLOURS,
    label_panel,
    new_figure,
    styled,
)

NUM_SHOWN = 200
MOST_STATISTICS = 3
UNKNOWN = "unknown"
TITLES = {"snr": "signal-to-noise ratio", "latency_s": "latency (s)"}


@dataclass(frozen=True)
class ResponseCard:
    """What the response card shows.

    Parameters
    ----------
    title : str
    areas : list of str
        Areas in the order of the rows.
    row_area : (N,) int
        Area of each unit, units sorted by it.
    shown : (N, P) float
        Responses to the first presentations, each unit's standardised; NaN where missing.
    presentations : dict of (str, str) to int
        By part, and "single trials" or "means over repeats".
    statistics : dict of str to (N,) float
        What the source says of each unit, in the order of the rows; or each unit's mean.
    """

    title: str
    areas: list[str]
    row_area: NDArray[np.int64]
    shown: FloatArray
    presentations: dict[tuple[str, str], int]
    statistics: dict[str, FloatArray]

    def table(self) -> list[dict[str, Any]]:
        """Return the statistics, one record a unit."""
        return [
            {
                "area": self.areas[area],
                **{name: each[row] for name, each in self.statistics.items()},
            }
            for row, area in enumerate(self.row_area)
        ]


def compute_response_card(recording: ResponseRecording) -> ResponseCard:
    """Gather what the response card shows; values are read once, a block at a time."""
    responses = recording.responses
    area = np.array([str(each) or UNKNOWN for each in recording.units.area])
    areas = list(dict.fromkeys(area.tolist()))
    index = np.array([areas.index(each) for each in area])
    order = np.argsort(index, kind="stable")
    total, squares, count = (np.zeros(recording.num_units) for _ in range(3))
    for _, block in responses.blocks():
        values = _over_time(block)
        known = np.isfinite(values)
        total += np.where(known, values, 0.0).sum(axis=0)
        squares += np.where(known, values.astype(np.float64) ** 2, 0.0).sum(axis=0)
        count += known.sum(axis=0)
    mean = total / np.maximum(count, 1)
    deviation = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0.0))
    first = _over_time(np.asarray(responses.values[slice(0, NUM_SHOWN)]))
    shown = (first - mean) / np.where(deviation > 0, deviation, np.nan)
    kind = np.where(np.asarray(responses.repeat) < 0, "means over repeats", "single trials")
    presentations: dict[tuple[str, str], int] = {}
    for pair in zip(responses.part.tolist(), kind.tolist(), strict=True):
        presentations[pair] = presentations.get(pair, 0) + 1
    numeric = {
        name: np.asarray(values, dtype=np.float64)[order]
        for name, values in recording.units.columns.items()
        if np.asarray(values).dtype.kind in "fiu" and np.ndim(values) == 1
    }
    telling = [name for name in ("reliability", "snr", "oracle", "latency_s") if name in numeric]
    names = telling or sorted(numeric)
    pictures = len(set(recording.responses.image.tolist()))
    return ResponseCard(
        title=f"{recording.id}: {recording.num_units:,} units, {len(responses):,} presentations of "
        f"{pictures:,} pictures",
        areas=areas,
        row_area=index[order],
        shown=shown.T[order],
        presentations=presentations,
        statistics={name: numeric[name] for name in names[:MOST_STATISTICS]}
        or {"mean response": mean[order]},
    )


@styled()
def draw_response_card(card: ResponseCard) -> Figure:
    """Draw the response card, one page wide."""
    figure = new_figure(183, 105)
    num_rows = 1 + len(card.statistics)
    grid = figure.add_gridspec(num_rows, 2, width_ratios=[1.6, 1.0])
    _draw_responses(card, figure, figure.add_subplot(grid[:, 0]))
    _draw_presentations(card, figure.add_subplot(grid[0, 1]))
    for row, (name, values) in enumerate(card.statistics.items(), start=1):
        ax = figure.add_subplot(grid[row, 1])
        _draw_statistic(card, name, values, ax)
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    for ax, letter in zip(panels, "abcdef", strict=False):
        label_panel(ax, letter)
    figure.suptitle(card.title)
    return figure


def _draw_responses(card: ResponseCard, figure: Figure, ax: Axes) -> None:
    image = ax.imshow(
        card.shown, aspect="auto", cmap="RdBu_r", vmin=-3, vmax=3, interpolation="nearest"
    )
    edges = np.flatnonzero(np.diff(card.row_area)) + 0.5
    for edge in edges:
        ax.axhline(edge, color="black", linewidth=0.6)
    middles = [float(np.flatnonzero(card.row_area == i).mean()) for i in range(len(card.areas))]
    ax.set_yticks(middles, card.areas)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"the first {card.shown.shape[1]} presentations")
    bar = figure.colorbar(image, ax=ax, shrink=0.5, pad=0.02, ticks=[-3, 0, 3])
    bar.set_label("response (standard deviations)")


def _draw_presentations(card: ResponseCard, ax: Axes) -> None:
    labels = [f"{part}, {kind}" for part, kind in card.presentations]
    values = list(card.presentations.values())
    places = range(len(values))
    colours = [PART_COLOURS.get(part, GREY) for part, _ in card.presentations]
    ax.barh(places, values, color=colours, height=0.6)
    for place, value in zip(places, values, strict=True):
        ax.annotate(f"{value:,}", (value, place), (2, 0), textcoords="offset points", va="center")
    ax.set_yticks(places, labels)
    ax.set_ylim(max(len(values), 3) - 0.4, -0.6)
    ax.margins(x=0.25)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlabel("presentations")


def _draw_statistic(card: ResponseCard, name: str, values: FloatArray, ax: Axes) -> None:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        ax.set_axis_off()
        return
    low, high = np.percentile(known, (0.5, 99.5))
    num_edges = int(np.clip(len(known) / 4, 8, 40))
    edges = [float(each) for each in np.linspace(low, max(high, low + 1e-6), num_edges)]
    for number, area in enumerate(card.areas):
        mine = values[(card.row_area == number) & np.isfinite(values)]
        colour = PALETTE[number % len(PALETTE)]
        ax.hist(np.clip(mine, low, high), edges, histtype="step", color=colour, label=area)
    ax.set_xlabel(TITLES.get(name, name.replace("_", " ")))
    ax.set_ylabel("units")
    ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    if len(card.areas) > 1:
        ax.legend(frameon=False)


def _over_time(values: NDArray[Any]) -> NDArray[Any]:
    """Return the mean over time bins where there are any."""
    if values.ndim == 2:
        return values
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=2)
    return np.where(known.any(axis=2), total / np.maximum(known.sum(axis=2), 1), np.nan)
