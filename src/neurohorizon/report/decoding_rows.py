"""How decoders look in figures: models bold, each task's strongest baseline in colour."""

from __future__ import annotations

from collections.abc import Sequence

from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import strongest
from neurohorizon.report.rows import (
    FAINT_STYLE,
    MODEL_COLOURS,
    STRONG_COLOURS,
    TEXT_COLOURS,
    RowStyle,
)
from neurohorizon.report.style import GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

#: What a metric is called beside an axis; errors get the unit of the values.
METRIC_WORDS = {
    "r2": "R²",
    "r2_weighted": "R², columns by variance",
    "correlation": "correlation",
    "median_error": "median error",
    "mean_error": "mean error",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
}
#: Of baselines where several are drawn over one another.
_APART = (VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)


def metric_word(metric: str, unit: str = "") -> str:
    """Return what a metric is called beside an axis."""
    word = METRIC_WORDS.get(metric, metric)
    return f"{word} ({unit})" if unit and metric.endswith("_error") else word


def style_decoders(result: DecodingResult) -> dict[str, RowStyle]:
    """Give every row its look: one in all figures of a report."""
    strong = list(dict.fromkeys(strongest(result, task.name) for task in result.tasks))
    styles: dict[str, RowStyle] = {}
    for row in result.rows:
        if row.role == "model":
            number = sum(each.rank == 5 for each in styles.values())
            colour = MODEL_COLOURS[number % len(MODEL_COLOURS)]
            styles[row.name] = RowStyle(colour, colour, 1.6, bold=True, rank=5)
        elif row.name in strong:
            colour = STRONG_COLOURS[min(strong.index(row.name), len(STRONG_COLOURS) - 1)]
            text = TEXT_COLOURS.get(colour, colour)
            styles[row.name] = RowStyle(colour, text, 1.2, rank=4)
        else:
            styles[row.name] = FAINT_STYLE
    return styles


def styles_apart(rows: Sequence[str], styles: dict[str, RowStyle]) -> dict[str, RowStyle]:
    """Return looks in which a few rows drawn over one another can be told apart."""
    taken = {styles[row].colour for row in rows if styles[row] is not FAINT_STYLE}
    free = [colour for colour in _APART if colour not in taken]
    apart = {}
    for row in rows:
        apart[row] = styles[row]
        if styles[row] is FAINT_STYLE and free:
            colour = free.pop(0)
            apart[row] = RowStyle(colour, TEXT_COLOURS.get(colour, colour), 1.0, rank=3)
    return apart


def rows_to_look_at(result: DecodingResult, task: str) -> list[str]:
    """Return the rows that figures show by default: the models, and the strongest baseline."""
    scored = result.scored_rows(task)
    models = [name for name in result.names("model") if name in scored]
    best = strongest(result, task)
    return [*models, *([best] if best else [])] or scored[:1]
