"""Finding files on the DANDI archive: by data set and path, or by the id of an asset."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from neurohorizon.errors import DataError, MissingExtraError

API_URL = "https://api.dandiarchive.org/api"
TIMEOUT_S = 20.0
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# dandi://000021/path, dandi://000021@0.1/path, and the dandi client's own dandi://dandi/000021/path
_ADDRESS = re.compile(r"dandi://(?:dandi/)?(\d{6})(?:@([^/]+))?(?:/(.*))?")


@dataclass(frozen=True)
class Asset:
    """A file on DANDI.

    Parameters
    ----------
    id : str
        Names this content: a changed file gets another id.
    path : str
        Within its data set.
    num_bytes : int
    url : str
        Where the bytes are.
    sha256 : str
        "" if the archive has not computed it.
    """

    id: str
    path: str
    num_bytes: int
    url: str
    sha256: str = ""

    @property
    def download_url(self) -> str:
        """The archive's lasting address of this content."""
        return f"{API_URL}/assets/{self.id}/download/"


def is_asset_id(text: object) -> bool:
    """Tell whether text has the form of an asset's id (a UUID)."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def list_assets(dandiset: str, *, version: str | None = None, prefix: str = "") -> list[Asset]:
    """Return the files of a data set, in the order of their paths.

    Parameters
    ----------
    dandiset : str
        Its six digits.
    version : str, optional
        Default: the latest published one, or the draft where none is.
    prefix : str
        What the paths shall start with.

    Raises
    ------
    DataError
        If the archive cannot be reached or has no such data set.
    MissingExtraError
        If the dandi client is not installed.
    """
    with _client(f"DANDI {dandiset}") as client:
        data_set = client.get_dandiset(dandiset, version)
        rows = client.paginate(
            f"{data_set.version_api_path}assets/",
            params={"path": prefix, "metadata": "true", "order": "path"},
        )
        assets = [_asset(row["asset_id"], row["path"], row["size"], row) for row in rows]
    return sorted(assets, key=lambda asset: asset.path)


def list_addresses(address: str) -> list[str]:
    """Return ``dandi://`` addresses of all NWB files below ``dandi://000021[/folder]``."""
    dandiset, version, prefix = _parse(address)
    start = f"dandi://{dandiset}" + (f"@{version}" if version else "")
    found = [
        asset.path
        for asset in list_assets(dandiset, version=version, prefix=prefix)
        if asset.path.endswith(".nwb")
    ]
    if not found:
        raise DataError(f"{address}: no NWB files there")
    return [f"{start}/{path}" for path in found]


def find_asset(address: str) -> Asset:
    """Return the file that an asset id or ``dandi://000021/path`` names.

    Raises
    ------
    DataError
        If there is no such file, or the archive cannot be reached.
    """
    if is_asset_id(address):
        with _client(f"DANDI asset {address}") as client:
            asset = client.get_asset(address)
            row = {"metadata": asset.get_raw_metadata()}
            return _asset(address, asset.path, asset.size, row)
    dandiset, version, path = _parse(address)
    for asset in list_assets(dandiset, version=version, prefix=path):
        if asset.path == path:
            return asset
    raise DataError(f"{address}: DANDI {dandiset} has no file of this path")


def _parse(address: str) -> tuple[str, str | None, str]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise DataError(f"{address}: expected dandi://000021/path/of/the/file.nwb")
    return match[1], match[2], match[3] or ""


def _asset(number: str, path: str, num_bytes: int, row: dict[str, Any]) -> Asset:
    metadata = row.get("metadata") or {}
    urls = [*metadata.get("contentUrl", []), f"{API_URL}/assets/{number}/download/"]
    # The bucket's own address saves one redirection in every read.
    direct = [url for url in urls if "/blobs/" in url]
    return Asset(
        id=number,
        path=path,
        num_bytes=int(num_bytes),
        url=(direct or urls)[0],
        sha256=(metadata.get("digest") or {}).get("dandi:sha2-256", ""),
    )


@contextmanager
def _client(where: str) -> Iterator[Any]:
    try:
        from dandi.dandiapi import DandiAPIClient
        from dandi.exceptions import NotFoundError
    except ImportError as error:
        raise MissingExtraError("dandi", extra="nwb", purpose="find files on DANDI") from error
    import requests

    try:
        # Without a network the client tries for minutes before it says so.
        with urllib.request.urlopen(f"{API_URL}/info/", timeout=TIMEOUT_S):
            pass
        # Its check for a newer version of itself asks yet another server.
        os.environ.setdefault("DANDI_NO_ET", "1")
        with DandiAPIClient(API_URL) as client:
            yield client
    except NotFoundError as error:
        raise DataError(f"{where}: DANDI has no such data set or file") from error
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else "an error"
        reason = "no such data set or file" if code == 404 else f"the archive answers {code}"
        raise DataError(f"{where}: {reason}") from error
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "reason", None) or str(error).split("\n")[0]
        raise DataError(
            f"{where}: DANDI cannot be reached ({reason}); check the network"
        ) from error
