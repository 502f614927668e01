"""Writing an HDF5 file to a disk that may run full.

HDF5 that cannot write what it still holds cannot close its file either, and takes the
interpreter down at exit. So it never hears of a failed write: the first one is remembered, what
follows is thrown away, and the error is raised once the file is closed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


@contextmanager
def create_hdf5(path: Path) -> Iterator[h5py.File]:
    """Create a file whose arrays start at whole words, as fast access to a map asks for.

    Raises
    ------
    OSError
        At the end, if anything could not be written; what lies at `path` is then of no use.
    """
    with path.open("w+b", buffering=0) as file:
        target = _Target(file)
        try:
            with h5py.File(target, "w", alignment_threshold=1024, alignment_interval=8) as hdf5:
                yield hdf5
        finally:
            # Also when HDF5 itself fails, on reading back what was thrown away: this came first.
            if target.error is not None:
                raise target.error


class _Target(io.RawIOBase):
    """A file that takes every write, and knows the first that failed."""

    def __init__(self, file: io.FileIO) -> None:
        self.error: OSError | None = None
        self._file = file
        self._position = self._size = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._file.seek(self._position)
                rest = view
                while len(rest):  # a disk that is nearly full takes a part
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                self.error = error
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))
        if self.error is None:
            self._file.seek(self._position)
            self._file.readinto(view)
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        if self.error is None:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self.error = error
        return self._size
