"""A list of dataclasses in one npz file, without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.ops.files import NPZ_DAMAGE, atomic_path

Record = TypeVar("Record")


def save_records(records: Sequence[Any], path: Path) -> None:
    """Write dataclasses whose fields are arrays, numbers or texts.

    Parameters
    ----------
    records : sequence of dataclass
        All of one class; maybe none.
    path : Path
        An ``.npz`` file; written to a temporary name first.
    """
    arrays = {
        f"{number}/{field.name}": np.asarray(getattr(record, field.name))
        for number, record in enumerate(records)
        for field in fields(record)
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def load_records(kind: type[Record], path: Path) -> list[Record]:
    """Read what :func:`save_records` wrote; numbers and texts come back as such.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another class.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            count = 1 + max((int(name.split("/")[0]) for name in file.files), default=-1)
            return [
                kind(
                    **{
                        field.name: _plain(file[f"{number}/{field.name}"])
                        for field in fields(kind)  # type: ignore[arg-type]
                    }
                )
                for number in range(count)
            ]
    except NPZ_DAMAGE as error:
        raise DataError(f"{path}: missing or damaged ({error}): evaluate again") from error


def _plain(value: np.ndarray) -> Any:
    return value.item() if value.ndim == 0 else value
