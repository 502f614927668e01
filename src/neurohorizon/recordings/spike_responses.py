"""From spikes to responses: what each unit answered to each picture that is attached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.binning import TICKS_PER_S, count_in_windows
from neurohorizon.recordings.responses import Images, ResponseRecording, Responses
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording

_BLOCK = 512
#: Of the metadata: what responses were made of.
MADE = "responses"


@dataclass(frozen=True)
class ResponseWindow:
    """Which spikes are the answer to a picture.

    Parameters
    ----------
    start_s, end_s : float
        After the picture came on.
    num_bins : int or None
        Time bins; None for one number a unit.
    every : int
        Of a movie: use every so many frames of it, the same ones whenever it is shown.

    Raises
    ------
    ConfigError
        If it is empty, or its bins are not of whole microseconds.
    """

    start_s: float = 0.0
    end_s: float = 0.25
    num_bins: int | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if not self.end_s > self.start_s:
            raise ConfigError(f"a window from {self.start_s} to {self.end_s} s is empty")
        if self.num_bins is not None and self.num_bins < 1:
            raise ConfigError(f"{self.num_bins} bins: expected 1 or more")
        if self.every < 1:
            raise ConfigError(f"every {self.every} frames: expected 1 or more")
        ticks = self.bin_s * TICKS_PER_S
        if abs(ticks - round(ticks)) > 1e-6:
            raise ConfigError(
                f"bins of {1000 * self.bin_s:g} ms: choose a window that its bins share evenly"
            )

    @property
    def bin_s(self) -> float:
        """Width of a bin, or of the whole window."""
        return (self.end_s - self.start_s) / (self.num_bins or 1)

    def describe(self, name: str) -> str:
        """Say what responses to some pictures are made of."""
        bins = "" if self.num_bins is None else f" in {self.num_bins} bins"
        every = f", every {self.every} frames" if self.every > 1 else ""
        return (
            f"spikes {1000 * self.start_s:g} to {1000 * self.end_s:g} ms{bins} after the onset of "
            f"{name}{every}"
        )


def responses_to_pictures(
    recording: Recording, name: str, window: ResponseWindow | None = None
) -> tuple[ResponseRecording, list[str]]:
    """Count the spikes that follow each presentation of a picture.

    Parameters
    ----------
    recording : Recording
        With embeddings of what was shown (`neurohorizon data embed --attach`).
    name : str
        Of these embeddings.
    window : ResponseWindow, optional

    Returns
    -------
    recording : ResponseRecording
        Spikes of each unit, (K, N) or (K, N, B); all pictures are train pictures, since such
        recordings name none for a test.
    notes : list of str
        What was left out.

    Raises
    ------
    DataError
        If there are no such embeddings, no spikes, or no presentation is left.
    """
    window = window or ResponseWindow()
    shown = recording.embeddings.get(name)
    if shown is None:
        known = ", ".join(sorted(recording.embeddings)) or "none"
        raise DataError(
            f"{recording.id}: no pictures {name!r} are attached; there are: {known} "
            "(`neurohorizon data embed --attach`)"
        )
    if not len(recording.spike_times):
        raise DataError(f"{recording.id}: has no spikes to count")
    row = np.asarray(shown.row)
    used = np.flatnonzero((row >= 0) & (row % window.every == 0))
    start = shown.start[used] + window.start_s
    end = shown.start[used] + window.end_s
    domain = recording.domain
    stretch = np.searchsorted(domain[:, 0], start, side="right") - 1
    whole = (stretch >= 0) & (end <= domain[np.maximum(stretch, 0), 1])
    used, start = used[whole], start[whole]
    if not len(used):
        raise DataError(
            f"{recording.id}: no presentation of {name} lies where the recording ran: is the "
            "window right?"
        )
    notes = []
    if not whole.all():
        notes.append(f"{np.sum(~whole)} presentations left out: the recording did not run")
    known, image = np.unique(row[used], return_inverse=True)
    hashes = np.asarray(shown.hashes)[known]
    edges = None
    if window.num_bins is not None:
        edges = window.start_s + window.bin_s * np.arange(window.num_bins + 1, dtype=np.float64)
    recorded = ResponseRecording(
        id=recording.id,
        subject=recording.subject,
        source=recording.source,
        units=recording.units,
        responses=Responses(
            values=_count(recording, start, window),
            start=shown.start[used],
            end=shown.end[used],
            image=image,
            part=np.full(len(used), "train"),
            repeat=_repeats(image),
            day=np.full(len(used), -1, dtype=np.int64),
            bin_edges_s=edges,
        ),
        images=Images(
            name=hashes,
            path=np.full(len(hashes), ""),
            sha256=hashes,
            category=np.full(len(hashes), ""),
        ),
        metadata={
            **recording.metadata,
            MADE: window.describe(name),
        },
    )
    return recorded, notes


def _count(
    recording: Recording, start_s: FloatArray, window: ResponseWindow
) -> NDArray[np.float32]:
    """Return spikes of each unit, (K, N) or (K, N, B)."""
    bins = window.num_bins or 1
    values = np.empty((len(start_s), recording.num_units, bins), dtype=np.float32)
    for first in range(0, len(start_s), _BLOCK):
        values[first : first + _BLOCK] = count_in_windows(
            recording.spike_times,
            recording.spike_unit_index,
            num_units=recording.num_units,
            starts_s=start_s[first : first + _BLOCK],
            bin_s=window.bin_s,
            num_bins=bins,
        )
    return values if window.num_bins is not None else values[:, :, 0]


def _repeats(image: IntArray) -> IntArray:
    """Return how often each presentation's image was shown before."""
    order = np.argsort(image, kind="stable")
    first = np.searchsorted(image[order], image[order])
    repeat = np.empty_like(image)
    repeat[order] = np.arange(len(image)) - first
    return repeat
