"""A folder of recordings on one page: hours, units, rates, areas, findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.survey import Surveyed
from neurohorizon.report.style import (
    BLUE,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PALETTE,
    VERMILION,
    label_panel,
    new_figure,
    styled,
)

MOST_AREAS = 18
MOST_SOURCES = 6
RATE_EDGES_HZ = [float(edge) for edge in np.geomspace(0.01, 200.0, 45)]


@dataclass(frozen=True)
class Overview:
    """What the overview shows.

    Parameters
    ----------
    title, summary : str
    sources : list of str
        Data sets, those with most hours first.
    hours : (D,) float
        Hours of each source.
    num_units : (R,) int
        Units of each recording, most first.
    unit_source : (R,) int
        Source of each of those recordings.
    rates : list of (N,) float
        Mean rate of each unit, by source.
    areas : list of str
        Areas with most units, most first; the rest as one.
    area_units : (A,) int
    findings : dict of str to int
        Recordings with an error, with a warning and no error, and with neither.
    """

    title: str
    summary: str
    sources: list[str]
    hours: FloatArray
    num_units: NDArray[np.int64]
    unit_source: NDArray[np.int64]
    rates: list[FloatArray]
    areas: list[str]
    area_units: NDArray[np.int64]
    findings: dict[str, int]

    def table(self) -> list[dict[str, Any]]:
        """Return units by area, one record each."""
        return [
            {"area": area, "units": int(units)}
            for area, units in zip(self.areas, self.area_units, strict=True)
        ]


def compute_overview(rows: Sequence[Surveyed], *, title: str) -> Overview:
    """Gather what the overview shows.

    Raises
    ------
    DataError
        If no file opens.
    """
    opened = [row for row in rows if row.id]
    if not opened:
        raise DataError(f"{title}: none of {len(rows)} files opens: neurohorizon data validate")
    hours: dict[str, float] = {}
    areas: Counter[str] = Counter()
    for row in opened:
        hours[row.source] = hours.get(row.source, 0.0) + row.duration_s / 3600
        areas.update(row.units_by_area)
    ranked = sorted(hours, key=lambda source: -hours[source])
    shown = ranked if len(ranked) <= MOST_SOURCES else [*ranked[: MOST_SOURCES - 1], "others"]
    place = {source: min(number, len(shown) - 1) for number, source in enumerate(ranked)}
    by_size = sorted(opened, key=lambda row: -row.num_units)
    top = areas.most_common(MOST_AREAS)
    rest = areas.total() - sum(units for _, units in top)
    if rest:
        top.append((f"{len(areas) - MOST_AREAS} others", rest))
    with_error = sum(row.count("error") > 0 for row in rows)
    with_warning = sum(row.count("error") == 0 and row.count("warning") > 0 for row in rows)
    num_units = sum(row.num_units for row in opened)
    subjects = len({(row.source, row.subject) for row in opened})
    return Overview(
        title=title,
        summary=f"{len(opened):,} recordings of {subjects:,} subjects, {num_units:,} units, "
        f"{sum(row.num_spikes for row in opened):,} spikes, "
        f"{sum(row.duration_s for row in opened) / 3600:.1f} hours",
        sources=shown,
        hours=np.array(
            [sum(hours[each] for each in ranked if place[each] == i) for i in range(len(shown))]
        ),
        num_units=np.array([row.num_units for row in by_size]),
        unit_source=np.array([place[row.source] for row in by_size]),
        rates=[
            np.concatenate(
                [row.rate_hz for row in opened if place[row.source] == number] or [np.empty(0)]
            )
            for number in range(len(shown))
        ],
        areas=[area for area, _ in top],
        area_units=np.array([units for _, units in top]),
        findings={
            "error": with_error,
            "warning": with_warning,
            "clean": len(rows) - with_error - with_warning,
        },
    )


@styled()
def draw_overview(overview: Overview) -> Figure:
    """Draw the overview, one page wide."""
    figure = new_figure(183, 125)
    grid = figure.add_gridspec(2, 3, height_ratios=[1.0, 1.0])
    _draw_hours(overview, figure.add_subplot(grid[0, 0]))
    _draw_units(overview, figure.add_subplot(grid[0, 1]))
    _draw_findings(overview, figure.add_subplot(grid[1, 0]))
    _draw_rates(overview, figure.add_subplot(grid[1, 1]))
    _draw_areas(overview, figure.add_subplot(grid[:, 2]))
    for ax, letter in zip(figure.axes, "abcde", strict=True):
        label_panel(ax, letter)
    figure.suptitle(f"{overview.title}: {overview.summary}")
    return figure


def _draw_hours(overview: Overview, ax: Axes) -> None:
    places = np.arange(len(overview.sources))
    ax.barh(places, overview.hours, color=[PALETTE[i % len(PALETTE)] for i in places], height=0.6)
    ax.set_yticks(places, overview.sources)
    _leave_room(ax, len(places), fewest=4)
    ax.set_xlabel("hours recorded")


def _draw_units(overview: Overview, ax: Axes) -> None:
    colours = [PALETTE[i % len(PALETTE)] for i in overview.unit_source]
    places = np.arange(1, len(overview.num_units) + 1)
    ax.bar(places, overview.num_units, color=colours, width=1.0 if len(places) > 40 else 0.8)
    ax.set_xlabel("recordings, by size")
    ax.set_ylabel("units")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_findings(overview: Overview, ax: Axes) -> None:
    words = ["clean", "warning", "error"]
    values = [overview.findings[word] for word in words]
    ax.bar(range(3), values, color=[BLUE, ORANGE, VERMILION], width=0.6)
    for place, value in enumerate(values):
        ax.annotate(f"{value}", (place, value), (0, 2), textcoords="offset points", ha="center")
    ax.set_xticks(range(3), ["clean", "warnings", "errors"])
    ax.set_ylabel("recordings")
    ax.margins(y=0.15)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_rates(overview: Overview, ax: Axes) -> None:
    for number, rates in enumerate(overview.rates):
        clipped = np.clip(rates, RATE_EDGES_HZ[0], RATE_EDGES_HZ[-1])
        colour = PALETTE[number % len(PALETTE)]
        ax.hist(clipped, RATE_EDGES_HZ, histtype="step", color=colour)
        if len(rates):
            ax.axvline(np.median(rates), color=colour, linewidth=0.6, linestyle=":")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(_format_rate))
    ax.set_xlabel("mean rate of a unit (Hz); dotted: median")
    ax.set_ylabel("units")


def _format_rate(value: float, _: int) -> str:
    """Say that the first bin also holds the units below it."""
    return f"≤{value:g}" if value <= RATE_EDGES_HZ[0] else f"{value:g}"


def _draw_areas(overview: Overview, ax: Axes) -> None:
    places = np.arange(len(overview.areas))
    grey = [area == "unknown" or area.endswith(" others") for area in overview.areas]
    colours = [LIGHT_GREY if each else GREY for each in grey]
    ax.barh(places, overview.area_units, color=colours, height=0.7)
    for place, units in zip(places, overview.area_units, strict=True):
        ax.annotate(f"{units:,}", (units, place), (2, 0), textcoords="offset points", va="center")
    ax.set_yticks(places, overview.areas)
    ax.margins(x=0.2)
    _leave_room(ax, len(places), fewest=10)
    ax.set_xlabel("units by area")


def _leave_room(ax: Axes, num_bars: int, *, fewest: int) -> None:
    """Put the first bar on top; few bars get no thicker than many."""
    ax.set_ylim(max(num_bars, fewest) - 0.4, -0.6)
