"""Downloading a file: whole and checked, or not at all under its name.

What has arrived is kept in a hidden file beside the name (``.NAME.download``), so an
interrupted download goes on where it stopped. It gets its name when its size and checksum
are what the data set's listing says.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from neurohorizon import __version__
from neurohorizon.errors import DataError
from neurohorizon.ops.files import checksum
from neurohorizon.sources.source import DownloadProgress, RemoteFile

TIMEOUT_S = 30.0
NUM_ATTEMPTS = 6
LONGEST_WAIT_S = 60.0
_CHUNK_BYTES = 1 << 20
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_GONE = {401: "not allowed", 403: "not allowed", 404: "not there", 410: "not there any more"}


class _Interrupted(Exception):
    """The connection broke or the server is busy: worth another attempt."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def download_file(
    file: RemoteFile,
    path: Path | str,
    *,
    progress: DownloadProgress | None = None,
    num_attempts: int = NUM_ATTEMPTS,
    wait: Callable[[float], None] = time.sleep,
) -> bool:
    """Download a file, or go on with a download that was interrupted.

    Parameters
    ----------
    file : RemoteFile
    path : path
        Where it shall be. Its parent is made if absent.
    progress : callable, optional
        Called with (bytes done, bytes in all or 0 where that is unknown).
    num_attempts : int
        How often to ask a server that is busy or breaks off without having sent anything;
        between attempts it is waited twice as long each time, or as long as the server asks.
    wait : callable
        Waits some seconds.

    Returns
    -------
    bool
        False if the file was there already, whole.

    Raises
    ------
    DataError
        If it cannot be had: the address is wrong, the server stays away, sends a web page,
        or what it sends is not of the size or checksum that the listing tells.
    """
    path = Path(path)
    if is_whole(file, path):
        return False
    partial = _Partial(path.with_name(f".{path.name}.download"))
    failures, from_start = 0, 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            before = partial.size
            try:
                _continue(file, partial, progress)
            except _Interrupted as error:
                # A server that sends something each time is slow, not dead.
                failures = 0 if partial.size > before else failures + 1
                if failures >= num_attempts:
                    raise DataError(
                        f"{file.url}: cannot be downloaded ({error}); try again later: what "
                        "arrived is kept"
                    ) from error
                backoff_s = min(2.0**failures, LONGEST_WAIT_S)
                wait(min(error.wait_s or backoff_s, LONGEST_WAIT_S))
                continue
            wrong = _what_is_wrong(file, partial.path)
            if not wrong:
                break
            # Once more from the start: the part kept from before may be of another version.
            partial.discard()
            from_start += 1
            if from_start > 1:
                raise DataError(f"{file.url}: {wrong}; try again later")
        os.replace(partial.path, path)
        partial.discard()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); nothing lies under that name"
        ) from error
    return True


def is_whole(file: RemoteFile, path: Path) -> bool:
    """Tell whether a file is there with the size that the listing tells."""
    with suppress(OSError):
        return path.is_file() and file.num_bytes in (None, path.stat().st_size)
    return False


@dataclass
class _Partial:
    """What has arrived of a file, and of which version of it."""

    path: Path

    @property
    def about(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self) -> str:
        """Return the server's name of the version that the part is of, "" if unknown."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(self.about.read_text(encoding="utf-8"))["version"])
        return ""

    def remember(self, version: str) -> None:
        self.about.write_text(json.dumps({"version": version}) + "\n", encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)


def _continue(file: RemoteFile, partial: _Partial, progress: DownloadProgress | None) -> None:
    """Ask for what is missing and append it; return when the server says that is all."""
    headers, have, version = {"User-Agent": f"neurohorizon/{__version__}"}, partial.size, ""
    if have:
        version = partial.version()
        headers["Range"] = f"bytes={have}-"
        if version:
            headers["If-Range"] = version
    try:
        with urllib.request.urlopen(
            urllib.request.Request(file.url, headers=headers), timeout=TIMEOUT_S
        ) as response:
            _append(response, file, partial, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing, or the file is shorter by now
            return
        if error.code in _TRY_AGAIN:
            raise _Interrupted(
                f"the server answers {error.code}", _seconds(error.headers)
            ) from error
        reason = _GONE.get(error.code, "refused")
        raise DataError(f"{file.url}: {reason} (the server answers {error.code})") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise _Interrupted(str(getattr(error, "reason", None) or error)) from error
    except ConnectionError as error:
        raise _Interrupted(str(error)) from error
    except ValueError as error:
        raise DataError(f"{file.url}: not an address that can be downloaded ({error})") from error


def _append(
    response: http.client.HTTPResponse,
    file: RemoteFile,
    partial: _Partial,
    progress: DownloadProgress | None,
) -> None:
    headers = response.headers
    kind = headers.get_content_type()
    if kind == "text/html" and Path(file.path).suffix not in (".html", ".htm"):
        raise DataError(
            f"{file.url}: the server sent a web page, not the file: the address has changed, or "
            "somebody must log in"
        )
    have = partial.size
    resumed = response.status == 206 and _first_byte(headers) == have
    if not resumed:
        have = 0
        partial.remember(headers.get("ETag") or headers.get("Last-Modified") or "")
    said = headers.get("Content-Length")
    expected = have + int(said) if said and said.isdigit() else None
    total = file.num_bytes or expected or 0
    with partial.path.open("ab" if resumed else "wb") as target:
        while chunk := response.read(_CHUNK_BYTES):
            target.write(chunk)
            have += len(chunk)
            if progress:
                progress(have, total)
    if expected is not None and have < expected:
        raise _Interrupted(f"the connection broke after {have} of {expected} bytes")


def _first_byte(headers: Message) -> int:
    """Return where a partial answer starts, -1 if it does not say."""
    words = (headers.get("Content-Range") or "").removeprefix("bytes ").split("-")
    return int(words[0]) if words[0].isdigit() else -1


def _seconds(headers: Message | None) -> float | None:
    """Return how long the server asks to wait, if it says so in seconds."""
    said = headers.get("Retry-After") if headers is not None else None
    return float(said) if said and said.isdigit() else None


def _what_is_wrong(file: RemoteFile, path: Path) -> str:
    size = path.stat().st_size if path.is_file() else 0
    if file.num_bytes is not None and size != file.num_bytes:
        return f"got {size} bytes, expected {file.num_bytes}"
    if file.sha256 and checksum(path) != file.sha256:
        return f"the checksum of what arrived is not the listing's {file.sha256[:12]}..."
    return ""
