"""Tables of retrieval for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurohorizon.evaluation.retrieval.identification import median_rank
from neurohorizon.evaluation.retrieval.results import Direction, Metric, RetrievalResult
from neurohorizon.evaluation.retrieval.summary import (
    Estimate,
    common_metrics,
    estimate,
    strongest,
)
from neurohorizon.report.tables import count

WORDS: dict[Direction, str] = {
    "picture": "the picture, given the response",
    "response": "the response, given the picture",
}


def format_retrieval(
    result: RetrievalResult, *, direction: Direction = "picture", named: str | None = None
) -> str:
    """Write every row's scores: mean over recordings, with interval and difference.

    Returns
    -------
    str
        Percent; * marks the row `named`, by default the strongest one, to which differences of
        the leading score are taken.
    """
    rows = [row for row in result.rows if result.scored(row.name, direction)]
    bridges = [row.name for row in rows if row.role == "bridge"]
    metrics = shown_metrics(common_metrics(result))
    best = named or strongest(result, metrics[0], bridges, direction=direction)
    pictures = sum(len(case) for case in result.cases)
    lines = [
        f"{result.title}: {WORDS[direction]}; {count(len(result.cases), 'recording')}, "
        f"{count(pictures, 'test picture')}",
        "percent, mean over recordings [95 % interval over pictures and seeds]"
        + ("; * strongest row" if named is None else ""),
    ]
    heading = [
        "",
        *(metric.name for metric in metrics),
        "median rank",
        f"{metrics[0].name} - {best}",
    ]
    table = [heading, _chance(result, metrics)]
    for row in rows:
        found = [estimate(result, row.name, metric, direction=direction) for metric in metrics]
        cells = [
            _cell(each, star=row.name == best and not place) for place, each in enumerate(found)
        ]
        step = ""
        if row.name != best and row.role == "bridge":
            step = _difference(
                estimate(result, row.name, metrics[0], direction=direction, minus=best)
            )
        ranks = [
            median_rank(seed)
            for case in result.scored(row.name, direction)
            for seed in result.better[row.name, case.recording, direction]
        ]
        table.append([row.name, *cells, f"{np.mean(ranks):.1f}", step])
    widths = [max(len(line[column]) for line in table) for column in range(len(heading))]
    for line in table:
        cells = [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append(f"{line[0]:<{widths[0]}}  {'  '.join(cells)}".rstrip())
    notes = [f"{case.recording}: {note}" for case in result.cases for note in case.notes]
    about = [f"{row.name}: {row.about}" for row in rows if row.role == "ceiling"]
    return "\n".join([*lines, *about, *notes, ""])


def shown_metrics(metrics: Sequence[Metric]) -> list[Metric]:
    """Return the metrics that fit into a line."""
    hundred = [metric for metric in metrics if metric.gallery is not None]
    chosen = hundred[:2] + [metric for metric in metrics if metric.name.endswith("of all")][:1]
    return [*(chosen or list(metrics[:2])), metrics[-1]]


def _chance(result: RetrievalResult, metrics: Sequence[Metric]) -> list[str]:
    sizes = [len(case) for case in result.cases]
    shares = [np.mean([metric.chance(size) for size in sizes]) for metric in metrics]
    middle = np.mean([(size + 1) / 2 for size in sizes])
    return ["chance", *(f"{100 * share:.1f}" for share in shares), f"{middle:.1f}", ""]


def _cell(found: Estimate, *, star: bool) -> str:
    told = f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return told + "*" * star


def _difference(found: Estimate) -> str:
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
