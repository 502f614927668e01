"""What was drawn of the pictures of a run, in short, for its report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurohorizon.evaluation.pictures.result_files import SCORES_FOLDER, load_reconstruction
from neurohorizon.report.page_figure import KINDS, PageFigure
from neurohorizon.report.reconstruction_figures import GRID
from neurohorizon.report.reconstruction_page import (
    FIGURES_FOLDER,
    PAGE_FILE,
    reconstruction_answer,
)


@dataclass(frozen=True)
class Reconstruction:
    """One of the reconstructions of a run.

    Parameters
    ----------
    name : str
        Of its folder: that of the generator, and of how many trials.
    title, answer, margin : str
        Of its own page.
    page : str
        Path to that page from the report.
    """

    name: str
    title: str
    answer: str
    margin: str
    page: str


@dataclass(frozen=True)
class Drawn:
    """All reconstructions of a run.

    Parameters
    ----------
    each : sequence of Reconstruction
    figures : sequence of PageFigure
        A grid of each recording.
    """

    each: Sequence[Reconstruction] = ()
    figures: Sequence[PageFigure] = ()


def gather_drawn(folder: Path | None, out: Path, figures_folder: Path) -> Drawn:
    """Read what `bridge reconstruct` left, and copy its grids beside the report.

    Parameters
    ----------
    folder : Path or None
        With one folder a reconstruction; none there is nothing drawn.
    out : Path
        The report.
    figures_folder : Path

    Raises
    ------
    DataError
        If scores are damaged.
    """
    found, figures = [], []
    pages = sorted(folder.glob(f"*/{PAGE_FILE}")) if folder is not None else []
    for page in pages:
        name, result = page.parent.name, load_reconstruction(page.parent / SCORES_FOLDER)
        answer, margin = reconstruction_answer(result)
        link = Path(os.path.relpath(page, out.parent)).as_posix()
        found.append(Reconstruction(name, result.title, answer, margin, link))
        for case in result.cases:
            grid = GRID.format(recording=case.recording)
            files = [page.parent / FIGURES_FOLDER / f"{grid}.{kind}" for kind in KINDS]
            if not all(file.is_file() for file in files):
                continue
            figures_folder.mkdir(parents=True, exist_ok=True)
            copied = [figures_folder / f"{name}_{grid}.{kind}" for kind in KINDS]
            for file, copy in zip(files, copied, strict=True):
                shutil.copyfile(file, copy)
            figures.append(
                PageFigure(
                    name=copied[0].stem,
                    title=f"Seen, and drawn from the response: {case.recording}",
                    caption=f"{result.title}; best, middle and worst pictures by rule.",
                    svg=copied[0],
                    wide=True,
                    png=True,
                )
            )
    return Drawn(found, figures)
