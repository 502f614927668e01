"""Grids of pictures: what was seen, above what was drawn and found, for pictures chosen by rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.results import PictureMetric
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.retrieval_grids import GROUPS, choose_queries, draw_picture
from neurohorizon.report.style import BLACK, two_lines

#: Pictures of each group.
NUM_EACH = 4
#: The line of the pictures that were seen.
SEEN = "seen"
#: Between groups, and below what was seen, in widths of a picture.
_GAP, _BELOW = 0.35, 0.16
#: Half of a picture's width, nearly.
_HALF = 0.47
#: Room above and below the pictures, in widths of a picture.
_ABOVE, _UNDER = 0.75, 0.5
#: Of names: letters are so wide, on the average, and stand so far from the pictures.
_LETTER_MM, _ASIDE = 1.3, 0.12
#: Share of a grid's width that names take at most.
_MOST_NAMES = 0.4


@dataclass(frozen=True)
class Chosen:
    """A picture that is shown.

    Parameters
    ----------
    group : {"best", "median", "worst"}
    index : int
        Among the test pictures.
    score : float
        That it was chosen by.
    """

    group: str
    index: int
    score: float


@dataclass(frozen=True, eq=False)
class PictureGrid:
    """What is shown of one recording.

    Parameters
    ----------
    row, recording : str
        Whose scores pictures were chosen by.
    metric : PictureMetric
        The score.
    hashes : (Q,) str
        All test pictures.
    chosen : list of Chosen
    """

    row: str
    recording: str
    metric: PictureMetric
    hashes: NDArray[np.str_]
    chosen: list[Chosen]

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a picture."""
        return [
            {
                "recording": self.recording,
                "row": self.row,
                "group": each.group,
                "picture": str(self.hashes[each.index]),
                "metric": self.metric.name,
                "score": each.score,
            }
            for each in self.chosen
        ]


def compute_picture_grid(
    score: FloatArray,
    metric: PictureMetric,
    hashes: NDArray[np.str_],
    *,
    row: str,
    recording: str,
    num_each: int = NUM_EACH,
) -> PictureGrid:
    """Choose pictures by rule: the best, the middle and the worst scores.

    Parameters
    ----------
    score : (Q,) float
        Of each test picture; with several seeds, of the one whose pictures are shown.
    metric : PictureMetric
        What the score is.
    hashes : (Q,) str
        Equal scores are put in the order of these, which says nothing about the pictures.
    row, recording : str
    num_each : int
        Of each group; fewer where there are not enough pictures.

    Raises
    ------
    DataError
        If there are fewer than three pictures.
    """
    if len(score) < len(GROUPS):
        raise DataError(
            f"{recording}: {len(score)} test pictures are too few for best, median and worst"
        )
    worse = -score if metric.better == "higher" else score
    chosen = [
        Chosen(each.group, each.index, float(score[each.index]))
        for each in choose_queries(worse, hashes, num_each=num_each)
    ]
    return PictureGrid(row, recording, metric, hashes, chosen)


def draw_picture_grid(
    data: PictureGrid,
    ax: Axes,
    lines: Mapping[str, Sequence[NDArray[np.uint8]]],
    *,
    width_mm: float,
) -> None:
    """Draw what was seen in the first line, and each other row's picture of it below.

    Parameters
    ----------
    data : PictureGrid
    ax : Axes
    lines : mapping of str to sequence of (H, W, 3) arrays of uint8
        All test pictures of each row, in the order of the grid's hashes; first those that were
        seen, under :data:`SEEN`.
    width_mm : float
        Of the figure.

    Raises
    ------
    DataError
        If a line has another number of pictures.
    """
    _require_lines(data, lines)
    across = grid_places(data)
    for place, (name, pictures) in enumerate(lines.items()):
        down = place + _BELOW * (place > 0)
        weight = "bold" if name in (SEEN, data.row) else "normal"
        ax.text(
            -0.5 - _ASIDE,
            down,
            two_lines(name, most=18),
            ha="right",
            va="center",
            fontsize=7,
            fontweight=weight,
        )
        for x, each in zip(across, data.chosen, strict=True):
            draw_picture(ax, pictures[each.index], x, down)
    bottom = len(lines) - 1 + _BELOW
    for x, each in zip(across, data.chosen, strict=True):
        told = f"{100 * each.score:.0f}" if data.metric.share else f"{each.score:.2f}"
        ax.text(x, bottom + 0.55, told, ha="center", va="top", fontsize=6.5)
    ax.text(-0.5 - _ASIDE, bottom + 0.55, _scored(data), ha="right", va="top", fontsize=6.5)
    for group in GROUPS:
        of = [x for x, each in zip(across, data.chosen, strict=True) if each.group == group]
        ax.plot([of[0] - _HALF, of[-1] + _HALF], [-0.6, -0.6], color=BLACK, linewidth=0.6)
        ax.text((of[0] + of[-1]) / 2, -0.66, group, ha="center", va="bottom", fontsize=7.5)
    ax.set_xlim(-0.5 - _name_width(data, lines, width_mm), across[-1] + 0.5)
    ax.set_ylim(bottom + 0.5 + _UNDER, -0.5 - _ABOVE + 0.25)
    ax.set_aspect("equal")
    ax.set_axis_off()


def grid_places(data: PictureGrid) -> list[float]:
    """Return where each picture stands from left to right, in widths of one."""
    return [number + _GAP * GROUPS.index(each.group) for number, each in enumerate(data.chosen)]


def grid_height_mm(data: PictureGrid, names: Collection[str], width_mm: float) -> float:
    """Return how tall a figure of this width and of these lines must be."""
    across = grid_places(data)[-1] + 1 + _name_width(data, names, width_mm)
    down = len(names) + _BELOW + _UNDER + _ABOVE - 0.25
    return width_mm * down / across + 2


def _scored(data: PictureGrid) -> str:
    """Say what the numbers at the bottom are."""
    unit = " (%)" * data.metric.share
    return two_lines(f"{data.metric.name}{unit} of {data.row}", most=20)


def _name_width(data: PictureGrid, names: Collection[str], width_mm: float) -> float:
    """Return how much room names need beside the pictures, in widths of one."""
    told = [_scored(data), *(two_lines(name, most=18) for name in names)]
    letters = max(len(line) for each in told for line in each.split("\n"))
    # A name without end must leave room for the pictures.
    share = min(_LETTER_MM * letters / width_mm, _MOST_NAMES)
    return (grid_places(data)[-1] + 1) * share / (1 - share) + _ASIDE


def _require_lines(data: PictureGrid, lines: Mapping[str, Sequence[NDArray[np.uint8]]]) -> None:
    if next(iter(lines), "") != SEEN:
        raise DataError(f"the first line of a grid must be {SEEN!r}: what was seen")
    for name, pictures in lines.items():
        if len(pictures) != len(data.hashes):
            raise DataError(
                f"{data.recording}: {len(pictures)} pictures of {name}, expected one for each of "
                f"{len(data.hashes)} test pictures"
            )
