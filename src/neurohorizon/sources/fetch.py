"""Downloading sessions of a public data set: what is there is kept, what fails is told.

``fetch.json`` in the folder of downloads says which sessions are whole, where they lie, and
why others failed; it is rewritten after each, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurohorizon.errors import DataError
from neurohorizon.ops.files import write_json
from neurohorizon.sources.download import download_file, is_whole
from neurohorizon.sources.source import RemoteSession, Source, Value

FETCHED = "fetch.json"
GIGABYTE = 1e9
#: Left free on the disk, whatever is downloaded.
SPARE_BYTES = 200_000_000
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class FetchPlan:
    """Which sessions a fetch is about.

    Parameters
    ----------
    source : Source
    folder : Path
        Where downloads lie.
    there, missing : list of RemoteSession
        Sessions that are downloaded already, and those that are not.
    max_bytes : int or None
        What may be downloaded in all.
    """

    source: Source
    folder: Path
    there: list[RemoteSession]
    missing: list[RemoteSession]
    max_bytes: int | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes to download, as far as they are known beforehand."""
        return sum(session.num_bytes or 0 for session in self.missing)

    @property
    def num_unknown(self) -> int:
        """Sessions to download whose size is not known beforehand."""
        return sum(session.num_bytes is None for session in self.missing)

    def require_room(self) -> None:
        """Make sure that what is known beforehand fits the budget and the disk.

        Raises
        ------
        DataError
        """
        needed, sessions = self.num_bytes, _count(len(self.missing), "session")
        if self.max_bytes is not None and needed > self.max_bytes:
            raise DataError(
                f"{sessions} to download are {format_bytes(needed)}, more than --max-gb "
                f"{self.max_bytes / GIGABYTE:g}: take fewer with --num-sessions"
            )
        if needed and needed + SPARE_BYTES > (free := free_bytes(self.folder)):
            raise DataError(
                f"{self.folder}: {sessions} to download are {format_bytes(needed)}, and the disk "
                f"has {format_bytes(free)} left: choose another disk with --cache, or fewer "
                "sessions"
            )


@dataclass(frozen=True)
class Fetched:
    """What a fetch did.

    Parameters
    ----------
    paths : dict of str to list of Path
        Session -> what `Source.convert` takes, of sessions that are there now.
    downloaded : list of str
        Sessions that were downloaded now.
    failed : dict of str to str
        Session -> the line that says why it could not be had.
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)
    downloaded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def plan_fetch(
    source: Source,
    folder: Path | str,
    *,
    num_sessions: int | None = None,
    ids: Sequence[str] = (),
    settings: Mapping[str, Value] | None = None,
    max_gb: float | None = None,
    progress: Progress | None = None,
) -> FetchPlan:
    """List a data set's sessions and choose from them.

    Sizes that the listing does not tell are measured, where the source can, of the sessions
    that are chosen and missing.

    Parameters
    ----------
    source : Source
    folder : path
        Where downloads lie.
    num_sessions : int, optional
        So many, the first of the listing; all by default.
    ids : sequence of str
        Only these.
    settings : mapping, optional
        Query settings of the source.
    max_gb : float, optional
        Gigabytes (10^9 bytes) that may be downloaded.
    progress : callable, optional
        Called with (sessions measured, sessions to measure, name) while sizes are asked for.

    Raises
    ------
    DataError
        If the source has nothing to download, cannot be listed, or does not hold an id.
    """
    folder = Path(folder)
    if source.list_sessions is None:
        whose = f"get it from {source.homepage}" if source.homepage else "bring your own files"
        raise DataError(
            f"{source.name}: nothing that can be downloaded from here: {whose} and run "
            f"`neurohorizon data prepare {source.name} PATH --out FOLDER`"
        )
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        sessions = list(source.list_sessions(folder, **(settings or {})))
    except BaseException:
        for each in absent:  # a library may have made its cache before it failed
            with suppress(OSError):
                each.rmdir()
        raise
    if ids:
        known = {session.id: session for session in sessions}
        for wanted in ids:
            if wanted not in known:
                close = difflib.get_close_matches(wanted, known, n=1)
                hint = f": did you mean {close[0]}?" if close else f" of {len(known)}"
                raise DataError(f"{source.name}: no session {wanted!r}{hint}")
        sessions = [known[wanted] for wanted in dict.fromkeys(ids)]
    sessions = sessions[:num_sessions]
    if not sessions:
        raise DataError(f"{source.name}: no session fits what was asked for")
    state = _read_state(folder, source)
    there = [session for session in sessions if _paths(session, source, folder, state)]
    missing = [session for session in sessions if session not in there]
    missing = _measured(missing, source, folder, progress)
    max_bytes = None if max_gb is None else int(max_gb * GIGABYTE)
    return FetchPlan(source, folder, there, missing, max_bytes)


def _measured(
    sessions: Sequence[RemoteSession], source: Source, folder: Path, progress: Progress | None
) -> list[RemoteSession]:
    """Return the sessions with the sizes that the source can tell when it is asked."""
    unknown = [session.id for session in sessions if session.num_bytes is None]
    if source.measure is None or not unknown:
        return list(sessions)
    measured = []
    for session in sessions:
        if session.num_bytes is None:
            if progress:
                progress(unknown.index(session.id), len(unknown), session.id)
            # A size is good to know, not needed: what stands against it, downloading will tell.
            with suppress(Exception):
                session = replace(session, num_bytes=source.measure(session, folder))
        measured.append(session)
    if progress:
        progress(len(unknown), len(unknown), "")
    return measured


def fetch(plan: FetchPlan, *, progress: Progress | None = None) -> Fetched:
    """Download the sessions of a plan that are missing.

    Parameters
    ----------
    plan : FetchPlan
    progress : callable, optional
        Called with (bytes done, bytes in all, what is being downloaded); where sizes are
        not known beforehand, bytes in all grow.

    Returns
    -------
    Fetched
        A session that fails is recorded with its reason and stops no other.

    Raises
    ------
    DataError
        If there is no room for what is known beforehand, or the record cannot be written.
    """
    plan.require_room()
    source, folder = plan.source, plan.folder
    state, result = _read_state(folder, source), Fetched()
    for session in plan.there:
        result.paths[session.id] = _paths(session, source, folder, state)
    done, spent, total = 0, 0, plan.num_bytes
    for session in plan.missing:

        def told(here: int, of: int, name: str = session.id, before: int = done) -> None:
            if progress:
                progress(before + here, max(total, before + max(of, here)), name)

        told(0, session.num_bytes or 0)
        try:
            if plan.max_bytes is not None and spent >= plan.max_bytes and session.num_bytes != 0:
                raise DataError(f"{session.id}: left out, --max-gb is used up")
            paths, num_bytes = _download(session, source, folder, told)
        except DataError as error:
            result.failed[session.id] = str(error)
            state[session.id] = {"failed": str(error)}
        else:
            done += num_bytes
            # What was there before the download costs nothing of the budget.
            spent += num_bytes if session.num_bytes is None else session.num_bytes
            result.downloaded.append(session.id)
            result.paths[session.id] = paths
            relative = [path.relative_to(folder).as_posix() for path in paths]
            state[session.id] = {"paths": relative, "num_bytes": num_bytes} | (
                {"about": dict(session.about)} if session.about else {}
            )
        _write_state(folder, source, state)
    if progress:
        progress(max(done, 1), max(done, 1), "")
    return result


def format_bytes(number: int) -> str:
    """Write a number of bytes for people."""
    return f"{number / GIGABYTE:.1f} GB" if number >= GIGABYTE else f"{number / 1e6:.1f} MB"


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk where a folder is or will be."""
    there = next(each for each in (folder.resolve(), *folder.resolve().parents) if each.exists())
    return shutil.disk_usage(there).free


def _download(
    session: RemoteSession, source: Source, folder: Path, told: Callable[..., None]
) -> tuple[list[Path], int]:
    """Bring one session; return what `convert` takes of it and its bytes."""
    if source.download is not None:
        path = source.download(session, folder, told)
        files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
        return [path], sum(each.stat().st_size for each in files)
    before = 0
    for file in session.files:
        path = folder / file.path
        download_file(file, path, progress=lambda here, _, of=before: told(of + here, 0))
        before += path.stat().st_size
    paths = _paths(session, source, folder, {})
    if not paths:
        raise DataError(
            f"{session.id}: what was downloaded holds nothing that {source.name} can be made of"
        )
    return paths, before


def _paths(
    session: RemoteSession, source: Source, folder: Path, state: Mapping[str, Any]
) -> list[Path]:
    """Return what `convert` takes of a session that is there whole, else nothing."""
    if source.download is not None:
        paths = [folder / each for each in state.get(session.id, {}).get("paths", [])]
        return paths if all(path.exists() for path in paths) else []
    if not session.files or not all(is_whole(file, folder / file.path) for file in session.files):
        return []
    files = {(folder / file.path).resolve() for file in session.files}
    return [
        path
        for path in source.find_files(folder)
        if any(path.resolve() in (file, *file.parents) for file in files)
    ]


def _read_state(folder: Path, source: Source) -> dict[str, Any]:
    path = folder / FETCHED
    if not path.exists():
        return {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        name, sessions = state["source"], dict(state["sessions"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); remove it and fetch again") from error
    if name != source.name:
        raise DataError(f"{path}: holds downloads of {name}; choose another --cache")
    return sessions


def _write_state(folder: Path, source: Source, state: Mapping[str, Any]) -> None:
    path = folder / FETCHED
    try:
        write_json(path, {"source": source.name, "sessions": state})
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
