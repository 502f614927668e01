"""Recordings from ``.npz``: spike times in seconds and the unit of each spike.

===============  ==========  ==================================================
array            shape       meaning
===============  ==========  ==================================================
``spike_times``  (S,) float  seconds, sorted
``unit_index``   (S,) int    unit of each spike, from 0
``num_units``    () int      optional: units, silent ones included
``domain``       (2,) or     optional: when the recording ran, in seconds; else
                 (K, 2)      the whole seconds around the spikes
``subject``      () str      optional: the animal, for holding out animals
===============  ==========  ==================================================
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.sources.naming import to_ascii, to_name, whole_seconds_around
from neurohorizon.sources.source import Source

NAME = "npz"
KNOWN = ("spike_times", "unit_index", "num_units", "domain", "subject")


def find_files(path: Path) -> list[Path]:
    """Return the ``.npz`` files below a folder, or the one file."""
    return [path] if path.is_file() else sorted(path.rglob("*.npz"))


def convert(path: Path) -> Recording:
    """Read one ``.npz`` file.

    Raises
    ------
    DataError
        If it is no such file, holds pickled objects, or its arrays do not fit together.
        Unsorted, negative or non-finite times are left for validation to report.
    """
    arrays = _load(path)
    for name in ("spike_times", "unit_index"):
        if name not in arrays:
            raise DataError(
                f"{path}: no array {name!r}, found {', '.join(arrays) or 'nothing'}; "
                "expected spike_times (seconds) and unit_index"
            )
    times, unit_index = arrays["spike_times"], arrays["unit_index"]
    if times.ndim != 1 or times.dtype.kind != "f":
        raise DataError(
            f"{path}: spike_times is {times.dtype} of shape {times.shape}, expected "
            "floating-point seconds of shape (spikes,)"
        )
    if unit_index.shape != times.shape or unit_index.dtype.kind not in "iu":
        raise DataError(
            f"{path}: unit_index is {unit_index.dtype} of shape {unit_index.shape}, expected "
            f"integers of shape {times.shape}, one a spike"
        )
    unit_index = unit_index.astype(np.int64)
    times = times.astype(np.float64)
    num_units = _num_units(path, arrays.get("num_units"), unit_index)
    metadata = {}
    left_out = [name for name in arrays if name not in KNOWN]
    if left_out:
        metadata["left_out"] = to_ascii(", ".join(left_out))
    return Recording(
        id=to_name(path.stem),
        subject=to_name(str(arrays["subject"])) if "subject" in arrays else "unknown",
        source=NAME,
        spike_times=times,
        spike_unit_index=unit_index,
        units=Units.numbered(num_units),
        domain=_domain(path, arrays["domain"])
        if "domain" in arrays
        else whole_seconds_around(times),
        metadata=metadata,
    )


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a readable .npz file; write one with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        if "pickle" in str(error):
            raise DataError(
                f"{path}: holds pickled objects, which are never loaded (they can run code); "
                "save plain arrays: one of all times, one of the units"
            ) from error
        raise DataError(f"{path}: not a readable .npz file ({error})") from error


def _num_units(path: Path, given: NDArray[Any] | None, unit_index: NDArray[np.int64]) -> int:
    seen = int(unit_index.max()) + 1 if len(unit_index) else 0
    if given is None:
        return seen
    if given.shape != () or given.dtype.kind not in "iu" or given < 1:
        raise DataError(f"{path}: num_units is {given!r}, expected one positive integer")
    return int(given)


def _domain(path: Path, given: NDArray[Any]) -> NDArray[np.float64]:
    rows = np.asarray(given)
    if rows.dtype.kind not in "fiu" or rows.size < 2 or rows.size % 2 or rows.ndim > 2:
        raise DataError(
            f"{path}: domain is {rows.dtype} of shape {rows.shape}, expected start and end in "
            "seconds, shape (2,) or (stretches, 2)"
        )
    rows = rows.astype(np.float64).reshape(-1, 2)
    if not np.isfinite(rows).all() or np.any(np.diff(rows.ravel()) < 0) or rows[0, 0] < 0:
        raise DataError(f"{path}: domain {rows.tolist()} must be finite, sorted and disjoint")
    return rows


SOURCE = Source(
    name=NAME,
    title="your own .npz files: spike_times (s), unit_index",
    find_files=find_files,
    convert=convert,
)
