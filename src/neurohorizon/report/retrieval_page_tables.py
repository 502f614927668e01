"""What the page of a run of bridges says in words and tables."""

from __future__ import annotations

import numpy as np

from neurohorizon.evaluation.retrieval.results import Direction
from neurohorizon.evaluation.retrieval.row_names import variant
from neurohorizon.report.page_parts import PageTable
from neurohorizon.report.retrieval_categories import percent_cell, step_cell
from neurohorizon.report.retrieval_rows import rows_to_look_at
from neurohorizon.report.retrieval_scores import RetrievalScores
from neurohorizon.report.retrieval_tables import WORDS
from neurohorizon.report.tables import Cell, TableRow, count


def retrieval_answer(scores: RetrievalScores) -> str:
    """Say in a sentence which row finds the picture best, and how often."""
    found = scores.of(scores.strongest)
    assert found is not None
    return (
        f"Out of {scores.among()} pictures, {scores.strongest} finds the one that was seen "
        f"{100 * found.value:.1f} % of the time; by chance it would be "
        f"{100 * scores.chance():.2g} %"
    )


def retrieval_margin(scores: RetrievalScores) -> list[str]:
    """Say how far that is above the next kind of row, and below the ceiling."""
    lines, best, lead = [], scores.strongest, scores.lead.name
    other = scores.next_row()
    step = scores.steps.get((other, "picture", lead))
    if step is not None:
        interval = f"[{-100 * step.high:.1f}, {-100 * step.low:.1f}]"
        sure = "excludes 0" if step.below else "does not exclude 0"
        lines.append(
            f"That is {-100 * step.value:.1f} points above the next kind of row ({other}): the "
            f"paired 95\u00a0% interval {interval} {sure}."
        )
    for ceiling in scores.rows(role="ceiling"):
        names = [case.recording for case in scores.result.scored(ceiling)]
        levels = [scores.of(ceiling, recording=name) for name in names]
        own = [scores.of(best, recording=name) for name in names]
        both = [(top, here) for top, here in zip(levels, own, strict=True) if top and here]
        if not both:
            continue
        top = 100 * np.mean([top.value for top, _ in both])
        here = 100 * np.mean([here.value for _, here in both])
        every = len(both) == len(scores.recordings)
        where = "" if every else f"Where pictures were shown again ({', '.join(names)}), "
        there = "" if every else " there"
        text = (
            f"{where}the mean of half of the trials finds that of the other half {top:.1f}\u00a0% "
            f"of the time, a lower bound of what can be reached; {best} finds{there} "
            f"{here:.1f}\u00a0%."
        )
        lines.append(text[0].upper() + text[1:])
    if not scores.rows(role="ceiling"):
        lines.append(
            "Test pictures were not shown often enough to say what could be reached: there is no "
            "ceiling."
        )
    return lines


def retrieval_table(scores: RetrievalScores, direction: Direction) -> PageTable:
    """Return every row's scores, with chance and the paired difference to the strongest row."""
    best, names = scores.strongest, scores.rows(direction)
    bridges = [row for row in names if scores.result.row(row).role == "bridge"]
    with_steps = any((row, direction, scores.lead.name) in scores.steps for row in names)
    sizes = [len(case) for case in scores.result.cases]
    chance = [Cell(f"{100 * scores.chance(metric):.2g}") for metric in scores.metrics]
    chance.append(Cell(f"{np.mean([(size + 1) / 2 for size in sizes]):.1f}"))
    rows = [TableRow("chance", "reference", chance + [Cell("")] * with_steps)]
    for row in names:
        cells = []
        for metric in scores.metrics:
            here = scores.of(row, direction, metric.name)
            levels = [scores.of(name, direction, metric.name) for name in bridges]
            top = max((each.value for each in levels if each), default=np.inf)
            mark = "best" if row in bridges and here and here.value == top else ""
            cells.append(Cell("-") if here is None else percent_cell(here, mark))
        cells.append(Cell(f"{scores.ranks[row, direction, '']:.1f}"))
        if with_steps:
            step = scores.steps.get((row, direction, scores.lead.name))
            paired = step is not None and row in bridges
            cells.append(step_cell(step) if paired and step is not None else Cell(""))
        role = scores.result.row(row).role
        rows.append(TableRow(row, "model" if row == best else role, cells))
    headings = [f"{metric.name} (%)" for metric in scores.metrics] + ["median rank"]
    if with_steps:
        headings.append(f"{scores.lead.name}\nminus {best}")
    partly = [
        f"{row} is scored on {', '.join(case.recording for case in cases)} alone"
        for row in names
        if len(cases := scores.result.scored(row, direction)) < len(scores.recordings)
    ]
    mean = "Mean over " * (len(scores.recordings) > 1)
    note = (
        f"{mean}{count(len(scores.recordings), 'recording')}, "
        f"{count(sum(sizes), 'test picture')}. Brackets are 95 % intervals over pictures and "
        "seeds; differences are paired, picture by picture."
    ) + "".join(f" {each[0].upper()}{each[1:]}." for each in partly)
    return PageTable(WORDS[direction], note, headings, rows)


def recordings_table(scores: RetrievalScores) -> PageTable:
    """Return the leading score of rows by recording."""
    names = scores.recordings
    chance = [Cell(f"{100 * scores.chance(recording=name):.2g}") for name in names]
    rows = [TableRow("chance", "reference", chance)]
    for row in rows_to_look_at(scores):
        cells = []
        for name in names:
            here = scores.of(row, recording=name)
            cells.append(Cell("-") if here is None else percent_cell(here))
        role = scores.result.row(row).role
        rows.append(TableRow(row, "model" if row == scores.strongest else role, cells))
    title = f"{scores.lead.name} (%), {WORDS['picture']}"
    return PageTable(title, "Brackets are 95 % intervals over pictures and seeds.", names, rows)


def readings(scores: RetrievalScores) -> dict[str, str]:
    """Return what a reader should know of rows, by what was varied of them."""
    return {variant(row).rpartition(", ")[2] or row: text for row, text in scores.about.items()}


def what_was_done(scores: RetrievalScores) -> list[str]:
    """Say what the page is of."""
    cases = scores.result.cases
    subjects = {case.subject for case in cases}
    pictures = {one for case in cases for one in case.hashes.tolist()}
    return [
        f"{count(len(cases), 'recording')} of {count(len(subjects), 'animal')}, "
        f"{count(sum(case.num_units for case in cases), 'unit')}; a bridge is fitted to each "
        "recording by itself",
        f"{count(sum(len(case) for case in cases), 'test response')} to "
        f"{count(len(pictures), 'picture')} that no bridge and no setting has seen "
        f"({scores.result.title.rpartition(': ')[2]})",
        f"{count(len(scores.rows(role='bridge')), 'row')}, tuned on held-out training pictures",
    ]
