"""How rows of retrieval look: a colour for each row of the ladder, a mark for what was varied."""

from __future__ import annotations

from dataclasses import replace

from neurohorizon.evaluation.retrieval.row_names import (
    CORRECTED,
    GREY,
    TOGETHER,
    fitted_row,
    ladder_row,
)
from neurohorizon.report.retrieval_scores import RetrievalScores
from neurohorizon.report.rows import TEXT_COLOURS, RowStyle
from neurohorizon.report.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from neurohorizon.report.style import GREY as GREY_INK

_OTHERS = (VERMILION, GREEN, PURPLE, ORANGE, SKY, "#8C510A", GREY_INK)
#: Marker and whether it is filled, by what was varied.
MARKS = {"": ("o", True), TOGETHER: ("D", True), CORRECTED: ("o", False), GREY: ("s", False)}
MARK_WORDS = {
    "": "as fitted",
    TOGETHER: "seeds together",
    CORRECTED: "hubness corrected",
    GREY: "pictures without colour",
}


def style_retrieval(scores: RetrievalScores) -> dict[str, RowStyle]:
    """Give every row its look: the strongest kind is blue, ceilings are black and dashed."""
    kinds = list(dict.fromkeys(ladder_row(row) for row in scores.rows(role="bridge")))
    lead = ladder_row(scores.strongest)
    others = [kind for kind in kinds if kind != lead]
    colours = {kind: _OTHERS[number % len(_OTHERS)] for number, kind in enumerate(others)}
    colours[lead] = BLUE
    styles = {}
    for row in scores.result.rows:
        if row.role == "ceiling":
            styles[row.name] = RowStyle(BLACK, BLACK, 1.0, (0, (4, 2)), rank=4)
            continue
        colour = colours.get(ladder_row(row.name), GREY_INK)
        first = ladder_row(row.name) == lead
        style = RowStyle(
            colour,
            TEXT_COLOURS.get(colour, colour),
            1.6 if first else 1.0,
            bold=row.name == scores.strongest,
            rank=5 if first else 3,
        )
        if row.name not in (scores.strongest, ladder_row(row.name)):
            style = replace(style, width=0.9, dash=(0, (1.5, 1)))
        styles[row.name] = style
    return styles


def varied(row: str) -> str | None:
    """Return which one thing was varied of a row of the ladder; None if more than one was."""
    changed = [end for end in (GREY, TOGETHER, CORRECTED) if end in row]
    return None if len(changed) > 1 else (changed[0] if changed else "")


def rows_to_look_at(scores: RetrievalScores, *, grey: bool = False) -> list[str]:
    """Return the rows that curves show: the ladder, the strongest row, and ceilings.

    Parameters
    ----------
    scores : RetrievalScores
    grey : bool
        Also those that were fitted to pictures without colour.
    """
    wanted = ("", GREY) if grey else ("",)
    rows = [row for row in scores.rows(role="bridge") if varied(row) in wanted]
    rows.sort(key=lambda row: scores.ladder().index(ladder_row(row)))
    if scores.strongest not in rows:
        place = rows.index(fitted_row(scores.strongest)) + 1
        rows.insert(place, scores.strongest)
    return rows + scores.rows(role="ceiling")
