"""What behaviour and pictures are worth to the forecast: overall, where, and to which units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neurohorizon.evaluation.contributions import (
    ContributionRow,
    Contributions,
    best_way,
    summarise,
    unit_contributions,
)
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.ablations import SHADES
from neurohorizon.report.style import BLACK, BLUE, GREY, LIGHT_GREY
from neurohorizon.report.tables import CONDITION_WORDS

_SHADES = {
    "permuted": SHADES,
    "withheld": ("#4D4D4D", "#8C8C8C", "#B3B3B3", "#D9D9D9"),
    "retrained": ("#005C45", "#009E73", "#66C2A5", "#B2DFD0"),
}


@dataclass(frozen=True)
class ContributionBars:
    """What each condition is worth, by horizon and by part of the data.

    Parameters
    ----------
    horizons_s : (H,) float
    overall, split : list of ContributionRow
        All units and windows; and by area and by state, in the way that says most.
    """

    horizons_s: FloatArray
    overall: list[ContributionRow]
    split: list[ContributionRow]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and horizon."""
        return [
            {
                "modality": row.modality,
                "way": row.way,
                "among": row.among,
                "which": row.which,
                "units": row.num_units,
                "horizon_s": float(horizon_s),
                "bits_per_spike": row.interval.value[index],
                "low": row.interval.low[index],
                "high": row.interval.high[index],
            }
            for row in (*self.overall, *self.split)
            for index, horizon_s in enumerate(self.horizons_s)
        ]


def compute_contribution_bars(found: Sequence[Contributions]) -> ContributionBars:
    """Gather what the conditions are worth."""
    rows = summarise(found)
    ways = {row.modality: best_way(found, row.modality) for row in rows}
    return ContributionBars(
        horizons_s=found[0].horizons_s,
        overall=[row for row in rows if row.among == "all"],
        split=[row for row in rows if row.among != "all" and row.way == ways[row.modality]],
    )


def draw_overall(data: ContributionBars, ax: Axes) -> None:
    """Draw a group of bars for each condition and way, one bar a horizon, with intervals."""
    num_horizons = len(data.horizons_s)
    height = 0.8 / num_horizons
    for index, horizon_s in enumerate(data.horizons_s):
        at = np.arange(len(data.overall)) + (index - (num_horizons - 1) / 2) * height
        rows = [row.interval for row in data.overall]
        shades = [_SHADES[row.way][index % 4] for row in data.overall]
        value = [row.value[index] for row in rows]
        ax.barh(at, value, height=0.9 * height, color=shades, zorder=2)
        low, high = ([getattr(row, end)[index] for row in rows] for end in ("low", "high"))
        ax.hlines(at, low, high, color=BLACK, linewidth=0.9, zorder=3)
        # A legend of colours would need one for each way: the first group is written on.
        label = f"{horizon_s * 1000:g} ms"
        where = max(float(np.nan_to_num(high[0])), value[0], 0.0)
        ax.annotate(
            label, (where, at[0]), (3, 0), textcoords="offset points", va="center", fontsize=6
        )
    names = [f"{CONDITION_WORDS[row.modality]}\n{row.way}" for row in data.overall]
    ax.set_yticks(np.arange(len(names)), names)
    ax.set_ylim(len(names) - 0.45, -0.55)
    _finish(ax)
    ax.set_xlabel("worth (bits per spike)")


def draw_split(data: ContributionBars, ax: Axes) -> None:
    """Draw what permuting costs by area and by state, at the longest horizon."""
    names, at = [], 0
    for modality in dict.fromkeys(row.modality for row in data.split):
        colour = BLUE if modality == "behavior" else GREY
        for row in data.split:
            if row.modality == modality:
                interval = row.interval
                ax.hlines(at, interval.low[-1], interval.high[-1], color=colour, linewidth=1.2)
                ax.plot(interval.value[-1], at, "o", color=colour, markersize=4)
                names.append(f"{CONDITION_WORDS[modality]}: {row.which}")
                at += 1
    ax.set_yticks(np.arange(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    _finish(ax)
    ax.set_xlabel(f"worth at {data.horizons_s[-1] * 1000:g} ms (bits per spike)")


def _finish(ax: Axes) -> None:
    ax.axvline(0.0, color=BLACK, linewidth=0.7, zorder=4)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=LIGHT_GREY, linewidth=0.4, zorder=0)
    ax.set_axisbelow(True)
    ax.margins(x=0.08)


@dataclass(frozen=True)
class UnitWorth:
    """What one condition is worth to each unit, the least first.

    Parameters
    ----------
    modality : str
    value, low, high : (M,) float
        Bits per spike at the longest horizon.
    driven : (M,) bool
    """

    modality: str
    value: FloatArray
    low: FloatArray
    high: FloatArray
    driven: NDArray[np.bool_]


def compute_unit_worth(
    found: Sequence[Contributions],
) -> tuple[list[UnitWorth], list[dict[str, Any]]]:
    """Return what each unit loses without each condition, and the table of all of it."""
    table = unit_contributions(found)
    panels = []
    for modality in dict.fromkeys(entry["modality"] for entry in table):
        way = best_way(found, modality)
        chosen = [e for e in table if e["modality"] == modality and e["way"] == way]
        chosen.sort(key=lambda entry: entry["bits_per_spike"])
        value, low, high = (
            np.array([entry[key] for entry in chosen], dtype=np.float64)
            for key in ("bits_per_spike", "low", "high")
        )
        driven = np.array([entry["driven"] for entry in chosen])
        panels.append(UnitWorth(modality, value, low, high, driven))
    return panels, table


def draw_unit_worth(data: UnitWorth, ax: Axes) -> None:
    """Draw one dot a unit with its interval, sorted; those that gain for sure in colour."""
    rank = np.arange(len(data.value))
    for mask, colour, label in (
        (~data.driven, GREY, "others"),
        (data.driven, BLUE, f"gain (of {len(rank)}: {int(data.driven.sum())})"),
    ):
        ax.vlines(rank[mask], data.low[mask], data.high[mask], color=colour, linewidth=0.5)
        ax.plot(rank[mask], data.value[mask], ".", color=colour, markersize=2.5, label=label)
    # One unit of few spikes must not flatten all others.
    known = np.isfinite(data.low)
    ends = [data.value]
    if known.any():
        ends += [np.percentile(data.low[known], [2]), np.percentile(data.high[known], [98])]
    ends = np.concatenate(ends)
    room = 0.08 * (ends.max() - ends.min() + 1e-9)
    ax.set_ylim(ends.min() - room, ends.max() + room)
    ax.axhline(0.0, color=BLACK, linewidth=0.7, zorder=0)
    ax.set_xlabel("unit, sorted")
    ax.set_ylabel(f"worth of {CONDITION_WORDS[data.modality]} (bits per spike)")
    ax.legend(loc="upper left", handletextpad=0.2)
