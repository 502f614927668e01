"""Attaching embeddings to recordings on disk: a file, or a folder with its manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py

from neurohorizon.errors import DataError
from neurohorizon.imaging.attach import (
    COLUMN,
    RESPONSES,
    attach,
    attach_to_responses,
    numbered_hashes,
)
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.pictures import Pictures
from neurohorizon.recordings.embeddings import ShownImages
from neurohorizon.recordings.hdf5_read import read_tables
from neurohorizon.recordings.hdf5_write import check_embedding_name
from neurohorizon.recordings.responses import ResponseRecording
from neurohorizon.recordings.responses_store import (
    is_response_file,
    open_responses,
)
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.store import (
    list_recordings,
    open_recording,
    why_unreadable,
)
from neurohorizon.sources.lock import alone_in
from neurohorizon.sources.manifest import update_manifest
from neurohorizon.sources.rewrite import rewrite

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AttachPlan:
    """Which files get embeddings, by which table.

    Parameters
    ----------
    folder : Path
        Where the recordings lie.
    tables : dict of Path to str
        File -> table of presentations; "responses" in a recording of responses.
    left_out : dict of Path to str
        File -> the line that says why nothing can be attached to it.
    name, column : str
        Name of the embeddings; column with the number of the picture.
    replace : bool
        Whether embeddings of the same name made in another way are replaced.
    """

    folder: Path
    tables: dict[Path, str]
    left_out: dict[Path, str]
    name: str
    column: str
    replace: bool


@dataclass(frozen=True)
class Attached:
    """What was attached to which files.

    Parameters
    ----------
    written, unchanged : dict of Path to str
        Files that were rewritten, and those that held exactly this already; with how many
        pictures were shown how often.
    """

    written: dict[Path, str] = field(default_factory=dict)
    unchanged: dict[Path, str] = field(default_factory=dict)


def plan_attach(
    path: Path | str,
    *,
    name: str,
    table: str | None = None,
    column: str = COLUMN,
    replace: bool = False,
) -> AttachPlan:
    """Look for what embeddings can be attached to, before they are made.

    Parameters
    ----------
    path : path
        A recording, or a folder of recordings.
    name : str
        What the recordings shall call the embeddings.
    table : str, optional
        Table of presentations. Default: the only one that has the column.
    column : str
        Column with the number of the picture.
    replace : bool
        Replace embeddings of the same name that were made in another way.

    Raises
    ------
    DataError
        If there is nothing to attach to, several tables have the column, a file cannot be
        read, or the name cannot be used.
    """
    check_embedding_name(name)
    files = list_recordings(path)
    found = {file: _tables_with(file, column) for file in files}
    if table is None:
        # One table for all: what one of them numbers are the wrong pictures for another.
        numbered = {each for file in files if not is_response_file(file) for each in found[file]}
        if len(numbered) > 1:
            raise DataError(
                f"{path}: {len(numbered)} tables have a column {column!r}; choose one with "
                f"--table: {', '.join(sorted(numbered))}"
            )
    fitting = {file: [each for each in found[file] if table in (None, each)] for file in files}
    tables = {file: names[0] for file, names in fitting.items() if names}
    word = (
        f"table {table!r} with a column {column!r}" if table else f"table has a column {column!r}"
    )
    left_out = {file: f"{file}: left out: no {word}" for file in files if file not in tables}
    if not tables:
        others = ", ".join(sorted({each for names in found.values() for each in names}))
        raise DataError(
            f"{path}: nothing to attach to: no {word}"
            + (f"; tables that have it: {others}" if others else "; name another --column")
        )
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    return AttachPlan(folder, tables, left_out, name, column, replace)


def attach_to_files(
    plan: AttachPlan, bank: EmbeddingBank, pictures: Pictures, progress: Progress | None = None
) -> Attached:
    """Attach embeddings to the recordings of a plan.

    Parameters
    ----------
    plan : AttachPlan
    bank : EmbeddingBank
        Has every picture that was shown.
    pictures : Pictures
        The set that the recordings' tables number.
    progress : callable, optional
        Called with (stage, steps done, steps in all).

    Raises
    ------
    DataError
        At the first recording that does not fit; those before it stay attached, and are
        skipped when the same is asked for again.

    Notes
    -----
    Each file is replaced only once its successor is whole, and the folder's manifest follows
    at once. Like `prepare`, this keeps others from preparing the folder meanwhile.
    """
    hashes: list[str] = []
    if not all(is_response_file(file) for file in plan.tables):
        hashes = numbered_hashes(pictures, progress)
    done = Attached()
    with alone_in(plan.folder):
        for number, (file, table) in enumerate(plan.tables.items()):
            if progress:
                progress("attach", number, len(plan.tables))
            before = _open(file)
            after = _attach(before, bank, hashes, table, plan)
            if after is before:
                # The manifest may be that of an interrupted run.
                update_manifest(file.parent, [file.name])
                done.unchanged[file] = _count(after.embeddings[plan.name])
            else:
                rewrite(after, file)
                done.written[file] = _count(after.embeddings[plan.name])
    if progress:
        progress("attach", len(plan.tables), len(plan.tables))
    return done


def _tables_with(file: Path, column: str) -> Sequence[str]:
    """Name the tables of a file that have a column; "responses" in a file of responses."""
    if is_response_file(file):
        return [RESPONSES]
    try:
        with h5py.File(file, "r") as opened:
            tables = read_tables(opened)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise DataError(f"{file}: {why_unreadable(file, error)}") from error
    return [name for name, table in tables.items() if column in table.columns]


def _open(file: Path) -> Recording | ResponseRecording:
    return open_responses(file) if is_response_file(file) else open_recording(file)


def _attach(
    recording: Recording | ResponseRecording,
    bank: EmbeddingBank,
    hashes: Sequence[str],
    table: str,
    plan: AttachPlan,
) -> Recording | ResponseRecording:
    if isinstance(recording, ResponseRecording):
        return attach_to_responses(recording, bank, name=plan.name, replace=plan.replace)
    return attach(
        recording,
        bank,
        hashes,
        name=plan.name,
        table=table,
        column=plan.column,
        replace=plan.replace,
    )


def _count(shown: ShownImages) -> str:
    return f"{len(shown.hashes)} pictures in {len(shown)} presentations of {shown.table}"
