"""A file server on this machine that misbehaves as real ones do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


@dataclass
class FileServer:
    """Serves bytes by path, with Range and If-Range; tricks are used up one a request.

    Parameters
    ----------
    files : dict of str to bytes
        By path, "/a.bin".
    tricks : dict of str to list of Answer
        What the next requests for a path get instead.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    tricks: dict[str, list[Answer]] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    num_bytes_sent: int = 0

    def __enter__(self) -> FileServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers.get("Range")))
                content = outer.files.get(self.path)
                tricks = outer.tricks.get(self.path, [])
                if tricks:
                    tricks.pop(0)(self, content or b"")
                elif content is None:
                    status(404)(self, b"")
                else:
                    outer.send(self, content)

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def send(self, request: BaseHTTPRequestHandler, content: bytes) -> None:
        """Answer as a good server does."""
        etag = self.etags.get(request.path, '"1"')
        wanted, start = request.headers.get("Range"), 0
        if wanted and request.headers.get("If-Range") in (None, etag):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(content):
                status(416)(request, b"")
                return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.send_header("ETag", etag)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        # Counted first: the client may be done before this thread goes on.
        self.num_bytes_sent += len(content) - start
        request.wfile.write(content[start:])


def status(code: int, **headers: str) -> Answer:
    """Answer with a status alone."""

    def answer(request: BaseHTTPRequestHandler, content: bytes) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def drop_after(num_bytes: int) -> Answer:
    """Promise everything, send some bytes, hang up. Knows no Range."""

    def answer(request: BaseHTTPRequestHandler, content: bytes) -> None:
        request.send_response(200)
        request.send_header("ETag", '"1"')
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:num_bytes])
        request.wfile.flush()
        request.connection.close()

    return answer


def instead(other: bytes, kind: str = "application/octet-stream") -> Answer:
    """Send other bytes as if they were the file: cut short, longer, or a web page."""

    def answer(request: BaseHTTPRequestHandler, content: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(other)))
        request.end_headers()
        request.wfile.write(other)

    return answer


def ignore_range(request: BaseHTTPRequestHandler, content: bytes) -> None:
    """Send everything whatever part was asked for."""
    instead(content)(request, content)
