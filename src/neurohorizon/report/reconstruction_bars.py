"""Scores of all rows of a reconstruction side by side, a panel a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from neurohorizon.evaluation.pictures.results import (
    ROLES,
    PictureMetric,
    ReconstructionResult,
    Role,
)
from neurohorizon.evaluation.pictures.summary import control_of, estimate, surely
from neurohorizon.evaluation.retrieval.summary import Estimate
from neurohorizon.report.rows import RowStyle, style_of
from neurohorizon.report.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    two_lines,
)

_GENERATORS = (BLUE, GREEN, PURPLE, SKY)
_CONTROLS = (VERMILION, ORANGE, "#8C510A")


@dataclass(frozen=True, eq=False)
class RowScores:
    """Every row's score by metric.

    Parameters
    ----------
    rows : list of (row, role)
        Roles together, in their order.
    metrics : list of PictureMetric
    found : mapping of (row, metric) to Estimate
    control : str
        The row that marks compare with.
    marks : mapping of (row, metric) to {"better", "worse", ""}
    """

    rows: list[tuple[str, Role]]
    metrics: list[PictureMetric]
    found: Mapping[tuple[str, str], Estimate]
    control: str
    marks: Mapping[tuple[str, str], str]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a row and metric."""
        return [
            {
                "row": row,
                "role": role,
                "metric": metric.name,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                f"against {self.control}": self.marks.get((row, metric.name), ""),
            }
            for row, role in self.rows
            for metric in self.metrics
            if (found := self.found.get((row, metric.name))) is not None
        ]


def compute_row_scores(
    result: ReconstructionResult,
    metrics: Sequence[PictureMetric],
    *,
    named: str | None = None,
) -> RowScores:
    """Gather every row's scores, and whether they are for sure better or worse than a control's.

    Parameters
    ----------
    result : ReconstructionResult
    metrics : sequence of PictureMetric
    named : str, optional
        The control; by default the first one.
    """
    control = control_of(result, named)
    found, marks = {}, {}
    for row in result.rows:
        for metric in metrics:
            level = estimate(result, row.name, metric.name)
            if level is None:
                continue
            found[row.name, metric.name] = level
            step = estimate(result, row.name, metric.name, minus=control)
            if row.name != control and step is not None:
                marks[row.name, metric.name] = surely(step, metric)
    rows: list[tuple[str, Role]] = [
        (row.name, row.role)
        for role in ROLES
        for row in result.rows
        if row.role == role and any((row.name, metric.name) in found for metric in metrics)
    ]
    return RowScores(rows, list(metrics), found, control, marks)


def style_reconstruction(result: ReconstructionResult) -> dict[str, RowStyle]:
    """Give every row its look: generators and controls in colours, oracles black, chance grey."""
    styles = {}
    coloured: tuple[tuple[Role, tuple[str, ...]], ...] = (
        ("generator", _GENERATORS),
        ("control", _CONTROLS),
    )
    for role, colours in coloured:
        for number, name in enumerate(result.of_role(role)):
            colour = colours[number % len(colours)]
            styles[name] = RowStyle(colour, colour, 1.2, bold=role == "generator")
    styles |= {name: RowStyle(BLACK, BLACK, 1.0) for name in result.of_role("oracle")}
    return styles | {name: RowStyle(GREY, GREY, 1.0) for name in result.of_role("chance")}


def draw_row_scores(
    data: RowScores, axes: Sequence[Axes], *, styles: Mapping[str, RowStyle]
) -> None:
    """Draw a panel a metric, a line a row: the score with its interval.

    Filled: for sure better or worse than the control, or the control itself; open: it may be
    either.
    """
    places, place, last = {}, 0.0, None
    for row, role in data.rows:
        place += 0.6 * (last is not None and role != last)
        places[row], last = place, role
        place += 1.0
    for ax, metric in zip(axes, data.metrics, strict=True):
        scale = 100 if metric.share else 1
        for row, height in places.items():
            found = data.found.get((row, metric.name))
            if found is None:
                continue
            colour = style_of(styles, row).colour
            sure = row == data.control or data.marks.get((row, metric.name), "") != ""
            ax.hlines(height, scale * found.low, scale * found.high, color=colour, linewidth=1.1)
            ax.plot(
                scale * found.value,
                height,
                "o",
                color=colour,
                markersize=4,
                markerfacecolor=colour if sure else "white",
            )
        control = data.found.get((data.control, metric.name))
        if control is not None:
            ax.axvline(scale * control.value, color=LIGHT_GREY, linewidth=0.8, zorder=0)
        if metric.chance is not None:
            ax.axvline(scale * metric.chance, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        ax.set_xlabel(_label(metric))
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.set_ylim(place - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.set_yticks(list(places.values()), list(places))
    for label, (row, _) in zip(axes[0].get_yticklabels(), data.rows, strict=True):
        label.set_fontweight("bold" if style_of(styles, row).bold else "normal")


def bars_height_mm(data: RowScores) -> float:
    """Return how tall the figure must be."""
    return 20 + 4.6 * (len(data.rows) + 0.6 * len({role for _, role in data.rows}))


def _label(metric: PictureMetric) -> str:
    lower = "\n(lower is better)" * (metric.better == "lower")
    return two_lines(metric.name, most=18) + " (%)" * metric.share + lower
