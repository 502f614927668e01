"""The report of a decoder: one HTML page that holds everything it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurohorizon import __version__
from neurohorizon.evaluation.decoding.importance import Importance
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import pooled
from neurohorizon.evaluation.decoding.targets_by_part import TargetByPart, warnings_of
from neurohorizon.evaluation.decoding.views import Views
from neurohorizon.ops.files import atomic_path
from neurohorizon.report.decoding_gallery import make_decoding_figures
from neurohorizon.report.decoding_importance import importance_answer
from neurohorizon.report.decoding_page_tables import (
    chosen_rows,
    decoding_answer,
    decoding_headings,
    decoding_rows,
    left_out,
)
from neurohorizon.report.page import FIGURES_FOLDER
from neurohorizon.report.page_figure import PageFigure
from neurohorizon.report.page_parts import PageTable, page_environment, page_path
from neurohorizon.report.run_notes import RunNotes, provenance_rows

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PageResult:
    """What the page says of one set of recordings.

    Parameters
    ----------
    title : str
    answers : list of str
        A sentence a task.
    tables : list of PageTable
        One a task.
    """

    title: str
    answers: list[str]
    tables: list[PageTable]


def write_decoding_report(
    results: Mapping[str, DecodingResult],
    folder: Path,
    notes: RunNotes,
    out: Path | str,
    *,
    targets: Sequence[TargetByPart] = (),
    views: Views | None = None,
    importance: Sequence[Importance] = (),
    few_shot: DecodingResult | None = None,
    metrics_file: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page, and its figures with their numbers into a folder beside it.

    Parameters
    ----------
    results : mapping of str to DecodingResult
        By set, the most telling first.
    folder : Path
        Where they lie, a folder a set: decoded traces are read from there.
    notes : RunNotes
    out : path
        The page, a ``.html`` file; ``figures/`` beside it receives SVG, PNG and CSV. The
        page itself needs none of them.
    targets : sequence of TargetByPart
        What is to be decoded, part by part.
    views, importance, few_shot
        As :func:`~neurohorizon.report.decoding_gallery.make_decoding_figures` takes them.
    metrics_file : Path, optional
        ``metrics.csv`` of the training.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

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
    figures = make_decoding_figures(
        results,
        folder,
        out.parent / FIGURES_FOLDER,
        targets=targets,
        views=views,
        importance=importance,
        few_shot=few_shot,
        metrics_file=metrics_file,
        progress=progress,
    )
    page = render_decoding_page(
        results,
        notes,
        figures,
        warnings=warnings_of(targets),
        read=[importance_answer(each) for each in importance],
    )
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def render_decoding_page(
    results: Mapping[str, DecodingResult],
    notes: RunNotes,
    figures: Mapping[str, Sequence[PageFigure]],
    *,
    warnings: Sequence[str] = (),
    read: Sequence[str] = (),
) -> str:
    """Fill the template."""
    every = list(results.values())
    return (
        page_environment()
        .get_template("decoding.html.j2")
        .render(
            name=notes.name,
            version=__version__,
            sets=[_page_result(each) for each in every],
            done=_what_was_done(every, notes),
            over=_over(every),
            figures=figures,
            colours={},
            warnings=warnings,
            read=read,
            chosen=[
                (task.name, *told)
                for each in every
                for task in each.tasks
                for told in chosen_rows(each, task)
            ],
            provenance=provenance_rows(notes, {}),
            config=notes.config,
        )
    )


def _page_result(result: DecodingResult) -> PageResult:
    tasks = [task for task in result.tasks if result.scored_rows(task.name)]
    tables = []
    for task in tasks:
        missing = "; ".join(f"{row}: {why}" for row, why in left_out(result, task).items())
        note = f"{len(result.recordings(task.name))} recordings." + (
            f" Left out: {missing}." if missing else ""
        )
        tables.append(
            PageTable(task.name, note, decoding_headings(result, task), decoding_rows(result, task))
        )
    return PageResult(result.title, [decoding_answer(result, task) for task in tasks], tables)


def _what_was_done(results: Sequence[DecodingResult], notes: RunNotes) -> list[str]:
    cases = [case for result in results for case in result.cases]
    recordings = {case.recording: case for case in cases}
    subjects = {case.subject for case in cases}
    units = sum(case.num_units for case in recordings.values())
    lines = [
        f"{len(recordings)} recordings of {len(subjects)} subjects, {units:,} units",
        f"{sum(case.num_test for case in cases):,} time stamps decoded, "
        f"{sum(case.test_s for case in cases) / 60:.0f} minutes of test time",
    ]
    if notes.training:
        lines.append(f"model of {notes.training['num_parameters']:,} parameters")
    return lines


def _over(results: Sequence[DecodingResult]) -> str:
    """Say what intervals are resampled over."""
    found = set()
    for result in results:
        for task in result.tasks:
            for row in result.scored_rows(task.name)[:1]:
                found.add(pooled(result, row, task.name).over)
    words = {"sessions": "recordings", "blocks": "blocks of 30 s within these recordings"}
    return " and ".join(words[each] for each in sorted(found))
