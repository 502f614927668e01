"""A web server for tests: sends parts of files as buckets do, and counts what it sends."""

from __future__ import annotations

import gc
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class RangeServer(ThreadingHTTPServer):
    """Files by path (bytes) and answers by path (anything that JSON holds)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, object] = {}
        self.kinds: dict[str, str] = {}
        self.with_ranges = True
        self.num_bytes_sent = 0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RangeServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked.append(self.path)
        if parts.path in self.server.answers:
            answer = self.server.answers[parts.path]
            if callable(answer):
                answer = answer({key: value[0] for key, value in parse_qs(parts.query).items()})
            self._send(200, json.dumps(answer).encode(), "application/json")
        elif parts.path in self.server.files:
            self._send_file(parts.path, self.server.files[parts.path])
        else:
            self._send(404, b"not here", "text/plain")

    def _send_file(self, path: str, content: bytes) -> None:
        kind = self.server.kinds.get(path, "application/octet-stream")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not wanted or not self.server.with_ranges:
            self._send(200, content, kind)
            return
        low, high = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
        about = {"Content-Range": f"bytes {low}-{high}/{len(content)}"}
        self._send(206, content[low : high + 1], kind, about)

    def _send(
        self, status: int, body: bytes, kind: str, about: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (about or {}).items():
            self.send_header(name, value)
        self.end_headers()
        # Piece by piece: a client that only wanted the length hangs up.
        for low in range(0, len(body), 1 << 14):
            piece = body[low : low + (1 << 14)]
            try:
                self.wfile.write(piece)
            except ConnectionError:
                self.close_connection = True
                return
            if status == 206:
                self.server.num_bytes_sent += len(piece)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[RangeServer]:
    """Serve in a thread of its own until the block ends.

    Meanwhile garbage is not collected: h5py holds its lock while it waits for this server,
    whose thread would wait for that lock if it came to collect an h5py object.
    """
    server = RangeServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    gc.disable()
    try:
        yield server
    finally:
        gc.enable()
        server.shutdown()
        server.server_close()
        thread.join()
