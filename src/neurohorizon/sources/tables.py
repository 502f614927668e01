"""Recordings from a table of spikes: CSV or Parquet with one row a spike.

One column holds the time in seconds, one the unit (a number or a name), and optionally one the
brain area of the unit. Everything else about a unit, and units without spikes, have no place in
such a table: the formats ``npz`` and ``nwb`` do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.ops.files import require_readable
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.sources.naming import to_ascii, to_name, whole_seconds_around
from neurohorizon.sources.source import Setting, Source

NAME = "table"
ENDINGS = (".csv", ".csv.gz", ".parquet", ".pq")


def find_files(path: Path) -> list[Path]:
    """Return the CSV and Parquet files below a folder, or the one file."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.name.lower().endswith(ENDINGS))


def convert(
    path: Path,
    *,
    time: str = "time",
    unit: str = "unit",
    area: str = "",
    subject: str = "",
) -> Recording:
    """Read one table.

    Parameters
    ----------
    path : Path
    time : str
        Column of the spike times, in seconds.
    unit : str
        Column that tells the unit of each spike.
    area : str
        Column of the unit's brain area, the same in all of its rows; "" if there is none.
    subject : str
        Column of the animal, the same in all rows; "" if there is none.

    Raises
    ------
    DataError
        If it is no such file, lacks a column, or times are not numbers. Negative times are left
        for validation to report.
    MissingExtraError
        If pandas is not installed.
    """
    wanted = [time, unit, *(name for name in (area, subject) if name)]
    frame = _read(path, wanted)
    if len(frame) == 0:
        raise DataError(f"{path}: no rows, so no spikes")
    times = _times(path, frame[time], time)
    ids, unit_index = _unit_ids(path, frame[unit], unit)
    areas = np.full(len(ids), "", dtype=np.str_)
    if area:
        areas = _area_of_units(path, frame[area], unit_index, ids)
    animals = sorted({str(value) for value in frame[subject]}) if subject else ["unknown"]
    if len(animals) > 1:
        raise DataError(
            f"{path}: column {subject!r} names {len(animals)} animals ({', '.join(animals[:3])}); "
            "one file is one session of one animal"
        )
    order = np.argsort(times, kind="stable")
    return Recording(
        id=to_name(path.name.split(".csv")[0] if ".csv" in path.name else path.stem),
        subject=to_name(animals[0]),
        source=NAME,
        spike_times=times[order],
        spike_unit_index=unit_index[order],
        units=Units(
            id=ids,
            area=areas,
            position_um=np.full((len(ids), 3), np.nan),
            quality=np.full(len(ids), "", dtype=np.str_),
        ),
        domain=whole_seconds_around(times),
    )


def _read(path: Path, wanted: list[str]) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas", extra="nwb", purpose="read tables") from error

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    require_readable(path)
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, skipinitialspace=True)
    except ImportError as error:
        raise DataError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from error
    except Exception as error:  # pandas and pyarrow raise their own errors, of many kinds
        reason = str(error).split("\n")[0] or type(error).__name__
        raise DataError(f"{path}: not a readable table ({reason})") from error
    for name in wanted:
        if name not in frame.columns:
            raise DataError(
                f"{path}: no column {name!r}, found {', '.join(map(str, frame.columns))}; name "
                "them with time=..., unit=..., area=..."
            )
    return frame


def _times(path: Path, values: Any, name: str) -> NDArray[np.float64]:
    kind = getattr(values.dtype, "kind", "O")
    if kind not in "fiu":
        bad = next((i for i, value in enumerate(values) if not _is_number(value)), 0)
        raise DataError(
            f"{path}: column {name!r} is not numbers: row {bad + 1} says {values.iloc[bad]!r}; "
            "times are seconds"
        )
    times = values.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(times))
    if len(bad):
        raise DataError(
            f"{path}: column {name!r} has {len(bad)} rows without a time (the first is row "
            f"{bad[0] + 1}); leave them out"
        )
    return times


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _unit_ids(path: Path, values: Any, name: str) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the units' ids, numbers in order before names, and the unit of each spike."""
    if values.isna().any():
        row = int(np.flatnonzero(values.isna())[0]) + 1
        raise DataError(f"{path}: column {name!r} is empty in row {row}: whose spike is it?")
    if values.dtype.kind == "f":
        numbers = values.to_numpy(dtype=np.float64)
        if np.any(numbers != np.round(numbers)):
            raise DataError(f"{path}: column {name!r} has fractions; units are numbers or names")
        values = values.astype(np.int64)
    if values.dtype.kind in "iu":
        numbers, unit_index = np.unique(values.to_numpy(dtype=np.int64), return_inverse=True)
        ids = [f"unit_{number}" for number in numbers]
    else:
        ids, unit_index = np.unique([to_ascii(str(one)) for one in values], return_inverse=True)
    return np.array(ids, dtype=np.str_), unit_index.astype(np.int64)


def _area_of_units(
    path: Path, values: Any, unit_index: NDArray[np.int64], ids: NDArray[np.str_]
) -> NDArray[np.str_]:
    words, word = np.unique(
        [to_ascii(str(one)) for one in values.where(values.notna(), "")], return_inverse=True
    )
    area = np.zeros(len(ids), dtype=np.int64)
    area[unit_index] = word
    differs = np.flatnonzero(area[unit_index] != word)
    if len(differs):
        row = int(differs[0])
        here, there = str(words[word[row]]), str(words[area[unit_index[row]]])
        raise DataError(
            f"{path}: {ids[unit_index[row]]} lies in {here!r} and in {there!r}; a unit has one area"
        )
    return words[area].astype(np.str_)


SOURCE = Source(
    name=NAME,
    title="your own CSV or Parquet tables: one row a spike, with time (s) and unit",
    find_files=find_files,
    convert=convert,
    convert_settings={
        "time": Setting("time", "column of the spike times, in seconds"),
        "unit": Setting("unit", "column that tells the unit of each spike"),
        "area": Setting("", "column of the unit's brain area"),
        "subject": Setting("", "column of the animal"),
    },
)
