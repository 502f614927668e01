"""The tables of a report: what is printed, apart from how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurohorizon.evaluation.bootstrap import Interval
from neurohorizon.evaluation.ceilings import reached
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.evaluation.summary import (
    difference,
    pooled,
    score_table,
    strongest_by_horizon,
    wins,
)

#: Bits per spike below which a difference is no share of anything.
SMALLEST_LEVEL = 0.01


@dataclass(frozen=True)
class Cell:
    """One number with its interval, as text.

    Parameters
    ----------
    value, interval : str
    mark : {"", "best", "above", "below", "faint"}
        What stands out, and why.
    """

    value: str
    interval: str = ""
    mark: str = ""


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Parameters
    ----------
    name : str
    role : str
        Of the row that it tells of; "" for others.
    cells : list of Cell
    """

    name: str
    role: str
    cells: list[Cell]


def glance_table(of_set: SetResults) -> list[TableRow]:
    """Say by horizon how far the model gets, what the strongest baseline does, and who wins."""
    result, model = of_set.rows, of_set.model
    best = strongest_by_horizon(result)
    mine = pooled(result, model)
    theirs = {name: pooled(result, name) for name in best}
    steps = {name: difference(result, model, name) for name in best}
    won = {name: wins(result, model, name) for name in best}
    total = len(result.scored_cases())
    columns = list(enumerate(best))
    rows = [
        TableRow(f"{model}, bits per spike", "model", [_score(mine, i) for i, _ in columns]),
        TableRow(
            "strongest baseline",
            "baseline",
            [
                Cell(_score(theirs[name], i).value, f"{name} {_score(theirs[name], i).interval}")
                for i, name in columns
            ],
        ),
        TableRow("difference, paired", "", [_step(steps[name], i) for i, name in columns]),
        TableRow(
            "difference as a share",
            "",
            [
                Cell(_share(steps[name].value[i] / theirs[name].value[i], sign=True))
                if theirs[name].value[i] >= SMALLEST_LEVEL
                else Cell("–")
                for i, name in columns
            ],
        ),
        TableRow("recordings won", "", [Cell(f"{won[name][i]} of {total}") for i, name in columns]),
    ]
    if of_set.observer is not None:
        for ceiling in of_set.observer.names("ceiling"):
            shares = reached(of_set.observer, model, ceiling)
            its_best = strongest_by_horizon(of_set.observer)
            cells = [
                Cell(
                    _share(shares[i]),
                    f"{name} {_share(reached(of_set.observer, name, ceiling)[i])}",
                )
                for i, name in enumerate(its_best)
            ]
            rows.append(TableRow(f"share of {ceiling}", "ceiling", cells))
    return rows


def score_rows(
    result: EvaluationResult, *, observer: EvaluationResult | None = None
) -> list[TableRow]:
    """Return every row's bits per spike by horizon, with intervals; the best one marked.

    Parameters
    ----------
    result : EvaluationResult
    observer : EvaluationResult, optional
        Its rows, ceilings first, instead: on the windows that the ceilings were scored on.
    """
    shown = result if observer is None else observer
    found = {row.name: pooled(shown, row.name) for row in shown.rows}
    rivals = [row.name for row in shown.rows if row.role in ("model", "baseline")]
    table = []
    for row in shown.rows:
        cells = []
        for index in range(len(shown.protocol.horizons_s)):
            top = max(found[name].value[index] for name in rivals)
            best = row.name in rivals and found[row.name].value[index] == top
            cell = _score(found[row.name], index)
            cells.append(Cell(cell.value, cell.interval, "best" if best else ""))
        table.append(TableRow(row.name, row.role, cells))
    return table


def difference_rows(result: EvaluationResult, row: str) -> list[TableRow]:
    """Return the paired difference of one row to every other, by horizon."""
    return [
        TableRow(
            other.name,
            other.role,
            [_step(step, index) for index in range(len(result.protocol.horizons_s))],
        )
        for other in result.rows
        if other.name != row and (step := difference(result, row, other.name))
    ]


def ablation_rows(of_set: SetResults) -> list[TableRow]:
    """Return what the model loses without each of its parts, by horizon; maybe nothing."""
    if of_set.ablations is None:
        return []
    joined = of_set.with_ablations
    return [
        TableRow(
            name,
            "",
            [
                _step(difference(joined, name, of_set.model), index)
                for index in range(len(joined.protocol.horizons_s))
            ],
        )
        for name in of_set.ablations.names("model")
    ]


def variant_rows(result: EvaluationResult) -> tuple[list[str], list[TableRow]]:
    """Return other benchmarks' numbers and PSTH R²: headings, and one row a row."""
    records = score_table(result)
    num_horizons = len(result.protocol.horizons_s)
    keys = ["nlb", "mtm", "d2", "correlation", "r2", "psth_r2"]
    keys = [key for key in keys if any(np.isfinite(record[key]) for record in records)]
    rows = []
    for number, row in enumerate(result.rows):
        mine = records[number * num_horizons : (number + 1) * num_horizons]
        shown = [mine[0], mine[-1]] if num_horizons > 1 else mine
        cells = [Cell(_number(record[key])) for key in keys for record in shown]
        rows.append(TableRow(row.name, row.role, cells))
    return keys, rows


def format_scores(result: EvaluationResult) -> str:
    """Write bits per spike by row and horizon, with the strongest baseline, for a terminal."""
    best = strongest_by_horizon(result)
    headings = [f"{horizon_s * 1000:g} ms" for horizon_s in result.protocol.horizons_s]
    reference = (
        f"{result.protocol.reference_s:g} s" if result.protocol.reference_s else "all of the past"
    )
    lines = [
        f"{result.title}: {count(len(result.scored_cases()), 'recording')}, reference {reference}",
        "bits per spike over the null [95 % interval]; * strongest baseline",
    ]
    names = [row.name for row in result.rows]
    width = max(len(name) for name in names) + 2
    lines.append(" " * width + "".join(f"{heading:>27}" for heading in headings))
    for row in result.rows:
        interval = pooled(result, row.name)
        cells = []
        for index in range(len(headings)):
            star = "*" if best and best[index] == row.name else " "
            cell = _score(interval, index)
            cells.append(f"{cell.value}{star} {cell.interval}".rjust(27))
        lines.append(f"{row.name:<{width}}" + "".join(cells))
    return "\n".join([*lines, ""])


def format_differences(result: EvaluationResult, pairs: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Write paired differences for a terminal.

    Parameters
    ----------
    result : EvaluationResult
    pairs : sequence of (row, rows)
        A row, and what to take its difference to at each horizon.
    """
    headings = [f"{horizon_s * 1000:g} ms" for horizon_s in result.protocol.horizons_s]
    labels = []
    for name, targets in pairs:
        same = len(set(targets)) == 1
        labels.append(f"{name} - {targets[0] if same else 'strongest baseline'}")
    width = max(len(label) for label in labels) + 2
    total = len(result.scored_cases())
    lines = ["paired difference in bits per spike [95 % interval], recordings won"]
    lines.append(" " * width + "".join(f"{heading:>36}" for heading in headings))
    for label, (name, targets) in zip(labels, pairs, strict=True):
        cells = []
        for index, target in enumerate(targets):
            cell = _step(difference(result, name, target), index)
            won = f"{wins(result, name, target)[index]}/{total}"
            cells.append(f"{cell.value} {cell.interval} {won}".rjust(36))
        lines.append(f"{label:<{width}}" + "".join(cells))
    return "\n".join([*lines, ""])


def count(number: int, word: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> count(1, "unit"), count(1200, "spike")
    ('1 unit', '1,200 spikes')
    """
    return f"{number:,} {word}" + "s" * (number != 1)


def _score(interval: Interval, index: int) -> Cell:
    return Cell(_number(interval.value[index]), _ends(interval, index, sign=False))


def _step(interval: Interval, index: int) -> Cell:
    mark = "above" if interval.above[index] else "below" if interval.below[index] else "faint"
    return Cell(_number(interval.value[index], sign=True), _ends(interval, index, sign=True), mark)


def _ends(interval: Interval, index: int, *, sign: bool) -> str:
    low, high = interval.low[index], interval.high[index]
    if not (np.isfinite(low) and np.isfinite(high)):
        return ""
    return f"[{_number(low, sign=sign)}, {_number(high, sign=sign)}]"


def _number(value: float, *, sign: bool = False) -> str:
    """Write three decimals, or with its sign a difference, which takes four."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:+.4f}" if sign else f"{value:.3f}"
    return text.replace("-0.000", "0.000") if not sign else text


def _share(value: float, *, sign: bool = False) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{value:+.1%}" if sign else f"{value:.0%}"
