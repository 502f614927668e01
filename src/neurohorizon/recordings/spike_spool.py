"""Putting spikes in order of time that arrive unit by unit or probe by probe.

A session may hold more spikes than memory does. Up to a limit they are sorted in memory; past
it they are kept in a file without a name in the folder of temporary files (``TMPDIR``), which
vanishes with the last array that is made of it, also when the process is killed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.blocks import blocks
from neurohorizon.recordings.schema import FloatArray, IntArray

MOST_IN_MEMORY = 4_000_000
# One spike in so many tells where to cut time into stretches that fit in memory.
SAMPLE_EVERY = 1024


class SpikeSpool:
    """Collects spikes in any order and gives them back sorted by time.

    Parameters
    ----------
    most_in_memory : int, optional
        Spikes that are held in memory at a time, 16 bytes each; some three times as much is
        needed while they are sorted. Default: `MOST_IN_MEMORY`.

    Examples
    --------
    >>> spool = SpikeSpool()
    >>> spool.add(np.array([0.5, 2.0]), np.array([0, 0]))
    >>> spool.add(np.array([1.0]), np.array([1]))
    >>> spool.sorted()
    (array([0.5, 1. , 2. ]), array([0, 1, 0]))
    """

    def __init__(self, *, most_in_memory: int | None = None) -> None:
        self._most = MOST_IN_MEMORY if most_in_memory is None else most_in_memory
        self._waiting: list[tuple[FloatArray, NDArray[np.int64]]] = []
        self._num_waiting = 0
        self._sample: list[FloatArray] = []
        self._files: tuple[IO[bytes], IO[bytes]] | None = None
        self._num_spikes = 0

    def add(self, spike_times: FloatArray, spike_unit_index: IntArray) -> None:
        """Add spikes; both arrays are read a block at a time."""
        for rows in blocks(len(spike_times), size=max(1, self._most // 4)):
            times = np.array(spike_times[rows], dtype=np.float64)
            self._waiting.append((times, np.array(spike_unit_index[rows], dtype=np.int64)))
            self._num_waiting += len(times)
            self._num_spikes += len(times)
            if self._num_waiting > self._most:
                self._spill()

    def sorted(self) -> tuple[FloatArray, NDArray[np.int64]]:
        """Return (times, units), sorted by time; equal times in the order in which they came.

        Past the limit these are memory maps. Times that are not a number come last. Nothing
        may be added afterwards.

        Raises
        ------
        DataError
            If the disk of temporary files is full; `add` may raise it too.
        """
        if self._files is None:
            times, units = self._collect()
            order = np.argsort(times, kind="stable")
            return times[order], units[order]
        self._spill()
        return self._sorted_on_disk()

    def _collect(self) -> tuple[FloatArray, NDArray[np.int64]]:
        times = np.concatenate([np.empty(0), *(times for times, _ in self._waiting)])
        units = [np.empty(0, dtype=np.int64), *(units for _, units in self._waiting)]
        self._waiting, self._num_waiting = [], 0
        return times, np.concatenate(units)

    def _spill(self) -> None:
        if self._files is None:
            # Closed when they are sorted, or with the spool.
            self._files = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        with _room_for(16 * self._num_spikes):
            for times, units in self._waiting:
                self._sample.append(times[::SAMPLE_EVERY].copy())
                self._files[0].write(times.data)
                self._files[1].write(units.data)
            for file in self._files:
                file.flush()
        self._waiting, self._num_waiting = [], 0

    def _sorted_on_disk(self) -> tuple[FloatArray, NDArray[np.int64]]:
        """Deal the spikes into stretches of time, then sort each stretch by itself."""
        assert self._files is not None
        came_times = np.memmap(self._files[0], np.float64, "r", shape=self._num_spikes)
        came_units = np.memmap(self._files[1], np.int64, "r", shape=self._num_spikes)
        sample = np.sort(np.concatenate(self._sample))
        num_stretches = 2 * -(-self._num_spikes // self._most)
        cuts = sample[np.arange(1, num_stretches) * len(sample) // num_stretches]
        size = max(1, self._most // 4)
        count = np.zeros(num_stretches, dtype=np.int64)
        for rows in blocks(self._num_spikes, size=size):
            stretch = np.searchsorted(cuts, came_times[rows], side="right")
            count += np.bincount(stretch, minlength=num_stretches)
        edges = np.concatenate([[0], np.cumsum(count)])
        times = _on_disk(self._num_spikes, np.float64)
        units = _on_disk(self._num_spikes, np.int64)
        filled = edges[:-1].copy()
        for rows in blocks(self._num_spikes, size=size):
            some_times, some_units = np.asarray(came_times[rows]), np.asarray(came_units[rows])
            stretch = np.searchsorted(cuts, some_times, side="right")
            order = np.argsort(stretch, kind="stable")
            here = np.bincount(stretch, minlength=num_stretches)
            first = 0
            for number in np.flatnonzero(here):
                chosen = order[first : first + here[number]]
                target = slice(filled[number], filled[number] + here[number])
                times[target], units[target] = some_times[chosen], some_units[chosen]
                first, filled[number] = first + here[number], target.stop
        del came_times, came_units
        for file in self._files:
            file.close()
        for low, high in pairwise(edges):
            order = np.argsort(times[low:high], kind="stable")
            times[low:high] = times[low:high][order]
            units[low:high] = units[low:high][order]
        return times, units


def _on_disk(length: int, dtype: type) -> NDArray[Any]:
    """Make an array in a file without a name."""
    num_bytes = length * np.dtype(dtype).itemsize
    file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the map)
    with _room_for(num_bytes):
        # Writing to a map of a file that the disk has no room for would kill the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        else:
            file.truncate(num_bytes)
    return np.memmap(file, dtype, "r+", shape=length)


@contextmanager
def _room_for(num_bytes: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{tempfile.gettempdir()}: no room for {num_bytes / 2**20:.0f} MiB of spikes to sort "
            f"({error.strerror or error}); set TMPDIR to a folder on another disk"
        ) from error
