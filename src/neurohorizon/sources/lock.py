"""One writer at a time in a folder of recordings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurohorizon.ops.lock import locked

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
    with locked(folder, LOCK, busy="writing recordings"):
        _clear(folder)
        try:
            yield
        finally:
            _clear(folder)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if _LEFT_BEHIND.match(path.name):
            path.unlink(missing_ok=True)
