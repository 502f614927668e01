"""Figures of a sweep: differences to the first member, scaling, horizons, transfer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from neurohorizon.evaluation.run_results import SetName
from neurohorizon.evaluation.sweep_results import SweepMember, SweepResults
from neurohorizon.evaluation.sweep_steps import average, level_of
from neurohorizon.evaluation.sweep_table import SweepRow, recording_bits
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.ablations import SHADES
from neurohorizon.report.style import BLACK, BLUE, GREY, LIGHT_GREY, PALETTE, VERMILION

#: Keys whose values are told by the number of parameters that they make.
OF_SIZE = ("model.size", "model.width")
#: With more members than colours, only the first one and the strongest baseline stand out.
_MOST_COLOURED = 7
_MOST_PANELS = 4


@dataclass(frozen=True)
class ScalingCurve:
    """Bits per spike against a number that was varied.

    Parameters
    ----------
    key, label : str
    x : (X,) float
    horizons_s : tuple of float
    by_seed : list of (S, H) float
        At each x.
    names : list of str
        Of the members.
    """

    key: str
    label: str
    x: FloatArray
    horizons_s: tuple[float, ...]
    by_seed: list[FloatArray]
    names: list[str]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a member and horizon."""
        return [
            {
                "member": name,
                self.label: x,
                "horizon_s": horizon_s,
                "bits_per_spike": float(values[:, index].mean()),
                "sd_over_seeds": float(values[:, index].std(ddof=1)) if len(values) > 1 else "",
                "num_seeds": len(values),
            }
            for name, x, values in zip(self.names, self.x, self.by_seed, strict=True)
            for index, horizon_s in enumerate(self.horizons_s)
        ]


@dataclass(frozen=True)
class TransferMatrix:
    """Bits per spike by what was trained on and what was scored.

    Parameters
    ----------
    horizon_s : float
    trained_on, scored_on : list of str
    value : (M, G) float
        NaN where nothing was scored.
    """

    horizon_s: float
    trained_on: list[str]
    scored_on: list[str]
    value: FloatArray

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a pair."""
        return [
            {
                "member": row,
                "scored_on": column,
                "horizon_s": self.horizon_s,
                "bits_per_spike": self.value[i, j],
            }
            for i, row in enumerate(self.trained_on)
            for j, column in enumerate(self.scored_on)
        ]


def shown_horizons(horizons_s: Sequence[float]) -> list[int]:
    """Return the places of at most four horizons that a table has room for, evenly taken."""
    if len(horizons_s) <= _MOST_PANELS:
        return list(range(len(horizons_s)))
    return [int(each) for each in np.linspace(0, len(horizons_s) - 1, _MOST_PANELS).round()]


def draw_steps(rows: Sequence[SweepRow], figure: Figure, *, first: str) -> list[dict[str, Any]]:
    """Draw a bar a row and horizon: the paired difference to the first member.

    Line: 95 % interval over recordings or blocks; points: seeds. Returns the numbers.
    """
    drawn = [row for row in rows if row.step is not None]
    horizons_s = next(row.horizons_s for row in rows)
    panels = shown_horizons(horizons_s)
    axes = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
    table = []
    for column, (panel, ax) in enumerate(zip(panels, axes, strict=True)):
        horizon_s = horizons_s[panel]
        for place, row in enumerate(drawn):
            if row.step is None or horizon_s not in row.horizons_s:
                continue
            at = row.horizons_s.index(horizon_s)
            value, low, high = (
                getattr(row.step.interval, end)[at] for end in ("value", "low", "high")
            )
            if not np.isfinite(value):
                continue
            colour = {1: BLUE, -1: VERMILION, 0: "#B4B4B4"}[int(row.step.moved[at])]
            hatch = None if row.member is not None else "////"
            ax.barh(
                place,
                value,
                height=0.66,
                color=colour if hatch is None else "white",
                edgecolor=colour,
                hatch=hatch,
                linewidth=0.6,
                zorder=2,
            )
            ax.hlines(place, low, high, color=BLACK, linewidth=0.9, zorder=3)
            if row.member is not None and len(row.step.by_seed) > 1:
                ax.plot(
                    row.step.by_seed[:, at],
                    np.full(len(row.step.by_seed), place + 0.0),
                    "|",
                    color=BLACK,
                    markersize=5,
                    markeredgewidth=0.7,
                    zorder=4,
                )
            table.append(
                {
                    "member": row.name,
                    "to": first,
                    "horizon_s": horizon_s,
                    "difference": value,
                    "low": low,
                    "high": high,
                    "num_seeds": len(row.seeds),
                }
            )
        ax.axvline(0.0, color=BLACK, linewidth=0.7, zorder=5)
        ax.set_ylim(len(drawn) - 0.4, -0.6)
        ax.set_yticks(range(len(drawn)), [row.name for row in drawn] if column == 0 else [])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=LIGHT_GREY, linewidth=0.4, zorder=0)
        ax.set_axisbelow(True)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.set_title(f"{horizon_s * 1000:g} ms")
    figure.supxlabel(f"bits per spike, minus {first}", fontsize=8)
    return table


def compute_scaling(results: SweepResults, of_set: SetName) -> list[ScalingCurve]:
    """Return a curve for every key that three members or more differ in by a number alone."""
    curves = []
    for key in results.record["factors"]:
        found = {
            x: member
            for member in results.finished
            if set(member.settings) <= {key}
            and (x := _x_of(member, key)) is not None
            and all(of_set in run.sets for run in member.seeds.values())
        }
        points = sorted(found.items(), key=lambda pair: pair[0])
        if len(points) < 3:
            continue
        sums = [[run.sets[of_set] for run in member.seeds.values()] for _, member in points]
        if len({each[0].horizons_s for each in sums}) > 1:
            continue
        curves.append(
            ScalingCurve(
                key=key,
                label="parameters" if key in OF_SIZE else key.rpartition(".")[2].replace("_", " "),
                x=np.array([x for x, _ in points]),
                horizons_s=sums[0][0].horizons_s,
                by_seed=[np.stack([level_of(one).value for one in each]) for each in sums],
                names=[member.name for _, member in points],
            )
        )
    return curves


def draw_scaling(data: ScalingCurve, ax: Axes) -> None:
    """Draw one line a horizon through the means over seeds; points are seeds."""
    panels = shown_horizons(data.horizons_s)
    for index, panel in enumerate(panels):
        colour = SHADES[min(index, len(SHADES) - 1)]
        means = [float(each[:, panel].mean()) for each in data.by_seed]
        name = f"{data.horizons_s[panel] * 1000:g} ms"
        ax.plot(data.x, means, "-", color=colour, linewidth=1.6, label=name, zorder=3)
        for x, each in zip(data.x, data.by_seed, strict=True):
            ax.plot(
                np.full(len(each), x), each[:, panel], "o", color=colour, markersize=3, zorder=4
            )
    if data.x.min() > 0 and data.x.max() >= 4 * data.x.min():
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(FixedLocator(list(data.x)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    ax.set_xlabel(data.label)
    ax.set_ylabel("bits per spike")
    ax.grid(axis="y", color=LIGHT_GREY, linewidth=0.4, zorder=0)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), title="horizon", title_fontsize=7)


def draw_horizons(rows: Sequence[SweepRow], ax: Axes) -> list[dict[str, Any]]:
    """Draw every row's bits per spike against the horizon. Returns the numbers."""
    members = [row for row in rows if row.member is not None]
    coloured = len(members) <= _MOST_COLOURED
    table = []
    for number, row in enumerate(rows):
        if row.member is None and "strongest" not in row.name:
            continue
        x = [horizon_s * 1000 for horizon_s in row.horizons_s]
        first = number == 0
        if row.member is None:
            look: dict[str, Any] = {"color": BLACK, "linestyle": (0, (4, 2)), "linewidth": 1.2}
        elif coloured or first:
            look = {"color": PALETTE[number % _MOST_COLOURED], "linewidth": 2.2 if first else 1.2}
        else:
            look = {"color": GREY, "linewidth": 0.6, "alpha": 0.7}
        named = coloured or first or row.member is None
        label = row.name if named else ("others" if number == 1 else None)
        ax.plot(x, row.level.value, marker="o", label=label, zorder=5 if first else 3, **look)
        if len(row.by_seed) > 1 and (coloured or first):
            spread = row.spread
            ax.fill_between(
                x,
                row.level.value - spread,
                row.level.value + spread,
                color=look["color"],
                alpha=0.15,
                linewidth=0,
            )
        table += [
            {
                "member": row.name,
                "horizon_s": horizon_s,
                "bits_per_spike": value,
                "sd_over_seeds": sd,
            }
            for horizon_s, value, sd in zip(
                row.horizons_s, row.level.value, row.spread, strict=True
            )
        ]
    ax.set_xscale("log")
    longest = max((row.horizons_s for row in rows), key=len)
    shown = [longest[index] * 1000 for index in shown_horizons(longest)]
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("horizon (ms)")
    ax.set_ylabel("bits per spike")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return table


def compute_transfer(results: SweepResults) -> TransferMatrix | None:
    """Gather who was scored after training on whom; None if members trained on the same."""
    groups = results.record.get("groups")
    if not groups:
        return None
    pooled = []
    for member in results.finished:
        runs = list(member.seeds.values())
        sets = {name: average([run.sets[name] for run in runs]) for name in runs[0].sets}
        pooled.append((member.name.removeprefix("trained on "), sets))
    columns = sorted(groups)
    value = np.full((len(pooled), len(columns)), np.nan)
    for i, (_, sets) in enumerate(pooled):
        for j, column in enumerate(columns):
            found = [recording_bits(sums, groups[column]) for sums in sets.values()]
            value[i, j] = next((each for each in found if np.isfinite(each)), np.nan)
    horizon_s = next(iter(pooled[0][1].values())).horizons_s[0]
    return TransferMatrix(horizon_s, [name for name, _ in pooled], columns, value)


def draw_transfer(data: TransferMatrix, ax: Axes) -> None:
    """Draw the matrix with its numbers; what was trained on in rows."""
    limit = float(np.nanmax(np.abs(data.value), initial=1e-6))
    image = ax.imshow(data.value, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(data.value):
        strong = abs(value) > 0.6 * limit
        text = f"{value:.3f}".replace("-", "−") if np.isfinite(value) else "–"
        ax.text(
            column, row, text, ha="center", va="center", fontsize=7, color="w" if strong else "k"
        )
    ax.set_xticks(range(len(data.scored_on)), data.scored_on, rotation=30, ha="right")
    ax.set_yticks(range(len(data.trained_on)), data.trained_on)
    ax.set_xlabel("scored on")
    ax.set_ylabel("trained on")
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    assert ax.figure is not None
    label = f"bits per spike, {data.horizon_s * 1000:g} ms"
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.8)


def draw_references(results: SweepResults, ax: Axes) -> list[dict[str, Any]]:
    """Draw the score at the first horizon against seconds of reference. Returns the numbers."""
    table = []
    for number, member in enumerate(results.finished):
        runs = list(member.seeds.values())
        seconds = sorted(set.intersection(*(set(run.by_reference) for run in runs)))
        values = [level_of(average([run.by_reference[s] for run in runs])) for s in seconds]
        ax.plot(
            seconds,
            [each.value[0] for each in values],
            "o-",
            color=PALETTE[number % len(PALETTE)],
            label=member.name,
        )
        table += [
            {
                "member": member.name,
                "reference_s": s,
                "horizon_s": runs[0].by_reference[s].horizons_s[0],
                "bits_per_spike": each.value[0],
                "low": each.low[0],
                "high": each.high[0],
            }
            for s, each in zip(seconds, values, strict=True)
        ]
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sorted({row["reference_s"] for row in table})))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("seconds of reference read of a session")
    ax.set_ylabel(f"bits per spike, {table[0]['horizon_s'] * 1000:g} ms")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return table


def _x_of(member: SweepMember, key: str) -> float | None:
    if key in OF_SIZE:
        return float(member.num_parameters)
    value = member.values.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _short(value: float) -> str:
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= 10 * size or (size == 1e6 and value >= size):
            return f"{value / size:.3g}{letter}"
    return f"{value:g}"
