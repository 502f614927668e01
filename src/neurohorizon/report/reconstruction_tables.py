"""Tables of reconstruction for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurohorizon.evaluation.pictures.reported import ReportedRow
from neurohorizon.evaluation.pictures.results import (
    GROUPS,
    Group,
    PictureMetric,
    ReconstructionResult,
)
from neurohorizon.evaluation.pictures.summary import (
    compute_categories,
    control_of,
    estimate,
    surely,
)
from neurohorizon.evaluation.retrieval.categories import FEWEST_PICTURES
from neurohorizon.evaluation.retrieval.summary import Estimate
from neurohorizon.report.tables import count

HEADINGS: dict[Group, str] = {
    "pixels": "pixels",
    "features": "features of a network (identification in percent)",
    "judge": "what an independent judge sees (percent right)",
}
REPORTED_NOTE = "other generators, no intervals, not computed here"
#: Metrics of a group that fit into a line.
MOST_METRICS = 4
_MARKS = {"better": "+", "worse": "-", "": ""}


def format_reconstruction(
    result: ReconstructionResult,
    *,
    named: str | None = None,
    metrics: Sequence[str] | None = None,
) -> str:
    """Write every row's scores, group by group: mean over recordings, with intervals.

    Parameters
    ----------
    result : ReconstructionResult
    named : str, optional
        The row that others are compared with; by default the first control.
    metrics : sequence of str, optional
        That are shown; by default the leading ones of each group (:func:`shown_metrics`).

    Returns
    -------
    str
        + and - mark what is for sure better or worse than the row `named`.
    """
    control = control_of(result, named)
    pictures = sum(len(case) for case in result.cases)
    lines = [
        f"{result.title}: {count(len(result.cases), 'recording')}, "
        f"{count(pictures, 'test picture')}",
        "mean over recordings [95 % interval over pictures and seeds]; + better, - worse than "
        f"{control} (paired interval excludes 0)",
    ]
    lines += [f"oracle gate, {name}: {_gate(result, name)}" for name in result.gates]
    for group in GROUPS:
        if metrics is None:
            shown = shown_metrics(result, group)
        else:
            shown = [
                each for each in result.metrics if each.group == group and each.name in metrics
            ]
        if shown:
            lines += ["", HEADINGS[group], *_scores(result, shown, control)]
    lines += _distributions(result)
    lines += _reported(result)
    about = [f"{row.name} ({row.role}): {row.about}" for row in result.rows if row.about]
    notes = [f"{case.recording}: {note}" for case in result.cases for note in case.notes]
    if about or notes:
        lines += ["", *about, *notes]
    return "\n".join([*lines, ""])


def format_differences(
    result: ReconstructionResult,
    *,
    named: str | None = None,
    metrics: Sequence[str] | None = None,
) -> str:
    """Write paired differences of generators and controls to a row, picture by picture.

    Parameters
    ----------
    result : ReconstructionResult
    named : str, optional
        By default the first control.
    metrics : sequence of str, optional
        By default those that lead their groups.
    """
    control = control_of(result, named)
    leading = [metric.name for metric in result.leading()]
    shown = [result.metric(name) for name in metrics or leading]
    table = [["", *(heading(metric) for metric in shown)]]
    for row in result.of_role("generator", "control"):
        if row != control:
            steps = [estimate(result, row, metric.name, minus=control) for metric in shown]
            table.append([row, *map(_step, steps, shown)])
    lines = [f"paired difference to {control} [95 % interval]; points where in percent"]
    return "\n".join([*lines, *_aligned(table), ""])


def format_picture_categories(
    result: ReconstructionResult, row: str, metric: str, *, named: str | None = None
) -> str:
    """Write a row's scores by semantic category; "" where none has pictures enough."""
    control = control_of(result, named)
    other = None if row == control else control
    found = compute_categories(result, row, metric, minus=other)
    if not found:
        return ""
    shown = result.metric(metric)
    table = [["category", "pictures", heading(shown), *([f"- {control}"] if other else [])]]
    for each in found:
        step = [] if each.step is None else [_step(each.step, shown)]
        table.append([each.category, f"{each.num_pictures}", score_text(each.score, shown), *step])
    lines = [
        f"{row}: categories with at least {FEWEST_PICTURES} test pictures [95 % interval over "
        "pictures]; with many, some exclude 0 by chance"
    ]
    return "\n".join([*lines, *_aligned(table), ""])


def shown_metrics(result: ReconstructionResult, group: Group) -> list[PictureMetric]:
    """Return the metrics of a group that fit into a line.

    Of features: two-way identification of every layer first, then the hardest galleries' top 1
    and top 5, distances, and what else there is.
    """
    metrics = [metric for metric in result.metrics if metric.group == group]
    if group != "features":
        return metrics[:MOST_METRICS]
    two_way = [metric for metric in metrics if metric.name.endswith("two-way")]
    top = [metric for metric in metrics if " top " in metric.name and metric.chance is not None]
    hardest = min((metric.chance or 1.0 for metric in top), default=1.0)
    # Top 5 of the largest gallery is five times as likely by chance as top 1 of it.
    hard = [metric for metric in top if np.isclose((metric.chance or 1.0) / hardest, (1, 5)).any()]
    chosen = [*two_way, *hard]
    return [*chosen, *(metric for metric in metrics if metric not in chosen)][:MOST_METRICS]


def heading(metric: PictureMetric) -> str:
    """Return what a metric is called above a column; an arrow where lower is better."""
    return metric.name + " (lower is better)" * (metric.better == "lower")


def score_text(found: Estimate, metric: PictureMetric) -> str:
    """Write a score with its interval: shares in percent, others with three digits."""
    if metric.share:
        return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _scores(
    result: ReconstructionResult, metrics: Sequence[PictureMetric], control: str
) -> list[str]:
    table = [["", *(heading(metric) for metric in metrics)]]
    if any(metric.chance is not None for metric in metrics):
        chances = [metric.chance for metric in metrics]
        table.append(["chance", *("" if c is None else f"{100 * c:.1f}" for c in chances)])
    for row in result.rows:
        cells = []
        for metric in metrics:
            found = estimate(result, row.name, metric.name)
            if found is None:
                cells.append("")
                continue
            step = None
            if row.name != control:
                step = estimate(result, row.name, metric.name, minus=control)
            mark = "" if step is None else _MARKS[surely(step, metric)]
            cells.append(score_text(found, metric) + (mark or " "))
        if any(cells):
            table.append([row.name, *cells])
    return _aligned(table)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            [
                f"{line[0]:<{widths[0]}}",
                *(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for line in table
    ]


def _step(found: Estimate | None, metric: PictureMetric) -> str:
    if found is None:
        return ""
    mark = _MARKS[surely(found, metric)] or " "
    if metric.share:
        return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]{mark}"
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]{mark}"


def _gate(result: ReconstructionResult, name: str) -> str:
    gate = result.gates[name]
    return f"{'passed' if gate.passed else 'FAILED'} (judge {gate.network}): {gate.reason}"


def _distributions(result: ReconstructionResult) -> list[str]:
    """Write distances between sets, and each reason for a refusal once."""
    names = list(dict.fromkeys(name for _, _, name in result.distributions))
    table = [["", *names]]
    for row, recording in dict.fromkeys(key[:2] for key in result.distributions):
        cells = []
        for name in names:
            score = result.distributions.get((row, recording, name))
            told = ""
            if score is not None:
                told = "refused" if score.refused else f"{score.value:.4g}"
                told += "" if np.isnan(score.spread) else f" (s.d. {score.spread:.2g})"
            cells.append(told)
        table.append([f"{row}, {recording}", *cells])
    if len(table) == 1:
        return []
    reasons = dict.fromkeys(score.refused for score in result.distributions.values())
    return [
        "",
        "distances between sets of pictures (comparable through the same network alone)",
        *_aligned(table),
        *(reason for reason in reasons if reason),
    ]


def _reported(result: ReconstructionResult) -> list[str]:
    if not result.reported:
        return []
    return [
        "",
        f"as reported elsewhere ({REPORTED_NOTE})",
        *(f"{row.name} {reported_text(row)}" for row in result.reported),
    ]


def reported_text(row: ReportedRow) -> str:
    """Say where a published row is from, and its numbers."""
    numbers = [
        f"{name} {low:g}" + (f" to {high:g}" if high != low else "")
        for name, (low, high) in row.values.items()
    ]
    about = f"; {row.about}" if row.about else ""
    return f"({row.source}{about})" + (f": {', '.join(numbers)}" if numbers else "")
