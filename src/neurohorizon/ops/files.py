"""Writing files so that a reader never meets a half-written one; checksums."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError
from typing import Any
from uuid import uuid4

from neurohorizon.errors import DataError

#: What zipfile raises at damaged, foreign or locked archives.
ZIP_DAMAGE = (OSError, EOFError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile)
#: What reading arrays from an npz file raises besides, where names or values are not as expected.
NPZ_DAMAGE = (
    *ZIP_DAMAGE,
    KeyError,
    ValueError,
    TypeError,
    SyntaxError,
    TokenError,
    MemoryError,
    OverflowError,
)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    file is replaced; an existing folder is replaced only by a folder, of several that are
    written at a time by the last. On failure, parents that were made vanish too, and an error
    of the system names `path`.
    """
    path = Path(path)
    absent = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield temporary
        if temporary.is_dir():
            _replace_folder(path, temporary)
        else:
            os.replace(temporary, path)
    except BaseException as error:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        for parent in absent:
            with suppress(OSError):  # somebody else uses it by now
                parent.rmdir()
        if isinstance(error, OSError) and _is_about(error, temporary):
            error.filename = str(path)
        raise


def _replace_folder(path: Path, by: Path) -> None:
    """Put a folder in another's place, which is moved aside first: both are whole at any time."""
    aside = by.with_suffix(".old")
    while True:
        with suppress(FileNotFoundError):  # somebody else has just moved it aside
            if path.is_dir():
                os.replace(path, aside)
        try:
            os.replace(by, path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # not another's folder, put there in between
            shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)


def _is_about(error: OSError, temporary: Path) -> bool:
    """Tell whether writing to the temporary file failed; a full disk's errors name no file."""
    nameless = error.filename is None and error.errno in NO_ROOM
    return nameless or str(error.filename) == str(temporary)


def require_readable(path: Path) -> None:
    """Make sure that a file, or what lies in a folder, may be read.

    Raises
    ------
    DataError
        If not, with the system's reason.
    """
    try:
        if path.is_dir():
            os.scandir(path).close()
        else:
            path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; an existing one is replaced once all is written."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
