"""Windows overlap: what they say of one time stamp is averaged, and each counts once.

Partial sums of several processes merge; the order of windows has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray, IntArray


class Stitched:
    """Averages what overlapping windows say of the time stamps of one recording and task.

    Parameters
    ----------
    num_times : int
        Time stamps of the recording, T.
    num_outputs : int
        Columns, or classes, P.
    categorical : bool
        What is added are logits: they are averaged as probabilities.
    where : str
        Recording and task, for messages.
    """

    def __init__(
        self,
        num_times: int,
        num_outputs: int,
        *,
        categorical: bool = False,
        where: str = "stitching",
    ) -> None:
        self.categorical = categorical
        self.where = where
        self.sums = np.zeros((num_times, num_outputs))
        self.counts = np.zeros(num_times, dtype=np.int64)

    def add(self, rows: IntArray, outputs: ArrayLike) -> None:
        """Add what windows say.

        Parameters
        ----------
        rows : (n,) int
            Of which time stamps; one may occur more than once.
        outputs : (n, P) float
            Values, or logits.

        Raises
        ------
        DataError
            If something is not finite.
        """
        outputs = np.asarray(outputs, dtype=np.float64)
        if not np.isfinite(outputs).all():
            raise DataError(f"{self.where}: what was decoded is not finite: train again")
        np.add.at(self.sums, rows, softmax(outputs, axis=1) if self.categorical else outputs)
        np.add.at(self.counts, rows, 1)

    def merge(self, others: Iterable[Stitched]) -> None:
        """Add the partial sums of others, over the same time stamps."""
        for other in others:
            assert other.sums.shape == self.sums.shape, "partial sums of other time stamps"
            self.sums += other.sums
            self.counts += other.counts

    def averaged(self, rows: IntArray) -> FloatArray:
        """Return what was said of some time stamps, (n, P): values, or probabilities.

        Raises
        ------
        DataError
            If no window said anything of one of them.
        """
        missing = self.counts[rows] == 0
        if missing.any():
            raise DataError(
                f"{self.where}: no window covers {int(missing.sum())} of {len(missing)} time stamps"
            )
        return self.sums[rows] / self.counts[rows][:, None]
