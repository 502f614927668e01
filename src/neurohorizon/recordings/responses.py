"""Responses to pictures: presentations x units, or presentations x units x time bins.

A recording of responses has no spikes: it says how strongly each unit answered to each
presentation of a picture. Its values are the one array that may be large, and are only ever
taken by slices of presentations: what was read from a file is a memory map, and a source may
hand over values that it reads from its own file when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.recordings.embeddings import ShownImages
from neurohorizon.recordings.schema import FloatArray, IntArray, Units

BLOCK_BYTES = 32 * 2**20
PARTS = ("train", "test")


class Values(Protocol):
    """What holds responses: an array, a memory map, or rows that are read when asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Presentations, units and, where there are any, bins."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value."""
        ...

    def __getitem__(self, rows: slice, /) -> Any:
        """Read the responses of some presentations."""
        ...


@dataclass(frozen=True)
class Responses:
    """What each unit answered to each presentation, one row a presentation.

    Parameters
    ----------
    values : (K, N) or (K, N, B) float32
        NaN where missing. Take rows by slices: they may lie on disk.
    start, end : (K,) float
        Seconds, sorted. Where the source has no clock, presentation k spans ``[k, k + 1)``.
    image : (K,) int
        Row of the images that was shown.
    part : (K,) str
        "train" or "test".
    repeat : (K,) int
        How often this image was shown before, from 0; -1 where the row is a mean over
        repeats.
    day : (K,) int
        Day of recording, -1 where unknown.
    bin_edges_s : (B + 1,) float or None
        Edges of the time bins in seconds from the picture's onset; bins are half-open.
    """

    values: Values
    start: FloatArray
    end: FloatArray
    image: IntArray
    part: NDArray[np.str_]
    repeat: IntArray
    day: IntArray
    bin_edges_s: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.start)

    @property
    def num_units(self) -> int:
        """Number of units."""
        return self.values.shape[1]

    def blocks(self, *, num_bytes: int = BLOCK_BYTES) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield (rows, their values) of all presentations, about `num_bytes` at a time."""
        row_bytes = 4 * int(np.prod(self.values.shape[1:]))
        size = max(1, num_bytes // max(row_bytes, 1))
        for first in range(0, len(self), size):
            rows = slice(first, min(first + size, len(self)))
            yield rows, np.asarray(self.values[rows])


@dataclass(frozen=True)
class Images:
    """The pictures that were shown, one row a picture of the source.

    Parameters
    ----------
    name : (I,) str
    path : (I,) str
        Relative to the folder or archive of pictures, with "/".
    sha256 : (I,) str
        `picture_hash` of the decoded pixels, "" where the picture is not at hand. Rows with
        the same hash are the same picture.
    category : (I,) str
        "" where unknown.
    """

    name: NDArray[np.str_]
    path: NDArray[np.str_]
    sha256: NDArray[np.str_]
    category: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True)
class ResponseRecording:
    """The responses of one population to pictures.

    Parameters
    ----------
    id, subject, source : str
        As of :class:`~neurohorizon.recordings.schema.Recording`.
    units : Units
    responses : Responses
    images : Images
    metadata : mapping of str to str
    embeddings : mapping
        What was shown, as embeddings of pictures, by name; one row a presentation.
    """

    id: str
    subject: str
    source: str
    units: Units
    responses: Responses
    images: Images
    metadata: Mapping[str, str] = field(default_factory=dict)
    embeddings: Mapping[str, ShownImages] = field(default_factory=dict)

    @property
    def num_units(self) -> int:
        """Number of units."""
        return len(self.units)


def presentation_clock(num_presentations: int) -> tuple[FloatArray, FloatArray]:
    """Return starts and ends for a source without a clock: ``[k, k + 1)`` seconds."""
    start = np.arange(num_presentations, dtype=np.float64)
    return start, start + 1.0


def response_problem(recording: ResponseRecording) -> str | None:
    """Say in one line what makes responses unusable, if anything does."""
    responses, shape = recording.responses, tuple(recording.responses.values.shape)
    edges = responses.bin_edges_s
    bins = () if edges is None else (len(edges) - 1,)
    expected = (len(responses), recording.num_units, *bins)
    if shape != expected:
        words = "presentations, units" + ", bins" * bool(bins)
        return f"values have shape {shape}, expected {expected} ({words})"
    if 0 in shape:
        return f"values have shape {shape}: nothing was recorded"
    if responses.values.dtype.kind not in "fiu":
        return f"values are {responses.values.dtype}, expected numbers"
    columns = (responses.end, responses.image, responses.part, responses.repeat, responses.day)
    lengths = {len(column) for column in columns}
    if lengths != {len(responses)}:
        return f"{len(responses)} presentations, but columns of {sorted(lengths)} rows"
    times = np.stack([responses.start, responses.end])
    if not np.isfinite(times).all() or np.any(np.diff(times) < 0) or np.any(np.diff(times.T) <= 0):
        return "presentations are not sorted in time, or one of them ends before it starts"
    if edges is not None and not np.all(np.diff(edges) > 0):
        return "edges of the bins do not increase"
    low, high = int(responses.image.min()), int(responses.image.max())
    if low < 0 or high >= len(recording.images):
        return (
            f"images are numbered {low} to {high}, expected 0 to {len(recording.images) - 1} "
            f"({len(recording.images)} images)"
        )
    strange = set(np.unique(responses.part).tolist()) - set(PARTS)
    if strange:
        return f"part is {sorted(strange)[0]!r}, expected train or test"
    for name, shown in recording.embeddings.items():
        if len(shown) != len(responses):
            return f"{len(responses)} presentations, but embeddings {name!r} of {len(shown)}"
    return None
