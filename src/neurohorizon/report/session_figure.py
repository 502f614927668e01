"""Drawing the session card."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.validate import MOST_VIOLATIONS, REFRACTORY_S
from neurohorizon.report.session_card import SessionCard
from neurohorizon.report.style import (
    BLACK,
    BLUE,
    GREY,
    LIGHT_GREY,
    PALETTE,
    PART_COLOURS,
    VERMILION,
    label_panel,
    new_figure,
    styled,
)

PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
#: Positions that reach this many times further along one axis are not drawn to scale.
MOST_ELONGATED = 3.0
MOST_SERIES_POINTS = 4000


def _log_rate_axis(ax: Axes, rate_hz: FloatArray) -> None:
    """Make the horizontal axis one of rates, wide enough for a labelled tick on each side."""
    ax.set_xscale("log")
    ax.set_xlim(
        10 ** np.floor(np.log10(rate_hz.min() / 1.5)), 10 ** np.ceil(np.log10(rate_hz.max() * 1.5))
    )
    ax.xaxis.set_major_formatter(PLAIN)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("mean rate (Hz)")


@styled()
def draw_session_card(card: SessionCard) -> Figure:
    """Draw the session card, 183 mm wide.

    Parameters
    ----------
    card : SessionCard
        From `compute_session_card`.
    """
    with_series = card.series is not None
    heights = [26, *([16] if with_series else []), 48, 46]
    figure = new_figure(183, sum(heights) + 14)
    figure.suptitle(card.name, fontsize=10, fontweight="bold", x=0.01, ha="left")
    figure.text(0.99, 0.99, card.summary, ha="right", va="top", fontsize=7.5)
    rows = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    letters = iter("abcdefg")
    overview = figure.add_subplot(rows[0])
    draw_overview(card, overview)
    label_panel(overview, next(letters))
    if with_series:
        behaviour = figure.add_subplot(rows[1], sharex=overview)
        draw_behaviour(card, behaviour)
        overview.set_xlabel("")
        overview.tick_params(labelbottom=False)
        label_panel(behaviour, next(letters))
    raster = figure.add_subplot(rows[-2])
    draw_raster(card, raster)
    label_panel(raster, next(letters))
    bottom = rows[-1].subgridspec(1, 3)
    panels = [draw_rates, draw_violations, draw_place]
    for column, draw in enumerate(panels):
        ax = figure.add_subplot(bottom[column])
        if draw(card, ax):
            label_panel(ax, next(letters))
        else:
            ax.set_axis_off()
    return figure


def draw_overview(card: SessionCard, ax: Axes) -> None:
    """Draw the population's rate through the session above its split."""
    ax.plot(card.rate_times_s / 60, card.population_hz, color=BLACK, linewidth=0.7)
    # One transient at the start must not flatten the rest of the session.
    usual = 1.6 * float(np.nanpercentile(card.population_hz, 99))
    top = float(np.nanmax(card.population_hz))
    top = min(top, usual) if usual > 0 else top
    ax.set_ylim(-0.16 * top, 1.05 * top)
    ax.set_xlim(card.domain[0, 0] / 60, card.domain[-1, 1] / 60)
    ax.set_ylabel("mean rate (Hz)")
    ax.set_xlabel("time (min)")
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= 1.05 * top])
    ribbons = [(card.domain, LIGHT_GREY, "no split")]
    if card.split is not None:
        ribbons = [(card.split.domain(part), c, part) for part, c in PART_COLOURS.items()]
    for stretches, colour, word in ribbons:
        minutes = stretches / 60
        width = minutes[:, 1] - minutes[:, 0]
        place = np.full(len(minutes), -0.1 * top)
        label = f"{word} {width.sum():.1f} min"
        ax.barh(place, width, 0.09 * top, minutes[:, 0], color=colour, label=label)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)


def draw_behaviour(card: SessionCard, ax: Axes) -> None:
    """Draw the first behavioural series, up to three columns of it, on the session's clock."""
    assert card.series is not None
    series = card.series
    step = max(1, len(series.timestamps) // MOST_SERIES_POINTS)
    minutes, values = series.timestamps[::step] / 60, series.values[::step]
    num_columns = values.shape[1]
    for column, colour in zip(range(num_columns), (BLUE, VERMILION, GREY), strict=False):
        ax.plot(minutes, values[:, column], color=colour, linewidth=0.4)
        if num_columns > 1:
            where = {"transform": ax.transAxes, "fontsize": 7}
            ax.text(1.005, 0.85 - 0.3 * column, f"{column + 1}", color=colour, **where)
    ax.set_ylabel(card.series_name + (f" ({series.unit})" if series.unit else ""))
    ax.set_xlabel("time (min)")
    ax.set_xlim(card.domain[0, 0] / 60, card.domain[-1, 1] / 60)


def draw_raster(card: SessionCard, ax: Axes) -> None:
    """Draw the spikes of a lively stretch, one row a unit, coloured by area."""
    areas = list(dict.fromkeys(card.row_area))
    num_rows = len(card.row_area)
    half = 0.42 if num_rows < 40 else 0.6  # a tick must be seen even where rows are thin
    unsorted = card.row_unsorted[card.raster_row]
    rows = card.raster_row[unsorted]
    ax.vlines(card.raster_times_s[unsorted], rows - half, rows + half, LIGHT_GREY, linewidth=0.3)
    for number, area in enumerate(areas):
        colour = PALETTE[number % len(PALETTE)] if len(areas) > 1 else BLACK
        shown = (card.row_area[card.raster_row] == area) & ~unsorted
        rows = card.raster_row[shown]
        ax.vlines(card.raster_times_s[shown], rows - half, rows + half, colour, linewidth=0.5)
        if len(areas) > 1:
            place = np.flatnonzero(card.row_area == area)
            if len(place) > 0.03 * num_rows:  # smaller names would lie on each other
                name = area or "unknown"
                where = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 7}
                ax.text(1.005, place.mean(), name, color=colour, **where)
    ax.set_ylim(-0.6, num_rows - 0.4)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlim(*card.raster_span_s)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("unit, by rate" if len(areas) == 1 else "unit, by area and rate")


def draw_rates(card: SessionCard, ax: Axes) -> bool:
    """Draw how the units' mean rates are distributed, on a logarithmic axis."""
    rates = card.rate_hz[card.rate_hz > 0]
    low, high = np.log10(rates.min()), np.log10(rates.max())
    edges = np.logspace(low - 0.05, high + 0.05, 21)
    ax.hist(rates, edges, color=LIGHT_GREY, edgecolor=GREY, linewidth=0.5)
    ax.axvline(float(np.median(rates)), color=BLUE, linewidth=1.0)
    _log_rate_axis(ax, rates)
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.set_ylabel("units")
    silent = int(np.sum(card.rate_hz == 0))
    text = f"median {np.median(rates):.2g} Hz" + (f", {silent} silent" if silent else "")
    ax.set_title(text, fontsize=7, color=BLUE, loc="right")
    return True


def draw_violations(card: SessionCard, ax: Axes) -> bool:
    """Draw each unit's share of impossible intervals against its rate."""
    known = np.isfinite(card.violations)
    if not known.any():
        return False
    floor = 0.01
    share = np.maximum(np.nan_to_num(card.violations) * 100, floor)
    kinds = (
        (known & ~card.twin & ~card.unsorted, BLUE, "o", "units"),
        (known & card.twin & ~card.unsorted, VERMILION, "^", "nearly another's train"),
        (known & card.unsorted, BLACK, "s", "unsorted activity"),
    )
    for mask, colour, marker, label in kinds:
        if mask.any():
            ax.scatter(
                card.rate_hz[mask],
                share[mask],
                s=9,
                c=colour,
                marker=marker,
                linewidths=0,
                label=label,
                clip_on=False,
                zorder=3,
            )
    _log_rate_axis(ax, card.rate_hz[known])
    rates = np.geomspace(*ax.get_xlim(), 100)
    chance = 100 * (1 - np.exp(-rates * REFRACTORY_S))
    ax.plot(rates, np.where(chance > floor, chance, np.nan), color=GREY, linewidth=0.8)
    ax.axhline(MOST_VIOLATIONS * 100, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.text(
        rates[-1], chance[-1], "random firing ", color=GREY, fontsize=6, ha="right", va="bottom"
    )
    ax.set_yscale("log")
    legend = card.twin.any() or card.unsorted.any()
    ax.set_ylim(floor, 20_000 if legend else 100)
    ax.set_yticks([floor, 0.1, 1, 10, 100], ["none", "0.1", "1", "10", "100"])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel(f"ISI < {REFRACTORY_S * 1e3:g} ms (%)")
    num_bad = int(np.sum(np.nan_to_num(card.violations) > MOST_VIOLATIONS))
    ax.set_title(f"{num_bad} of {len(card.rate_hz)} units above 1 %", fontsize=7, loc="right")
    if legend:
        ax.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.0, labelspacing=0.2)
    return True


def draw_place(card: SessionCard, ax: Axes) -> bool:
    """Draw where the units are, or else where the animal was; return whether either is known."""
    position, to_scale = card.position_um, True
    # Of three coordinates the two along which the units lie furthest apart; -inf if unknown.
    spread = np.nanmax(position, 0, initial=-np.inf) - np.nanmin(position, 0, initial=np.inf)
    first, second = sorted(np.argsort(spread, kind="stable")[-2:])
    shorter, longer = sorted(spread[[first, second]])
    if shorter >= 0:
        size = 3 + 30 * np.sqrt(card.rate_hz / card.rate_hz.max())
        x, y = position[:, first], position[:, second]
        ax.scatter(x, y, s=size, facecolors="none", edgecolors=BLUE, linewidths=0.7)
        ax.set_xlabel(f"{'xyz'[first]} (µm)")
        ax.set_ylabel(f"{'xyz'[second]} (µm)")
        # A probe is hundreds of times longer than it is wide.
        to_scale = longer <= MOST_ELONGATED * shorter
        words = "size by rate" if to_scale else "size by rate, not to scale"
        ax.set_title(words, fontsize=7, loc="right")
        ax.margins(0.12)
    elif card.series is not None and card.series.values.shape[1] >= 2:
        step = max(1, len(card.series.timestamps) // MOST_SERIES_POINTS)
        values = card.series.values[::step]
        ax.plot(values[:, 0], values[:, 1], ".", color=BLUE, markersize=0.8, alpha=0.5)
        unit = f" ({card.series.unit})" if card.series.unit else ""
        ax.set_xlabel(f"{card.series_name} 1{unit}")
        ax.set_ylabel(f"{card.series_name} 2{unit}")
    else:
        return False
    if to_scale:
        ax.set_aspect("equal", adjustable="box")
    return True
