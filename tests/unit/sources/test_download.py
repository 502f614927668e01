import urllib.error
import urllib.request

import pytest

from neurohorizon.errors import DataError
from neurohorizon.sources.catalogue import find_source
from neurohorizon.sources.download import fetch
from neurohorizon.sources.source import RemoteFile, Source


@pytest.fixture
def source(tmp_path):
    """Two files on a "server": a folder named by file URLs."""
    server = tmp_path / "server"
    server.mkdir()
    (server / "a.bin").write_bytes(b"x" * 10)
    (server / "b.bin").write_bytes(b"y" * 20)
    return Source(
        name="toy",
        title="toy",
        find_files=lambda folder: [],
        convert=lambda path: pytest.fail("not asked for"),
        homepage="https://example.org/toy",
        remote_files=(
            RemoteFile("one/a.bin", (server / "a.bin").as_uri(), 10),
            RemoteFile("two/b.bin", (server / "b.bin").as_uri(), 20),
        ),
    )


def test_files_arrive(source, tmp_path):
    steps = []
    paths = fetch(source, tmp_path / "in", progress=lambda *step: steps.append(step))
    assert [path.read_bytes() for path in paths] == [b"x" * 10, b"y" * 20]
    assert steps == [(0, 30, "one/a.bin"), (10, 30, "two/b.bin"), (30, 30, "")]


def test_what_is_there_is_not_downloaded_again(source, tmp_path, monkeypatch):
    paths = fetch(source, tmp_path / "in")
    paths[1].write_bytes(b"half")
    asked = []
    real = urllib.request.urlopen

    def spy(url, **options):
        asked.append(url)
        return real(url, **options)

    monkeypatch.setattr(urllib.request, "urlopen", spy)
    fetch(source, tmp_path / "in")
    assert [url.rsplit("/")[-1] for url in asked] == ["b.bin"]
    assert paths[1].read_bytes() == b"y" * 20


def test_wrong_size_is_refused_and_leaves_nothing(source, tmp_path):
    (tmp_path / "server" / "b.bin").write_bytes(b"y" * 7)
    with pytest.raises(DataError, match="got 7 bytes, expected 20"):
        fetch(source, tmp_path / "in")
    assert [p.name for p in (tmp_path / "in").rglob("*") if p.is_file()] == ["a.bin"]


@pytest.mark.parametrize("reason", [urllib.error.URLError("no route"), TimeoutError("slow")])
def test_no_network(source, tmp_path, monkeypatch, reason):
    def offline(url, **_):
        raise reason

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(DataError) as caught:
        fetch(source, tmp_path / "in")
    message = str(caught.value)
    assert "a.bin: cannot be downloaded" in message
    assert "https://example.org/toy" in message
    assert "neurohorizon data prepare toy FOLDER" in message
    assert not (tmp_path / "in").exists()
    assert "\n" not in message


def test_formats_have_nothing_to_download(tmp_path):
    with pytest.raises(DataError, match="nwb: nothing to download"):
        fetch(find_source("nwb"), tmp_path)


def test_unknown_source():
    with pytest.raises(DataError, match="choose one of retinal_waves, ca1_maze, nwb, npz"):
        find_source("retina")


def test_remote_files_are_pinned():
    for name in ("retinal_waves", "ca1_maze"):
        source = find_source(name)
        assert source.licence
        assert source.citation
        for file in source.remote_files:
            assert file.url.startswith("https://")
            commit = file.url.split("/")[5]
            assert len(commit) == 40
            assert file.url.endswith(file.path)
