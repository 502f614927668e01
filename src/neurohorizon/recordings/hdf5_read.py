"""Reading torch_brain's HDF5 layout with h5py alone; `store` is the public door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.embeddings import ShownImages
from neurohorizon.recordings.schema import (
    FloatArray,
    IntArray,
    Recording,
    Series,
    Split,
    Table,
    Units,
    empty_intervals,
)

SPLIT_NAMES = ("train", "valid", "test")
DESCRIPTIONS = ("brainset", "subject", "session", "device")
UNIT_COLUMNS = ("id", "area", "position_um", "quality")
# What other writers of this format call a unit's name and brain area, best first.
ID_COLUMNS = ("id", "unit_id")
AREA_COLUMNS = ("area", "brain_region", "brain_area", "region", "location")
UNKNOWN = "unknown"
EMBEDDINGS = "embeddings"


def read_recording(file: h5py.File, path: Path) -> Recording:
    """Read an open file; spikes become memory maps of `path` where they can.

    Raises
    ------
    DataError
        If the file has no spikes or units, or their columns do not fit together.
    """
    spikes, units = file.get("spikes"), file.get("units")
    if not isinstance(spikes, h5py.Group) or not {"timestamps", "unit_index"} <= set(spikes):
        spikes = None
    series, signals = _series_and_signals(file, path, has_spikes=spikes is not None)
    if spikes is None and not signals:
        raise DataError(
            f"{path}: no spikes (expected the groups spikes/timestamps and spikes/unit_index "
            f"of torch_brain's format, found {listing(file)})"
        )
    if not isinstance(units, h5py.Group):
        raise DataError(f"{path}: no units (expected a group `units`, found {listing(file)})")
    times, unit_index = np.empty(0), np.empty(0, dtype=np.int64)
    if spikes is not None:
        times, unit_index = _spikes(spikes, path)
    return Recording(
        id=read_description(file, "session") or path.stem,
        subject=read_description(file, "subject") or UNKNOWN,
        source=read_description(file, "brainset") or UNKNOWN,
        spike_times=times,
        spike_unit_index=unit_index,
        units=read_units(units, path),
        domain=_domain(file, spikes, times),
        series=series,
        signals=signals,
        tables=read_tables(file),
        embeddings=read_embeddings(file, path),
        split=_split(file),
        metadata=read_metadata(file),
    )


def dataset_of(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return an array of a group; KeyError if it is something else."""
    found = group[name]
    if not isinstance(found, h5py.Dataset):
        raise KeyError(f"{group.name}/{name} is not an array")
    return found


def datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Return all arrays of a group by name."""
    return {name: child for name, child in group.items() if isinstance(child, h5py.Dataset)}


def listing(group: h5py.Group) -> str:
    """Name a few members of a group, for messages."""
    names = sorted(group)
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") if names else "nothing"


def _spikes(group: h5py.Group, path: Path) -> tuple[FloatArray, IntArray]:
    times, unit_index = dataset_of(group, "timestamps"), dataset_of(group, "unit_index")
    if times.ndim != 1 or times.dtype.kind != "f":
        raise DataError(
            f"{path}: spikes/timestamps is {times.dtype} of shape {times.shape}, "
            "expected floating-point seconds of shape (spikes,)"
        )
    if unit_index.dtype.kind not in "iu":
        raise DataError(f"{path}: spikes/unit_index is {unit_index.dtype}, expected integers")
    if times.shape != unit_index.shape:
        raise DataError(
            f"{path}: {len(times)} spike times but unit indices of shape {unit_index.shape}: "
            "expected one unit a spike"
        )
    index = map_or_read(unit_index, path)
    if index.dtype.kind == "u":
        index = index.astype(np.int64)
    return map_or_read(times, path).astype(np.float64, copy=False), index


def map_or_read(dataset: h5py.Dataset, path: Path) -> NDArray[Any]:
    """Map a contiguous, uncompressed data set of native byte order; read any other."""
    offset = dataset.id.get_offset()
    plain = dataset.chunks is None and not dataset.is_virtual and dataset.external is None
    if offset is None or not plain or dataset.size == 0 or not dataset.dtype.isnative:
        return dataset[:].astype(dataset.dtype.newbyteorder("="), copy=False)
    return np.memmap(path, mode="r", dtype=dataset.dtype, offset=offset, shape=dataset.shape)


def read_text(values: NDArray[Any]) -> NDArray[np.str_]:
    """Return strings from any of the ways in which HDF5 stores them.

    What is no UTF-8 costs its own characters, not the file.
    """
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "O":
        values = np.array(
            [
                item.decode("utf-8", "replace") if isinstance(item, bytes) else item
                for item in values.ravel()
            ]
        ).reshape(values.shape)
    return values.astype(np.str_)


def _is_column(dataset: h5py.Dataset) -> bool:
    """Tell numbers and text, which a column can hold, from lists, records and references."""
    return dataset.dtype.kind in "biuf" or h5py.check_string_dtype(dataset.dtype) is not None


def _values(dataset: h5py.Dataset) -> NDArray[Any]:
    values = dataset[:]
    return read_text(values) if values.dtype.kind in "SO" else values


def read_units(group: h5py.Group, path: Path) -> Units:
    """Read units, whatever this format's other writers call their columns."""
    columns = datasets(group)
    if not columns:
        raise DataError(f"{path}: the group `units` is empty: expected one row a unit")
    lengths = {name: column.shape[0] if column.shape else 0 for name, column in columns.items()}
    num_units = lengths.get("id", next(iter(lengths.values())))
    if set(lengths.values()) != {num_units}:
        raise DataError(f"{path}: the columns of `units` differ in length: {lengths}")
    numbered = Units.numbered(num_units)

    def column(names: tuple[str, ...], default: NDArray[np.str_]) -> NDArray[np.str_]:
        found = [name for name in names if name in columns]
        return read_text(columns[found[0]][:]) if found else default

    position = np.full((num_units, 3), np.nan)
    stored = columns.get("position_um")
    if stored is not None and stored.ndim == 2 and stored.dtype.kind in "fiu":
        width = min(stored.shape[1], 3)
        position[:, :width] = stored[:, :width]
    return Units(
        id=column(ID_COLUMNS, numbered.id),
        area=column(AREA_COLUMNS, numbered.area),
        position_um=position,
        quality=column(("quality",), numbered.quality),
        columns={
            name: _values(values)
            for name, values in columns.items()
            # Anything of more dimensions is waveforms, not a property.
            if name not in UNIT_COLUMNS and values.ndim <= 2 and _is_column(values)
        },
    )


def _intervals(group: h5py.Group) -> FloatArray:
    """Read starts and ends as they are: joining or sorting them is for those who use them."""
    rows = np.column_stack([dataset_of(group, "start")[:], dataset_of(group, "end")[:]])
    return rows.astype(np.float64).reshape(-1, 2)


def _domain(file: h5py.File, spikes: h5py.Group | None, times: FloatArray) -> FloatArray:
    own = None if spikes is None else spikes.get("domain")
    for group in (file.get("domain"), own):
        if isinstance(group, h5py.Group) and {"start", "end"} <= set(group):
            rows = _intervals(group)
            if len(rows):
                return rows[np.argsort(rows[:, 0], kind="stable")]
    if len(times) == 0:
        return empty_intervals()
    # Half-open: the last spike must lie inside.
    return np.array([[times[0], np.nextafter(times[-1], np.inf)]])


def _split(file: h5py.File) -> Split | None:
    found = {
        name: _intervals(group)
        for name in SPLIT_NAMES
        if isinstance(group := file.get(f"{name}_domain"), h5py.Group)
        and {"start", "end"} <= set(group)
    }
    if not found:
        return None
    parts = {name: found.get(name, empty_intervals()) for name in SPLIT_NAMES}
    group = file.get("split")
    if isinstance(group, h5py.Group) and "interleaved" in group.attrs:
        interleaved = bool(group.attrs["interleaved"])
    else:
        # Another's file: alternating stretches are what makes a split interleaved.
        owner = np.concatenate([np.full(len(rows), i) for i, rows in enumerate(parts.values())])
        starts = np.concatenate([rows[:, 0] for rows in parts.values()])
        turns = np.count_nonzero(np.diff(owner[np.argsort(starts, kind="stable")]))
        interleaved = bool(turns > len(found) - 1)
    return Split(**parts, interleaved=interleaved)


def _groups(group: h5py.Group, prefix: str = "") -> Iterator[tuple[str, str, h5py.Group]]:
    """Yield (dotted name, kind, group) of all that holds arrays, nested ones included."""
    reserved = {"spikes", "units", "domain", *(f"{name}_domain" for name in SPLIT_NAMES)}
    for name, child in group.items():
        if not isinstance(child, h5py.Group) or (not prefix and name in reserved):
            continue
        kind = child.attrs.get("object", "")
        if prefix == f"{EMBEDDINGS}." and _is_embedding(child):
            continue
        if kind == "Data":
            if name not in DESCRIPTIONS:
                yield from _groups(child, f"{prefix}{name}.")
        elif name != "domain":
            yield f"{prefix}{name}", str(kind), child


def _series_and_signals(
    file: h5py.File, path: Path, *, has_spikes: bool
) -> tuple[dict[str, Series], dict[str, Series]]:
    """Read behaviour, and the continuous values of units.

    Signals are those that the file names so or, in another's file without spikes, whatever
    has one column a unit.
    """
    units = file["series_unit"].attrs if "series_unit" in file else {}
    listed = str(file["signals"].attrs.get("names", "")) if "signals" in file else ""
    named = set(listed.split(",")) - {""}
    guess = not has_spikes and not named
    num_units = _num_units(file) if guess else 0
    series: dict[str, Series] = {}
    signals: dict[str, Series] = {}
    for name, kind, group in _groups(file):
        columns = {
            key: column
            for key, column in datasets(group).items()
            if key not in ("timestamps", "timestamp_indices_1s")
            and column.dtype.kind in "fiub"
            and column.ndim >= 1
        }
        if kind == "IrregularTimeSeries":
            times = np.asarray(dataset_of(group, "timestamps")[:], dtype=np.float64)
        elif kind == "RegularTimeSeries" and columns:
            start = dataset_of(group, "domain/start")[0] if "domain/start" in group else 0.0
            num_samples = next(iter(columns.values())).shape[0]
            times = start + np.arange(num_samples) / np.asarray(group.attrs["sampling_rate"])
        else:
            continue
        for key, column in columns.items():
            full_name = name if key == "values" else f"{name}.{key}"
            if column.shape[0] != len(times):
                raise DataError(
                    f"{path}: series {full_name} has {column.shape[0]} values at {len(times)} times"
                )
            unit = str(units.get(full_name, ""))
            of_units = column.ndim == 2 and column.shape[1] == num_units > 1
            if full_name in named or (guess and of_units):
                signals[full_name] = Series(times, map_or_read(column, path), unit=unit)
                continue
            values = column[:].astype(np.float64).reshape(len(times), -1 if column.size else 1)
            series[full_name] = Series(times, values, unit=unit)
    return series, signals


def _num_units(file: h5py.File) -> int:
    group = file.get("units")
    columns = datasets(group) if isinstance(group, h5py.Group) else {}
    return max((column.shape[0] for column in columns.values() if column.shape), default=0)


def read_tables(file: h5py.File) -> dict[str, Table]:
    """Read trials, stimuli and whatever else has starts and ends."""
    tables = {}
    for name, kind, group in _groups(file):
        if kind not in ("Interval", "ArrayDict") or not {"start", "end"} <= set(group):
            continue
        columns = {
            key: _values(column)
            for key, column in datasets(group).items()
            if key not in ("start", "end") and _is_column(column)
        }
        rows = _intervals(group)
        tables[name] = Table(start=rows[:, 0].copy(), end=rows[:, 1].copy(), columns=columns)
    return tables


def read_embeddings(file: h5py.File, path: Path) -> dict[str, ShownImages]:
    """Read what was shown, as embeddings; vectors become memory maps of `path`.

    Nothing is checked here: that is for those who write, and for validation.
    """
    group = file.get(EMBEDDINGS)
    found = {}
    for name, child in group.items() if isinstance(group, h5py.Group) else ():
        if not _is_embedding(child):
            continue
        found[name] = ShownImages(
            table=str(child.attrs.get("table", "")),
            start=dataset_of(child, "presentations/start")[:].astype(np.float64, copy=False),
            end=dataset_of(child, "presentations/end")[:].astype(np.float64, copy=False),
            row=dataset_of(child, "presentations/row")[:],
            vectors=map_or_read(dataset_of(child, "images/vector"), path),
            hashes=read_text(dataset_of(child, "images/hash")[:]),
            fingerprint=str(child.attrs.get("fingerprint", "")),
        )
    return found


def _is_embedding(group: h5py.Group | h5py.Dataset) -> bool:
    """Tell ours from whatever another's file has below ``embeddings``."""
    return isinstance(group, h5py.Group) and "images/vector" in group and "images/hash" in group


def read_description(file: h5py.File, name: str) -> str:
    """Return the id of the session, the subject or the data set; "" if it has none."""
    group = file.get(name)
    value = group.attrs.get("id", "") if isinstance(group, h5py.Group) else ""
    return value.decode() if isinstance(value, bytes) else str(value)


def read_metadata(file: h5py.File) -> dict[str, str]:
    """Return what else the file tells of its origin."""
    if isinstance(file.get("metadata"), h5py.Group):
        attributes = dict(file["metadata"].attrs)
    else:
        attributes = {
            key: value
            for name in DESCRIPTIONS
            if isinstance(file.get(name), h5py.Group)
            for key, value in file[name].attrs.items()
            if key != "id"
        }
    return {
        key: value.decode() if isinstance(value, bytes) else str(value)
        for key, value in sorted(attributes.items())
        if key not in ("object", "absolute_start")
    }
