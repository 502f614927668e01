"""What was tried of every row: equal budgets are a claim, so they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from neurohorizon.evaluation.retrieval.views import Tried
from neurohorizon.report.rows import RowStyle, style_of


def tuning_table(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """Return one record a candidate; the first of equal scores was chosen."""
    return [
        {
            "row": each.row,
            "recording": each.recording,
            "candidate": number,
            "score": score,
            "chosen": int(number == int(np.argmax(each.scores))),
        }
        for each in tried
        for number, score in enumerate(each.scores)
    ]


def draw_tuning(tried: Sequence[Tried], ax: Axes, *, styles: Mapping[str, RowStyle]) -> None:
    """Draw every candidate's score; the chosen one is filled."""
    recordings = list(dict.fromkeys(each.recording for each in tried))
    rows = list(dict.fromkeys(each.row for each in tried))
    labelled = set()
    for each in tried:
        offset = 0.0
        if len(rows) > 1:
            offset = 0.64 * (rows.index(each.row) / (len(rows) - 1) - 0.5)
        at, style = recordings.index(each.recording) + offset, style_of(styles, each.row)
        scores = 100 * np.array(each.scores)
        ax.plot(
            np.full(len(scores), at),
            scores,
            "o",
            markersize=2.6,
            color=style.colour,
            markerfacecolor="white",
            markeredgewidth=0.6,
            alpha=0.8,
        )
        grey = each.row not in (row.split(",")[0] for row in rows)
        ax.plot(
            at,
            scores.max(),
            "s" if grey else "o",
            markersize=4,
            color=style.colour,
            label=None if each.row in labelled else each.row,
        )
        labelled.add(each.row)
    ax.set_xlim(-0.6, len(recordings) - 0.4)
    ax.set_ylim(bottom=0)
    many = len(recordings) > 7 or max(map(len, recordings)) > 14
    ax.set_xticks(np.arange(len(recordings)), recordings, rotation=30 if many else 0)
    ax.set_ylabel("validation score (%)")
