"""Similarities of test responses and pictures: as a matrix, and of right against wrong pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from neurohorizon.evaluation.retrieval.identification import count_better, two_way
from neurohorizon.evaluation.retrieval.views import SimilarityMatrix
from neurohorizon.recordings.schema import FloatArray, IntArray
from neurohorizon.report.style import GREY, VERMILION

#: Of more pictures, so many are drawn, evenly spaced along the order.
MOST_PICTURES = 300
_FEWEST_IN_CATEGORY = 2
_NUM_BINS = 48
MEASURE_WORDS = {
    "cosine": "similarity (cosine)",
    "likelihood": "similarity (log likelihood ratio)",
}


@dataclass(frozen=True, eq=False)
class OrderedMatrix:
    """A similarity matrix in an order that shows what is like what.

    Parameters
    ----------
    row, recording : str
    hashes : (Q,) str
        In this order.
    values : (Q, Q) float
        Responses x pictures; each response's in standard deviations from its mean.
    num_pictures : int
        That there are.
    by_category : bool
        Whether pictures of a category stand together.
    """

    row: str
    recording: str
    hashes: NDArray[np.str_]
    values: FloatArray
    num_pictures: int
    by_category: bool

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers: a record a response, a column a picture."""
        columns = [f"picture {one[:12]}" for one in self.hashes]
        return [
            {
                "recording": self.recording,
                "row": self.row,
                "response to": one[:12],
                **dict(zip(columns, np.round(values, 3).tolist(), strict=True)),
            }
            for one, values in zip(self.hashes, self.values, strict=True)
        ]


def order_pictures(
    places: NDArray[np.floating], category: NDArray[np.str_]
) -> tuple[IntArray, bool]:
    """Return an order in which pictures that are alike stand near each other.

    Parameters
    ----------
    places : (Q, d) float
        In the space where they are compared.
    category : (Q,) str
        "" where unknown.

    Returns
    -------
    order : (Q,) int
    by_category : bool
        Whether pictures are grouped by category, where most share theirs with another; groups
        and pictures within them are ordered by the first principal component of the places.
    """
    centred = places.astype(np.float64) - places.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    # The sign of a component is arbitrary: the largest weight is taken as positive.
    component = centred @ axis * np.sign(axis[np.argmax(np.abs(axis))])
    known, inverse, count = np.unique(category, return_inverse=True, return_counts=True)
    shared = (count[inverse] >= _FEWEST_IN_CATEGORY) & (category != "")
    if shared.mean() <= 0.5:
        return np.argsort(component, kind="stable"), False
    mean = np.bincount(inverse, weights=component) / count
    rank = np.argsort(np.argsort(mean, kind="stable"))
    assert len(known) == len(rank)
    return np.lexsort((component, rank[inverse])), True


def compute_matrix(
    found: SimilarityMatrix,
    category: NDArray[np.str_],
    *,
    order_by: SimilarityMatrix | None = None,
) -> OrderedMatrix:
    """Order and standardise a matrix; by the places of another row if it is given."""
    places = (order_by or found).places
    order, by_category = order_pictures(places, category)
    if len(order) > MOST_PICTURES:
        order = order[np.linspace(0, len(order) - 1, MOST_PICTURES).round().astype(np.int64)]
    values = found.values.astype(np.float64)
    spread = np.maximum(values.std(axis=1, keepdims=True), 1e-12)
    values = (values - values.mean(axis=1, keepdims=True)) / spread
    return OrderedMatrix(
        row=found.row,
        recording=found.recording,
        hashes=found.hashes[order],
        values=values[np.ix_(order, order)],
        num_pictures=len(found.hashes),
        by_category=by_category,
    )


def draw_matrix(data: OrderedMatrix, ax: Axes) -> AxesImage:
    """Draw the matrix; right pairs lie on the diagonal."""
    image = ax.imshow(data.values, cmap="RdBu_r", vmin=-3, vmax=3, interpolation="nearest")
    ax.set_xlabel("picture")
    ax.set_ylabel("response to picture")
    ax.set_title(data.row, fontsize=7.5)
    ax.spines[["top", "right"]].set_visible(True)
    return image


@dataclass(frozen=True, eq=False)
class PairSimilarity:
    """Similarities of right and of wrong pairs, all recordings together.

    Parameters
    ----------
    row, measure : str
    edges : (B + 1,) float
    right, wrong : (B,) float
        Share of the pairs in each bin; what lies beyond the edges is counted in the outermost.
    mean_right, mean_wrong : float
    two_way : float
        Share of wrong pictures that are less similar to a response than the right one.
    """

    row: str
    measure: str
    edges: FloatArray
    right: FloatArray
    wrong: FloatArray
    mean_right: float
    mean_wrong: float
    two_way: float

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a bin."""
        return [
            {
                "row": self.row,
                "from": float(self.edges[index]),
                "to": float(self.edges[index + 1]),
                "right_share": float(self.right[index]),
                "wrong_share": float(self.wrong[index]),
                "mean_right": self.mean_right,
                "mean_wrong": self.mean_wrong,
                "two_way": self.two_way,
            }
            for index in range(len(self.right))
        ]


def compute_pairs(matrices: list[SimilarityMatrix]) -> PairSimilarity:
    """Gather right and wrong pairs of one row."""
    right = np.concatenate([np.diagonal(each.values) for each in matrices])
    wrong = np.concatenate(
        [each.values[~np.eye(len(each.values), dtype=bool)] for each in matrices]
    )
    both = [np.percentile(values, [1.0, 99.8]) for values in (right, wrong)]
    low, high = min(each[0] for each in both), max(each[1] for each in both)
    edges = np.linspace(low, max(high, low + 1e-9), _NUM_BINS + 1)
    of_query = [
        two_way(
            count_better(each.values, np.arange(len(each.values))), num_candidates=len(each.values)
        )
        for each in matrices
    ]
    return PairSimilarity(
        row=matrices[0].row,
        measure=matrices[0].measure,
        edges=edges,
        right=np.histogram(np.clip(right, low, high), edges)[0] / len(right),
        wrong=np.histogram(np.clip(wrong, low, high), edges)[0] / len(wrong),
        mean_right=float(right.mean()),
        mean_wrong=float(wrong.mean()),
        two_way=float(np.mean([each.mean() for each in of_query])),
    )


def draw_pairs(data: PairSimilarity, ax: Axes) -> None:
    """Draw both distributions and their means."""
    for values, mean, colour, name in (
        (data.wrong, data.mean_wrong, GREY, "wrong pairs"),
        (data.right, data.mean_right, VERMILION, "right pairs"),
    ):
        ax.stairs(100 * values, data.edges, fill=True, color=colour, alpha=0.35)
        ax.stairs(100 * values, data.edges, color=colour, label=name)
        ax.axvline(mean, color=colour, linewidth=0.9, linestyle="--")
    ax.set_ylim(bottom=0)
    ax.set_xlabel(MEASURE_WORDS[data.measure])
    ax.set_ylabel("pairs (%)")
    ax.set_title(f"{data.row}: two-way {100 * data.two_way:.1f} %", fontsize=7.5)
