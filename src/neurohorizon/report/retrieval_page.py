"""The report of a run of bridges: one HTML page that holds everything it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neurohorizon import __version__
from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.result_files import load_retrieval, load_summary
from neurohorizon.evaluation.retrieval.results import DIRECTIONS
from neurohorizon.evaluation.retrieval.views import RetrievalViews
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.ops.files import atomic_path
from neurohorizon.report.page import FIGURES_FOLDER
from neurohorizon.report.page_parts import PageTable, page_environment, page_path
from neurohorizon.report.retrieval_categories import category_note, category_rows
from neurohorizon.report.retrieval_drawn import Drawn, gather_drawn
from neurohorizon.report.retrieval_gallery import CATEGORIES, Gallery, make_retrieval_figures
from neurohorizon.report.retrieval_page_tables import (
    readings,
    recordings_table,
    retrieval_answer,
    retrieval_margin,
    retrieval_table,
    what_was_done,
)
from neurohorizon.report.retrieval_scores import RetrievalScores, read_scores
from neurohorizon.report.run_notes import RunNotes, provenance_rows

Progress = Callable[[str, int, int], None]


def write_retrieval_report(
    folder: Path,
    views: RetrievalViews,
    notes: RunNotes,
    out: Path | str,
    *,
    pictures: Sequence[Path] = (),
    drawn: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page, and its figures with their numbers into a folder beside it.

    Parameters
    ----------
    folder : Path
        Where the results of retrieval lie.
    views : RetrievalViews
    notes : RunNotes
    out : path
        The page, a ``.html`` file; ``figures/`` beside it receives SVG, PNG and CSV. The
        page itself needs none of them.
    pictures : sequence of Path
        Folders and archives of the pictures, for grids of what was found.
    drawn : Path, optional
        Folder of the run's reconstructions.
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
    DataError
        If the results are missing or damaged, or the pictures are not those of the run.
    """
    out = page_path(out)
    result, by_trials = load_retrieval(folder)
    try:
        scores = read_scores(result, load_summary(folder))
    except DataError as error:
        raise DataError(f"{folder}: {error}".replace(f"{folder}: {folder}", str(folder))) from error
    gallery = make_retrieval_figures(
        scores,
        by_trials,
        views,
        out.parent / FIGURES_FOLDER,
        pictures=pictures,
        progress=progress,
    )
    page = render_retrieval_page(
        scores,
        views,
        notes,
        gallery,
        drawn=gather_drawn(drawn, out, out.parent / FIGURES_FOLDER),
        asked=bool(pictures),
    )
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def render_retrieval_page(
    scores: RetrievalScores,
    views: RetrievalViews,
    notes: RunNotes,
    gallery: Gallery,
    *,
    drawn: Drawn,
    asked: bool,
) -> str:
    """Fill the template."""
    other = scores.next_row()
    categories = None
    if gallery.categories:
        headings = ["pictures", f"{scores.lead.name} (%)\n{scores.strongest}"]
        headings += [f"minus {other}"] * bool(other)
        note, rows = category_note(gallery.categories), category_rows(gallery.categories)
        categories = PageTable("By category", note, headings, rows)
    return (
        page_environment()
        .get_template("retrieval.html.j2")
        .render(
            name=notes.name,
            version=__version__,
            answer=retrieval_answer(scores),
            margin=retrieval_margin(scores),
            done=what_was_done(scores),
            tables=[retrieval_table(scores, direction) for direction in DIRECTIONS],
            by_recording=recordings_table(scores) if len(scores.recordings) > 1 else None,
            categories=categories,
            categories_file=f"{FIGURES_FOLDER}/{CATEGORIES}.csv",
            cases=scores.result.cases,
            about=readings(scores),
            figures=gallery.figures,
            grid_notes=gallery.grid_notes,
            asked=asked,
            drawn=drawn,
            example_path=min(views.paths.values(), default=""),
            chosen=views.tried,
            colours={},
            provenance=[
                # training.json of bridges tells rows, not parameters.
                *provenance_rows(replace(notes, training={}), {}),
                *_bank_rows(notes.data),
            ],
            config=notes.config,
        )
    )


def _bank_rows(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say in which spaces pictures lie."""
    rows = []
    for key, word in (("bank", "space of pictures"), ("grey_bank", "without colour")):
        bank = data.get(key)
        if bank:
            made = Fingerprint.from_json(bank["fingerprint"])
            settings = [
                f"{name.replace('_', ' ')} {value}" for name, value in made.settings.items()
            ]
            told = [made.encoder, *settings, f"SHA-256 {bank['sha256'][:16]}"]
            rows.append((word, " · ".join(told)))
    return rows
