"""Recordings from NWB files: units, areas, behaviour, trials.

What is read: ``units`` (spike times, areas, quality, positions, ``obs_intervals``), numeric
time series in ``processing`` and ``acquisition`` that are small enough to be behaviour, and
all interval tables. What was left out is listed in the metadata under ``left_out``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.ops.intervals import as_intervals, intersect, subtract
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording, Series, Table, Units
from neurohorizon.sources.naming import free_name, to_ascii, to_name, whole_seconds_around
from neurohorizon.sources.source import Source

NWBFile = Any  # pynwb makes its classes' attributes when it runs
NAME = "nwb"
AREA_COLUMNS = ("location", "brain_area", "brain_region", "area", "region", "beryl_location")
QUALITY_COLUMNS = ("quality", "default_qc", "unit_quality", "KSLabel", "ks_label", "label")
ELECTRODE_COLUMNS = ("electrodes", "max_electrode", "peak_electrode")
# More columns than this, or more values in all, is a signal (LFP, video), not behaviour.
MAX_SERIES_COLUMNS = 32
MAX_SERIES_VALUES = 20_000_000
RAW_SIGNALS = {"ElectricalSeries", "SpikeEventSeries", "RoiResponseSeries"}


def find_files(path: Path) -> list[Path]:
    """Return the ``.nwb`` files below a folder, or the one file."""
    return [path] if path.is_file() else sorted(path.rglob("*.nwb"))


def convert(path: Path) -> Recording:
    """Read one NWB file.

    Raises
    ------
    DataError
        If it is missing, not NWB, or has no units with spike times.
    MissingExtraError
        If pynwb is not installed.
    """
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise MissingExtraError("pynwb", extra="nwb", purpose="read NWB files") from error

    if not path.exists():
        raise DataError(f"{path}: no such file")
    with warnings.catch_warnings():
        # Old files make pynwb warn about what it mends by itself.
        warnings.simplefilter("ignore")
        try:
            reader = NWBHDF5IO(path=str(path), mode="r", load_namespaces=True)
        except Exception as error:  # pynwb and hdmf raise their own and h5py's errors
            raise DataError(f"{path}: not a readable NWB file ({_first_line(error)})") from error
        with reader:
            try:
                file = reader.read()
            except Exception as error:
                raise DataError(
                    f"{path}: not a readable NWB file ({_first_line(error)})"
                ) from error
            return _recording(file, path)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _recording(file: NWBFile, path: Path) -> Recording:
    if file.units is None or "spike_times" not in file.units.colnames:
        raise DataError(f"{path}: no units with spike times, so there is nothing to forecast")
    times, unit_index = _spikes(file)
    left_out: list[str] = []
    metadata = _metadata(file)
    series = _all_series(file, left_out)
    tables = _all_tables(file, left_out)
    if left_out:
        metadata["left_out"] = to_ascii("; ".join(left_out))
    subject = str(getattr(file.subject, "subject_id", None) or "")
    return Recording(
        id=to_name(path.stem),
        subject=to_name(subject) if subject else "unknown",
        source=NAME,
        spike_times=times,
        spike_unit_index=unit_index,
        units=_units(file),
        domain=_domain(file, times),
        series=series,
        tables=tables,
        metadata=metadata,
    )


def _spikes(file: NWBFile) -> tuple[FloatArray, IntArray]:
    index = file.units.spike_times_index
    ends = np.asarray(index.data[:], dtype=np.int64)
    times = np.asarray(index.target.data[:], dtype=np.float64)[: ends[-1] if len(ends) else 0]
    unit_index = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    order = np.argsort(times, kind="stable")
    return times[order], unit_index[order]


def _domain(file: NWBFile, times: FloatArray) -> FloatArray:
    """Return when all units were observed, without what the file calls invalid."""
    domain = whole_seconds_around(times)
    if "obs_intervals" in file.units.colnames:
        index = file.units.obs_intervals_index
        bounds = np.concatenate([[0], np.asarray(index.data[:], dtype=np.int64)])
        rows = np.asarray(index.target.data[:], dtype=np.float64).reshape(-1, 2)
        seen = {rows[low:high].tobytes() for low, high in pairwise(bounds)}
        for stretches in seen - {b""}:
            observed = as_intervals(np.frombuffer(stretches).reshape(-1, 2))
            domain = intersect(domain, observed)
    if file.invalid_times is not None:
        start = np.asarray(file.invalid_times["start_time"][:], dtype=np.float64)
        stop = np.asarray(file.invalid_times["stop_time"][:], dtype=np.float64)
        domain = subtract(domain, np.column_stack([start, stop]))
    return domain


def _units(file: NWBFile) -> Units:
    table = file.units
    num_units = len(table)
    electrode = _electrode_of_units(file)

    def text(names: tuple[str, ...]) -> NDArray[np.str_] | None:
        for name in names:
            if name in table.colnames:
                values = [to_ascii(str(value)) for value in table[name][:]]
                if any(values):
                    return np.array(values, dtype=np.str_)
        return None

    area = text(AREA_COLUMNS)
    electrodes = file.electrodes
    position_um = np.full((num_units, 3), np.nan)
    if electrode is not None and electrodes is not None:
        known = electrode >= 0
        if area is None and "location" in electrodes.colnames:
            location = np.array([to_ascii(str(value)) for value in electrodes["location"][:]])
            area = np.where(known, location[electrode], "").astype(np.str_)
        position_um[known] = _electrode_positions(file)[electrode[known]]
    blank = np.full(num_units, "", dtype=np.str_)
    quality = text(QUALITY_COLUMNS)
    return Units(
        id=np.array([f"unit_{number}" for number in table.id[:]], dtype=np.str_),
        area=blank if area is None else area,
        position_um=position_um,
        quality=blank if quality is None else quality,
    )


def _electrode_of_units(file: NWBFile) -> NDArray[np.int64] | None:
    """Return the row of each unit's first electrode, -1 where it has none."""
    table = file.units
    for name in ELECTRODE_COLUMNS:
        if name not in table.colnames:
            continue
        column = getattr(table, f"{name}_index", None)
        if column is None:
            return np.asarray(table[name].data[:], dtype=np.int64)
        ends = np.asarray(column.data[:], dtype=np.int64)
        rows = np.asarray(column.target.data[:], dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]])
        return np.array(
            [rows[low] if high > low else -1 for low, high in zip(starts, ends, strict=True)]
        )
    if "peak_channel_id" in table.colnames and file.electrodes is not None:
        row = {int(number): i for i, number in enumerate(file.electrodes.id[:])}
        return np.array([row.get(int(number), -1) for number in table["peak_channel_id"][:]])
    return None


def _electrode_positions(file: NWBFile) -> FloatArray:
    """Return electrode positions, (electrodes, 3) µm; NaN where all are zero or missing."""
    electrodes: Any = file.electrodes
    for names in (("x", "y", "z"), ("rel_x", "rel_y", "rel_z")):
        position = np.full((len(electrodes), 3), np.nan)
        for axis, name in enumerate(names):
            if name in electrodes.colnames:
                position[:, axis] = np.asarray(electrodes[name][:], dtype=np.float64)
        if np.nan_to_num(position).any():
            return position
    return np.full((len(electrodes), 3), np.nan)


def _time_series(file: NWBFile) -> Iterator[tuple[str, str, Any]]:
    """Yield (container, name, series) of all time series in processing and acquisition."""
    from pynwb import TimeSeries

    interfaces = list(file.acquisition.values())
    for module in file.processing.values():
        interfaces += list(module.data_interfaces.values())
    for interface in interfaces:
        if isinstance(interface, TimeSeries):
            yield "", str(interface.name), interface
            continue
        for field in ("spatial_series", "time_series", "electrical_series"):
            for series in (getattr(interface, field, None) or {}).values():
                yield str(interface.name), str(series.name), series


def _all_series(file: NWBFile, left_out: list[str]) -> dict[str, Series]:
    found: dict[str, Series] = {}
    for container, name, series in _time_series(file):
        key = free_name(name)
        if key in found:
            key = free_name(f"{container}_{name}")
        try:
            if key in found:
                raise DataError("a second series of this name")
            found[key] = _one_series(series)
        except DataError as error:
            left_out.append(f"{name} ({error})")
    return found


def _one_series(series: Any) -> Series:
    """Read one time series, or say why it is left out."""
    shape = np.shape(series.data)
    kind = getattr(getattr(series.data, "dtype", None), "kind", "f")
    if type(series).__name__ in RAW_SIGNALS or len(shape) not in (1, 2) or kind not in "fiub":
        raise DataError(type(series).__name__)
    num_columns = shape[1] if len(shape) == 2 else 1
    if num_columns > MAX_SERIES_COLUMNS or shape[0] * num_columns > MAX_SERIES_VALUES:
        raise DataError(f"{shape[0]} x {num_columns} values are too many for behaviour")
    if shape[0] == 0 or num_columns == 0:
        raise DataError("empty")
    values = np.asarray(series.data[:], dtype=np.float64).reshape(shape[0], num_columns)
    values = values * float(series.conversion or 1.0) + float(series.offset or 0.0)
    if series.timestamps is not None:
        times = np.asarray(series.timestamps[:], dtype=np.float64)
    else:
        times = float(series.starting_time or 0.0) + np.arange(shape[0]) / float(series.rate)
    if len(times) != shape[0] or not np.isfinite(times).all():
        raise DataError("its times do not fit its values")
    order = np.argsort(times, kind="stable")
    return Series(times[order], values[order], unit=str(series.unit or ""))


def _all_tables(file: NWBFile, left_out: list[str]) -> dict[str, Table]:
    from pynwb.epoch import TimeIntervals

    candidates = [*(file.intervals or {}).values()]
    for module in file.processing.values():
        candidates += [x for x in module.data_interfaces.values() if isinstance(x, TimeIntervals)]
    tables: dict[str, Table] = {}
    for table in candidates:
        columns: dict[str, NDArray[Any]] = {}
        for name in table.colnames:
            if name in ("start_time", "stop_time"):
                continue
            values = _column(table[name][:], len(table))
            if values is None:
                left_out.append(f"{table.name}.{name}")
            else:
                columns[free_name(name)] = values
        tables[free_name(table.name)] = Table(
            start=np.asarray(table["start_time"][:], dtype=np.float64),
            end=np.asarray(table["stop_time"][:], dtype=np.float64),
            columns=columns,
        )
    return tables


def _column(values: Any, num_rows: int) -> NDArray[Any] | None:
    """Return a column of numbers or text; lists of words joined; None for anything else."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, dtype=object)  # rows of unequal length
    if array.shape[:1] == (num_rows,) and array.dtype.kind in "biuf":
        return array
    words = []
    for value in values:
        parts = [value] if isinstance(value, str | bytes | np.bytes_) else value
        if not isinstance(parts, list | tuple | np.ndarray):
            return None
        if not all(isinstance(part, str | bytes) for part in parts):
            return None
        texts = [part.decode() if isinstance(part, bytes) else str(part) for part in parts]
        words.append(to_ascii(",".join(texts)))
    return np.array(words, dtype=np.str_)


def _metadata(file: NWBFile) -> dict[str, str]:
    def joined(value: Any) -> str:
        return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else value

    subject = file.subject
    values = {
        "session": file.session_id,
        "identifier": file.identifier,
        "start_time": file.session_start_time,
        "description": file.session_description,
        "laboratory": file.lab or file.institution,
        "institution": file.institution,
        "experimenter": joined(file.experimenter),
        "citation": joined(file.related_publications),
        "keywords": joined(list(file.keywords) if file.keywords is not None else None),
        **{
            name: getattr(subject, name, None)
            for name in ("species", "sex", "age", "genotype", "strain")
        },
    }
    return {key: str(value) for key, value in values.items() if value not in (None, "")}


SOURCE = Source(
    name=NAME,
    title="your own NWB files: units, behaviour, trials",
    find_files=find_files,
    convert=convert,
)
