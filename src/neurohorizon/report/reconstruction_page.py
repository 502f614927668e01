"""The page of a reconstruction: pictures, scores, and whether the generator may be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from neurohorizon import __version__
from neurohorizon.evaluation.pictures.results import (
    GROUPS,
    PictureMetric,
    ReconstructionResult,
)
from neurohorizon.evaluation.pictures.summary import control_of, estimate, surely
from neurohorizon.imaging.pictures import Pixels
from neurohorizon.ops.files import atomic_path
from neurohorizon.report.page_figure import PageFigure
from neurohorizon.report.page_parts import PageTable, page_environment, page_path
from neurohorizon.report.reconstruction_figures import draw_reconstruction
from neurohorizon.report.reconstruction_tables import (
    HEADINGS,
    REPORTED_NOTE,
    heading,
    reported_text,
    score_text,
    shown_metrics,
)
from neurohorizon.report.tables import Cell, TableRow

PAGE_FILE, FIGURES_FOLDER = "index.html", "figures"
_MARKS = {"better": "above", "worse": "below", "": ""}


def report_reconstruction(
    result: ReconstructionResult,
    seen: Mapping[str, Sequence[Pixels]],
    drawn: Mapping[tuple[str, str], Sequence[Pixels]],
    folder: Path,
) -> Path:
    """Draw all figures of a reconstruction, and write its page beside them.

    Parameters
    ----------
    result : ReconstructionResult
    seen, drawn
        As :func:`~neurohorizon.report.reconstruction_figures.draw_reconstruction`.
    folder : Path
        Receives ``index.html`` and ``figures/``.

    Returns
    -------
    Path
        Of the page.
    """
    figures = draw_reconstruction(result, seen, drawn, folder / FIGURES_FOLDER)
    return write_reconstruction_page(result, figures, folder / PAGE_FILE)


def write_reconstruction_page(
    result: ReconstructionResult, figures: Sequence[PageFigure], out: Path | str
) -> Path:
    """Write the page; figures lie beside it, but it needs none of them.

    Parameters
    ----------
    result : ReconstructionResult
    figures : sequence of PageFigure
        The grids are shown first.
    out : path
        A ``.html`` file.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ConfigError
        If `out` is no ``.html`` file.
    """
    out = page_path(out)
    control = control_of(result)
    answer, margin = reconstruction_answer(result)
    page = (
        page_environment()
        .get_template("reconstruction.html.j2")
        .render(
            name=result.title,
            version=__version__,
            answer=answer,
            margin=margin,
            gates={name: (gate.passed, gate.reason) for name, gate in result.gates.items()},
            control=control,
            figures=sorted(figures, key=lambda each: not each.png),
            tables=[
                _table(result, shown_metrics(result, group), HEADINGS[group], control)
                for group in GROUPS
                if shown_metrics(result, group)
            ],
            about=[row for row in result.rows if row.about],
            reported={row.name: reported_text(row) for row in result.reported},
            reported_note=REPORTED_NOTE,
            cases=result.cases,
            networks={
                name: f"{each.encoder}, weights {each.weights[:16] or 'none'}"
                for name, each in result.networks.items()
            },
            colours={},
        )
    )
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def reconstruction_answer(result: ReconstructionResult) -> tuple[str, str]:
    """Say how often a drawn picture is identified, and whether for sure more often than control."""
    row = result.of_role("generator")[0]
    control = control_of(result)
    metric = next(each for each in result.leading() if each.group == "features")
    mine, theirs = (estimate(result, name, metric.name) for name in (row, control))
    step = estimate(result, row, metric.name, minus=control)
    assert mine is not None
    assert theirs is not None
    assert step is not None
    network = metric.name.removesuffix(" two-way")
    sure = "excludes 0" if surely(step, metric) else "does not exclude 0"
    return (
        f"Out of two pictures, {network} finds the one that was seen in {100 * mine.value:.1f} % "
        f"of what is drawn ({row}), and in {100 * theirs.value:.1f} % of what is retrieved",
        f"The difference is {100 * step.value:+.1f} points: the paired 95\u00a0% interval "
        f"[{100 * step.low:.1f}, {100 * step.high:.1f}] {sure}.",
    )


def _table(
    result: ReconstructionResult, metrics: Sequence[PictureMetric], title: str, control: str
) -> PageTable:
    rows = []
    for row in result.rows:
        cells = []
        for metric in metrics:
            found = estimate(result, row.name, metric.name)
            if found is None:
                cells.append(Cell(""))
                continue
            step = None
            if row.name != control:
                step = estimate(result, row.name, metric.name, minus=control)
            value, _, interval = score_text(found, metric).partition(" ")
            cells.append(
                Cell(value, interval, "" if step is None else _MARKS[surely(step, metric)])
            )
        rows.append(TableRow(row.name, row.role, cells))
    note = f"Coloured: better or worse than the {control}, by a paired interval that excludes 0."
    return PageTable(title, note, [heading(metric) for metric in metrics], rows)
