"""One look for all figures, without touching matplotlib's global state for good.

Every function that draws is decorated with ``@styled()``: the settings hold while it runs.
Figures are made without pyplot, so nothing is kept alive and no window opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from neurohorizon.errors import ConfigError
from neurohorizon.ops.files import atomic_path

# Okabe & Ito's colours, told apart by all common kinds of colour vision.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, YELLOW, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#000000"
GREY, LIGHT_GREY = "#7F7F7F", "#D9D9D9"
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, BLACK)
PART_COLOURS = {"train": BLUE, "valid": ORANGE, "test": GREEN}
MM_PER_INCH = 25.4
DPI = 200

SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    "axes.prop_cycle": cycler(color=PALETTE),
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "neurohorizon",
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the house style while a block, or a function decorated with it, runs."""
    with matplotlib.rc_context(SETTINGS):
        yield


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """Make an empty figure of this size, laid out so that nothing overlaps.

    Parameters
    ----------
    width_mm, height_mm : float
        A column of a journal is about 89 mm wide, a page 183 mm.
    """
    figure = Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def label_panel(ax: Axes, letter: str) -> None:
    """Put a panel's letter above its upper left corner."""
    ax.set_title(letter, loc="left", fontweight="bold", fontsize=9)


def two_lines(label: str, *, most: int) -> str:
    r"""Break a label of more than `most` characters after half of its words.

    Examples
    --------
    >>> two_lines("two-way identification of pictures", most=20)
    'two-way identification\nof pictures'
    """
    words = label.split(" ")
    if len(label) <= most or len(words) < 2:
        return label
    half = (len(words) + 1) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])


@styled()
def save_figure(figure: Figure, path: Path | str) -> Path:
    """Write a figure as PNG (200 dpi) or SVG, as the suffix says.

    Raises
    ------
    ConfigError
        If the suffix is another.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise ConfigError(f"{path}: figures are written as .png or .svg")
    # Without a date, equal figures are equal files.
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, metadata=metadata)
    return path
