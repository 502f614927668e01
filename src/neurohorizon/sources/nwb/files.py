"""Opening NWB files where they lie: on disk, on a web server, in a bucket or on DANDI.

What is not on disk is read through remfile, which fetches only the pieces that h5py asks for.
Before that, one short request tells a missing file, a web page and a server that cannot send
pieces apart, since the libraries below would try each of them again for a minute.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import h5py

from neurohorizon import __version__
from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.sources import dandi_archive

TIMEOUT_S = 20.0
_HEAD_BYTES = 1024
_LONGEST_REASON = 200
_SCHEMES = ("http", "https", "s3", "dandi")
_REFUSALS = {401: "not allowed", 403: "not allowed", 404: "not there", 410: "not there any more"}


def is_address(where: Path | str) -> bool:
    """Tell whether something names a file elsewhere: a URL, ``dandi://...`` or an asset id.

    Examples
    --------
    >>> is_address("s3://bucket/a.nwb"), is_address("data/a.nwb")
    (True, False)
    """
    if isinstance(where, Path):
        return False
    return urlsplit(where).scheme in _SCHEMES or dandi_archive.is_asset_id(where)


def find_addresses(text: str) -> list[Path | str]:
    """Return the addresses that some text stands for; none if it is no address."""
    return find_nwb(text) if is_address(text) else []


def find_nwb(where: Path | str) -> list[Path | str]:
    """Return all NWB files at a place.

    Parameters
    ----------
    where : path or str
        A file, a folder, a URL, a DANDI asset id, ``dandi://000021/sub-1/a.nwb``, or
        ``dandi://000021`` and ``dandi://000021/sub-1`` for all that lies there.

    Returns
    -------
    list of Path or str
        What `convert` of the format ``nwb`` takes, in the order of the names.

    Raises
    ------
    DataError
        If DANDI cannot be reached or has no such data set.
    """
    if not is_address(where):
        path = Path(where)
        return [path] if path.is_file() else sorted(path.rglob("*.nwb"))
    address = str(where)
    if address.startswith("dandi://") and not address.endswith(".nwb"):
        return [*dandi_archive.list_addresses(address)]
    return [address]


def name_of(where: Path | str) -> str:
    """Return the file's name without folder and ending; of an asset id, the id.

    Examples
    --------
    >>> name_of("https://example.org/data/ses%201.nwb?version=2")
    'ses 1'
    """
    if is_address(where) and "://" in str(where):
        return Path(unquote(urlsplit(str(where)).path)).stem
    return Path(where).stem


@contextmanager
def open_hdf5(where: Path | str) -> Iterator[Any]:
    """Open an NWB file for reading with h5py; yields its ``h5py.File``.

    Parameters
    ----------
    where : path or str
        As for `find_nwb`, but one file.

    Raises
    ------
    DataError
        If it is not there, not HDF5, or cannot be reached; also if reading it breaks off while
        it is open.
    MissingExtraError
        If remfile or dandi is needed and not installed.
    """
    source: Any
    if is_address(where):
        url = _url(str(where))
        _look(url, where)
        source = _remote(url)
    else:
        path = Path(where)
        _check_local(path)
        source = path
    try:
        file = h5py.File(source, "r")
    except Exception as error:  # remfile raises bare Exceptions, h5py OSError and others
        raise DataError(f"{where}: not a readable NWB file ({first_line(error)})") from error
    try:
        with file:
            yield file
    except Exception as error:
        # A damaged block, or a connection that broke: remfile's errors are bare Exceptions.
        from_remfile = type(error) is Exception or type(error).__module__.startswith("remfile")
        if not isinstance(error, OSError | RuntimeError) and not from_remfile:
            raise
        raise DataError(
            f"{where}: reading broke off ({first_line(error)}); "
            + ("try again later" if is_address(where) else "the file is damaged: copy it again")
        ) from error


@contextmanager
def open_nwb(where: Path | str) -> Iterator[Any]:
    """Open an NWB file for reading with pynwb; yields its ``NWBFile``.

    Raises
    ------
    DataError, MissingExtraError
        As `open_hdf5`; also if it is HDF5 but not NWB, and if pynwb is not installed.
    """
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise MissingExtraError("pynwb", extra="nwb", purpose="read NWB files") from error

    with open_hdf5(where) as file, warnings.catch_warnings():
        # Old files make pynwb warn about what it mends by itself.
        warnings.simplefilter("ignore")
        try:
            reader = NWBHDF5IO(file=file, mode="r", load_namespaces=True)
            nwb = reader.read()
        except Exception as error:  # pynwb and hdmf raise their own and h5py's errors
            raise DataError(f"{where}: not a readable NWB file ({first_line(error)})") from error
        yield nwb


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind if it has none.

    Some libraries print whole objects before they say what is wrong: then the end is kept.
    """
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return line if len(line) <= _LONGEST_REASON else f"... {line[-_LONGEST_REASON:]}"


def _url(address: str) -> str:
    """Return where the bytes are."""
    if address.startswith("s3://"):
        parts = urlsplit(address)
        if not parts.netloc or not parts.path.strip("/"):
            raise DataError(f"{address}: expected s3://bucket/key")
        return f"https://{parts.netloc}.s3.amazonaws.com{quote(parts.path)}"
    if address.startswith("dandi://") or dandi_archive.is_asset_id(address):
        return dandi_archive.find_asset(address).url
    return address


def _remote(url: str) -> Any:
    try:
        import remfile
    except ImportError as error:
        raise MissingExtraError(
            "remfile", extra="nwb", purpose="read NWB files over the network"
        ) from error
    return remfile.File(url)


def _check_local(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise DataError(
            f"{path}: a link to a file that is not here; `datalad get` or `git annex get` it"
        )
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        raise DataError(f"{path}: a folder, expected one NWB file")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if _is_page(head):
        raise DataError(
            f"{path}: not a readable NWB file (a web page, often of a login or an error, was "
            "saved under this name); download it again"
        )
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{path}: a pointer of git-lfs, not the file; `git lfs pull` it")


def _look(url: str, where: Path | str) -> None:
    """Ask for the first bytes, and say what stands against reading the rest."""
    headers = {
        "Range": f"bytes=0-{_HEAD_BYTES - 1}",
        "User-Agent": f"neurohorizon/{__version__}",
    }
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            status, kind = response.status, response.headers.get_content_type()
            head = response.read(_HEAD_BYTES)
    except urllib.error.HTTPError as error:
        reason = _REFUSALS.get(error.code, "refused")
        raise DataError(f"{where}: {reason} (the server answers {error.code})") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{where}: cannot be reached ({reason}); check the network, or download the file and "
            "give its path"
        ) from error
    except ValueError as error:
        raise DataError(f"{where}: not an address that can be read ({error})") from error
    if kind == "text/html" or _is_page(head):
        raise DataError(
            f"{where}: the server sent a web page, not an NWB file: the address has changed, or "
            "somebody must log in"
        )
    if status != 206:
        raise DataError(
            f"{where}: this server sends only whole files; download it and give its path"
        )


def _is_page(head: bytes) -> bool:
    return (
        head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9]
        .lower()
        .startswith((b"<!doctype", b"<html", b"<?xml"))
    )
