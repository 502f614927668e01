"""Best of several pictures: the one whose own embedding is most like what responses speak for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.encoders import ImageEncoder
from neurohorizon.imaging.pictures import Pixels
from neurohorizon.recordings.schema import FloatArray


@dataclass(frozen=True, eq=False)
class Ranking:
    """How well pictures agree with an embedding, by the encoder of its space.

    Parameters
    ----------
    encoder : ImageEncoder
    num : int
        Pictures that one is chosen of.
    """

    encoder: ImageEncoder
    num: int

    def agreement(
        self,
        pictures: Sequence[Pixels],
        wanted_D: NDArray[np.floating],
        mean_D: NDArray[np.floating],
    ) -> FloatArray:
        """Return the cosine of each picture's embedding with the one that is wanted, (N,).

        Parameters
        ----------
        pictures : sequence of picture
        wanted_D : (D,) array
        mean_D : (D,) array
            Of the embeddings of training pictures: an agreement is about what is not common to all.

        Raises
        ------
        DataError
            If embeddings are of another length than the encoder's.
        """
        told_ND = self.encoder.encode(pictures).astype(np.float64)
        if {wanted_D.shape, mean_D.shape} != {told_ND.shape[1:]}:
            raise DataError(
                f"an embedding of shape {wanted_D.shape}: expected {told_ND.shape[1:]}, as of "
                f"{self.encoder.fingerprint.encoder}"
            )
        told_ND -= mean_D
        asked_D = wanted_D.astype(np.float64) - mean_D
        length = np.linalg.norm(told_ND, axis=1) * np.linalg.norm(asked_D)
        return told_ND @ asked_D / np.maximum(length, 1e-12)

    def choose(
        self,
        candidates: Sequence[Sequence[Pixels]],
        wanted_ID: NDArray[np.floating],
        mean_D: NDArray[np.floating],
    ) -> NDArray[np.int64]:
        """Return which candidate agrees most with each embedding, (I,); of equals the first.

        Parameters
        ----------
        candidates : sequence of sequence of picture
            One or more for each embedding.
        wanted_ID : (I, D) array
        mean_D : (D,) array
            As of :meth:`agreement`.

        Raises
        ------
        ConfigError
            If there are not as many lists as embeddings, or one is empty.
        """
        if len(candidates) != len(wanted_ID) or not all(len(each) for each in candidates):
            raise ConfigError(
                f"candidates for {len(candidates)} pictures, {len(wanted_ID)} embeddings: "
                "expected one list, not empty, for each"
            )
        best = [
            int(self.agreement(each, wanted, mean_D).argmax())
            for each, wanted in zip(candidates, wanted_ID, strict=True)
        ]
        return np.array(best, dtype=np.int64)
