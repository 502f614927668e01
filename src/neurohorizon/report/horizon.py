"""Scores against the horizon: bits/spike of every row, bin by bin, and agreement with counts."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.evaluation.metrics import bits_per_spike
from neurohorizon.evaluation.protocol import Role
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.evaluation.summary import difference, pooled, score_table, strongest_by_horizon
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.rows import FAINT_TEXT, RowStyle, label_ends, style_of

Table = list[dict[str, Any]]
#: Rows further below zero than this share of the best one are named, not drawn.
_LOWEST_SHARE = 0.35


@dataclass(frozen=True)
class Curve:
    """One row against time.

    Parameters
    ----------
    name : str
    role : {"model", "baseline", "ceiling", "cheat"}
    value, low, high : (X,) float
        Low and high are NaN where there is no interval.
    """

    name: str
    role: Role
    value: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class HorizonCurves:
    """Bits per spike of every row, cumulative to each reported horizon.

    Parameters
    ----------
    horizons_s : (H,) float
    curves : list of Curve
    strongest : list of str
        The strongest baseline at each horizon.
    """

    horizons_s: FloatArray
    curves: list[Curve]
    strongest: list[str]

    def table(self) -> Table:
        """Return the numbers, one record a row and horizon."""
        return [
            {
                "row": curve.name,
                "role": curve.role,
                "horizon_s": float(horizon_s),
                "bits_per_spike": curve.value[index],
                "low": curve.low[index],
                "high": curve.high[index],
                "strongest_baseline": curve.name == self.strongest[index],
            }
            for curve in self.curves
            for index, horizon_s in enumerate(self.horizons_s)
        ]


def compute_horizon_curves(
    result: EvaluationResult, *, observer: EvaluationResult | None = None, model: str = ""
) -> HorizonCurves:
    """Gather the pooled scores of all rows.

    Parameters
    ----------
    result : EvaluationResult
    observer : EvaluationResult, optional
        With ceilings, maybe scored on fewer windows.
    model : str
        Row by which ceilings are placed.

    Notes
    -----
    A ceiling is placed at the model's score plus its paired difference to the model on the
    windows that it was scored on: the level of a part of the windows is not that of all.
    """
    curves = []
    for row in result.rows:
        interval = pooled(result, row.name)
        curves.append(Curve(row.name, row.role, interval.value, interval.low, interval.high))
    if observer is not None:
        level = pooled(result, model).value
        for name in observer.names("ceiling"):
            gap = difference(observer, name, model)
            ends = (level + each for each in (gap.value, gap.low, gap.high))
            curves.append(Curve(name, "ceiling", *ends))
    return HorizonCurves(
        horizons_s=np.array(result.protocol.horizons_s),
        curves=curves,
        strongest=strongest_by_horizon(result),
    )


def draw_horizon_curves(
    data: HorizonCurves, ax: Axes, *, styles: Mapping[str, RowStyle], top: float | None = None
) -> None:
    """Draw them on a logarithmic axis of horizons, labelled at their ends.

    Parameters
    ----------
    data : HorizonCurves
    ax : Axes
    styles : mapping of str to RowStyle
    top : float, optional
        Upper limit, for panels that are to be compared.
    """
    highest = max(float(np.nanmax(curve.value)) for curve in data.curves)
    top = 1.12 * highest if top is None else top
    models = [float(np.nanmin(curve.value)) for curve in data.curves if curve.role == "model"]
    bottom = min([-_LOWEST_SHARE * top, *models])
    drawn = [curve for curve in data.curves if np.nanmin(curve.value) >= bottom]
    hidden = [curve for curve in data.curves if np.nanmin(curve.value) < bottom]
    lowest = min([0.0, *(float(np.nanmin(curve.value)) for curve in drawn)])
    x = data.horizons_s
    ax.axhline(0.0, color="#444444", linewidth=0.6, zorder=1)
    whiskers = 0
    for curve in sorted(drawn, key=lambda each: style_of(styles, each.name).rank):
        style = style_of(styles, curve.name)
        ax.plot(x, curve.value, **style.line, marker="o" if style.rank >= 4 else None)
        if curve.role == "model":
            ax.fill_between(x, curve.low, curve.high, color=style.colour, alpha=0.14, linewidth=0)
        elif style.rank >= 2:
            # Beside each other, so that none hides another; the faint rows' are in the table.
            at = x / 1.015**whiskers
            ax.vlines(at, curve.low, curve.high, color=style.colour, linewidth=0.8, alpha=0.8)
            whiskers += 1
    _horizon_axis(ax, x)
    ax.set_ylabel("bits per spike over the null")
    ax.set_ylim(lowest - 0.04 * (top - lowest), top)
    texts = {name: f"{name} ★" for name in data.strongest}
    texts |= {curve.name: f"{curve.name} (cheat)" for curve in drawn if curve.role == "cheat"}
    label_ends(ax, [c.name for c in drawn], [c.value[-1] for c in drawn], styles, texts=texts)
    if hidden:
        _name_hidden(ax, [f"{c.name} {c.value[0]:.2f} … {c.value[-1]:.2f}" for c in hidden])


@dataclass(frozen=True)
class GroupCurves:
    """Bits per spike of each group of bins by itself, not cumulative.

    Parameters
    ----------
    edges_s : (G + 1,) float
        Edges of the horizon groups: fine near the origin and coarse far from it.
    curves : list of Curve
        Without intervals.
    """

    edges_s: FloatArray
    curves: list[Curve]

    def table(self) -> Table:
        """Return the numbers, one record a row and group of bins."""
        return [
            {
                "row": curve.name,
                "start_s": round(float(self.edges_s[index]), 6),
                "end_s": round(float(self.edges_s[index + 1]), 6),
                "bits_per_spike": value,
            }
            for curve in self.curves
            for index, value in enumerate(curve.value)
        ]


def compute_group_curves(
    result: EvaluationResult, *, observer: EvaluationResult | None = None, model: str = ""
) -> GroupCurves:
    """Score each horizon group by itself; ceilings are placed by their gap to the model."""
    spec = result.protocol.spec
    curves = [_group_curve(result, row.name, row.role) for row in result.rows]
    if observer is not None:
        level = _group_curve(result, model, "model").value
        level = level - _group_curve(observer, model, "model").value
        for name in observer.names("ceiling"):
            ceiling = _group_curve(observer, name, "ceiling")
            curves.append(replace(ceiling, value=level + ceiling.value))
    return GroupCurves(edges_s=spec.group_edges.astype(np.float64) * spec.bin_s, curves=curves)


def draw_group_curves(data: GroupCurves, ax: Axes, *, styles: Mapping[str, RowStyle]) -> None:
    """Draw the rows that stand out, and the reference rate."""
    shown = [
        curve
        for curve in data.curves
        if style_of(styles, curve.name).rank >= 2 or curve.name == "reference rate"
    ]
    ax.axhline(0.0, color="#444444", linewidth=0.6, zorder=1)
    for curve in sorted(shown, key=lambda each: style_of(styles, each.name).rank):
        style = style_of(styles, curve.name)
        steps = np.append(curve.value, curve.value[-1])
        ax.plot(data.edges_s, steps, drawstyle="steps-post", **style.line)
    ax.set_xlim(0.0, data.edges_s[-1])
    ax.set_xlabel("time since the origin of the forecast (s)")
    ax.set_ylabel("bits per spike of these bins alone")
    label_ends(ax, [c.name for c in shown], [c.value[-1] for c in shown], styles)


@dataclass(frozen=True)
class AgreementCurves:
    """Correlation and R² of expected with observed counts, means over units.

    Parameters
    ----------
    horizons_s : (H,) float
    correlation, r2 : list of Curve
        Without intervals.
    """

    horizons_s: FloatArray
    correlation: list[Curve]
    r2: list[Curve]

    def table(self) -> Table:
        """Return the numbers, one record a row and horizon."""
        return [
            {
                "row": one.name,
                "horizon_s": float(horizon_s),
                "correlation": one.value[index],
                "r2": other.value[index],
            }
            for one, other in zip(self.correlation, self.r2, strict=True)
            for index, horizon_s in enumerate(self.horizons_s)
        ]


def compute_agreement(result: EvaluationResult) -> AgreementCurves:
    """Gather correlation and R² of the counts up to each horizon."""
    table, num_horizons = score_table(result), len(result.protocol.horizons_s)
    unknown = np.full(num_horizons, np.nan)

    def curves(key: str) -> list[Curve]:
        found = []
        for number, row in enumerate(result.rows):
            records = table[number * num_horizons : (number + 1) * num_horizons]
            value = np.array([record[key] for record in records], dtype=np.float64)
            found.append(Curve(row.name, row.role, value, unknown, unknown))
        return found

    return AgreementCurves(
        np.array(result.protocol.horizons_s), curves("correlation"), curves("r2")
    )


def draw_agreement(
    data: AgreementCurves, axes: Sequence[Axes], *, styles: Mapping[str, RowStyle]
) -> None:
    """Draw correlation and R² side by side."""
    named = zip(axes, (data.correlation, data.r2), ("correlation", "R²"), strict=True)
    for ax, curves, what in named:
        known = [c for c in curves if np.isfinite(c.value).all() and c.role != "cheat"]
        leading = [c for c in known if style_of(styles, c.name).rank >= 4] or known
        # The scale is that of the rows that stand out; what lies below it is named.
        ends = np.concatenate([[0.0, 1e-3], *(c.value for c in leading)])
        top, bottom = 1.1 * float(ends.max()), float(ends.min()) - 0.25 * float(np.ptp(ends))
        shown = [c for c in known if c in leading or np.min(c.value) >= bottom]
        for curve in shown:
            style = style_of(styles, curve.name)
            ax.plot(data.horizons_s, curve.value, **style.line, marker="o")
        ax.axhline(0.0, color="#444444", linewidth=0.6, zorder=1)
        _horizon_axis(ax, data.horizons_s)
        ax.set_ylabel(f"{what} of counts")
        ax.set_ylim(bottom, max(top, *(1.05 * float(np.max(c.value)) for c in shown), 1e-3))
        label_ends(ax, [c.name for c in shown], [c.value[-1] for c in shown], styles, gap=0.08)
        hidden = [c.name for c in known if c not in shown]
        if hidden:
            _name_hidden(ax, hidden)


def common_top(all_sets: Sequence[SetResults]) -> float:
    """Return an upper limit that suits the horizon curves of all sets."""
    tops = []
    for each in all_sets:
        data = compute_horizon_curves(each.rows, observer=each.observer, model=each.lead)
        level = max(float(np.nanmax(curve.value)) for curve in data.curves)
        ends = [curve.high for curve in data.curves if curve.name in (each.lead, *each.rivals)]
        ends = [float(np.max(high)) for high in ends if np.isfinite(high).all()]
        # Whiskers fit in, unless they are so long that the curves would not be seen.
        tops.append(max(1.12 * level, min(1.03 * max(ends, default=level), 1.5 * level)))
    return max(tops)


def _group_curve(result: EvaluationResult, name: str, role: Role) -> Curve:
    scores, starts = result.of_row(name), result.protocol.spec.group_edges[:-1]
    gain, spikes = (
        np.add.reduceat(np.sum([each.sum(axis=(0, 1)) for each in arrays], axis=0), starts)
        for arrays in ([each.gain for each in scores], [each.spikes for each in scores])
    )
    value = bits_per_spike(gain, 0.0, spikes)
    unknown = np.full(value.shape, np.nan)
    return Curve(name, role, value, unknown, unknown)


def _horizon_axis(ax: Axes, horizons_s: FloatArray) -> None:
    ax.set_xscale("log")
    ax.set_xlim(horizons_s[0] / 1.08, horizons_s[-1] * 1.03)
    ax.xaxis.set_major_locator(FixedLocator(list(horizons_s)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 1000:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("horizon (ms): all bins from the origin to here")


def _name_hidden(ax: Axes, names: Sequence[str]) -> None:
    """Name rows that lie below the scale, above the axes and in lines as wide as they are."""
    told = textwrap.fill(f"below the scale: {', '.join(names)}".replace(" -", " −"), 62)
    ax.set_title(told, loc="left", fontsize=6.5, color=FAINT_TEXT)
