"""An Alyx server with a few IBL sessions, for ONE-api to ask over HTTP.

It answers what ONE-api 3 asks for: ``/auth-token``, the REST schema (ONE's own copy of it),
``/sessions`` with plain filters, ``/sessions/<eid>``, ``/brain-regions``, and the files
themselves under names that hold their UUIDs, as on the public file server.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import one
from one.alf.path import add_uuid_string, remove_uuid_string

from ibl_world import REGIONS

TOKEN = "0123abc"
SCHEMA = Path(one.__file__).parent / "tests" / "fixtures" / "rest_responses" / "openapiv3.json"
PROTOCOL = "_iblrig_tasks_ephysChoiceWorld6.4.2"


def _name_uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


@contextmanager
def alyx_server(root: Path) -> Iterator[AlyxServer]:
    """Serve the sessions below a folder of ``lab/Subjects/subject/date/number``."""
    server = AlyxServer(root)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class AlyxServer(ThreadingHTTPServer):
    """The server; `asked` holds the paths of all requests, `cut` makes files arrive short."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: list[str] = []
        self.cut = ""

    def records(self) -> list[dict[str, Any]]:
        """Return all sessions as Alyx's ``/sessions`` does, newest first."""
        records = []
        for path in sorted(self.root.glob("*/Subjects/*/*/*"), reverse=True):
            lab, _, subject, date, number = path.relative_to(self.root).parts
            eid = _name_uuid(str(path.relative_to(self.root)))
            records.append(
                {
                    "id": eid,
                    "subject": subject,
                    "start_time": f"{date}T10:00:00",
                    "number": int(number),
                    "lab": lab,
                    "projects": ["ibl_neuropixel_brainwide_01"],
                    "url": f"{self.url}/sessions/{eid}",
                    "task_protocol": PROTOCOL,
                }
            )
        return records

    def datasets(self, record: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a session's files as ``/sessions/<eid>`` does."""
        path = self.root / record["lab"] / "Subjects" / record["subject"]
        path = path / record["start_time"][:10] / f"{record['number']:03d}"
        datasets = []
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            name = file.relative_to(self.root).as_posix()
            identity = _name_uuid(name)
            datasets.append(
                {
                    "id": identity,
                    "name": file.name,
                    "file_size": file.stat().st_size,
                    "hash": hashlib.md5(file.read_bytes()).hexdigest(),
                    "data_url": f"{self.url}/public/{add_uuid_string(name, identity)}",
                    "default_revision": "True",
                    "qc": "NOT_SET",
                }
            )
        return datasets


class _Handler(BaseHTTPRequestHandler):
    server: AlyxServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"token": TOKEN} if self.path == "/auth-token" else None)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path).rstrip("/"), parse_qs(parts.query)
        self.server.asked.append(self.path)
        if path.startswith("/public/"):
            self._send_file(path.removeprefix("/public/"))
        elif path == "/api/schema":
            schema = json.loads(SCHEMA.read_text())
            self._answer(schema[0] if isinstance(schema, list) else schema)
        elif path == "/sessions":
            wanted = {key: query[key][0] for key in ("lab", "subject", "id") if key in query}
            rows = [r for r in self.server.records() if all(r[k] == wanted[k] for k in wanted)]
            self._page(rows, query)
        elif path.startswith("/sessions/"):
            rows = [r for r in self.server.records() if path.endswith(r["id"])]
            files = self.server.datasets(rows[0]) if rows else []
            self._answer({**rows[0], "data_dataset_session_related": files} if rows else None)
        elif path == "/brain-regions":
            self._page([{"id": n, "acronym": name} for n, name in REGIONS.items()], query)
        else:
            self._answer(None)

    def _page(self, rows: list[dict[str, Any]], query: dict[str, list[str]]) -> None:
        """Answer with two rows at a time, as the server does with hundreds."""
        first = int(query.get("offset", ["0"])[0])
        more = f"{self.server.url}{urlsplit(self.path).path}?limit=2&offset={first + 2}"
        answer = {"count": len(rows), "previous": None, "results": rows[first : first + 2]}
        self._answer({**answer, "next": more if first + 2 < len(rows) else None})

    def _answer(self, content: Any) -> None:
        body = json.dumps({"detail": "Not found."} if content is None else content).encode()
        self.send_response(404 if content is None else 200)
        self._send(body)

    def _send_file(self, name: str) -> None:
        file = self.server.root / remove_uuid_string(name)
        body = file.read_bytes()
        if self.server.cut and self.server.cut in file.name:
            body = body[: len(body) // 2]
        self.send_response(200)
        self._send(body)

    def _send(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
