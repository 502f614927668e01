"""The table of transfer between recordings for a terminal."""

from __future__ import annotations

from neurohorizon.evaluation.retrieval.summary import Estimate
from neurohorizon.evaluation.retrieval.transfer import (
    ALL,
    OWN,
    Line,
    TransferResult,
    full_estimate,
    transfer_estimate,
)
from neurohorizon.report.tables import count


def format_transfer(result: TransferResult) -> str:
    """Write for every row: scores by number of pictures, and what other recordings added.

    Returns
    -------
    str
        Percent of the leading metric, the mean over targets, with 95 % intervals.
    """
    metric, targets = result.metrics()[0], result.targets
    numbers = result.numbers(targets)
    every = f"all ({result.num_pictures(ALL, targets):.0f})"
    heading = [every if number == ALL else str(number) for number in numbers]
    blocks = [
        f"{result.title}: the picture, given the response; {metric.name} in percent, mean over "
        f"{count(len(targets), 'target')} [95 % interval over test pictures and draws]"
    ]
    for row in result.rows:
        own = full_estimate(result, row, metric, targets)
        table, steps = [[row, *heading]], [["minus own pictures only", *[""] * len(numbers)]]
        for line in result.lines(row, targets):
            some = sum(bool(result.sources(row, line, each, ALL)) for each in targets)
            name = f"  {line.name}" + f" ({some} of the targets)" * (some < len(targets))
            table.append([name, *_cells(result, row, line, numbers)])
            if line.way != OWN:
                cells = _cells(result, row, line, numbers, minus_own=True)
                steps.append([name, *cells])
        table.append(["  own bridge, tuned too", *[""] * (len(numbers) - 1), _cell(own)])
        chance = f"{100 * result.chance(metric, targets):.1f}"
        table.append(["  chance", chance, *[""] * (len(numbers) - 1)])
        blocks.append(_aligned(table + steps))
    return "\n".join([*blocks, *result.left_out, ""])


def _cells(
    result: TransferResult,
    row: str,
    line: Line,
    numbers: list[int],
    *,
    minus_own: bool = False,
) -> list[str]:
    metric = result.metrics()[0]
    found = [
        transfer_estimate(result, row, line, metric, number, result.targets, minus_own=minus_own)
        for number in numbers
    ]
    return ["-" if each is None else _cell(each, signed=minus_own) for each in found]


def _cell(found: Estimate, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return (
        f"{100 * found.value:{sign}.1f} [{100 * found.low:{sign}.1f}, {100 * found.high:{sign}.1f}]"
    )


def _aligned(table: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            [
                f"{line[0]:<{widths[0]}}",
                *(f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for line in table
    )
