"""Downloads from a server that drops connections, lies, and is busy."""

import errno
import hashlib
from pathlib import Path

import pytest

from neurohorizon.errors import DataError
from neurohorizon.sources.download import download_file
from neurohorizon.sources.source import RemoteFile
from servers import FileServer, drop_after, ignore_range, instead, status

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with FileServer({"/a.bin": CONTENT}) as server:
        yield server


def get(server, path, *, num_bytes=SIZE, sha256=SHA256, name="/a.bin", **options):
    file = RemoteFile("a.bin", server.url(name), num_bytes, sha256)
    return download_file(file, path, **({"wait": lambda seconds: None} | options))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_arrives_with_progress_and_is_not_asked_for_again(server, tmp_path):
    steps = []
    path = tmp_path / "in" / "a.bin"
    assert get(server, path, progress=lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert not get(server, path)
    assert len(server.requests) == 1
    assert left(tmp_path) == ["a.bin"]


def test_dropped_connections_go_on_where_they_stopped(server, tmp_path):
    server.tricks["/a.bin"] = [drop_after(4000)]
    waits = []
    get(server, tmp_path / "a.bin", wait=waits.append)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.requests == [("/a.bin", None), ("/a.bin", "bytes=4000-")]
    assert server.num_bytes_sent == len(CONTENT) - 4000
    assert left(tmp_path) == ["a.bin"]


def test_a_server_that_keeps_dropping_is_given_up(server, tmp_path):
    server.tricks["/a.bin"] = [drop_after(4000), *[drop_after(0)] * 3]
    with pytest.raises(DataError, match=r"the connection broke after 0 of 10240 bytes.*kept"):
        get(server, tmp_path / "a.bin", num_attempts=3)
    assert "a.bin" not in left(tmp_path)


def test_an_interrupted_download_is_resumed_by_the_next_one(server, tmp_path):
    server.tricks["/a.bin"] = [drop_after(4000)]

    def interrupt(seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path / "a.bin", wait=interrupt)
    assert left(tmp_path) == [".a.bin.download", ".a.bin.download.json"]
    get(server, tmp_path / "a.bin")
    assert server.requests[-1] == ("/a.bin", "bytes=4000-")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_of_another_version_is_thrown_away(server, tmp_path):
    server.tricks["/a.bin"] = [drop_after(4000)]
    new = CONTENT[::-1]

    def change(seconds):
        server.files["/a.bin"], server.etags["/a.bin"] = new, '"2"'

    get(server, tmp_path / "a.bin", sha256=hashlib.sha256(new).hexdigest(), wait=change)
    assert (tmp_path / "a.bin").read_bytes() == new


def test_a_server_that_ignores_ranges_sends_everything_once_more(server, tmp_path):
    server.tricks["/a.bin"] = [drop_after(4000), ignore_range]
    get(server, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_when_it_says(server, tmp_path):
    server.tricks["/a.bin"] = [status(503), status(429, Retry_After="7"), status(500)]
    waits = []
    get(server, tmp_path / "a.bin", wait=waits.append)
    assert waits == [2.0, 7.0, 8.0]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        (status(404), "not there (the server answers 404)"),
        (status(403), "not allowed (the server answers 403)"),
        (instead(b"<html>log in</html>", "text/html; charset=utf-8"), "sent a web page"),
        (status(503), "the server answers 503"),
        (instead(CONTENT[:-1]), "got 10239 bytes, expected 10240"),
        (instead(CONTENT + b"x"), "got 10241 bytes, expected 10240"),
        (instead(CONTENT[::-1]), "the checksum of what arrived is not the listing's"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_leaves_no_file(server, tmp_path, trick, reason):
    server.tricks["/a.bin"] = [trick] * 10
    with pytest.raises(DataError) as caught:
        get(server, tmp_path / "a.bin")
    line = str(caught.value)
    assert reason in line
    assert "\n" not in line
    assert server.url("/a.bin") in line
    assert not (tmp_path / "a.bin").exists()


def test_a_wrong_answer_once_is_asked_for_again(server, tmp_path):
    server.tricks["/a.bin"] = [instead(CONTENT[:-1])]
    get(server, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_without_size_and_checksum_the_servers_word_is_taken(server, tmp_path):
    get(server, tmp_path / "a.bin", num_bytes=None, sha256="")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_nobody_answers(tmp_path):
    with FileServer() as server:
        url = server.url("/a.bin")
    file = RemoteFile("a.bin", url, 5)
    with pytest.raises(DataError, match=r"cannot be downloaded \(.*refused"):
        download_file(file, tmp_path / "a.bin", wait=lambda seconds: None, num_attempts=2)
    with pytest.raises(DataError, match="not an address"):
        download_file(RemoteFile("a.bin", "a.bin"), tmp_path / "a.bin")


def test_a_full_disk_is_named(server, tmp_path, monkeypatch):
    real = Path.open

    def full(self, mode="r", *args, **options):
        if self.name.endswith(".download") and "b" in mode:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, mode, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        get(server, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()
