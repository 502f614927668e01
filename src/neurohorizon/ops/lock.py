"""One writer at a time in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from neurohorizon.errors import DataError


@contextmanager
def locked(folder: Path, name: str, *, busy: str) -> Iterator[TextIO]:
    """Keep others from writing in a folder.

    The folder is made, and removed again if nothing came to lie in it.

    Parameters
    ----------
    folder : Path
    name : str
        Of the lock's file.
    busy : str
        What somebody else is doing there, to complete "somebody else is <busy> there".

    Yields
    ------
    file
        The lock, held as long as it is open in this process or in one that inherited it.

    Raises
    ------
    DataError
        If somebody else is at work there, or the folder cannot be written.
    """
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / name).open("w", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error})") from error
    with lock:
        _lock(lock, f"{folder}: somebody else is {busy} there; wait, or choose another folder")
        try:
            yield lock
        finally:
            (folder / name).unlink(missing_ok=True)
            for each in absent:
                with suppress(OSError):  # it holds something by now
                    each.rmdir()


def _lock(file: TextIO, taken: str) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two at a time are then not noticed
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise DataError(taken) from error
