"""Recordings from NWB files: units, areas, behaviour, trials, stimuli.

What is read: ``units`` (spike times, areas, quality, positions, ``obs_intervals``), numeric
time series in ``processing``, ``acquisition`` and ``stimulus`` that are small enough to be
behaviour, and all interval tables, stimulus presentations among them. What was left out is
listed in the metadata under ``left_out``.

A file may lie on disk, on a web server, in a public bucket or on DANDI (`nwb_open`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording
from neurohorizon.sources import nwb_series, nwb_tables, nwb_units
from neurohorizon.sources.naming import to_ascii, to_name
from neurohorizon.sources.nwb_open import find_addresses, find_nwb, is_address, name_of, open_nwb
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
    if file.units is None or "spike_times" not in file.units.colnames:
        raise DataError(f"{path}: no units with spike times, so there is nothing to forecast")
    left_out: list[str] = []
    metadata = _metadata(file)
    # Small things first: after a long read remfile reads ahead at every short one.
    units = nwb_units.units(file)
    tables = nwb_tables.all_tables(file, left_out) if behaviour else {}
    series = nwb_series.all_series(file, left_out) if behaviour else {}
    times, unit_index = nwb_units.spikes(file)
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
        domain=nwb_units.domain(file, times),
        series=series,
        tables=tables,
        metadata=metadata,
    )


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
