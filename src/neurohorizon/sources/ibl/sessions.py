"""Listing and downloading IBL sessions through ONE-api.

A folder that holds ONE's cache tables (``sessions.pqt``) is listed as it is, without a
network. Any other is a folder of downloads from the laboratory's public server.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from neurohorizon.errors import DataError
from neurohorizon.ops.files import atomic_path
from neurohorizon.sources.ibl.files import REGIONS, choose_files, require_one
from neurohorizon.sources.naming import to_name
from neurohorizon.sources.source import DownloadProgress, RemoteSession

SERVER = "https://openalyx.internationalbrainlab.org"
TABLES = "sessions.pqt"


def list_sessions(
    folder: Path,
    *,
    project: str = "brainwide",
    task_protocol: str = "ephysChoiceWorld",
    laboratory: str = "",
    subject: str = "",
) -> list[RemoteSession]:
    """List the sessions of a project, in the order of laboratory, subject, date and number.

    Parameters
    ----------
    folder : Path
        A ONE cache with its tables, or a folder of downloads.
    project, task_protocol : str
        Part of the name; "" takes all. Tables that were built from folders alone name
        neither: all their sessions are then listed.
    laboratory, subject : str
        The whole name; "" takes all.

    Raises
    ------
    DataError
        If the tables are damaged, or there are none and the server cannot be asked.
    MissingExtraError
        If ONE-api is not installed.
    """
    require_one("list IBL sessions")
    parts = {"project": project, "task_protocol": task_protocol}
    names = {"lab": laboratory, "subject": subject}
    if (folder / TABLES).is_file():
        with _reading_tables(folder):
            eids, records = _local(folder).search(details=True)
            rows = [_about(eid, row) for eid, row in zip(eids, records or [], strict=True)]
        known = {key for key in parts if any(row[key] for row in rows)}
        parts = {key: value for key, value in parts.items() if key in known}
    else:
        # Few and plain filters: the server gives up on elaborate ones.
        query = {key: value for key, value in {**parts, **names}.items() if value}
        with _asking_server():
            eids, records = _remote(folder).search(details=True, **query)
            rows = [_about(eid, row) for eid, row in zip(eids, records, strict=True)]
    rows = [
        row
        for row in rows
        if all(value.casefold() in row[key].casefold() for key, value in parts.items())
        and all(value in ("", row[key]) for key, value in names.items())
    ]
    rows.sort(key=lambda row: (row["lab"], row["subject"], row["date"], int(row["number"])))
    return [RemoteSession(id=session_id(**_numbered(row)), about=row) for row in rows]


def session_id(subject: str, date: str, number: int) -> str:
    """Return a session's name: subject, date and number.

    Examples
    --------
    >>> session_id("KS023", "2019-12-10", 1)
    'KS023_2019-12-10_001'
    """
    return to_name(f"{subject}_{date}_{number:03d}")


def download(session: RemoteSession, folder: Path, progress: DownloadProgress) -> Path:
    """Bring one session into a ONE cache and return the session's folder.

    Only the files that are read are downloaded, and of those only what is not there with its
    right size. The names of brain areas are downloaded once, to ``brain_regions.csv``.

    Parameters
    ----------
    session : RemoteSession
        One that `list_sessions` gave.
    folder : Path
        The ONE cache.
    progress : callable
        Called with (bytes there, bytes in all).

    Raises
    ------
    DataError
        If the session has no sorted spikes, the server cannot be asked, or a file does not
        arrive whole.
    MissingExtraError
        If ONE-api is not installed.
    """
    require_one("download IBL sessions")
    path, sizes = _in_tables(session, folder)
    if sizes and not _missing(path, sizes):
        progress(1, 1)
        return path
    path = _path(session, folder)
    with _asking_server():
        one = _remote(folder)
        datasets = one.list_datasets(session.about["eid"], details=True)
    sizes = _sizes(datasets)
    if not sizes:
        raise DataError(f"{session.id}: the server has no sorted spikes of this session")
    missing = _missing(path, sizes)
    total = sum(sizes.values())
    done = total - sum(sizes[name] for name in missing)
    progress(done, total)
    identity = {str(row.rel_path): key for key, row in datasets.iterrows()}
    for name in missing:
        with _asking_server():
            one.load_dataset_from_id(identity[name], download_only=True)
        if _missing(path, {name: sizes[name]}):
            # ONE keeps half a file under its name, and would take it for the whole.
            (path / name).unlink(missing_ok=True)
            raise DataError(f"{path / name}: did not arrive whole; download the session again")
        done += sizes[name]
        progress(done, total)
    _write_regions(one, folder)
    return path


def measure(session: RemoteSession, folder: Path) -> int | None:
    """Return the bytes that downloading a session would still bring.

    Parameters
    ----------
    session : RemoteSession
        One that `list_sessions` gave.
    folder : Path
        The ONE cache. Its tables are asked first, the server where they do not name the
        session's sorted spikes.

    Returns
    -------
    int or None
        Of the files that are read and are not there with their right size; None if there are no
        sorted spikes, or a table does not tell the size of one of those files.

    Raises
    ------
    DataError
        If the tables are damaged or the server cannot be asked.
    MissingExtraError
        If ONE-api is not installed.
    """
    require_one("measure IBL sessions")
    path, sizes = _in_tables(session, folder)
    if not sizes:
        path = _path(session, folder)
        with _asking_server():
            datasets = _remote(folder).list_datasets(session.about["eid"], details=True)
        sizes = _sizes(datasets)
    missing = [sizes[name] for name in _missing(path, sizes)]
    return sum(missing) if sizes and all(missing) else None


def _path(session: RemoteSession, folder: Path) -> Path:
    about = session.about
    path = folder / about["lab"] / "Subjects" / about["subject"] / about["date"]
    return path / f"{int(about['number']):03d}"


def _in_tables(session: RemoteSession, folder: Path) -> tuple[Path, dict[str, int]]:
    """Return a session's folder and the sizes that the cache's tables tell of its files, if any."""
    if not (folder / TABLES).is_file():
        return _path(session, folder), {}
    eid = session.about["eid"]
    with _reading_tables(folder):
        one = _local(folder)
        return Path(one.eid2path(eid)), _sizes(one.list_datasets(eid, details=True))


def _sizes(datasets: Any) -> dict[str, int]:
    """Return the bytes of each file that is read, 0 where the table does not tell.

    Empty if there are no sorted spikes among them.
    """
    told = datasets["file_size"].fillna(0).astype(int)
    sizes = dict(zip(datasets["rel_path"].astype(str), told.tolist(), strict=True))
    wanted = choose_files(sizes)
    return {name: sizes[name] for name in wanted.paths} if wanted.probes else {}


def _missing(session: Path, sizes: Mapping[str, int]) -> list[str]:
    def there(path: Path, size: int) -> bool:
        return path.is_file() and size in (0, path.stat().st_size)

    return [name for name, size in sizes.items() if not there(session / name, size)]


def _write_regions(one: Any, folder: Path) -> None:
    path = folder / REGIONS
    if path.exists():
        return
    # Without the names, areas are called by their ids: no reason to lose the session.
    with suppress(Exception), atomic_path(path) as temporary:
        rows = [(row["id"], row["acronym"]) for row in one.alyx.rest("brain-regions", "list")]
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("id", "acronym"), *sorted(rows)])


def _about(eid: Any, record: Mapping[str, Any]) -> dict[str, str]:
    projects = record["projects"]
    return {
        "eid": str(eid),
        "lab": str(record["lab"]),
        "subject": str(record["subject"]),
        "date": str(record["date"]),
        "number": str(int(record["number"] or 0)),
        "task_protocol": str(record["task_protocol"] or ""),
        "project": projects if isinstance(projects, str) else ",".join(projects),
    }


def _numbered(row: Mapping[str, str]) -> dict[str, Any]:
    return {"subject": row["subject"], "date": row["date"], "number": int(row["number"])}


def _local(folder: Path) -> Any:
    from one.api import One

    return One(cache_dir=folder, mode="local")


def _remote(folder: Path) -> Any:
    from one.api import OneAlyx

    folder.mkdir(parents=True, exist_ok=True)
    # Silent: a question to the terminal would hang a job that nobody watches.
    return OneAlyx(base_url=SERVER, cache_dir=folder, silent=True)


@contextmanager
def _reading_tables(folder: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # pandas and pyarrow raise their own
        raise DataError(
            f"{folder / TABLES}: not readable as ONE's cache tables ({_first_line(error)}); "
            "build them again or remove them"
        ) from error


@contextmanager
def _asking_server() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # requests, urllib, boto3 and ONE raise their own
        reason = _first_line(error)
        status = getattr(getattr(error, "response", None), "status_code", None)
        if "username" in reason or status in (400, 401, 403):
            raise DataError(
                f"{SERVER}: asks for an account (free, {SERVER}/signup): log in once with "
                f"ONE(base_url='{SERVER}', username='...') from one.api"
            ) from error
        raise DataError(
            f"{SERVER}: cannot be asked ({reason}); try again later, or give a ONE cache with "
            f"its tables ({TABLES}), which needs no network"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
