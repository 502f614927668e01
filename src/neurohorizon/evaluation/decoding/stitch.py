"""Windows overlap: what they say of one time stamp is averaged, and each counts once.

Partial sums of several processes merge; the order of windows has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.cases import Asked
from neurohorizon.recordings.schema import FloatArray

#: Window-relative times are float32; what lies further off a time stamp is another one.
TOLERANCE_S = 1e-4


class Stitched:
    """Averages what overlapping windows say of the time stamps of one recording and task.

    Parameters
    ----------
    asked : Asked
        All time stamps, and the stretches they lie in.
    num_outputs : int
        Columns, or classes.
    categorical : bool
        What is added are logits: they are averaged as probabilities.
    where : str
        Recording and task, for messages.
    """

    def __init__(
        self, asked: Asked, num_outputs: int, *, categorical: bool = False, where: str = "stitching"
    ) -> None:
        self.asked = asked
        self.categorical = categorical
        self.where = where
        self.sums = np.zeros((len(asked), num_outputs))
        self.counts = np.zeros(len(asked), dtype=np.int64)

    def index_of(self, times_s: ArrayLike) -> NDArray[np.int64]:
        """Return which time stamps these are, up to 0.1 ms.

        Raises
        ------
        DataError
            If one is none of them.
        """
        times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
        known = self.asked.times_s
        if not len(known):
            raise DataError(f"{self.where}: there is no time stamp to decode at")
        after = np.clip(np.searchsorted(known, times), 1, max(len(known) - 1, 1))
        after = np.minimum(after, len(known) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.abs(known[before] - times) <= np.abs(known[after] - times)
        index = np.where(nearer, before, after)
        off = np.abs(known[index] - times)
        if len(times) and off.max() > TOLERANCE_S:
            worst = int(np.argmax(off))
            raise DataError(
                f"{self.where}: {times[worst]:.6f} s is no time stamp to decode at; the nearest is "
                f"{known[index[worst]]:.6f} s"
            )
        return index

    def add(
        self, index: ArrayLike, decoded: ArrayLike, *, window_s: tuple[float, float] | None = None
    ) -> None:
        """Add what windows decoded.

        Parameters
        ----------
        index : (n,) int
            Which time stamps; one may occur more than once.
        decoded : (n, P) float
            Values, or logits.
        window_s : (float, float), optional
            Start and end of the window that was read, to make sure that it lies inside the
            stretch of its time stamps.

        Raises
        ------
        DataError
            If something decoded is not finite, or the window reaches out of the stretch.
        """
        index, decoded = np.asarray(index), np.asarray(decoded, dtype=np.float64)
        if decoded.shape != (len(index), self.sums.shape[1]):
            raise DataError(
                f"{self.where}: {decoded.shape} decoded, expected "
                f"({len(index)}, {self.sums.shape[1]})"
            )
        if not np.isfinite(decoded).all():
            raise DataError(f"{self.where}: something decoded is not finite")
        if window_s is not None and len(index):
            stretches = self.asked.stretches[np.unique(self.asked.stretch[index])]
            if stretches[:, 0].max() > window_s[0] + 1e-6 or stretches[:, 1].min() < (
                window_s[1] - 1e-6
            ):
                raise DataError(
                    f"{self.where}: the window from {window_s[0]:.3f} to {window_s[1]:.3f} s "
                    "reaches out of the stretch of its time stamps"
                )
        np.add.at(self.sums, index, softmax(decoded, axis=1) if self.categorical else decoded)
        np.add.at(self.counts, index, 1)

    def merge(self, others: Iterable[Stitched]) -> None:
        """Add the partial sums of others, over the same time stamps."""
        for other in others:
            if not np.array_equal(other.asked.times_s, self.asked.times_s):
                raise DataError(f"{self.where}: partial sums of other time stamps cannot be added")
            self.sums += other.sums
            self.counts += other.counts

    def merge_processes(self) -> None:
        """Add the partial sums of all processes of a distributed run, in each of them.

        Nothing happens where there is one process alone.
        """
        import torch
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        for array in (self.sums, self.counts):
            shared = torch.from_numpy(array).to(device)
            distributed.all_reduce(shared)
            array[...] = shared.cpu().numpy()

    @property
    def num_missing(self) -> int:
        """Time stamps of which no window has said anything."""
        return int((self.counts == 0).sum())

    def decoded(self, *, fill: ArrayLike | None = None) -> FloatArray:
        """Return what was decoded at each time stamp, (T, P): values, or probabilities.

        Parameters
        ----------
        fill : (P,) array_like, optional
            What stands for time stamps without a window.

        Raises
        ------
        DataError
            If there are such and no `fill`.
        """
        missing = self.counts == 0
        if missing.any() and fill is None:
            first = self.asked.times_s[np.flatnonzero(missing)[0]]
            raise DataError(
                f"{self.where}: no window covers {int(missing.sum())} of {len(self.asked)} time "
                f"stamps, first {first:.3f} s: windows must lie so that each is covered"
            )
        decoded = self.sums / np.maximum(self.counts, 1)[:, None]
        if fill is not None:
            decoded[missing] = fill
        return decoded
