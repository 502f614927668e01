"""The tables of a report: what is printed, apart from how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurohorizon.evaluation.bootstrap import Interval
from neurohorizon.evaluation.contributions import best_way, summarise, unit_contributions
from neurohorizon.evaluation.cosmoothing import pooled_co_bps
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.evaluation.summary import (
    difference,
    pooled,
    score_table,
    strongest_by_horizon,
    wins,
)
from neurohorizon.report.reference_length import require_one_null, rows_to_show

CONDITION_WORDS = {"behavior": "behaviour", "images": "pictures"}


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
            cell = score_cell(found[row.name], index)
            cells.append(Cell(cell.value, cell.interval, "best" if best else ""))
        table.append(TableRow(row.name, row.role, cells))
    return table


def difference_rows(result: EvaluationResult, row: str) -> list[TableRow]:
    """Return the paired difference of one row to every other, by horizon."""
    return [
        TableRow(
            other.name,
            other.role,
            [step_cell(step, index) for index in range(len(result.protocol.horizons_s))],
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
                step_cell(difference(joined, name, of_set.lead), index)
                for index in range(len(joined.protocol.horizons_s))
            ],
        )
        for name in of_set.ablations.names("model")
    ]


def contribution_rows(of_set: SetResults) -> list[TableRow]:
    """Return what each condition is worth, by horizon; nothing if the model reads none."""
    if not of_set.contributions:
        return []
    rows = []
    for row in summarise(of_set.contributions):
        where = "" if row.among == "all" else f", {row.which}"
        cells = [step_cell(row.interval, index) for index in range(len(row.interval.value))]
        rows.append(TableRow(f"{CONDITION_WORDS[row.modality]} {row.way}{where}", "", cells))
    return rows


def cosmoothing_rows(of_set: SetResults) -> list[TableRow]:
    """Return co-bps of the model and of baselines, and what the model adds to each of them."""
    found = of_set.cosmoothing
    rows = []
    for place, name in enumerate(found[0].rows if found else ()):
        step = step_cell(pooled_co_bps(found, 0, minus=place), 0) if place else Cell("", "", "")
        role = "baseline" if place else "model"
        rows.append(TableRow(str(name), role, [score_cell(pooled_co_bps(found, place), 0), step]))
    return rows


def reference_rows(of_set: SetResults, *, horizon: int = 0) -> tuple[list[str], list[TableRow]]:
    """Return scores by seconds of reference: headings, and one row a row that matters.

    Below them the model minus the baseline that is strongest with the same seconds; nothing
    with fewer than two lengths.
    """
    by_reference = of_set.by_reference
    if len(by_reference) < 2 or not of_set.rows.scored_cases():
        return [], []
    require_one_null(by_reference)
    rows = []
    for name in rows_to_show(by_reference, horizon=horizon):
        role = next(row.role for row in of_set.rows.rows if row.name == name)
        cells = [score_cell(pooled(result, name), horizon) for result in by_reference.values()]
        rows.append(TableRow(name, role, cells))
    cells = []
    for result in by_reference.values():
        for model in result.names("model")[:1]:
            best = strongest_by_horizon(result)[horizon]
            cells.append(named_cell(best, step_cell(difference(result, model, best), horizon)))
    if cells:
        rows.append(TableRow(f"{of_set.lead} minus the strongest baseline", "", cells))
    return [f"{seconds:g} s" for seconds in by_reference], rows


def variant_rows(result: EvaluationResult) -> tuple[list[str], list[TableRow]]:
    """Return other benchmarks' numbers and PSTH R²: headings, and one row a row."""
    records = score_table(result)
    num_horizons = len(result.protocol.horizons_s)
    keys = ["own", "nlb", "mtm", "d2", "correlation", "r2", "psth_r2"]
    keys = [key for key in keys if any(np.isfinite(record[key]) for record in records)]
    if all(np.isclose(record["own"], record["bits_per_spike"]) for record in records):
        keys.remove("own")  # every row is scored as Poisson already
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
            cell = score_cell(interval, index)
            cells.append(f"{cell.value}{star} {cell.interval}".rjust(27))
        lines.append(f"{row.name:<{width}}" + "".join(cells))
    return "\n".join([*lines, ""])


def format_contributions(of_set: SetResults) -> str:
    """Write what each condition is worth for a terminal; "" if the model reads none."""
    if not of_set.contributions:
        return ""
    rows = [row for row in contribution_rows(of_set) if "," not in row.name]
    headings = [f"{horizon_s * 1000:g} ms" for horizon_s in of_set.rows.protocol.horizons_s]
    width = max(len(row.name) for row in rows) + 2
    lines = [
        f"what {of_set.lead} loses without each condition, in bits per spike [95 % interval]",
        " " * width + "".join(f"{heading:>27}" for heading in headings),
    ]
    for row in rows:
        cells = [f"{cell.value} {cell.interval}".rjust(27) for cell in row.cells]
        lines.append(f"{row.name:<{width}}" + "".join(cells))
    told = []
    units = unit_contributions(of_set.contributions)
    for modality, word in CONDITION_WORDS.items():
        way = best_way(of_set.contributions, modality)
        mine = [u for u in units if u["modality"] == modality and u["way"] == way]
        if mine:
            driven = sum(unit["driven"] for unit in mine)
            told.append(f"{word} {driven} of {count(len(mine), 'unit')}")
    lines.append(f"gain for sure (false discovery rate 5 %): {', '.join(told)}")
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
            cell = step_cell(difference(result, name, target), index)
            won = f"{wins(result, name, target)[index]}/{total}"
            cells.append(f"{cell.value} {cell.interval} {won}".rjust(36))
        lines.append(f"{label:<{width}}" + "".join(cells))
    return "\n".join([*lines, ""])


def format_reference_lengths(of_set: SetResults) -> str:
    """Write scores by seconds of reference for a terminal; "" with fewer than two lengths."""
    headings, rows = reference_rows(of_set)
    if not rows:
        return ""
    width = max(len(row.name) for row in rows) + 2
    horizon_s = of_set.rows.protocol.horizons_s[0]
    lines = [
        f"{of_set.rows.title}: bits per spike at {horizon_s * 1000:g} ms by seconds of reference, "
        "one null for all",
        " " * width + "".join(f"{heading:>12}" for heading in headings),
    ]
    for row in rows:
        lines.append(f"{row.name:<{width}}" + "".join(f"{cell.value:>12}" for cell in row.cells))
    return "\n".join([*lines, ""])


def format_cosmoothing(of_set: SetResults) -> str:
    """Write how well hidden units were told, for a terminal; "" if none were hidden."""
    found = of_set.cosmoothing
    if not found:
        return ""
    hidden = sum(len(each.unit_id) for each in found)
    total = hidden + sum(each.num_seen for each in found)
    names = [str(name) for name in found[0].rows]
    width = max(len(name) for name in names) + 2
    lines = [
        f"{of_set.rows.title}: co-smoothing, {hidden:,} of {count(total, 'unit')} hidden",
        "co-bps, over each unit's mean in what is evaluated [95 % interval]",
    ]
    for place, name in enumerate(names):
        cell = score_cell(pooled_co_bps(found, place), 0)
        line = f"{name:<{width}}{cell.value:>7} {cell.interval}"
        if place == 0:
            rival = max(
                range(1, len(names)), key=lambda other: pooled_co_bps(found, other).value[0]
            )
            step = step_cell(pooled_co_bps(found, 0, minus=rival), 0)
            line += f", minus {names[rival]} {step.value} {step.interval}"
        lines.append(line)
    return "\n".join([*lines, ""])


def count(number: int, word: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> count(1, "unit"), count(1200, "spike")
    ('1 unit', '1,200 spikes')
    """
    return f"{number:,} {word}" + "s" * (number != 1)


def named_cell(name: str, cell: Cell) -> Cell:
    """Say beneath a number whose it is."""
    return Cell(cell.value, f"{name} {cell.interval}".strip(), cell.mark)


def score_cell(interval: Interval, index: int) -> Cell:
    """Write a score at one horizon."""
    return Cell(_number(interval.value[index]), _ends(interval, index, sign=False))


def step_cell(interval: Interval, index: int) -> Cell:
    """Write a difference at one horizon, marked by the side of its interval."""
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


def share_text(value: float, *, sign: bool = False) -> str:
    """Write a share in per cent."""
    if not np.isfinite(value):
        return "–"
    return f"{value:+.1%}" if sign else f"{value:.0%}"
