"""Scores of all rows side by side, with what was varied of each; and recording by recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from neurohorizon.evaluation.retrieval.results import Direction
from neurohorizon.evaluation.retrieval.row_names import ladder_row
from neurohorizon.report.retrieval_rows import MARK_WORDS, MARKS, varied
from neurohorizon.report.retrieval_scores import RetrievalScores
from neurohorizon.report.retrieval_tables import WORDS
from neurohorizon.report.rows import RowStyle, style_of
from neurohorizon.report.style import BLACK, GREY, LIGHT_GREY

#: More recordings than this have no names beneath them.
_MOST_NAMED = 12


def bars_height_mm(scores: RetrievalScores) -> float:
    """Return how tall the figure of scores must be."""
    rows = [row for row in scores.rows(role="bridge") if varied(row) is not None]
    return 26 + 3.4 * len(rows) + 2.6 * len(scores.ladder())


def draw_scores(
    scores: RetrievalScores,
    ax: Axes,
    direction: Direction,
    *,
    styles: Mapping[str, RowStyle],
) -> None:
    """Draw the leading score of every row with its interval; variants beneath their row."""
    places, names, height = [], [], 0.0
    for kind in dict.fromkeys(ladder_row(row) for row in scores.rows(role="bridge")):
        # Room is left for a variant that is scored in one direction alone: panels are aligned.
        rows = [
            row
            for row in scores.rows(role="bridge")
            if ladder_row(row) == kind and varied(row) is not None
        ]
        first = height
        for row in rows:
            _one(ax, scores, row, direction, height, styles)
            height += 1.0
        places.append((first + height - 1) / 2)
        names.append(kind)
        height += 0.8
        ax.axhline(height - 0.9, color=LIGHT_GREY, linewidth=0.4)
    ax.axvline(100 * scores.chance(), color=GREY, linewidth=0.8, linestyle=":")
    ax.set_yticks(places, names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(height - 0.9, -0.8)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"{scores.lead.name} (%)")
    ax.set_title(WORDS[direction], fontsize=7.5)
    for label, kind in zip(ax.get_yticklabels(), names, strict=False):
        if kind == ladder_row(scores.strongest):
            label.set_fontweight("bold")


def _one(
    ax: Axes,
    scores: RetrievalScores,
    row: str,
    direction: Direction,
    height: float,
    styles: Mapping[str, RowStyle],
) -> None:
    found = scores.of(row, direction)
    if found is None:
        return
    colour = style_of(styles, row).colour
    marker, filled = MARKS[varied(row) or ""]
    ax.hlines(height, 100 * found.low, 100 * found.high, color=colour, linewidth=1.0)
    ax.plot(
        100 * found.value,
        height,
        marker,
        color=colour,
        markerfacecolor=colour if filled else "white",
        markersize=4,
        markeredgewidth=0.9,
    )


def mark_handles(scores: RetrievalScores) -> list[Line2D]:
    """Return what the legend shows: the marks that there are."""
    there = {varied(row) for row in scores.rows(role="bridge")}
    return [
        Line2D(
            [],
            [],
            linestyle="",
            marker=marker,
            color="#404040",
            markerfacecolor="#404040" if filled else "white",
            markersize=4,
            label=MARK_WORDS[change],
        )
        for change, (marker, filled) in MARKS.items()
        if change in there
    ] + [Line2D([], [], color=GREY, linewidth=0.8, linestyle=":", label="chance")]


def draw_recordings(
    scores: RetrievalScores,
    ax: Axes,
    rows: Sequence[str],
    *,
    styles: Mapping[str, RowStyle],
) -> None:
    """Draw the leading score of every recording, its rows side by side."""
    recordings = scores.recordings
    bridges = [row for row in rows if scores.result.row(row).role == "bridge"]
    for number, row in enumerate(bridges):
        offset = 0.0
        if len(bridges) > 1:
            width = min(0.64, 0.13 * (len(bridges) - 1))
            offset = width * (number / (len(bridges) - 1) - 0.5)
        style, label = style_of(styles, row), row
        for place, name in enumerate(recordings):
            found = scores.of(row, recording=name)
            if found is None:
                continue
            at = place + offset
            ax.vlines(at, 100 * found.low, 100 * found.high, color=style.colour, linewidth=1.0)
            marker, filled = MARKS[varied(row) or ""]
            ax.plot(
                at,
                100 * found.value,
                marker,
                color=style.colour,
                markersize=4,
                markerfacecolor=style.colour if filled else "white",
                markeredgewidth=0.9,
                label=label,
            )
            label = ""
    for row in (row for row in rows if scores.result.row(row).role == "ceiling"):
        label = "ceiling: " + row
        for place, name in enumerate(recordings):
            found = scores.of(row, recording=name)
            if found is not None:
                at = 100 * found.value
                ax.hlines(at, place - 0.38, place + 0.38, color=BLACK, linewidth=1.1, label=label)
                label = ""
    label = "chance"
    for place, name in enumerate(recordings):
        at = 100 * scores.chance(recording=name)
        ax.hlines(
            at, place - 0.38, place + 0.38, color=GREY, linewidth=0.9, linestyle=":", label=label
        )
        label = ""
    ax.set_xlim(-0.6, len(recordings) - 0.4)
    ax.set_ylim(bottom=0)
    if len(recordings) <= _MOST_NAMED:
        many = len(recordings) > 7 or max(map(len, recordings)) > 14
        ax.set_xticks(np.arange(len(recordings)), recordings, rotation=30 if many else 0)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("recording")
    ax.set_ylabel(f"{scores.lead.name} (%)")
