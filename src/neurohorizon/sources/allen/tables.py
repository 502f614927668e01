"""Stimulus tables of the Allen Institute's NWB files, read with h5py."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.recordings.schema import FloatArray, Table, empty_intervals
from neurohorizon.sources.naming import free_name, to_ascii

H5 = Any  # an h5py file or group: what a subscript gives has no useful type
# References to one time series, the same in every row, and who made the row.
_UNUSED = ("id", "start_time", "stop_time", "tags", "timeseries")
_MISSING = ("", "null", "nan", "none", "n/a")


def text_at(file: H5, name: str) -> str:
    """Return a single text of a file, "" if there is none."""
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != ():
        return ""
    value = dataset[()]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def column(file: H5, name: str) -> NDArray[Any] | None:
    """Return a column of numbers or of text; None if there is none or it holds references."""
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        return None
    if h5py.check_string_dtype(dataset.dtype) is not None:
        values = dataset.asstr(errors="replace")[:]
        return np.array([to_ascii(str(value)) for value in values], dtype=np.str_)
    # h5py reads pynwb's truth values, an enumeration, as bool.
    return dataset[:] if dataset.dtype.kind in "biuf" else None


def read_tables(file: H5) -> dict[str, Table]:
    """Return every interval table by its name: presentations, invalid times, the laser's pulses.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    dict of str to Table
        Rows in the order of their starts. Columns of numbers written as text become numbers,
        NaN where they say "null"; whole numbers (``frame``) become integers.
    """
    tables: dict[str, Table] = {}
    for place in ("intervals", "processing/optotagging"):
        group = file.get(place)
        for name in group or ():
            rows = group[name]
            if isinstance(rows, h5py.Group) and "start_time" in rows and "stop_time" in rows:
                tables[free_name(name)] = _table(rows)
    return tables


def invalid_times(file: H5) -> FloatArray:
    """Return when the session, a probe or a stimulus went wrong, shape (K, 2), seconds.

    A row may be about one probe only; the time is taken as invalid for all.
    """
    rows = file.get("intervals/invalid_times")
    if rows is None:
        return empty_intervals()
    table = _table(rows)
    return np.column_stack([table.start, table.end])


def _table(rows: H5) -> Table:
    start = np.asarray(column(rows, "start_time"), dtype=np.float64)
    end = np.asarray(column(rows, "stop_time"), dtype=np.float64)
    order = np.argsort(start, kind="stable")
    columns: dict[str, NDArray[Any]] = {}
    for name in rows:
        # "NAME_index" belongs to a column of lists NAME.
        if (
            name in _UNUSED
            or f"{name}_index" in rows
            or (name.endswith("_index") and name[:-6] in rows)
        ):
            continue
        values = column(rows, name)
        if values is not None and len(values) == len(start):
            columns[free_name(name)] = _as_numbers(values)[order]
    return Table(start[order], end[order], columns)


def _as_numbers(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "U":
        missing = np.isin(np.char.lower(values), _MISSING)
        if missing.all():
            return values
        try:
            numbers = np.where(missing, "nan", values).astype(np.float64)
        except ValueError:
            return values
        values = numbers
    whole = values.dtype.kind == "f" and values.ndim == 1 and np.isfinite(values).all()
    if whole and np.all(values == np.round(values)) and np.all(np.abs(values) < 2**53):
        return values.astype(np.int64)
    return values
