"""One writer at a time in a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from neurohorizon.errors import DataError

#: What a file system says that cannot lock.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


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
    taken = f"{folder}: somebody else is {busy} there; wait, or choose another folder"
    with _locked_file(folder / name, taken) as lock:
        try:
            yield lock
        finally:
            (folder / name).unlink(missing_ok=True)
            for each in absent:
                with suppress(OSError):  # it holds something by now
                    each.rmdir()


def _locked_file(path: Path, taken: str) -> TextIO:
    """Open and lock a file; again if its last owner has removed it in between."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("w", encoding="utf-8")
        except OSError as error:
            said = error.strerror or error
            raise DataError(f"{path.parent}: cannot be written ({said})") from error
        try:
            _lock(lock, taken)
            if _is_at(lock, path):
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()


def _lock(file: TextIO, taken: str) -> None:
    """Lock an open file, where system and file system know how; else two are not noticed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataError(taken) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise DataError(taken) from error


def _is_at(file: TextIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
