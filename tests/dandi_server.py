"""A DANDI archive for tests: the parts of its API that the dandi client asks for.

Paths and fields follow https://api.dandiarchive.org/swagger/ as the client (0.81) uses them.
"""

from __future__ import annotations

import uuid
from typing import Any

from range_server import RangeServer

TIME = "2024-01-01T00:00:00.000000Z"


class DandiServer:
    """Data sets with files, behind a `RangeServer`."""

    def __init__(self, server: RangeServer) -> None:
        self.server = server
        self.assets: dict[str, list[dict[str, Any]]] = {}
        info = {
            "version": "0.3.0",
            "services": {
                "api": {"url": f"{server.url}/api"},
                "webui": {"url": server.url},
                "jupyterhub": {"url": server.url},
            },
            "cli-minimal-version": "0.0.1",
            "cli-bad-versions": [],
            "schema_version": "0.6.0",
        }
        server.answers["/server-info"] = info
        server.answers["/api/info/"] = info

    def add(
        self, dandiset: str, path: str, num_bytes: int, *, sha256: str = "", content: bytes = b""
    ) -> str:
        """Add a file; returns its id."""
        url, answers = self.server.url, self.server.answers
        number = str(uuid.uuid5(uuid.NAMESPACE_URL, dandiset + path))
        metadata: dict[str, Any] = {
            "path": path,
            "contentUrl": [f"{url}/api/assets/{number}/download/", f"{url}/blobs/{number}"],
            "digest": {"dandi:sha2-256": sha256} if sha256 else {},
        }
        row = {
            "asset_id": number,
            "blob": number,
            "zarr": None,
            "path": path,
            "size": num_bytes,
            "created": TIME,
            "modified": TIME,
        }
        self.assets.setdefault(dandiset, []).append({**row, "metadata": metadata})
        self.server.files[f"/blobs/{number}"] = content
        version = {
            "version": "draft",
            "name": "a data set",
            "asset_count": 1,
            "size": 1,
            "created": TIME,
            "modified": TIME,
            "status": "Valid",
        }
        answers[f"/api/dandisets/{dandiset}/"] = {
            "identifier": dandiset,
            "created": TIME,
            "modified": TIME,
            "contact_person": "",
            "embargo_status": "OPEN",
            "draft_version": version,
            "most_recent_published_version": None,
        }
        answers[f"/api/dandisets/{dandiset}/versions/draft/assets/"] = lambda query: self._list(
            dandiset, query
        )
        answers[f"/api/assets/{number}/info/"] = {**row, "metadata": metadata}
        answers[f"/api/assets/{number}/"] = metadata
        return number

    def _list(self, dandiset: str, query: dict[str, str]) -> dict[str, Any]:
        rows = [x for x in self.assets[dandiset] if x["path"].startswith(query.get("path", ""))]
        return {"count": len(rows), "next": None, "previous": None, "results": rows}
