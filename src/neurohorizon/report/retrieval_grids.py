"""Retrieval grids: the picture that was seen, and the first ones found by the response to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.views import SimilarityMatrix
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.report.style import GREEN

#: Queries of each group, and pictures found that are shown.
NUM_EACH, NUM_FOUND = 3, 5
GROUPS = ("best", "median", "worst")


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


def draw_grid(data: Grid, figure: Figure, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
    """Draw a line a query: the picture seen, and those found; the right one is framed."""
    columns = data.found.shape[1]
    axes = figure.subplots(
        len(data.queries),
        columns + 2,
        squeeze=False,
        gridspec_kw={"width_ratios": [1, 0.12, *[1] * columns]},
    )
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.012, wspace=0.0, hspace=0.0)  # type: ignore[union-attr]
    for number, query in enumerate(data.queries):
        line = axes[number]
        _picture(line[0], pictures[str(data.hashes[query.index])])
        line[1].set_axis_off()
        name = f"{query.group}\nrank {query.rank:g}\nof {len(data.hashes)}"
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=6.5)
        for place, found in enumerate(data.found[number].tolist()):
            ax = line[place + 2]
            _picture(ax, pictures[str(data.hashes[found])])
            if found == query.index:
                _frame(ax)
            if number == 0:
                ax.set_title(str(place + 1), fontsize=7)
    axes[0, 0].set_title("seen", fontsize=7)


def _picture(ax: Axes, pixels: NDArray[np.uint8]) -> None:
    ax.imshow(pixels, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def _frame(ax: Axes) -> None:
    for spine in ax.spines.values():
        spine.set(visible=True, color=GREEN, linewidth=2.4)
