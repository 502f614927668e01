"""A figure as the page holds it, and its files: SVG, PNG, and the numbers as CSV."""

from __future__ import annotations

import base64
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neurohorizon.ops.files import atomic_path
from neurohorizon.report.rows import RowStyle
from neurohorizon.report.style import save_figure

#: Narrow figures stand side by side on a wide page, and fill a phone's screen.
NARROW_MM, WIDE_MM = 122.0, 200.0
KINDS = ("svg", "png", "csv")


@dataclass(frozen=True)
class PageFigure:
    """A figure as the page holds it.

    Parameters
    ----------
    name : str
        Of its files.
    title, caption : str
        What it shows, and what to look at.
    svg : Path
    wide : bool
        Whether it takes the whole width of the page.
    png : bool
        Whether the page holds it as PNG: smaller where photographs are in it.
    """

    name: str
    title: str
    caption: str
    svg: Path
    wide: bool
    png: bool = False

    @property
    def files(self) -> list[tuple[str, str]]:
        """What it is also there as: kind, and path from the page."""
        return [(kind, f"{self.svg.parent.name}/{self.name}.{kind}") for kind in KINDS]

    @property
    def source(self) -> str:
        """The picture as a data URI: a page that holds it needs no other file."""
        path, kind = (self.svg.with_suffix(".png"), "png") if self.png else (self.svg, "svg+xml")
        return f"data:image/{kind};base64," + base64.b64encode(path.read_bytes()).decode()


def save_with_numbers(
    folder: Path, name: str, figure: Figure, table: Sequence[dict[str, Any]]
) -> Path:
    """Write a figure's SVG, PNG and CSV, and return the first."""
    svg = save_figure(figure, folder / f"{name}.svg")
    save_figure(figure, folder / f"{name}.png")
    save_numbers(folder, name, table)
    return svg


def save_numbers(folder: Path, name: str, table: Sequence[dict[str, Any]]) -> None:
    """Write a table as CSV."""
    with (
        atomic_path(folder / f"{name}.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        if table:
            writer = csv.DictWriter(file, fieldnames=list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)


class FigureMaker:
    """What all who draw figures of a report share.

    Parameters
    ----------
    folder : Path
        Receives the files.
    styles : mapping of str to RowStyle
        A row looks the same in every figure.
    """

    def __init__(self, folder: Path, styles: Mapping[str, RowStyle]) -> None:
        self.folder = folder
        self.styles = styles

    def saved(
        self,
        name: str,
        figure: Figure,
        table: Sequence[dict[str, Any]],
        title: str,
        caption: str,
        *,
        wide: bool = False,
        png: bool = False,
    ) -> PageFigure:
        """Write a figure with its numbers, and return it as the page holds it."""
        svg = save_with_numbers(self.folder, name, figure, table)
        return PageFigure(name=name, title=title, caption=caption, svg=svg, wide=wide, png=png)
