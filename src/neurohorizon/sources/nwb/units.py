"""What an NWB file tells about its units: spikes, areas, positions, when they were observed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.ops.blocks import blocks
from neurohorizon.ops.intervals import as_intervals, intersect, subtract
from neurohorizon.recordings.schema import FloatArray, IntArray, Units
from neurohorizon.recordings.spike_spool import SpikeSpool
from neurohorizon.sources.naming import free_unit_column, to_ascii, whole_seconds_around

NWBFile = Any  # pynwb makes its classes' attributes when it runs
AREA_COLUMNS = ("location", "brain_area", "brain_region", "area", "region", "beryl_location")
QUALITY_COLUMNS = ("quality", "default_qc", "unit_quality", "KSLabel", "ks_label", "label")
ELECTRODE_COLUMNS = ("electrodes", "max_electrode", "peak_electrode")
# The format's own columns that are spikes, places or waveforms, not properties of a unit.
_NO_PROPERTIES = (
    "spike_times",
    "obs_intervals",
    "electrode_group",
    "waveform_mean",
    "waveform_sd",
    "waveforms",
    *ELECTRODE_COLUMNS,
)


def read_spikes(file: NWBFile) -> tuple[FloatArray, IntArray]:
    """Return all spike times, sorted, seconds, and the row of the unit of each."""
    index = file.units.spike_times_index
    ends = np.asarray(index.data[:], dtype=np.int64)
    spool = SpikeSpool()
    for rows in blocks(int(ends[-1]) if len(ends) else 0):
        times = np.asarray(index.target.data[rows], dtype=np.float64)
        spool.add(times, np.searchsorted(ends, np.arange(rows.start, rows.stop), side="right"))
    return spool.sorted()


def read_domain(file: NWBFile, times: FloatArray) -> FloatArray:
    """Return when all units were observed, without what the file calls invalid."""
    kept = whole_seconds_around(times)
    if "obs_intervals" in file.units.colnames:
        index = file.units.obs_intervals_index
        bounds = np.concatenate([[0], np.asarray(index.data[:], dtype=np.int64)])
        rows = np.asarray(index.target.data[:], dtype=np.float64).reshape(-1, 2)
        seen = {rows[low:high].tobytes() for low, high in pairwise(bounds)}
        for stretches in seen - {b""}:
            observed = as_intervals(np.frombuffer(stretches).reshape(-1, 2))
            kept = intersect(kept, observed)
    if file.invalid_times is not None:
        start = np.asarray(file.invalid_times["start_time"][:], dtype=np.float64)
        stop = np.asarray(file.invalid_times["stop_time"][:], dtype=np.float64)
        kept = subtract(kept, np.column_stack([start, stop]))
    return kept


def read_units(file: NWBFile) -> Units:
    """Return who was recorded: area, position and quality, where the file tells them.

    Every other column with one number (or truth value) a unit is kept under its name; ids are
    not (``cluster_id``): they number what the file does not hold.
    """
    table = file.units
    num_units = len(table)
    electrode = _electrode_of_units(file)

    used: set[str] = set(_NO_PROPERTIES)

    def text(names: tuple[str, ...]) -> NDArray[np.str_] | None:
        for name in names:
            if name in table.colnames:
                values = [to_ascii(str(value)) for value in table[name][:]]
                if any(values):
                    used.add(name)
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
        columns=_numbers(table, used),
    )


def _numbers(table: Any, used: set[str]) -> dict[str, NDArray[Any]]:
    """Return the columns of numbers that are not used otherwise, by names that a file can hold."""
    from hdmf.common import DynamicTableRegion, VectorIndex

    columns: dict[str, NDArray[Any]] = {}
    for name in table.colnames:
        if name in used or name == "id" or name.endswith("_id"):
            continue
        column = table[name]
        # Lists of values have an index; regions are rows of another table.
        if isinstance(column, VectorIndex | DynamicTableRegion):
            continue
        # Looked at before it is read: waveforms are large.
        data = column.data if hasattr(column.data, "dtype") else np.asarray(column.data)
        if data.shape != (len(table),) or data.dtype.kind not in "biuf":
            continue
        free = free_unit_column(name)
        while free in columns:
            free += "_"
        columns[free] = np.asarray(data[:])
    return columns


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
