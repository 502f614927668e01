"""What pictures are labelled with: a table beside them, or the truth of a drawn world.

A table is a CSV file in UTF-8 with a header. Its column ``name`` holds each picture's path below
the folder (or inside the archive); every other column is a label, whose words are what stands in
it. An empty cell says that nobody knows. A column ``part``, if there is one, is no label: rows
that say "test" there are pictures that must not be trained on ::

    name,part,animal,colour
    cats/001.png,train,cat,black
    dogs/004.png,train,dog,
    dogs/007.png,test,dog,brown
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.simulate.ventral.truth import TRUTH_FILE, load_ventral_truth
from neurohorizon.simulate.ventral.write import PICTURES
from neurohorizon.training.image_encoder.fit import UNKNOWN, LabelColumn

NAME, PART, TEST = "name", "part", "test"
DRAWN = ("shape", "hue", "texture")
"""What the pictures of a drawn world are labelled with, unless columns are chosen."""


@dataclass(frozen=True)
class LabelTable:
    """Labels of pictures by name.

    Parameters
    ----------
    where : str
        What to call it in a message.
    names : tuple of str
        Of the pictures, all different.
    columns : mapping of str to LabelColumn
        One row a name.
    test : frozenset of str
        Names of pictures that must not be trained on.
    """

    where: str
    names: tuple[str, ...]
    columns: Mapping[str, LabelColumn]
    test: frozenset[str]

    def of(self, names: Sequence[str]) -> dict[str, LabelColumn]:
        """Return the labels of some pictures, in their order.

        Raises
        ------
        DataError
            If a picture has none.
        """
        row_of = {name: row for row, name in enumerate(self.names)}
        missing = [name for name in names if name not in row_of]
        if missing:
            raise DataError(
                f"{self.where}: has no row for {len(missing)} of {len(names)} pictures, the first "
                f"{missing[0]}: add rows, or leave the pictures out (--exclude)"
            )
        rows = [row_of[name] for name in names]
        return {
            label: LabelColumn(column.words, column.code[rows])
            for label, column in self.columns.items()
        }


def find_world(path: Path | str) -> Path | None:
    """Return the folder of the drawn world that some pictures belong to, None if there is none.

    Parameters
    ----------
    path : path
        The world's folder, or that of its pictures.

    Raises
    ------
    ConfigError
        If it is a part of a world, whose test pictures could not be told by their names.
    """
    path = Path(path)
    for folder in (path, path.parent):
        mine = folder == path or path.name == PICTURES
        if mine and _is_world(folder):
            return folder
    for folder in path.resolve().parents:
        if _is_world(folder) and (folder / PICTURES) in [path.resolve(), *path.resolve().parents]:
            raise ConfigError(
                f"{path}: only a part of the pictures of a drawn world: give {folder.name}, the "
                "whole of it, from which test pictures are left out"
            )
    return None


def _is_world(folder: Path) -> bool:
    return (folder / TRUTH_FILE).is_file() and (folder / PICTURES).is_dir()


def read_world_labels(folder: Path | str, columns: Sequence[str] = DRAWN) -> LabelTable:
    """Read the labels of a drawn world from its truth.

    Parameters
    ----------
    folder : path
        Of `neurohorizon simulate ventral-stream`.
    columns : sequence of str
        Of shape, hue, texture, background.

    Raises
    ------
    DataError
        If there is no truth, or it is damaged.
    ConfigError
        If it tells no such thing in words.
    """
    truth = load_ventral_truth(folder)
    where = str(Path(folder) / TRUTH_FILE)
    image, words = truth["image"], truth["words"]
    _require_columns(where, columns, sorted(words))
    names = tuple(image["path"].tolist())
    parts = zip(names, image["part"].tolist(), strict=True)
    return LabelTable(
        where=where,
        names=names,
        columns={
            name: LabelColumn(tuple(words[name].tolist()), image[name].astype(np.int64))
            for name in columns
        },
        test=frozenset(name for name, part in parts if part == TEST),
    )


def read_label_table(path: Path | str, columns: Sequence[str] = ()) -> LabelTable:
    """Read labels from a CSV file, as the module's text describes it.

    Parameters
    ----------
    path : path
    columns : sequence of str
        Which labels; all of them by default.

    Raises
    ------
    DataError
        If it is no such file, or a picture has two rows.
    ConfigError
        If it has no such column.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a CSV with the columns {NAME} and labels")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header = list(reader.fieldnames or ())
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error})") from error
    labels = [column for column in header if column not in (NAME, PART)]
    if NAME not in header or not labels or not rows or len(set(header)) < len(header):
        raise DataError(
            f"{path}: expected a CSV with a column {NAME}, a column for each label, and rows; "
            f"found the columns {', '.join(header) or 'none'} and {len(rows)} rows"
        )
    ragged = [number for number, row in enumerate(rows, 2) if None in row or None in row.values()]
    if ragged:
        raise DataError(f"{path}: row {ragged[0]} has more or fewer cells than the header")
    _require_columns(str(path), columns, labels)
    names = tuple(row[NAME].strip() for row in rows)
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DataError(f"{path}: {name} has {times} rows; expected one a picture")
    cells = {label: [row[label].strip() for row in rows] for label in columns or labels}
    return LabelTable(
        where=str(path),
        names=names,
        columns={label: _column(f"{path}: {label}", words) for label, words in cells.items()},
        test=frozenset(row[NAME].strip() for row in rows if row.get(PART, "").strip() == TEST),
    )


def _column(where: str, cells: Sequence[str]) -> LabelColumn:
    words = tuple(sorted({cell for cell in cells if cell}))
    if len(words) > max(2, len(cells) // 2):
        raise DataError(
            f"{where}: {len(words)} different words for {len(cells)} pictures, so nearly each "
            "has its own; choose labels that pictures share (--columns)"
        )
    code_of = {"": UNKNOWN, **{word: code for code, word in enumerate(words)}}
    return LabelColumn(words, np.array([code_of[cell] for cell in cells], dtype=np.int64))


def _require_columns(where: str, columns: Sequence[str], known: Sequence[str]) -> None:
    for column in columns:
        if column not in known:
            raise ConfigError(f"{where}: no label {column!r}; there are {', '.join(known)}")
    if len(set(columns)) < len(columns):
        raise ConfigError(f"{where}: a label is chosen twice ({', '.join(columns)})")
