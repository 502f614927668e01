r"""Identification: whether the right one is the most similar, among how many.

A similarity of query q to candidate c, (Q, C), is turned into one number a query: how many
candidates are more similar than the right one (ties count half). From it follow, exactly and
without drawing a gallery, the chance of being among the first k of a gallery of G candidates
(the right one and G - 1 of the others, drawn at random), the rank, and two-way identification.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray, IntArray


def count_better(similarity: NDArray[np.floating], right: IntArray) -> FloatArray:
    """Count the candidates that are more similar to a query than the right one, (Q,).

    Parameters
    ----------
    similarity : (Q, C) array
    right : (Q,) int
        The right candidate of each query.

    Notes
    -----
    A candidate that ties with the right one counts half: a constant similarity is chance.

    Examples
    --------
    >>> count_better(np.array([[0.9, 0.1, 0.3], [0.5, 0.5, 0.7]]), np.array([0, 1]))
    array([0. , 1.5])
    """
    rows = np.arange(len(right))
    own = similarity[rows, right][:, None]
    if not np.isfinite(similarity).all():
        raise DataError("similarities are not finite: the model that made them is damaged")
    better = (similarity > own).sum(axis=1)
    ties = (similarity == own).sum(axis=1) - 1
    return better + ties / 2


def identified(
    better: FloatArray, *, num_candidates: int, gallery: int | None = None, first: int = 1
) -> FloatArray:
    r"""Return the probability that each query's right candidate is among the first, (Q,).

    Parameters
    ----------
    better : (Q,) array
        As :func:`count_better` returns it.
    num_candidates : int
        In all, the right one included.
    gallery : int, optional
        Size of the galleries: the right candidate and others drawn at random. All by default.
    first : int
        How many of the first places count.

    Notes
    -----
    Of the G - 1 others drawn out of C - 1, the number of better ones is hypergeometric:
    the probability that fewer than `first` of them are better is exact, and its mean over queries
    is what drawing galleries without end would come to. Chance is first / G.

    Raises
    ------
    DataError
        If there are not as many candidates as a gallery holds.
    """
    from scipy.stats import hypergeom

    gallery = num_candidates if gallery is None else gallery
    if gallery > num_candidates or gallery < 2:
        raise DataError(f"a gallery of {gallery} pictures out of {num_candidates}: not that many")
    result = np.zeros(len(better))
    for step, share in ((np.floor, 0.5), (np.ceil, 0.5)):
        whole = step(better).astype(np.int64)
        result += share * hypergeom.cdf(first - 1, num_candidates - 1, whole, gallery - 1)
    return result


def median_rank(better: FloatArray) -> float:
    """Return the median rank of the right candidate; 1 is the first place."""
    return float(np.median(better) + 1)


def two_way(better: FloatArray, *, num_candidates: int) -> FloatArray:
    """Return the share of other candidates that are less similar than the right one, (Q,).

    The mean is two-way identification; 0.5 is chance.
    """
    return 1 - better / (num_candidates - 1)


def hubness_corrected(
    similarity: NDArray[np.floating], of_training: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Correct for candidates that resemble every response, without a look at other queries.

    Parameters
    ----------
    similarity : (Q, C) array
    of_training : (T, C) array
        Similarity of held-out training responses to the same candidates.

    Returns
    -------
    (Q, C) array
        How many standard deviations each candidate is more similar than it is to those.
    """
    spread = of_training.std(axis=0)
    return (similarity - of_training.mean(axis=0)) / np.maximum(spread, 1e-12)
