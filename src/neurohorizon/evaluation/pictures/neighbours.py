"""Whether nearest neighbours in an embedding show the same, against chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1024


@dataclass(frozen=True)
class Agreement:
    """How many pictures have a nearest neighbour that shows the same.

    Parameters
    ----------
    share : float
    standard_error : float
        Over pictures.
    chance : float
        Share of all pairs of a picture and a candidate that show the same.
    """

    share: float
    standard_error: float
    chance: float


def nearest_neighbours(
    embeddings: NDArray[np.floating[Any]], among: NDArray[np.floating[Any]] | None = None
) -> NDArray[np.int64]:
    """Return the row of each embedding's nearest neighbour.

    Parameters
    ----------
    embeddings : (n, D) array
    among : (m, D) array, optional
        Candidates. By default the embeddings themselves, where none is its own neighbour.

    Returns
    -------
    (n,) array of int

    Notes
    -----
    Nearest by cosine after the candidates' mean is taken away, as bridges compare.
    """
    candidates = embeddings if among is None else among
    mean = candidates.mean(axis=0, dtype=np.float64)
    theirs = _unit(candidates - mean)
    found = []
    for first in range(0, len(embeddings), _AT_ONCE):
        similarity = _unit(embeddings[first : first + _AT_ONCE] - mean) @ theirs.T
        if among is None:
            own = np.arange(len(similarity))
            similarity[own, first + own] = -np.inf
        found.append(similarity.argmax(axis=1))
    return np.concatenate(found)


def agreement(
    code: NDArray[np.int64],
    nearest: NDArray[np.int64],
    among: NDArray[np.int64] | None = None,
) -> Agreement:
    """Return how often a picture and its nearest neighbour show the same.

    Parameters
    ----------
    code : (n,) int
        What each picture shows.
    nearest : (n,) int
        Of :func:`nearest_neighbours`.
    among : (m,) int, optional
        What each candidate shows, if candidates are other pictures.

    Examples
    --------
    >>> agreement(np.array([0, 0, 1, 1]), np.array([1, 0, 3, 0]))
    Agreement(share=0.75, standard_error=0.21650635094610965, chance=0.3333333333333333)
    """
    theirs = code if among is None else among
    same = theirs[nearest] == code
    count = np.bincount(theirs, minlength=int(code.max()) + 1)[code]
    others = len(theirs)
    if among is None:
        count, others = count - 1, others - 1
    return Agreement(
        share=float(same.mean()),
        standard_error=float(same.std() / np.sqrt(len(same))),
        chance=float(count.mean() / others),
    )


def _unit(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
