"""What a bridge is fitted to: responses and the embeddings of their pictures, row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neurohorizon.recordings.schema import IntArray


@dataclass(frozen=True, eq=False)
class Samples:
    """Pairs of a response and a picture.

    Parameters
    ----------
    values : (K, N) or (K, N, B) float32
        NaN where missing.
    embeddings : (I, D) float32
    picture : (K,) int
        Row of `embeddings` of each response.
    fold : (I,) int
        In which fold each picture is held out, -1 for none.
    areas : tuple of int
        Area of each unit, from 0; empty where there is one.
    category : (I,) str, optional
        Of each picture, "" where unknown.
    responses : (J, N) or (J, N, B) float32, optional
        All responses of the training, from which their scale is learned; `values` by default.
        They are more where some pictures' embeddings are not used.
    """

    values: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    picture: IntArray
    fold: IntArray
    areas: tuple[int, ...] = ()
    category: NDArray[np.str_] | None = None
    responses: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.picture)

    @property
    def num_folds(self) -> int:
        """How many folds there are."""
        return int(self.fold.max(initial=-1)) + 1

    @property
    def for_scale(self) -> NDArray[np.float32]:
        """The responses from which their scale is learned."""
        return self.values if self.responses is None else self.responses

    @property
    def paired(self) -> NDArray[np.float32]:
        """The embedding of each response's picture, (K, D)."""
        return self.embeddings[self.picture]

    def without_fold(self, number: int) -> Samples:
        """Return what is fitted to when a fold is held out."""
        return self.of_pictures(self.fold != number)

    def of_fold(self, number: int) -> Samples:
        """Return what a fold holds out."""
        return self.of_pictures(self.fold == number)

    def of_pictures(self, chosen: NDArray[np.bool_]) -> Samples:
        """Return the pairs of some pictures, (I,)."""
        rows = np.flatnonzero(chosen[self.picture])
        place = np.cumsum(chosen) - 1
        return replace(
            self,
            values=self.values[rows],
            embeddings=self.embeddings[chosen],
            picture=place[self.picture[rows]],
            fold=self.fold[chosen],
            category=None if self.category is None else self.category[chosen],
        )
