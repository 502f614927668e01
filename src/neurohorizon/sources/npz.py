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

What pynapple's ``TsGroup.save`` writes is read too: times ``t``, unit ``index``, ``keys``, and
the time support ``start`` and ``end``, which becomes the domain. Its metadata (areas and the
like) are pickled by current versions, and nothing here unpickles; plain columns of earlier
versions are read.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.files import NPZ_DAMAGE, require_readable
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.sources.naming import to_ascii, to_name, whole_seconds_around
from neurohorizon.sources.source import Source

NAME = "npz"
KNOWN = ("spike_times", "unit_index", "num_units", "domain", "subject")
# Of a TsGroup of pynapple; "d" holds values beside the times, which spikes have not.
GROUP_NEEDS = ("t", "index", "keys", "start", "end")
PICKLED = "_metadata"
AREA_COLUMNS = ("location", "area", "brain_area", "region", "brain_region")
QUALITY_COLUMNS = ("quality", "group_quality", "label")


def find_files(path: Path) -> list[Path]:
    """Return the ``.npz`` files below a folder, or the one file."""
    return [path] if path.is_file() else sorted(path.rglob("*.npz"))


def convert(path: Path) -> Recording:
    """Read one ``.npz`` file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        If it is no such file, holds pickled objects, or its arrays do not fit together.
        Unsorted, negative or non-finite times are left for validation to report.
    """
    arrays = _load(path)
    if _is_group(arrays):
        return _from_group(path, arrays)
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
    require_readable(path)
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a readable .npz file; write one with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            is_group = "type" in file.files and _is_group({"type": file["type"]})
            names = [name for name in file.files if not (is_group and name == PICKLED)]
            return {name: file[name] for name in names}
    except NPZ_DAMAGE as error:
        if "pickle" in str(error):
            raise DataError(
                f"{path}: holds pickled objects, which are never loaded (they can run code); "
                "save plain arrays: one of all times, one of the units"
            ) from error
        raise DataError(f"{path}: not a readable .npz file ({error})") from error


def _is_group(arrays: dict[str, NDArray[Any]]) -> bool:
    """Tell whether pynapple wrote the file from a TsGroup."""
    kind = arrays.get("type")
    return kind is not None and kind.dtype.kind == "U" and "TsGroup" in kind.ravel().tolist()


def _from_group(path: Path, arrays: dict[str, NDArray[Any]]) -> Recording:
    missing = [name for name in GROUP_NEEDS if name not in arrays]
    if missing:
        raise DataError(f"{path}: a TsGroup without {', '.join(missing)}; save it again")
    keys, index = arrays["keys"], arrays["index"]
    times = np.asarray(arrays["t"], dtype=np.float64)
    if times.ndim != 1 or index.shape != times.shape or keys.ndim != 1:
        raise DataError(f"{path}: a TsGroup whose times and index do not fit; save it again")
    order = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys, index, sorter=order)
    unit_index = order[np.minimum(place, len(keys) - 1)] if len(keys) else place
    if len(keys) == 0 or np.any(keys[unit_index] != index):
        raise DataError(f"{path}: a TsGroup with times of units that it does not list")
    left_out = [name for name in arrays if name not in (*GROUP_NEEDS, "type")]

    def column(names: tuple[str, ...]) -> NDArray[np.str_]:
        for name in names:
            if name in arrays and arrays[name].shape == keys.shape:
                left_out.remove(name)
                return np.array([to_ascii(str(value)) for value in arrays[name]], dtype=np.str_)
        return np.full(len(keys), "", dtype=np.str_)

    units = Units(
        id=np.array([f"unit_{key}" for key in keys], dtype=np.str_),
        area=column(AREA_COLUMNS),
        position_um=np.full((len(keys), 3), np.nan),
        quality=column(QUALITY_COLUMNS),
    )
    if _has_pickle(path):
        left_out.append("metadata of units (pickled, which is never loaded)")
    by_time = np.argsort(times, kind="stable")
    return Recording(
        id=to_name(path.stem),
        subject="unknown",
        source=NAME,
        spike_times=times[by_time],
        spike_unit_index=unit_index[by_time],
        units=units,
        domain=_domain(path, np.column_stack([arrays["start"], arrays["end"]])),
        metadata={"left_out": to_ascii(", ".join(left_out))} if left_out else {},
    )


def _has_pickle(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as file:
        return PICKLED in file.files


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
    title="your own .npz files: spike_times (s), unit_index; or a saved TsGroup of pynapple",
    find_files=find_files,
    convert=convert,
)
