"""Continuous values per unit in an NWB file: fluorescence, dF/F, binned counts, MUA."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.sources.naming import free_name, to_ascii
from neurohorizon.sources.nwb.series import clock, time_series

NWBFile = Any  # pynwb makes its classes' attributes when it runs
MAX_SIGNAL_UNITS = 8192
# 4 GB of float64; more is raw data under another name.
MAX_SIGNAL_VALUES = 500_000_000
# Nothing in the format marks these series as one column a unit, only what they are called.
_NAMES = re.compile(
    r"mua|multi.?unit|binned|spike.?count|firing.?rate|(?:^|_)rates?(?:$|_)|fluorescence|"
    r"d_?f_?(?:over)?_?f|calcium|deconv",
    re.IGNORECASE,
)
_NAME_COLUMNS = ("roi_name", "cell_specimen_id", "unit_name", "label")


class UnitSignal(NamedTuple):
    """Values of every unit on one clock.

    Attributes
    ----------
    timestamps : (T,) float
        Seconds, sorted.
    values : (T, N) float
        In `unit`; NaN where missing.
    names : (N,) str
        Of the units.
    unit : str
        Physical unit of the values ("lumens", "counts", ...).
    """

    timestamps: FloatArray
    values: FloatArray
    names: NDArray[np.str_]
    unit: str


def unit_signals(file: NWBFile) -> dict[str, UnitSignal]:
    """Return the continuous values per unit that a file holds.

    Parameters
    ----------
    file : pynwb.NWBFile
        An open file.

    Returns
    -------
    dict of str to UnitSignal
        Every ``RoiResponseSeries`` (also within ``Fluorescence`` and ``DfOverF``), and every
        two-dimensional series of `processing` or `acquisition` whose name, or container's name,
        says MUA, binned, spike counts, firing rate, fluorescence or dF/F. Series that are
        empty, too large or without usable times are not among them.
    """
    found: dict[str, UnitSignal] = {}
    for container, name, series in time_series(file):
        kind = type(series).__name__
        if kind != "RoiResponseSeries" and not _NAMES.search(f"{container}_{name}"):
            continue
        key = free_name(name)
        if key in found or key == "RoiResponseSeries":
            key = free_name(f"{container}_{name}" if container else name)
        try:
            signal = _one_signal(series)
        except DataError:
            continue
        while key in found:
            key += "_"
        found[key] = signal
    return found


def _one_signal(series: Any) -> UnitSignal:
    shape = np.shape(series.data)
    if len(shape) == 1 and type(series).__name__ == "RoiResponseSeries":
        shape = (shape[0], 1)
    kind = getattr(getattr(series.data, "dtype", None), "kind", "f")
    if len(shape) != 2 or kind not in "fiub" or 0 in shape:
        raise DataError("not a table of numbers")
    names = _unit_names(series)
    # Some writers put units first; the format wants time first. The units' table decides.
    flipped = len(names) == shape[0] != shape[1] and len(names) > 0
    num_times, num_units = shape[::-1] if flipped else shape
    if num_units > MAX_SIGNAL_UNITS or num_times * num_units > MAX_SIGNAL_VALUES:
        raise DataError("too many values")
    times = clock(series, num_times)
    values = np.asarray(series.data[:], dtype=np.float64).reshape(shape)
    values = values.T if flipped else values
    values = values * float(series.conversion or 1.0) + float(series.offset or 0.0)
    if len(names) != num_units:
        names = np.array([f"unit_{index}" for index in range(num_units)], dtype=np.str_)
    order = np.argsort(times, kind="stable")
    return UnitSignal(times[order], values[order], names, str(series.unit or ""))


def _unit_names(series: Any) -> NDArray[np.str_]:
    """Return the names of a series' columns by the table it points to; empty if by none."""
    for field, word in (("rois", "roi"), ("electrodes", "electrode")):
        region = getattr(series, field, None)
        if region is None:
            continue
        rows = np.asarray(region.data[:], dtype=np.int64)
        table = region.table
        for column in _NAME_COLUMNS:
            if column in table.colnames:
                texts = [to_ascii(str(value)) for value in np.asarray(table[column][:])[rows]]
                if len(set(texts)) == len(texts) and all(texts):
                    return np.array(texts, dtype=np.str_)
        numbers = np.asarray(table.id[:])[rows]
        return np.array([f"{word}_{number}" for number in numbers], dtype=np.str_)
    return np.empty(0, dtype=np.str_)
