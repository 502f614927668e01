"""One writer at a time in a folder of recordings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from neurohorizon.errors import DataError

LOCK = ".prepare.lock"
#: What a killed process leaves of a recording or a manifest.
_LEFT_BEHIND = re.compile(r"^\..*\.([0-9a-f]{8}\.part|staged)\.(h5|json)$")


@contextmanager
def alone_in(folder: Path, *, wanted: bool = True) -> Iterator[None]:
    """Keep others from writing recordings in a folder, and clear what a killed process left.

    The folder is made, and removed again if nothing came to lie in it.

    Raises
    ------
    DataError
        If somebody else is at work there, or the folder cannot be written.
    """
    if not wanted:
        yield
        return
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error})") from error
    with lock:
        _lock(lock, folder)
        _clear(folder)
        try:
            yield
        finally:
            _clear(folder)
            (folder / LOCK).unlink(missing_ok=True)
            for each in absent:
                with suppress(OSError):  # it holds something by now
                    each.rmdir()


def _lock(file: TextIO, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two at a time are then not noticed
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise DataError(
            f"{folder}: somebody else is writing recordings there; wait, or choose another folder"
        ) from error


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if _LEFT_BEHIND.match(path.name):
            path.unlink(missing_ok=True)
