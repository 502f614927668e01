"""A sweep's table for a paper: LaTeX with booktabs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurohorizon.evaluation.run_results import SetName
from neurohorizon.evaluation.sweep_results import SweepResults
from neurohorizon.evaluation.sweep_table import SweepRow
from neurohorizon.report.sweep_figures import shown_horizons

_ESCAPED = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "$": r"\$",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def latex_table(rows: Sequence[SweepRow], results: SweepResults, of_set: SetName) -> str:
    """Write the rows of a set as a ``table`` that needs the package booktabs.

    Bits per spike (mean ± standard deviation over seeds) by horizon, and the paired difference
    to the first member at the first horizon; bold where it is sure.
    """
    horizons_s = rows[0].horizons_s
    panels = [horizons_s[index] for index in shown_horizons(horizons_s)]
    headings = ["", "parameters", *(f"{h * 1000:g}\\,ms" for h in panels), r"$\Delta$ [95\,\%]"]
    lines = []
    for number, row in enumerate(rows):
        if row.member is None and (number == 0 or rows[number - 1].member is not None):
            lines.append(r"\midrule")
        parameters = f"{row.member.num_parameters:,}" if row.member else "--"
        cells = [_escape(row.name), parameters, *(_score(row, h) for h in panels)]
        lines.append(" & ".join([*cells, _step(row, panels[0])]) + r" \\")
    caption = (
        f"{_escape(str(results.record['name']))}, {of_set} sessions: bits per spike over the null "
        r"by horizon, mean $\pm$ standard deviation over seeds. $\Delta$: paired difference to "
        f"{_escape(rows[0].name)} at {panels[0] * 1000:g}\\,ms with its 95\\,\\% interval over "
        f"{_over(rows)}; bold where the interval excludes 0 and all seeds agree."
    )
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{_label(str(results.record['name']))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(panels) + 1)}l}}",
            r"\toprule",
            " & ".join(headings) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _score(row: SweepRow, horizon_s: float) -> str:
    if horizon_s not in row.horizons_s:
        return "--"
    at = row.horizons_s.index(horizon_s)
    value, spread = row.level.value[at], row.spread[at]
    if not np.isfinite(value):
        return "--"
    return f"${value:.3f}" + (rf" \pm {spread:.3f}$" if np.isfinite(spread) else "$")


def _step(row: SweepRow, horizon_s: float) -> str:
    if row.step is None or horizon_s not in row.horizons_s:
        return "--"
    at = row.horizons_s.index(horizon_s)
    value, low, high = (getattr(row.step.interval, end)[at] for end in ("value", "low", "high"))
    if not np.isfinite(value):
        return "--"
    text = f"{value:+.4f}" + (f" [{low:+.4f}, {high:+.4f}]" if np.isfinite(low) else "")
    return rf"$\mathbf{{{text}}}$" if row.step.moved[at] else f"${text}$"


def _over(rows: Sequence[SweepRow]) -> str:
    found = {row.step.interval.over for row in rows if row.step is not None}
    return "sessions" if found == {"sessions"} else "30\\,s blocks of time"


def _escape(text: str) -> str:
    return text.translate(_ESCAPED)


def _label(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text)
