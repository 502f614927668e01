"""What was shown, as embeddings: presentations in time, and one vector a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.ops.binning import search_times


@dataclass(frozen=True, eq=False)
class ShownImages:
    """Presentations of pictures, and the embedding of each picture that was shown.

    A picture's vector is kept once, however often the picture was shown.

    Parameters
    ----------
    table : str
        Name of the table of presentations that this was made of.
    start, end : (K,) float64
        Seconds of each presentation, in the order of their starts.
    row : (K,) int
        Row of `vectors` that was shown, -1 where no picture was (a blank screen).
    vectors : (I, D) float32
        One row a distinct picture; a memory map where it was read from a file.
    hashes : (I,) str
        `picture_hash` of each picture, all different.
    fingerprint : str
        What made the vectors: JSON of the bank's fingerprint. Vectors of different
        fingerprints are not of one space.
    """

    table: str
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    row: NDArray[np.integer[Any]]
    vectors: NDArray[np.float32]
    hashes: NDArray[np.str_]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.start)

    @property
    def num_dimensions(self) -> int:
        """Length of a vector."""
        return self.vectors.shape[1]

    def between(
        self, start_s: float, end_s: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return onsets and vectors of the pictures that came on in ``[start_s, end_s)``.

        Parameters
        ----------
        start_s, end_s : float
            Seconds.

        Returns
        -------
        (k,) array of float64, (k, D) array of float32
            Presentations without a picture are left out.
        """
        low, high = search_times(self.start, (start_s, end_s))
        row = self.row[low:high]
        shown = row >= 0
        # A memory map is a slow subclass: rows are taken from what lies behind it.
        return self.start[low:high][shown], np.asarray(self.vectors)[row[shown]]

    def equals(self, other: ShownImages) -> bool:
        """Tell whether another one holds exactly the same."""
        if (self.table, self.fingerprint) != (other.table, other.fingerprint):
            return False
        arrays = ("start", "end", "row", "hashes", "vectors")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays)


def shown_problem(shown: ShownImages) -> str | None:
    """Say in one line what makes embeddings of what was shown unusable, if anything does."""
    num_rows = len(shown.start)
    lengths = {"end": len(shown.end), "row": len(shown.row)}
    for name, length in lengths.items():
        if length != num_rows:
            return f"{num_rows} presentations start, but {name} has {length} values"
    times = np.stack([shown.start, shown.end])
    if not np.isfinite(times).all():
        return "starts or ends of presentations are not finite"
    if np.any(np.diff(shown.start) < 0):
        return "presentations are not sorted by their start"
    if np.any(shown.end < shown.start):
        return "a presentation ends before it starts"
    vectors = shown.vectors
    if vectors.ndim != 2 or vectors.dtype != np.float32 or 0 in vectors.shape:
        return (
            f"vectors are {vectors.dtype} of shape {vectors.shape}, expected float32 of shape "
            "(pictures, dimensions)"
        )
    if len(shown.hashes) != len(vectors):
        return f"{len(shown.hashes)} hashes for {len(vectors)} vectors"
    if len(np.unique(shown.hashes)) < len(vectors):
        return "a picture has two vectors; expected each once"
    if shown.row.dtype.kind not in "iu":
        return f"rows are {shown.row.dtype}, expected integers"
    low, high = int(shown.row.min(initial=-1)), int(shown.row.max(initial=-1))
    if low < -1 or high >= len(vectors):
        return (
            f"rows run from {low} to {high}, expected -1 (no picture) to {len(vectors) - 1} "
            f"({len(vectors)} pictures)"
        )
    if not np.isfinite(vectors).all():
        return "a vector is not finite"
    return None
