"""Splits by picture: what is the same picture, or nearly, never lies on two sides.

A picture's part follows from its content: every recording in which it was shown agrees on it,
whatever its row there, and adding pictures moves no other picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.schema import IntArray

SplitKind = Literal["stored", "pictures", "categories"]
LEFT_OUT = ""


def chance_of(word: str, seed: int) -> float:
    """Return a number in [0, 1) that is as good as random, and always the same for a word.

    Examples
    --------
    >>> chance_of("a picture", 0) == chance_of("a picture", 0) != chance_of("a picture", 1)
    True
    """
    return int(hashlib.sha256(f"{seed} {word}".encode()).hexdigest()[:12], 16) / 16**12


def group_pictures(num_pictures: int, alike: Sequence[tuple[int, int]]) -> IntArray:
    """Join pictures that are alike into groups.

    Parameters
    ----------
    num_pictures : int
    alike : sequence of (int, int)
        Pairs of pictures that are nearly the same.

    Returns
    -------
    (I,) int
        The lowest picture of each one's group: what is alike to a third is in one group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.asarray(alike, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(num_pictures, num_pictures))
    _, label = connected_components(graph, directed=False)
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return first[inverse]


def split_pictures(
    hashes: NDArray[np.str_],
    group: IntArray,
    *,
    kind: SplitKind,
    test_share: float = 0.0,
    seed: int = 0,
    stored: NDArray[np.str_] | None = None,
    category: NDArray[np.str_] | None = None,
) -> NDArray[np.str_]:
    """Say which pictures are for training and which for the test.

    Parameters
    ----------
    hashes : (I,) str
        All different.
    group : (I,) int
        As :func:`group_pictures` returns it; a group is never on two sides.
    kind : {"stored", "pictures", "categories"}
        The source's own test pictures; pictures at random; or whole categories at random, so
        that no category of a test picture was trained on.
    test_share : float
        Share of test pictures; without effect on "stored".
    seed : int
    stored : (I,) str
        "train" or "test", for "stored".
    category : (I,) str
        For "categories".

    Returns
    -------
    (I,) str
        "train", "test", or "" for pictures that are left out, because they resemble one of the
        test.

    Raises
    ------
    ConfigError, DataError
        If the share leaves nothing, a part is empty, or categories are unknown.
    """
    if kind == "stored":
        assert stored is not None
        part = np.where(stored == "test", "test", "train")
    else:
        if not 0 < test_share < 1:
            raise ConfigError(
                f"a share of {test_share:g} for the test: expected more than 0, less than 1"
            )
        chance = _chances(kind, hashes, group, category, seed)
        part = np.where(chance < test_share, "test", "train")
    taken = np.isin(group, group[part == "test"])
    part[taken & (part == "train")] = LEFT_OUT
    for name in ("train", "test"):
        if not np.any(part == name):
            raise DataError(
                f"none of {len(part)} pictures is in the part {name!r}: give another share or seed"
            )
    return part


def fold_pictures(
    hashes: NDArray[np.str_],
    group: IntArray,
    *,
    kind: SplitKind,
    num_folds: int,
    held_out_share: float = 0.1,
    seed: int = 0,
    category: NDArray[np.str_] | None = None,
) -> IntArray:
    """Say in which fold of the training pictures each is held out.

    Parameters
    ----------
    hashes, group, kind, category
        As of :func:`split_pictures`: folds are as far from each other as test and training are.
    num_folds : int
        1 holds out one share and no more.
    held_out_share : float
        That share; without effect on several folds, which hold out every picture once.
    seed : int

    Returns
    -------
    (I,) int
        From 0; -1 for pictures that no fold holds out.
    """
    chance = _chances(kind, hashes, group, category, seed + 1)
    if num_folds == 1:
        return np.where(chance < held_out_share, 0, -1)
    return (chance * num_folds).astype(np.int64)


def _chances(
    kind: SplitKind,
    hashes: NDArray[np.str_],
    group: IntArray,
    category: NDArray[np.str_] | None,
    seed: int,
) -> NDArray[np.float64]:
    words = hashes[group]
    if kind == "categories":
        assert category is not None
        if "" in category:
            raise DataError(
                f"{np.sum(category == '')} of {len(category)} pictures have no category, so "
                "they cannot be split by it: split them by pictures"
            )
        words = category[group]
    return np.array([chance_of(word, seed) for word in words.tolist()])


def alike_pictures(
    embeddings: NDArray[np.float32], *, least_correlation: float, block: int = 2048
) -> list[tuple[int, int]]:
    """Find pictures whose embeddings are nearly the same.

    Parameters
    ----------
    embeddings : (I, D) array
        Of what the pictures look like (the encoder ``layout``), not of what they show.
    least_correlation : float
        Correlation over features, each standardised over pictures, from which on two are alike.

    Returns
    -------
    list of (int, int)
        Each pair once, the lower picture first.
    """
    spread = embeddings.std(axis=0)
    used = embeddings[:, spread > 0] - embeddings[:, spread > 0].mean(axis=0)
    used = used / spread[spread > 0]
    used = used - used.mean(axis=1, keepdims=True)
    used /= np.maximum(np.linalg.norm(used, axis=1, keepdims=True), 1e-12)
    found: list[tuple[int, int]] = []
    for first in range(0, len(used), block):
        near = used[first : first + block] @ used.T >= least_correlation
        rows, columns = np.nonzero(near)
        rows = rows + first
        keep = columns > rows
        found += list(zip(rows[keep].tolist(), columns[keep].tolist(), strict=True))
    return found
