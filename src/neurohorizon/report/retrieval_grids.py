"""Retrieval grids: the picture that was seen, and the first ones found by the response to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.views import SimilarityMatrix
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import GREEN

#: Queries of each group, and pictures found that are shown.
NUM_EACH, NUM_FOUND = 3, 5
GROUPS = ("best", "median", "worst")
#: Between the picture seen and those found, in widths of one.
_GAP = 0.15


@dataclass(frozen=True)
class Query:
    """A response whose findings are shown.

    Parameters
    ----------
    group : {"best", "median", "worst"}
    index : int
        Of the test picture that was seen.
    rank : float
        Of it among all test pictures; 1 is the first.
    """

    group: str
    index: int
    rank: float


@dataclass(frozen=True, eq=False)
class Grid:
    """What is shown of one recording.

    Parameters
    ----------
    row, recording : str
    hashes : (Q,) str
        All test pictures.
    queries : list of Query
    found : (len(queries), F) int
        The most similar pictures, the first one first.
    similarity : (len(queries), F) float
    """

    row: str
    recording: str
    hashes: NDArray[np.str_]
    queries: list[Query]
    found: NDArray[np.int64]
    similarity: FloatArray

    @property
    def needed(self) -> set[str]:
        """Hashes of the pictures that are shown."""
        seen = [each.index for each in self.queries]
        return set(self.hashes[np.concatenate([seen, self.found.ravel()]).astype(np.int64)])

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a picture found."""
        return [
            {
                "recording": self.recording,
                "row": self.row,
                "group": query.group,
                "seen": str(self.hashes[query.index]),
                "rank": query.rank,
                "of": len(self.hashes),
                "place": place + 1,
                "found": str(self.hashes[found]),
                "similarity": float(self.similarity[number, place]),
                "right": int(found == query.index),
            }
            for number, query in enumerate(self.queries)
            for place, found in enumerate(self.found[number].tolist())
        ]


def choose_queries(
    better: FloatArray, hashes: NDArray[np.str_], *, num_each: int = NUM_EACH
) -> list[Query]:
    """Choose what is shown by rule: the best, the middle and the worst ranks.

    Parameters
    ----------
    better : (Q,) float
        Candidates that beat the right one.
    hashes : (Q,) str
        Equal ranks are put in the order of these, which says nothing about the pictures.
    num_each : int
        Of each group; fewer where there are not enough pictures. None is shown twice.
    """
    order = np.lexsort((hashes, better))
    num = min(num_each, len(order) // len(GROUPS))
    middle = (len(order) - num) // 2
    first = dict(zip(GROUPS, (0, middle, len(order) - num), strict=True))
    return [
        Query(group, int(index), float(better[index] + 1))
        for group in GROUPS
        for index in order[first[group] : first[group] + num]
    ]


def compute_grid(found: SimilarityMatrix) -> Grid:
    """Choose queries and gather the pictures that are most similar to each."""
    better = count_better(found.values, np.arange(len(found.values)))
    queries = choose_queries(better, found.hashes)
    rows = found.values[[query.index for query in queries]]
    first = np.argsort(-rows, axis=1, kind="stable")[:, :NUM_FOUND]
    return Grid(
        row=found.row,
        recording=found.recording,
        hashes=found.hashes,
        queries=queries,
        found=first,
        similarity=np.take_along_axis(rows, first, axis=1).astype(np.float64),
    )


def draw_grid(data: Grid, ax: Axes, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
    """Draw a line a query: the picture seen, and those found; the right one is framed."""
    # One axes for all, a picture a cell of it: dozens of axes would take long to lay out.
    num = data.found.shape[1]
    for number, query in enumerate(data.queries):
        draw_picture(ax, pictures[str(data.hashes[query.index])], 0.0, number)
        name = f"{query.group}\nrank {query.rank:g}\nof {len(data.hashes)}"
        ax.text(-0.56, number, name, ha="right", va="center", fontsize=6.5)
        for place, found in enumerate(data.found[number].tolist()):
            at = _GAP + place + 1
            draw_picture(ax, pictures[str(data.hashes[found])], at, number)
            if found == query.index:
                corner = (at - 0.47, number - 0.47)
                ax.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, color=GREEN, linewidth=2.2))
    for at, word in ((0.0, "seen"), *((_GAP + place, str(place)) for place in range(1, num + 1))):
        ax.text(at, -0.56, word, ha="center", va="bottom", fontsize=7)
    ax.set_xlim(-1.25, _GAP + num + 0.55)
    ax.set_ylim(len(data.queries) - 0.45, -0.8)
    ax.set_aspect("equal")
    ax.set_axis_off()


def draw_picture(ax: Axes, pixels: NDArray[np.uint8], x: float, y: float) -> None:
    """Draw a picture into the cell around a point, in its own proportions."""
    height, width = pixels.shape[:2]
    across, down = 0.47 * width / max(height, width), 0.47 * height / max(height, width)
    ax.imshow(
        pixels, extent=(x - across, x + across, y + down, y - down), interpolation="antialiased"
    )
