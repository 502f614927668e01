"""A sweep's table: as a page with figures, as CSV, and as LaTeX."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon import __version__
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.evaluation.sweep_results import SweepResults, load_sweep
from neurohorizon.evaluation.sweep_table import (
    SweepRow,
    gap,
    holm,
    seed_records,
    sweep_rows,
    table_records,
)
from neurohorizon.ops.files import atomic_path
from neurohorizon.report import sweep_figures as draw
from neurohorizon.report.figures import Progress
from neurohorizon.report.page_figure import NARROW_MM, WIDE_MM, FigureMaker, PageFigure
from neurohorizon.report.page_parts import PageTable, page_environment
from neurohorizon.report.style import new_figure, styled
from neurohorizon.report.sweep_latex import latex_table
from neurohorizon.report.tables import Cell, TableRow, count, score_cell, step_cell

PAGE_FILE, CSV_FILE, SEEDS_FILE, LATEX_FILE = "table.html", "table.csv", "seeds.csv", "table.tex"
FIGURES_FOLDER = "figures"


@dataclass(frozen=True)
class SweptSet:
    """One set of windows as the page shows it."""

    name: SetName
    title: str
    tables: list[PageTable]


def write_sweep(folder: Path | str, *, progress: Progress | None = None) -> Path:
    """Write the table of what is finished of a sweep into its folder.

    Parameters
    ----------
    folder : path
        Of the sweep.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    Path
        The page, ``table.html``; beside it ``table.csv``, ``seeds.csv``, ``table.tex`` and
        ``figures/``.

    Raises
    ------
    DataError
        If the folder is no sweep's, or nothing is finished.
    """
    folder = Path(folder)
    if progress is not None:
        progress("writing the table", 0, 2)
    results = load_sweep(folder)
    _write_csv(folder / CSV_FILE, table_records(results))
    _write_csv(folder / SEEDS_FILE, seed_records(results))
    rows: dict[SetName, list[SweepRow]] = {
        of_set: sweep_rows(results, of_set) for of_set in results.sets
    }
    first_set = results.sets[0]
    with atomic_path(folder / LATEX_FILE) as temporary:
        temporary.write_text(latex_table(rows[first_set], results, first_set), encoding="utf-8")
    if progress is not None:
        progress("writing the table", 1, 2)
    maker = SweepFigures(folder / FIGURES_FOLDER, {})
    page = (
        page_environment()
        .get_template("sweep.html.j2")
        .render(
            name=results.record["name"],
            recipe=results.record["recipe"],
            version=__version__,
            verdicts=[
                describe_moves(_title(name, results), each)
                for name, each in rows.items()
                if any(row.member is not None for row in each[1:])
            ],
            size=_size(results),
            notes=_notes(results, [row for each in rows.values() for row in each]),
            sets=[swept_set(name, each, results) for name, each in rows.items()],
            figures={name: maker.all_of(results, name, each) for name, each in rows.items()},
            members=[
                (
                    member.name,
                    ", ".join(f"{k}={v}" for k, v in member.settings.items()) or "nothing",
                    ", ".join(member.also) or "–",
                    ", ".join(map(str, member.seeds)) or "–",
                    ", ".join(map(str, member.missing)) or "–",
                )
                for member in results.members
            ],
            settings=", ".join(f"{k}={v}" for k, v in results.record["settings"].items()),
            command=shlex.join(results.record.get("command_line", [])),
            colours={},
        )
    )
    out = folder / PAGE_FILE
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if progress is not None:
        progress("writing the table", 2, 2)
    return out


def swept_set(name: SetName, rows: Sequence[SweepRow], results: SweepResults) -> SweptSet:
    """Gather what the page says of a set."""
    horizons_s, first = rows[0].horizons_s, rows[0].name
    panels = [horizons_s[index] for index in draw.shown_horizons(horizons_s)]
    headings = [f"{horizon_s * 1000:g} ms" for horizon_s in panels]
    steps = [TableRow(row.name, "", _step_cells(row, rows, panels)) for row in rows[1:]]
    scores = [
        TableRow(
            row.name,
            "model" if row is rows[0] else "",
            [*_about_cells(row), *_score_cells(row, panels), _gap_cell(row)],
        )
        for row in rows
    ]
    tables = [
        PageTable(
            f"Differences to {first}",
            "Paired differences in bits per spike with 95 % intervals over recordings (8 or more) "
            "or blocks of 30 s, mean over seeds; below each, seeds on that side, recordings won "
            "and, with six recordings or more, Wilcoxon's p corrected for the number of members "
            "(Holm). Blue: surely above, orange-red: surely below, in the interval and in every "
            "seed.",
            headings,
            steps,
        ),
        PageTable(
            "Bits per spike over the null",
            "Cumulative to each horizon, all recordings together: mean over seeds ± standard "
            "deviation over seeds, and below it the 95 % interval over recordings. Gap: held-out "
            f"sessions minus later time of the training sessions, at {headings[0]}.",
            ["parameters", "training", "seeds", *headings, "gap"],
            scores,
        ),
    ]
    return SweptSet(name, _title(name, results), tables if steps else tables[1:])


def describe_moves(title: str, rows: Sequence[SweepRow]) -> str:
    """Say which members are surely above or below the first one, at its first horizon."""
    first = rows[0]
    horizon_s = first.horizons_s[0]
    trained = [row for row in rows[1:] if row.member is not None]
    sides: dict[int, list[str]] = {1: [], -1: [], 0: []}
    for row in trained:
        if row.step is not None and horizon_s in row.horizons_s:
            at = row.horizons_s.index(horizon_s)
            sides[int(row.step.moved[at])].append(
                f"{row.name} ({row.step.interval.value[at]:+.4f})"
            )
    if first.member is None or not any(sides.values()):
        return f"On {title}, nothing can be paired with {first.name}."
    parts = [
        f"surely {word}: {', '.join(names)}" if names else f"none is surely {word}"
        for word, names in (("below", sides[-1]), ("above", sides[1]))
    ]
    ahead = f"{horizon_s * 1000:g} ms"
    return (
        f"On {title}, of {count(len(trained), 'member')} against {first.name} at {ahead}, "
        f"in bits/spike: {'; '.join(parts)}; {len(sides[0])} not surely either."
    )


class SweepFigures(FigureMaker):
    """One method a figure: compute, draw, save, and say what to look at."""

    def all_of(
        self, results: SweepResults, of_set: SetName, rows: Sequence[SweepRow]
    ) -> list[PageFigure]:
        """Draw what there is to draw of a set."""
        figures = []
        if any(row.step is not None for row in rows):
            figures.append(self.steps(of_set, rows))
        figures += [self.scaling(each, of_set) for each in draw.compute_scaling(results, of_set)]
        if len(rows[0].horizons_s) > 1:
            figures.append(self.horizons(of_set, rows))
        if of_set == results.sets[0]:
            transfer = draw.compute_transfer(results)
            if transfer is not None:
                figures.append(self.transfer(transfer))
            runs = [run for member in results.finished for run in member.seeds.values()]
            if min(len(run.by_reference) for run in runs) > 1:
                figures.append(self.references(results))
        return figures

    @styled()
    def steps(self, of_set: SetName, rows: Sequence[SweepRow]) -> PageFigure:
        """Draw the differences to the first member."""
        num = sum(row.step is not None for row in rows)
        figure = new_figure(WIDE_MM, 26 + 4.6 * num)
        table = draw.draw_steps(rows, figure, first=rows[0].name)
        caption = (
            f"Paired difference to {rows[0].name}. Line: 95 % interval; ticks: seeds. Blue: surely "
            "above; orange-red: surely below; grey: neither. Hatched: not trained, the same model "
            "without a part of what it reads, or the strongest baseline."
        )
        title = f"What moves {rows[0].name}"
        return self.saved(f"differences_{of_set}", figure, table, title, caption, wide=True)

    @styled()
    def scaling(self, data: draw.ScalingCurve, of_set: SetName) -> PageFigure:
        """Draw bits per spike against a number that was varied."""
        figure = new_figure(NARROW_MM, 78)
        draw.draw_scaling(data, figure.add_subplot())
        caption = "Bits per spike against the value; lines: means over seeds, points: seeds."
        name = f"scaling_{data.key}_{of_set}"
        return self.saved(name, figure, data.table(), f"Scaling with {data.label}", caption)

    @styled()
    def horizons(self, of_set: SetName, rows: Sequence[SweepRow]) -> PageFigure:
        """Draw all members against the horizon."""
        figure = new_figure(NARROW_MM, 78)
        table = draw.draw_horizons(rows, figure.add_subplot())
        caption = (
            "Bits per spike over the null, cumulative to each horizon; band: standard deviation "
            "over seeds. What is to be judged are the paired differences."
        )
        return self.saved(f"horizons_{of_set}", figure, table, "Against the horizon", caption)

    @styled()
    def transfer(self, data: draw.TransferMatrix) -> PageFigure:
        """Draw who was scored after training on whom."""
        figure = new_figure(NARROW_MM, 40 + 8 * len(data.trained_on))
        draw.draw_transfer(data, figure.add_subplot())
        caption = (
            "Bits per spike of a model trained on the row and scored on the column without a "
            "gradient step; on the diagonal, other time of what was trained on. Levels move with "
            "the null of a session: compare within a column."
        )
        return self.saved("transfer", figure, data.table(), "Transfer", caption)

    @styled()
    def references(self, results: SweepResults) -> PageFigure:
        """Draw what seconds of reference are worth."""
        figure = new_figure(NARROW_MM, 78)
        table = draw.draw_references(results, figure.add_subplot())
        caption = "Zero-shot by length of the reference, on the same windows against one null."
        return self.saved("references", figure, table, "What a longer reference is worth", caption)


def _step_cells(row: SweepRow, rows: Sequence[SweepRow], panels: Sequence[float]) -> list[Cell]:
    cells = []
    for horizon_s in panels:
        at = row.horizons_s.index(horizon_s) if horizon_s in row.horizons_s else None
        if row.step is None or at is None or not np.isfinite(row.step.interval.value[at]):
            cells.append(Cell("–", row.why_no_step))
            continue
        cell = step_cell(row.step.interval, at)
        mark = {1: "above", -1: "below", 0: "faint"}[int(row.step.moved[at])]
        parts = []
        if row.member is not None and len(row.step.by_seed) > 1:
            parts.append(f"{row.step.agreeing[at]}/{len(row.step.by_seed)} seeds")
        parts.append(f"won {row.step.wins[at]}/{row.step.num_recordings}")
        p = holm(rows, row, horizon_s)
        if row.member is not None and np.isfinite(p):
            parts.append(f"p {p:.2g}")
        dagger = "" if row.step.same_windows else "†"
        below = "\n".join(part for part in (cell.interval, " · ".join(parts)) if part)
        cells.append(Cell(cell.value + dagger, below, mark))
    return cells


def _score_cells(row: SweepRow, panels: Sequence[float]) -> list[Cell]:
    cells = []
    for horizon_s in panels:
        if horizon_s not in row.horizons_s:
            cells.append(Cell("–"))
            continue
        at = row.horizons_s.index(horizon_s)
        cell, spread = score_cell(row.level, at), row.spread[at]
        told = f" ± {spread:.3f}" if np.isfinite(spread) else ""
        cells.append(Cell(cell.value + told, cell.interval))
    return cells


def _about_cells(row: SweepRow) -> list[Cell]:
    if row.member is None:
        return [Cell("–")] * 3
    minutes = row.member.seconds / 60
    return [
        Cell(f"{row.member.num_parameters:,}"),
        Cell(f"{minutes:.1f} min" if minutes >= 1 else f"{row.member.seconds:.0f} s"),
        Cell(str(len(row.seeds))),
    ]


def _gap_cell(row: SweepRow) -> Cell:
    value = gap(row.member) if row.member is not None else float("nan")
    return Cell(f"{value:+.3f}" if np.isfinite(value) else "–")


def _title(of_set: SetName, results: SweepResults) -> str:
    runs = (run for member in results.finished for run in member.seeds.values())
    return next(run.sets[of_set].title for run in runs if of_set in run.sets)


def _size(results: SweepResults) -> str:
    runs = sum(len(member.seeds) for member in results.members)
    told = f"{count(len(results.finished), 'member')}, {count(runs, 'run')} finished"
    return told + (
        f", {count(results.num_missing, 'run')} missing: the table is of what is there."
        if results.num_missing
        else "."
    )


def _notes(results: SweepResults, rows: Sequence[SweepRow]) -> list[str]:
    notes = [
        "A difference is sure where its paired 95 % interval excludes 0 and every seed lies on "
        "that side. The interval speaks of recordings, seeds averaged; with one seed, another may "
        "move a member by as much."
    ]
    if any(row.step is not None and not row.step.same_windows for row in rows):
        notes.append(
            "†: its windows lie at other moments of the same blocks of time: "
            "nothing is claimed of the difference."
        )
    return notes


def _write_csv(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        if table:
            writer = csv.DictWriter(file, fieldnames=list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
