"""How a row looks: one colour, weight and dash for it in every figure of a report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import strongest_by_horizon
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
)

FAINT = "#A6A6A6"
FAINT_TEXT = "#7A7A7A"
MODEL_COLOURS = (BLUE, GREEN, PURPLE, SKY)
STRONG_COLOURS = (VERMILION, ORANGE, "#8C510A")
#: The palette's orange and sky blue are too pale for text on white.
TEXT_COLOURS = {ORANGE: "#A86800", SKY: "#2E86B5"}
CEILING_COLOURS = (BLACK, "#5A5A5A")


@dataclass(frozen=True)
class RowStyle:
    """How a row is drawn.

    Parameters
    ----------
    colour, text_colour : str
    width : float
        Of lines, in points.
    dash : str or tuple
        Matplotlib's line style.
    bold : bool
        Of its label.
    rank : int
        What is drawn over what.
    """

    colour: str
    text_colour: str
    width: float
    dash: Any = "-"
    bold: bool = False
    rank: int = 1

    @property
    def line(self) -> dict[str, Any]:
        """Arguments of a line."""
        return {
            "color": self.colour,
            "linewidth": self.width,
            "linestyle": self.dash,
            "zorder": 2 + self.rank,
        }

    @property
    def text(self) -> dict[str, Any]:
        """Arguments of a label."""
        return {"color": self.text_colour, "fontweight": "bold" if self.bold else "normal"}


FAINT_STYLE = RowStyle(FAINT, FAINT_TEXT, 0.8)


def style_rows(
    results: Sequence[EvaluationResult],
    *,
    ablations: Collection[str] = (),
    also: Sequence[str] = (),
) -> dict[str, RowStyle]:
    """Give every row its look: models bold, strongest baselines marked, the others faint.

    Parameters
    ----------
    results : sequence of EvaluationResult
        All that a report shows: a row looks the same in every figure.
    ablations : collection of str
        Rows that are the model without a part.
    also : sequence of str
        Baselines to mark besides the strongest.
    """
    best = [name for each in results for name in strongest_by_horizon(each)]
    strong = list(dict.fromkeys([*best, *also]))
    styles: dict[str, RowStyle] = {}
    for row in (row for result in results for row in result.rows if row.name not in styles):
        if row.name in ablations:
            number = sum(name in ablations for name in styles)
            dash = ((0, (4, 1.5)), (0, (1.5, 1)))[number % 2]
            style = RowStyle(SKY, TEXT_COLOURS[SKY], 1.1, dash, rank=3)
        elif row.role == "model":
            number = sum(each.rank == 5 for each in styles.values())
            colour = MODEL_COLOURS[number % len(MODEL_COLOURS)]
            style = RowStyle(colour, colour, 2.2, bold=True, rank=5)
        elif row.role == "ceiling":
            number = sum(each.rank == 2 for each in styles.values())
            colour = CEILING_COLOURS[number % len(CEILING_COLOURS)]
            dash = ((0, (5, 2)), (0, (5, 2, 1, 2)))[number % 2]
            style = RowStyle(colour, colour, 1.1, dash, rank=2)
        elif row.role == "cheat":
            style = RowStyle(GREY, GREY, 1.0, (0, (1, 1.5)), rank=0)
        elif row.name in strong:
            colour = STRONG_COLOURS[min(strong.index(row.name), len(STRONG_COLOURS) - 1)]
            style = RowStyle(colour, TEXT_COLOURS.get(colour, colour), 1.5, rank=4)
        else:
            style = FAINT_STYLE
        styles[row.name] = style
    return styles


def style_of(styles: Mapping[str, RowStyle], name: str) -> RowStyle:
    """Return the look of a row; faint if it has none of its own."""
    return styles.get(name, FAINT_STYLE)


def spread(values: ArrayLike, *, gap: float) -> FloatArray:
    """Move values apart until neighbours are at least a gap apart, as little as need be.

    Examples
    --------
    >>> spread([0.0, 0.1, 5.0], gap=1.0).tolist()
    [-0.45, 0.55, 5.0]
    """
    values = np.asarray(values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    # Pool neighbours that collide; each pool is centred on the mean of what it holds.
    pools: list[list[float]] = []
    for count, value in enumerate(values[order]):
        pools.append([value - gap * count, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, size), (next_mean, next_size) = pools[-2:]
            both = size + next_size
            pools[-2:] = [[(mean * size + next_mean * next_size) / both, both]]
    placed = np.concatenate([np.full(int(size), mean) for mean, size in pools] or [np.empty(0)])
    result = np.empty_like(values)
    result[order] = placed + gap * np.arange(len(values))
    return result


def label_ends(
    ax: Axes,
    names: Sequence[str],
    heights: ArrayLike,
    styles: Mapping[str, RowStyle],
    *,
    texts: Mapping[str, str] | None = None,
    gap: float = 0.045,
) -> None:
    """Write names beside the right ends of lines, each at its height but none over another.

    Parameters
    ----------
    ax : Axes
        With its final limits.
    names : sequence of str
        Rows.
    heights : array_like
        Where their lines end, in data coordinates.
    styles : mapping of str to RowStyle
    texts : mapping of str to str, optional
        What to write instead of a row's name.
    gap : float
        Distance between labels as a share of the axes' height.
    """
    low, high = ax.get_ylim()
    at = (np.clip(np.asarray(heights, dtype=np.float64), low, high) - low) / (high - low)
    placed = spread(at, gap=gap)
    for name, start, end in zip(names, at, placed, strict=True):
        style = style_of(styles, name)
        ax.plot(
            [1.005, 1.02, 1.045, 1.055],
            [start, start, end, end],
            color=style.colour,
            linewidth=0.5,
            transform=ax.transAxes,
            clip_on=False,
            scalex=False,
            scaley=False,
        )
        text = (texts or {}).get(name, name)
        ax.text(1.065, end, text, va="center", fontsize=7, transform=ax.transAxes, **style.text)
