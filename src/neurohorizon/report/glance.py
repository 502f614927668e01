"""The table at the top: how far the lead gets, what it is compared with, and who wins."""

from __future__ import annotations

from neurohorizon.evaluation.ceilings import reached
from neurohorizon.evaluation.predictability import predictability
from neurohorizon.evaluation.run_results import SetResults
from neurohorizon.evaluation.summary import difference, pooled, strongest_by_horizon, wins
from neurohorizon.report.tables import (
    Cell,
    TableRow,
    named_cell,
    score_cell,
    share_text,
    step_cell,
)

#: Bits per spike below which a difference is no share of anything.
SMALLEST_LEVEL = 0.01


def glance_table(of_set: SetResults) -> list[TableRow]:
    """Say by horizon how far the lead gets, what it is compared with, and who wins."""
    result, lead, rivals = of_set.rows, of_set.lead, of_set.rivals
    first = _level_rows(of_set) if of_set.has_model else _ladder_rows(of_set)
    steps = {name: difference(result, lead, name) for name in rivals}
    if of_set.has_model:
        levels = {name: pooled(result, name) for name in rivals}
        total = len(result.scored_cases())
        first += [
            TableRow(
                "difference, paired",
                "",
                [step_cell(steps[name], index) for index, name in enumerate(rivals)],
            ),
            TableRow(
                "difference as a share",
                "",
                [
                    Cell(share_text(steps[name].value[i] / levels[name].value[i], sign=True))
                    if levels[name].value[i] >= SMALLEST_LEVEL
                    else Cell("–")
                    for i, name in enumerate(rivals)
                ],
            ),
            TableRow(
                "recordings won",
                "",
                [
                    Cell(f"{wins(result, lead, name)[index]} of {total}")
                    for index, name in enumerate(rivals)
                ],
            ),
        ]
    return [*first, *_ceiling_rows(of_set)]


def _level_rows(of_set: SetResults) -> list[TableRow]:
    """Return the scores of the model and of the strongest baselines."""
    result, lead = of_set.rows, of_set.lead
    mine = pooled(result, lead)
    theirs = {name: pooled(result, name) for name in of_set.rivals}
    return [
        TableRow(
            f"{lead}, bits per spike",
            "model",
            [score_cell(mine, index) for index in range(len(of_set.rivals))],
        ),
        TableRow(
            "strongest baseline",
            "baseline",
            [named_cell(name, score_cell(theirs[name], i)) for i, name in enumerate(of_set.rivals)],
        ),
    ]


def _ladder_rows(of_set: SetResults) -> list[TableRow]:
    """Return what the ladder says of how predictable the recordings are, without a model."""
    result, total = of_set.rows, len(of_set.rows.scored_cases())
    found = predictability(result)
    rows = [
        TableRow(
            "strongest baseline, bits per spike",
            "model",
            [
                named_cell(each.row, score_cell(pooled(result, each.row), i))
                for i, each in enumerate(found)
            ],
        )
    ]
    if all(each.own and each.population for each in found):
        steps = [difference(result, each.population, each.own) for each in found]
        rows += [
            TableRow(
                "each unit's own spikes alone",
                "baseline",
                [
                    named_cell(each.own, score_cell(pooled(result, each.own), i))
                    for i, each in enumerate(found)
                ],
            ),
            TableRow(
                "what the population adds, paired",
                "",
                [
                    named_cell(each.population, step_cell(step, i))
                    for i, (each, step) in enumerate(zip(found, steps, strict=True))
                ],
            ),
            TableRow(
                "recordings where it adds", "", [Cell(f"{each.wins} of {total}") for each in found]
            ),
        ]
    return rows


def _ceiling_rows(of_set: SetResults) -> list[TableRow]:
    """Return the share of each ceiling that the lead reaches, the strongest baseline's beneath."""
    if of_set.observer is None:
        return []
    rows, best = [], strongest_by_horizon(of_set.observer)
    for ceiling in of_set.observer.names("ceiling"):
        shares = reached(of_set.observer, of_set.lead, ceiling)
        cells = [
            Cell(
                share_text(shares[i]),
                f"{name} {share_text(reached(of_set.observer, name, ceiling)[i])}",
            )
            for i, name in enumerate(best)
        ]
        rows.append(TableRow(f"share of {ceiling}", "ceiling", cells))
    return rows
