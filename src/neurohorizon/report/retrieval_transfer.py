"""What other recordings are worth: scores against the target's number of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurohorizon.evaluation.retrieval.results import Metric
from neurohorizon.evaluation.retrieval.summary import Estimate
from neurohorizon.evaluation.retrieval.transfer import (
    NEW_INPUT,
    OWN,
    SHARED,
    Line,
    TransferResult,
    full_estimate,
    transfer_estimate,
)
from neurohorizon.report.style import BLACK, BLUE, GREY, VERMILION

_COLOURS = {OWN: BLACK, SHARED: VERMILION, NEW_INPUT: BLUE}
_DASHES = {"": "-", "same animal": (0, (1.5, 1)), "other animal": (0, (4, 2)), "all others": "-"}
_MARKERS = {"": "o", "same animal": "^", "other animal": "s", "all others": "o"}


@dataclass(frozen=True, eq=False)
class TransferCurves:
    """Scores of a row by number of pictures, or differences to own pictures only.

    Parameters
    ----------
    row : str
    title : str
        Whose they are.
    metric : Metric
    paired : bool
        Differences.
    curves : dict of Line to list of (float, Estimate)
        Pictures of the target, and what they come to.
    full : Estimate or None
        Of the targets' own bridges; None of differences.
    chance : float
    """

    row: str
    title: str
    metric: Metric
    paired: bool
    curves: dict[Line, list[tuple[float, Estimate]]]
    full: Estimate | None
    chance: float

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a line and number of pictures."""
        return [
            {
                "row": self.row,
                "target": self.title,
                "score": f"{self.metric.name} minus {OWN}" if self.paired else self.metric.name,
                "way": line.way,
                "sources": line.relation,
                "pictures": pictures,
                "value": found.value,
                "low": found.low,
                "high": found.high,
            }
            for line, points in self.curves.items()
            for pictures, found in points
        ]


def compute_transfer(
    result: TransferResult, row: str, targets: Sequence[str], *, paired: bool = False
) -> TransferCurves:
    """Gather the curves of one target, or of the mean of several.

    Parameters
    ----------
    result : TransferResult
    row : str
    targets : sequence of str
    paired : bool
        Differences to own pictures only. Otherwise lines that some of the targets lack are left
        out, since their mean would be one of other targets.
    """
    metric, numbers = result.metrics()[0], result.numbers(targets)
    curves: dict[Line, list[tuple[float, Estimate]]] = {}
    for line in result.lines(row, targets):
        if paired and line.way == OWN:
            continue
        for number in numbers:
            there = [bool(result.sources(row, line, each, number)) for each in targets]
            if not (any(there) if paired else all(there)):
                continue
            found = transfer_estimate(result, row, line, metric, number, targets, minus_own=paired)
            assert found is not None
            point = (result.num_pictures(number, targets), found)
            curves.setdefault(line, []).append(point)
    return TransferCurves(
        row=row,
        title=targets[0] if len(targets) == 1 else f"mean of {len(targets)} recordings",
        metric=metric,
        paired=paired,
        curves=curves,
        full=None if paired else full_estimate(result, row, metric, targets),
        chance=result.chance(metric, targets),
    )


def draw_transfer(data: TransferCurves, ax: Axes) -> None:
    """Draw one curve a line on a logarithmic axis of pictures, with intervals."""
    every = sorted({pictures for points in data.curves.values() for pictures, _ in points})
    for number, (line, points) in enumerate(data.curves.items()):
        colour = _COLOURS[line.way]
        # Beside each other, so that no whisker hides another.
        at = np.array([pictures for pictures, _ in points])
        at = at * 1.04 ** (number - (len(data.curves) - 1) / 2)
        values, low, high = (
            100 * np.array([getattr(found, name) for _, found in points])
            for name in ("value", "low", "high")
        )
        ax.plot(
            at,
            values,
            color=colour,
            linestyle=_DASHES[line.relation],
            marker=_MARKERS[line.relation],
            markerfacecolor=colour if line.relation in ("", "all others") else "white",
            label=line.name,
        )
        ax.vlines(at, low, high, color=colour, linewidth=0.6)
    if data.full is None:
        ax.axhline(0, color=BLACK, linewidth=0.8)
        ax.set_ylabel(f"{data.metric.name} minus\n{OWN} (points)")
    else:
        ax.axhline(100 * data.full.value, color=GREY, linewidth=0.9, label="own bridge, tuned too")
        ax.axhline(100 * data.chance, color=GREY, linewidth=0.8, linestyle=":", label="chance")
        ax.set_ylim(bottom=0)
        ax.set_ylabel(f"{data.metric.name} (%)")
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(every))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("pictures of the recording itself")
    ax.set_title(data.title)
