"""Recordings from NWB files: units, areas, behaviour, trials, stimuli.

What is read: ``units`` (spike times, areas, quality, positions, ``obs_intervals``), numeric
time series in ``processing``, ``acquisition`` and ``stimulus`` that are small enough to be
behaviour, and all interval tables, stimulus presentations among them. What was left out is
listed in the metadata under ``left_out``.

A file may lie on disk, on a web server, in a public bucket or on DANDI (`nwb.files`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording, Series, Units
from neurohorizon.sources.naming import to_ascii, to_name
from neurohorizon.sources.nwb.files import find_addresses, find_nwb, is_address, name_of, open_nwb
from neurohorizon.sources.nwb.series import all_series
from neurohorizon.sources.nwb.signals import UnitSignal, unit_signals
from neurohorizon.sources.nwb.tables import all_tables
from neurohorizon.sources.nwb.units import read_domain, read_spikes, read_units
from neurohorizon.sources.source import Setting, Source

NWBFile = Any  # pynwb makes its classes' attributes when it runs
NAME = "nwb"


def find_files(path: Path) -> list[Path]:
    """Return the ``.nwb`` files below a folder, or the one file; `find_nwb` takes URLs too."""
    return [Path(file) for file in find_nwb(path)]


def convert(path: Path | str, *, behaviour: bool = True) -> Recording:
    """Read one NWB file.

    Parameters
    ----------
    path : path or str
        A file, a URL (``https://``, ``s3://bucket/key``), ``dandi://000021/sub-1/a.nwb`` or the
        id of a DANDI asset. Of what is not on disk, only the parts that are needed are fetched.
    behaviour : bool
        Read time series and interval tables too; without, spikes and units alone.

    Raises
    ------
    DataError
        If it is missing, cannot be reached, is not NWB, or has no units with spike times.
    MissingExtraError
        If pynwb (or, for a remote file, remfile or dandi) is not installed.
    """
    with open_nwb(path) as file:
        return _recording(file, path, behaviour)


def _recording(file: NWBFile, path: Path | str, behaviour: bool) -> Recording:
    left_out: list[str] = []
    has_spikes = file.units is not None and "spike_times" in file.units.colnames
    found = {} if has_spikes else unit_signals(file)
    if not has_spikes and not found:
        raise DataError(
            f"{path}: no units with spike times and no series of values per unit (fluorescence, "
            "MUA, binned counts), so there is nothing to read"
        )
    metadata = _metadata(file)
    # Small things first: after a long read remfile reads ahead at every short one.
    if has_spikes:
        units, signals = read_units(file), {}
    else:
        units, signals = _signals_of_one_population(found, left_out)
    tables = all_tables(file, left_out) if behaviour else {}
    series = all_series(file, left_out) if behaviour else {}
    # A small series of values per unit looks like behaviour.
    series = {name: one for name, one in series.items() if name not in signals}
    if has_spikes:
        times, unit_index = read_spikes(file)
        domain = read_domain(file, times)
    else:
        times, unit_index = np.empty(0), np.empty(0, dtype=np.int64)
        clocks = np.concatenate([signal.timestamps[[0, -1]] for signal in signals.values()])
        domain = np.array([[clocks.min(), np.nextafter(clocks.max(), np.inf)]])
    if left_out:
        metadata["left_out"] = to_ascii("; ".join(left_out))
    if is_address(path):
        # What follows "?" may be a signature that is good for an hour, and nobody else's.
        metadata["address"] = str(path).split("?")[0]
    subject = str(getattr(file.subject, "subject_id", None) or "")
    return Recording(
        id=to_name(name_of(path)),
        subject=to_name(subject) if subject else "unknown",
        source=NAME,
        spike_times=times,
        spike_unit_index=unit_index,
        units=units,
        domain=domain,
        series=series,
        signals=signals,
        tables=tables,
        metadata=metadata,
    )


def _signals_of_one_population(
    found: dict[str, UnitSignal], left_out: list[str]
) -> tuple[Units, dict[str, Series]]:
    """Return the units with most columns, and all signals of these; name the others."""
    most = max(found.values(), key=lambda signal: len(signal.names))
    kept = {}
    for name, signal in found.items():
        if np.array_equal(signal.names, most.names):
            values = np.asarray(signal.values, dtype=np.float32)
            kept[name] = Series(signal.timestamps, values, unit=signal.unit)
        else:
            left_out.append(f"{name} (its units are not those of the other signals)")
    return replace(Units.numbered(len(most.names)), id=most.names), kept


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
    title="your own NWB files, or any on a server or DANDI: units, behaviour, trials",
    find_files=find_files,
    convert=convert,
    find_addresses=find_addresses,
    convert_settings={
        "behaviour": Setting(True, "read time series and tables too, not only spikes and units"),
    },
)
