"""Attaching embeddings to a recording: which vector was on the screen at each presentation.

A table of presentations numbers the pictures of a set; responses know them by hash. Either way
the recording gets one vector a picture that was shown, and a row of it a presentation.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.pictures import Pictures
from neurohorizon.recordings.embeddings import ShownImages, shown_problem
from neurohorizon.recordings.hdf5_write import check_embedding_name
from neurohorizon.recordings.responses import ResponseRecording
from neurohorizon.recordings.schema import Recording, Table

COLUMN = "frame"
RESPONSES = "responses"
AnyRecording = TypeVar("AnyRecording", Recording, ResponseRecording)
IntArray = NDArray[np.int64]


def attach(
    recording: Recording,
    bank: EmbeddingBank,
    picture_hashes: Sequence[str],
    *,
    name: str,
    table: str,
    column: str = COLUMN,
    replace: bool = False,
) -> Recording:
    """Attach embeddings to a recording whose table of presentations numbers the pictures.

    Parameters
    ----------
    recording : Recording
    bank : EmbeddingBank
        Has every picture that was shown; others do not matter.
    picture_hashes : sequence of str
        Hash of picture 0, 1, ... of the set, see :func:`numbered_hashes`.
    name : str
        What the recording shall call these embeddings.
    table : str
        Table of presentations.
    column : str
        Its column with the number of the picture. Negative or NaN: no picture was shown.
    replace : bool
        Replace embeddings of the same name that were made in another way.

    Returns
    -------
    Recording
        `recording` itself if it holds exactly this already.

    Raises
    ------
    DataError
        If there is no such table or column, a number is not whole or beyond the set, a
        picture is not in the bank, or the name is taken by embeddings of another fingerprint
        or another table.
    """
    presentations = recording.tables.get(table)
    if presentations is None:
        raise DataError(
            f"{recording.id}: no table {table!r}; there are: "
            f"{', '.join(sorted(recording.tables)) or 'none'}"
        )
    where = f"{recording.id}, {table}.{column}"
    frame = _picture_numbers(presentations, column, where)
    if frame.max(initial=-1) >= len(picture_hashes):
        raise DataError(
            f"{where}: picture {frame.max()} was shown, but the set has {len(picture_hashes)} "
            f"(0 to {len(picture_hashes) - 1}); give the set of pictures that this table numbers"
        )
    used = [int(number) for number in np.unique(frame[frame >= 0])]
    if not used:
        raise DataError(f"{where}: no presentation shows a picture; choose another table")
    # Frames of a movie may repeat a picture: one vector for all of them.
    hashes = list(dict.fromkeys(picture_hashes[number] for number in used))
    row_of_hash = {one: row for row, one in enumerate(hashes)}
    row_of_frame = np.full(len(picture_hashes), -1, dtype=np.int64)
    row_of_frame[used] = [row_of_hash[picture_hashes[number]] for number in used]
    in_time = np.argsort(presentations.start, kind="stable")
    shown = ShownImages(
        table=table,
        start=np.asarray(presentations.start, dtype=np.float64)[in_time],
        end=np.asarray(presentations.end, dtype=np.float64)[in_time],
        row=np.where(frame >= 0, row_of_frame[frame], -1)[in_time],
        vectors=bank.select(hashes),
        hashes=np.array(hashes, dtype=np.str_),
        fingerprint=bank.fingerprint.to_json(),
    )
    return _with(recording, name, shown, replace=replace)


def attach_to_responses(
    recording: ResponseRecording, bank: EmbeddingBank, *, name: str, replace: bool = False
) -> ResponseRecording:
    """Attach embeddings to responses, whose pictures are known by their hash.

    Parameters
    ----------
    recording : ResponseRecording
    bank : EmbeddingBank
        Has every picture that was shown.
    name : str
        What the recording shall call these embeddings.
    replace : bool
        Replace embeddings of the same name that were made in another way.

    Returns
    -------
    ResponseRecording
        `recording` itself if it holds exactly this already.

    Raises
    ------
    DataError
        If the hash of a picture that was shown is unknown or not in the bank (with how many
        they are), or the name is taken by embeddings of another fingerprint.
    """
    responses = recording.responses
    used = np.unique(responses.image)
    hash_of_used: list[str] = recording.images.sha256[used].tolist()
    unknown = sum(one == "" for one in hash_of_used)
    absent = sum(one != "" and one not in bank for one in hash_of_used)
    if unknown or absent:
        raise DataError(
            f"{recording.id}: of {len(used)} images that were shown, {unknown} have no known "
            f"picture (prepare it again with the pictures at hand) and {absent} are not in "
            f"{bank.where} (embed their folder too)"
        )
    hashes = list(dict.fromkeys(hash_of_used))
    row_of_hash = {one: row for row, one in enumerate(hashes)}
    row_of_image = np.full(len(recording.images), -1, dtype=np.int64)
    row_of_image[used] = [row_of_hash[one] for one in hash_of_used]
    shown = ShownImages(
        table=RESPONSES,
        start=np.asarray(responses.start, dtype=np.float64),
        end=np.asarray(responses.end, dtype=np.float64),
        row=row_of_image[responses.image],
        vectors=bank.select(hashes),
        hashes=np.array(hashes, dtype=np.str_),
        fingerprint=bank.fingerprint.to_json(),
    )
    return _with(recording, name, shown, replace=replace)


def numbered_hashes(
    pictures: Pictures, progress: Callable[[str, int, int], None] | None = None
) -> list[str]:
    """Return the hash of picture 0, 1, ... of a set.

    Parameters
    ----------
    pictures : Pictures
        Frames are numbered as they lie. Files are in the order of their paths, where digits
        count as numbers: ``natural_scene_2.tiff`` comes before ``natural_scene_10.tiff``.
    progress : callable, optional
        Called with ("number", pictures done, pictures in all).

    Raises
    ------
    DataError
        At a picture that cannot be decoded.
    """
    hashes: list[str] = []
    for batch in pictures.batches(32):
        hashes += [picture.hash for picture in batch]
        if progress:
            progress("number", len(hashes), len(pictures))
    order = sorted(range(len(pictures)), key=lambda index: _number_key(pictures.names[index]))
    return [hashes[index] for index in order]


def _number_key(name: str) -> list[str | int]:
    # A split at digits takes turns: text, digits, text. So like meets like.
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _picture_numbers(table: Table, column: str, where: str) -> IntArray:
    """Return the number of the picture of each presentation, -1 where there is none."""
    values = table.columns.get(column)
    if values is None:
        raise DataError(
            f"{where}: no such column; there are: {', '.join(sorted(table.columns)) or 'none'}"
        )
    values = np.asarray(values)
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise DataError(
            f"{where}: {values.dtype} of shape {values.shape}, expected one number a presentation"
        )
    return _whole(values, where)


def _whole(values: NDArray[Any], where: str) -> IntArray:
    values = np.where(np.isnan(values), -1, values)
    odd = np.flatnonzero(~np.isfinite(values) | (values != np.round(values)))
    if len(odd):
        raise DataError(
            f"{where}: {len(odd)} values are not whole (the first is {values[odd[0]]} in row "
            f"{odd[0]}); name the column that numbers the pictures"
        )
    return np.maximum(values, -1).astype(np.int64)


def _with(recording: AnyRecording, name: str, shown: ShownImages, *, replace: bool) -> AnyRecording:
    """Return the recording with these embeddings, or itself if it has them."""
    check_embedding_name(name)
    problem = shown_problem(shown)
    if problem:
        raise DataError(f"{recording.id}, {shown.table}: {problem}; mend the table first")
    before = recording.embeddings.get(name)
    if before is not None:
        if before.equals(shown):
            return recording
        difference = _difference(before, shown)
        if difference and not replace:
            raise DataError(
                f"{recording.id}: has embeddings {name!r} already, made in another way: "
                f"{difference}; give these another name, or replace the old ones (--replace)"
            )
    return dataclasses.replace(recording, embeddings={**recording.embeddings, name: shown})


def _difference(before: ShownImages, shown: ShownImages) -> str:
    """Say what keeps one from taking the other's place, "" if nothing does."""
    if before.table != shown.table:
        return f"table {before.table} against {shown.table}"
    try:
        made_by = Fingerprint.from_json(before.fingerprint)
    except DataError:
        return "by something unknown"
    return made_by.difference(Fingerprint.from_json(shown.fingerprint))
