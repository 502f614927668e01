"""Sessions of a data set: planned, budgeted, fetched, resumed; failures told and passed by."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neurohorizon.errors import DataError
from neurohorizon.sources import fetch as fetching
from neurohorizon.sources import npz
from neurohorizon.sources.catalogue import DATA_SETS
from neurohorizon.sources.fetch import FETCHED, fetch, plan_fetch
from neurohorizon.sources.source import RemoteFile, RemoteSession
from servers import FileServer, drop_after, status

FILES = {f"/{name}.npz": name.encode() * 1000 for name in ("a", "b", "c")}


@pytest.fixture
def server():
    with FileServer(dict(FILES)) as server:
        yield server


@pytest.fixture
def source(server):
    def list_sessions(folder: Path, *, first: str = "a"):
        return [
            RemoteSession(
                name, 1000, (RemoteFile(f"{name}.npz", server.url(f"/{name}.npz"), 1000),)
            )
            for name in "abc"
            if name >= first
        ]

    return replace(npz.SOURCE, name="toy", list_sessions=list_sessions)


def test_sessions_arrive_and_are_not_fetched_again(source, server, tmp_path):
    steps = []
    plan = plan_fetch(source, tmp_path)
    assert (len(plan.missing), plan.num_bytes, plan.num_unknown) == (3, 3000, 0)
    result = fetch(plan, progress=lambda *step: steps.append(step))
    assert result.downloaded == ["a", "b", "c"]
    assert [path.read_bytes() for paths in result.paths.values() for path in paths] == [
        *FILES.values()
    ]
    assert steps[0] == (0, 3000, "a")
    assert steps[-1] == (3000, 3000, "")
    again = plan_fetch(source, tmp_path)
    assert [session.id for session in again.there] == ["a", "b", "c"]
    assert fetch(again).paths == result.paths
    assert len(server.requests) == 3


def test_planning_downloads_nothing(source, server, tmp_path):
    plan_fetch(source, tmp_path / "in", num_sessions=2)
    assert not server.requests
    assert not (tmp_path / "in").exists()


def test_sessions_are_chosen(source, tmp_path):
    def chosen(**options):
        return [session.id for session in plan_fetch(source, tmp_path, **options).missing]

    assert chosen(num_sessions=2) == ["a", "b"]
    assert chosen(ids=["c", "a", "c"]) == ["c", "a"]
    assert chosen(settings={"first": "b"}) == ["b", "c"]
    with pytest.raises(DataError, match="toy: no session 'd' of 3"):
        chosen(ids=["d"])
    with pytest.raises(DataError, match="no session fits"):
        chosen(settings={"first": "z"})


def test_a_session_that_fails_is_recorded_and_stops_no_other(source, server, tmp_path):
    server.tricks["/b.npz"] = [status(404)]
    result = fetch(plan_fetch(source, tmp_path))
    assert result.downloaded == ["a", "c"]
    assert "not there (the server answers 404)" in result.failed["b"]
    state = json.loads((tmp_path / FETCHED).read_text())["sessions"]
    assert state["b"] == {"failed": result.failed["b"]}
    assert state["c"]["paths"] == ["c.npz"]
    # The next call does only what is missing.
    plan = plan_fetch(source, tmp_path)
    assert [session.id for session in plan.missing] == ["b"]
    assert fetch(plan).downloaded == ["b"]
    assert "failed" not in json.loads((tmp_path / FETCHED).read_text())["sessions"]["b"]


def test_an_interrupted_fetch_goes_on(source, server, tmp_path):
    server.tricks["/b.npz"] = [drop_after(400)]

    def interrupt(done, total, name):
        if (done, name) == (1400, "b"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(plan_fetch(source, tmp_path), progress=interrupt)
    fetch(plan_fetch(source, tmp_path))
    assert server.requests[1:] == [
        ("/b.npz", None),
        ("/b.npz", "bytes=400-"),
        ("/c.npz", None),
    ]
    assert (tmp_path / "b.npz").read_bytes() == FILES["/b.npz"]


def test_budget_and_disk_are_checked_before_anything_is_downloaded(
    source, server, tmp_path, monkeypatch
):
    plan = plan_fetch(source, tmp_path, max_gb=2e-6)
    with pytest.raises(DataError, match=r"3 sessions to download are 0.0 MB, more than --max-gb"):
        fetch(plan)
    monkeypatch.setattr(fetching, "free_bytes", lambda folder: 2000)
    with pytest.raises(DataError, match=r"the disk has 0.0 MB left: choose another disk"):
        fetch(plan_fetch(source, tmp_path))
    assert not server.requests
    assert not list(tmp_path.iterdir())


def test_unknown_sizes_count_as_they_come(source, server, tmp_path):
    def unsized(folder):
        return [
            replace(session, num_bytes=None, files=(replace(session.files[0], num_bytes=None),))
            for session in source.list_sessions(folder)
        ]

    plan = plan_fetch(replace(source, list_sessions=unsized), tmp_path, max_gb=1.5e-6)
    assert plan.num_unknown == 3
    result = fetch(plan)
    assert result.downloaded == ["a", "b"]
    assert result.failed == {"c": "c: left out, --max-gb is used up"}


def test_sizes_that_the_listing_does_not_tell_are_measured(source, server, tmp_path):
    def unsized(folder):
        return [
            replace(session, num_bytes=None if session.id != "b" else 1000)
            for session in listing(folder)
        ]

    def measure(session, folder):
        asked.append(session.id)
        if session.id == "c":
            raise DataError("c: no answer")
        return 400

    asked, steps, listing = [], [], source.list_sessions
    source = replace(source, list_sessions=unsized, measure=measure)
    plan = plan_fetch(source, tmp_path, progress=lambda *step: steps.append(step))
    assert [session.num_bytes for session in plan.missing] == [400, 1000, None]
    assert (plan.num_bytes, plan.num_unknown) == (1400, 1)
    assert steps == [(0, 2, "a"), (1, 2, "c"), (2, 2, "")]
    with pytest.raises(DataError, match="more than --max-gb"):
        plan_fetch(source, tmp_path, max_gb=1e-6).require_room()
    assert not server.requests
    # What is not chosen, or is there, is not asked about.
    fetch(plan_fetch(source, tmp_path, ids=["a"]))
    asked.clear()
    plan_fetch(source, tmp_path, num_sessions=2)
    assert asked == []


def test_what_was_there_before_costs_nothing_of_the_budget(source, tmp_path):
    def own(session, folder, progress):
        path = folder / session.id
        path.mkdir(exist_ok=True)
        (path / "new").write_bytes(b"x" * 10)
        return path

    def unsized(folder):
        return [RemoteSession(name) for name in "abc"]

    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").write_bytes(b"x" * 1000)
    source = replace(source, list_sessions=unsized, download=own, measure=lambda *_: 10)
    result = fetch(plan_fetch(source, tmp_path, max_gb=40e-9))
    assert result.downloaded == ["a", "b", "c"]
    assert not result.failed


def test_a_source_may_download_in_its_own_way(source, tmp_path):
    def own(session, folder, progress):
        if session.id == "b":
            raise DataError("b: withdrawn")
        path = folder / session.id / "data.npz"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 10)
        progress(10, 10)
        return path.parent

    source = replace(source, download=own)
    result = fetch(plan_fetch(source, tmp_path))
    assert result.paths == {"a": [tmp_path / "a"], "c": [tmp_path / "c"]}
    assert result.failed == {"b": "b: withdrawn"}
    again = plan_fetch(source, tmp_path)
    assert [session.id for session in again.missing] == ["b"]


def test_downloads_of_another_source_and_a_damaged_record_are_refused(source, tmp_path):
    fetch(plan_fetch(source, tmp_path, num_sessions=1))
    with pytest.raises(DataError, match="holds downloads of toy; choose another --cache"):
        plan_fetch(replace(source, name="other"), tmp_path)
    (tmp_path / FETCHED).write_text("{")
    with pytest.raises(DataError, match="damaged"):
        plan_fetch(source, tmp_path)


def test_formats_have_nothing_to_download(tmp_path):
    with pytest.raises(DataError, match=r"npz: nothing that can be downloaded.*bring your own"):
        plan_fetch(npz.SOURCE, tmp_path)


def test_a_listing_that_fails_leaves_no_folder(source, tmp_path):
    def fail(folder):
        folder.mkdir(parents=True)
        raise DataError("no network")

    with pytest.raises(DataError, match="no network"):
        plan_fetch(replace(source, list_sessions=fail), tmp_path / "cache" / "toy")
    assert not list(tmp_path.iterdir())


def test_fixed_listings_are_pinned(tmp_path):
    for source in DATA_SETS:
        assert source.licence
        assert source.citation
        if source.name not in ("retinal_waves", "ca1_maze"):
            continue
        sessions = source.list_sessions(tmp_path)
        assert len(sessions) == source.num_recordings
        for file in (file for session in sessions for file in session.files):
            assert file.url.startswith("https://")
            assert len(file.url.split("/")[5]) == 40, "a commit, not a branch"
            assert file.url.endswith(file.path)
