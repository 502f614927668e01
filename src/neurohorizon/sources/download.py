"""Downloading the files of a public data set, whole or not at all."""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from neurohorizon.errors import DataError
from neurohorizon.ops.files import atomic_path
from neurohorizon.sources.source import RemoteFile, Source

TIMEOUT_S = 30.0
Progress = Callable[[int, int, str], None]


def fetch(source: Source, folder: Path | str, *, progress: Progress | None = None) -> list[Path]:
    """Download a public data set; files that are already there are kept.

    Parameters
    ----------
    source : Source
    folder : path
        Where the files shall lie, as `RemoteFile.path` names them.
    progress : callable, optional
        Called with (bytes done, bytes in all, file name) before each file and at the end.

    Returns
    -------
    list of Path
        All files of the data set.

    Raises
    ------
    DataError
        If the source has nothing to download, or a file cannot be had whole. What was
        downloaded before stays, so that the next call goes on from there.
    """
    if not source.remote_files:
        raise DataError(
            f"{source.name}: nothing to download; your own files go to "
            f"`neurohorizon data prepare {source.name} PATH --out FOLDER`"
        )
    folder = Path(folder)
    total = sum(file.num_bytes for file in source.remote_files)
    done, paths = 0, []
    for file in source.remote_files:
        path = folder / file.path
        if progress:
            progress(done, total, file.path)
        if not (path.is_file() and path.stat().st_size == file.num_bytes):
            _download(file, path, source)
        done += file.num_bytes
        paths.append(path)
    if progress:
        progress(done, total, "")
    return paths


def _download(file: RemoteFile, path: Path, source: Source) -> None:
    try:
        with (
            urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as response,
            atomic_path(path) as temporary,
        ):
            with temporary.open("wb") as target:
                shutil.copyfileobj(response, target)
            size = temporary.stat().st_size
            if size != file.num_bytes:
                raise DataError(
                    f"{file.url}: got {size} bytes, expected {file.num_bytes}; try again later"
                )
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{file.url}: cannot be downloaded ({reason}); without a network, copy the data set "
            f"from {source.homepage} and run "
            f"`neurohorizon data prepare {source.name} FOLDER --out OUT`"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error}); nothing was left behind") from error
