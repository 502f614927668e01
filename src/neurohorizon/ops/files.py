"""Writing files so that a reader never meets a half-written one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` on success and vanishes on failure.

    Parameters
    ----------
    path : path
        Where the finished file or folder shall be. Its parent is made if absent.

    Yields
    ------
    Path
        A name beside `path`, with the same suffix, to write to.

    Notes
    -----
    The temporary name is in the same folder, so the final rename is atomic. An existing
    file is replaced; an existing folder is replaced only by a folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
