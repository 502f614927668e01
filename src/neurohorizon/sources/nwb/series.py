"""Time series of an NWB file: behaviour, and numeric stimuli."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray, Series
from neurohorizon.sources.naming import free_name

NWBFile = Any  # pynwb makes its classes' attributes when it runs
# More columns than this, or more values in all, is a signal (LFP, video), not behaviour.
MAX_SERIES_COLUMNS = 32
MAX_SERIES_VALUES = 20_000_000
# Voltages, and values per unit, which `nwb.signals` reads.
RAW_SIGNALS = {"ElectricalSeries", "SpikeEventSeries", "RoiResponseSeries"}
# Stimuli that are pictures, or name one: `nwb.tables` reads the latter.
PICTURES = {"ImageSeries", "OpticalSeries", "ImageMaskSeries", "IndexSeries"}
_MEMBERS = ("spatial_series", "time_series", "electrical_series", "roi_response_series")


def time_series(file: NWBFile) -> Iterator[tuple[str, str, Any]]:
    """Yield (container, name, series) of all time series in processing and acquisition."""
    from pynwb import TimeSeries

    interfaces = list(file.acquisition.values())
    for module in file.processing.values():
        interfaces += list(module.data_interfaces.values())
    for interface in interfaces:
        if isinstance(interface, TimeSeries):
            yield "", str(interface.name), interface
            continue
        for field in _MEMBERS:
            for series in (getattr(interface, field, None) or {}).values():
                yield str(interface.name), str(series.name), series


def all_series(file: NWBFile, left_out: list[str]) -> dict[str, Series]:
    """Return the behaviour; what it is not, with the reason, is added to `left_out`."""
    from pynwb import TimeSeries

    candidates = list(time_series(file))
    for stimulus in (file.stimulus or {}).values():
        if isinstance(stimulus, TimeSeries) and type(stimulus).__name__ not in PICTURES:
            candidates.append(("stimulus", str(stimulus.name), stimulus))
    found: dict[str, Series] = {}
    for container, name, series in candidates:
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


def clock(series: Any, num_rows: int) -> FloatArray:
    """Return a series' times, shape (num_rows,), seconds.

    Raises
    ------
    DataError
        If they do not fit the values or are not finite.
    """
    if series.timestamps is not None:
        times = np.asarray(series.timestamps[:], dtype=np.float64)
    elif series.rate:
        times = float(series.starting_time or 0.0) + np.arange(num_rows) / float(series.rate)
    else:
        raise DataError("it has neither times nor a rate")
    if times.shape != (num_rows,) or not np.isfinite(times).all():
        raise DataError("its times do not fit its values")
    return times


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
    times = clock(series, shape[0])
    values = np.asarray(series.data[:], dtype=np.float64).reshape(shape[0], num_columns)
    values = values * float(series.conversion or 1.0) + float(series.offset or 0.0)
    order = np.argsort(times, kind="stable")
    return Series(times[order], values[order], unit=str(series.unit or ""))
