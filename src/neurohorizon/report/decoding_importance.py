"""Which units a decoder reads: what it loses without each, most first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neurohorizon.evaluation.decoding.importance import Importance
from neurohorizon.report.decoding_rows import metric_word
from neurohorizon.report.style import BLACK, BLUE, GREY, LIGHT_GREY

_MOST_NAMED = 40


def importance_table(found: Sequence[Importance]) -> list[dict[str, Any]]:
    """Return the numbers of all recordings, one record a unit or area."""
    return [record for each in found for record in each.table()]


def draw_importance(data: Importance, ax: Axes) -> None:
    """Draw one dot a unit with its interval, sorted; those that are read for sure in colour."""
    order = np.argsort(-data.loss, kind="stable")
    rank = np.arange(len(order))
    read = data.read[order]
    for mask, colour, label in (
        (read, BLUE, f"read (of {len(rank)}: {int(read.sum())})"),
        (~read, GREY, "others"),
    ):
        if mask.any():
            ax.vlines(
                rank[mask],
                data.low[order][mask],
                data.high[order][mask],
                color=colour,
                linewidth=0.7,
            )
            ax.plot(rank[mask], data.loss[order][mask], "o", color=colour, ms=2.8, label=label)
    ax.axhline(0.0, color=BLACK, linewidth=0.7, zorder=0)
    if len(rank) <= _MOST_NAMED:
        ax.set_xticks(rank, data.unit_id[order].tolist(), rotation=90, fontsize=5.5)
        ax.tick_params(axis="x", length=0)
    else:
        ax.set_xlabel("unit, sorted")
    ax.set_ylabel(f"{metric_word(data.metric)} lost")
    ax.set_title(
        f"{data.recording}, {data.task}: {data.row} ({metric_word(data.metric)} {data.score:.3f})",
        loc="left",
    )
    ax.grid(axis="y", color=LIGHT_GREY, linewidth=0.4)
    ax.set_axisbelow(True)
    ax.legend(loc="upper right", handletextpad=0.2)
