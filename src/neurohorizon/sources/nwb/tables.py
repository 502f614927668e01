"""Interval tables of an NWB file: trials, epochs, stimulus presentations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Table
from neurohorizon.sources.naming import free_name, to_ascii
from neurohorizon.sources.nwb.series import PICTURES, clock

NWBFile = Any  # pynwb makes its classes' attributes when it runs
# References into other parts of the file; every table of an NWB file may have them.
_REFERENCES = ("timeseries",)


def all_tables(file: NWBFile, left_out: list[str]) -> dict[str, Table]:
    """Return every interval table; what has no place in one is added to `left_out`."""
    from pynwb.epoch import TimeIntervals

    candidates = [*(file.intervals or {}).values()]
    for module in file.processing.values():
        candidates += [x for x in module.data_interfaces.values() if isinstance(x, TimeIntervals)]
    stimuli = list((file.stimulus or {}).values())
    candidates += [stimulus for stimulus in stimuli if _is_table(stimulus)]
    tables: dict[str, Table] = {}
    for table in candidates:
        tables[_unused(free_name(table.name), tables)] = _intervals(table, left_out)
    for stimulus in stimuli:
        kind = type(stimulus).__name__
        if kind == "IndexSeries":
            try:
                tables[_unused(free_name(stimulus.name), tables)] = _presentations(stimulus)
            except DataError as error:
                left_out.append(f"{stimulus.name} ({error})")
        elif kind in PICTURES:
            left_out.append(f"{stimulus.name} ({kind})")
    return tables


def _is_table(stimulus: Any) -> bool:
    columns = getattr(stimulus, "colnames", ())
    return "start_time" in columns and "stop_time" in columns


def _unused(name: str, tables: dict[str, Table]) -> str:
    while name in tables:
        name += "_"
    return name


def _intervals(table: Any, left_out: list[str]) -> Table:
    columns: dict[str, NDArray[Any]] = {}
    for name in table.colnames:
        if name in ("start_time", "stop_time"):
            continue
        # References are slow to read, and would be left out all the same.
        values = None if name in _REFERENCES else _column(table[name][:], len(table))
        if values is None:
            left_out.append(f"{table.name}.{name}")
        else:
            columns[free_name(name)] = values
    return Table(
        start=np.asarray(table["start_time"][:], dtype=np.float64),
        end=np.asarray(table["stop_time"][:], dtype=np.float64),
        columns=columns,
    )


def _presentations(series: Any) -> Table:
    """Read which picture was on from when; each lasts until the next, the last as the median."""
    frame = np.asarray(series.data[:])
    if frame.ndim != 1 or frame.dtype.kind not in "iu" or len(frame) == 0:
        raise DataError("expected one index of a picture at each time")
    start = clock(series, len(frame))
    order = np.argsort(start, kind="stable")
    start = start[order]
    last_s = float(np.median(np.diff(start))) if len(start) > 1 else 0.0
    end = np.append(start[1:], start[-1] + last_s)
    return Table(start=start, end=end, columns={"frame": frame[order].astype(np.int64)})


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
