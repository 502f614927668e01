"""A recording as a decoder meets it: its reader, and how its units are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.ops.statistics import evenly
from neurohorizon.recordings.batches import WindowGroup
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.collate import DecodeGroup, collate_decode
from neurohorizon.recordings.decoding.contexts import ContextReader
from neurohorizon.recordings.decoding.placement import Cover, cover_stretches
from neurohorizon.recordings.decoding.windows import DecodeReader, DecodeWindows
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording


@dataclass(frozen=True)
class CoverBatch:
    """Windows that cover a part of a recording.

    Parameters
    ----------
    batch : DecodeBatch
    rows : mapping of str to (n,) int
        By task: which of the recording's time stamps (``reader.targets[task].times_s``) each of
        the batch's targets, and of a model's outputs, belongs to. One that several windows ask
        for is there as often; average what is said of it.
    cover : Cover
        Where the windows lie.
    """

    batch: DecodeBatch
    rows: Mapping[str, IntArray]
    cover: Cover


@dataclass(frozen=True)
class DecodeSession:
    """A recording as a decoder meets it.

    Parameters
    ----------
    reader : DecodeReader
    unit_rows : (N,) int64
        Of its units in the model's vocabulary; 0 where unknown.
    session_row : int
    unit_features : (N, F) float32
        Raw features of a reference; F = 0 where no identity reads them.
    context : ContextReader or None
        For a model that reads windows as a forecaster does.
    """

    reader: DecodeReader
    unit_rows: NDArray[np.int64]
    session_row: int
    unit_features: NDArray[np.float32]
    context: ContextReader | None = None

    def group(self, windows: DecodeWindows) -> DecodeGroup:
        """Return windows of this recording, ready to be collated."""
        context = None
        if self.context is not None:
            read = self.context.read(windows)
            context = WindowGroup(self.context.reference, read, self.unit_rows)
        return DecodeGroup(windows, self.unit_rows, self.session_row, self.unit_features, context)

    def cover(
        self,
        stretches: FloatArray,
        *,
        stride_s: float | None = None,
        tokens_per_batch: int = 48_000,
        most_windows: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[CoverBatch]:
        """Yield windows that ask for every time stamp in stretches; others are left out.

        Parameters
        ----------
        stretches : (K, 2) array
            Seconds.
        stride_s : float, optional
            Between windows; half of a window by default.
        tokens_per_batch : int
            Most tokens of a batch, padding included; a window that has more is alone.
        most_windows : int, optional
            Of more windows, so many, spread evenly.
        rank, world_size : int
            This process and all of them, which take turns, batch by batch.
        """
        cover = cover_stretches(stretches, length_s=self.reader.length_s, stride_s=stride_s)
        asked = self.reader.count_queries(cover.starts_s, asked_s=cover.asked_s)
        cover = cover.part(np.flatnonzero(asked))
        if most_windows is not None and len(cover) > most_windows:
            cover = cover.part(evenly(len(cover), most_windows))
        for number, part in enumerate(self._batches(cover, tokens_per_batch)):
            if number % world_size == rank:
                windows = self.reader.read(part.starts_s, asked_s=part.asked_s)
                batch = collate_decode([self.group(windows)], self.reader.tasks)
                yield CoverBatch(batch, query_rows(windows, self.reader), part)

    def _batches(self, cover: Cover, tokens_per_batch: int) -> Iterator[Cover]:
        num_tokens = self.reader.count_tokens(cover.starts_s).tolist()
        first = most = 0
        for index, number in enumerate(num_tokens):
            if index > first and (index - first + 1) * max(most, number) > tokens_per_batch:
                yield cover.part(slice(first, index))
                first, most = index, 0
            most = max(most, number)
        if len(cover):
            yield cover.part(slice(first, len(cover)))


def query_rows(windows: DecodeWindows, reader: DecodeReader) -> dict[str, IntArray]:
    """Return which time stamps windows ask for, by task, in the order of their targets."""
    return {
        task.name: windows.query_row[windows.query_task == position]
        for position, task in enumerate(reader.tasks)
        if len(windows.targets.get(task.name, ()))
    }


def unit_words(recording: Recording) -> list[str]:
    """Return what vocabularies call the units of a recording."""
    return [f"{recording.id}/{unit}" for unit in recording.units.id.tolist()]
