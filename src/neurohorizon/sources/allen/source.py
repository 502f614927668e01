"""Allen Brain Observatory, Visual Coding: Neuropixels in mouse visual areas.

One NWB file a session, on DANDI (000021: the stimuli "brain_observatory_1.1", 32 sessions;
000022: "functional_connectivity", 26 sessions) and in the AllenSDK's cache. The files are read
with h5py alone: they hold gigabytes of spikes of units that nobody uses, and 18,000 references
a table. Field names and versions are those of AllenSDK's ``EcephysNwbSessionApi``:

- ``units``: ``spike_times`` of all sorted units, quality metrics, ``peak_channel_id``, which is
  an ``id`` of ``general/extracellular_ephys/electrodes`` (``location``, ``valid_data``, and
  ``x, y, z`` in the common coordinate framework, µm).
- ``processing/running``: ``running_speed`` is the mean over an interval. Its ``timestamps`` are
  starts, with ends in ``running_speed_end_times``; the first files held both as two rows.
- ``processing/filtered_gaze_mapping`` or ``raw_gaze_mapping``, and
  ``processing/eye_tracking/pupil_ellipse_fits``, in sessions with eye tracking.
- ``intervals/*_presentations`` with ``stimulus_name``, ``frame`` and the other parameters, and
  ``intervals/invalid_times``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py

from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import subtract
from neurohorizon.recordings.schema import Recording
from neurohorizon.sources import dandi_archive
from neurohorizon.sources.allen.series import read_series
from neurohorizon.sources.allen.tables import H5, invalid_times, read_tables, text_at
from neurohorizon.sources.allen.units import (
    electrode_of_units,
    passing,
    read_spikes,
    read_units,
)
from neurohorizon.sources.naming import to_ascii, to_name, whole_seconds_around
from neurohorizon.sources.nwb.files import find_addresses, is_address, name_of, open_hdf5
from neurohorizon.sources.source import RemoteFile, RemoteSession, Setting, Source

NAME = "allen"
STIMULI = {"brain_observatory_1.1": "000021", "functional_connectivity": "000022"}


def find_files(path: Path) -> list[Path]:
    """Return the sessions' NWB files below a folder, without those of single probes (LFP)."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*.nwb") if "probe" not in file.name)


def list_sessions(folder: Path, *, stimuli: str = "all") -> list[RemoteSession]:
    """Return the sessions on DANDI, in the order of stimuli and ids.

    Parameters
    ----------
    folder : path
        Of downloads; nothing is kept there.
    stimuli : {"all", "brain_observatory_1.1", "functional_connectivity"}

    Raises
    ------
    DataError
        If DANDI cannot be reached or `stimuli` is neither.
    MissingExtraError
        If the dandi client is not installed.
    """
    if stimuli != "all" and stimuli not in STIMULI:
        raise DataError(f"unknown stimuli {stimuli!r}: choose all, {' or '.join(STIMULI)}")
    sessions = []
    for name, dandiset in STIMULI.items():
        if stimuli not in ("all", name):
            continue
        for asset in dandi_archive.list_assets(dandiset):
            match = re.search(r"sub-(\d+)_ses-(\d+)[^/]*\.nwb$", asset.path)
            if match is None or "probe" in asset.path:
                continue
            file = RemoteFile(asset.path, asset.download_url, asset.num_bytes, asset.sha256)
            about = {"subject": match[1], "stimuli": name, "dandiset": dandiset}
            sessions.append(RemoteSession(match[2], asset.num_bytes, (file,), about))
    return sessions


def convert(
    path: Path | str,
    *,
    quality: str = "good",
    isi_violations: float = 0.5,
    amplitude_cutoff: float = 0.1,
    presence_ratio: float = 0.95,
    out_of_brain: bool = False,
    behaviour: bool = True,
) -> Recording:
    """Read one session. The defaults keep the units that AllenSDK keeps.

    Parameters
    ----------
    path : path or str
        The session's NWB file, or its URL (`nwb.files`); of a remote file only the spikes of
        the units that are kept are fetched.
    quality : str
        Keep units of this quality ("noise" is the other) on channels marked valid; "" keeps all.
    isi_violations : float
        Largest rate of refractory violations relative to the unit's rate; inf keeps all.
    amplitude_cutoff : float
        Largest estimated share of spikes missed below the threshold; inf keeps all.
    presence_ratio : float
        Least share of the session in which the unit fired; 0 keeps all.
    out_of_brain : bool
        Keep units on channels without an area too.
    behaviour : bool
        Read running, pupil and stimuli too; without, spikes and units alone.

    Raises
    ------
    DataError
        If it is not such a file, or no unit passes.
    """
    limits = {
        "isi_violations": isi_violations,
        "amplitude_cutoff": amplitude_cutoff,
        "presence_ratio": presence_ratio,
    }
    with open_hdf5(path) as file:
        if "units/spike_times" not in file:
            raise DataError(
                f"{path}: no units with spike times; expected a session's file, not one of a probe"
            )
        electrode = electrode_of_units(file, path)
        kept, words = passing(file, path, electrode, limits, quality, out_of_brain)
        metadata = _metadata(file)
        metadata["unit_filter"] = words
        left_out = [f"{len(electrode) - len(kept)} of {len(electrode)} units by the unit filter"]
        if is_address(path):
            metadata["address"] = str(path).split("?")[0]
        # Small things first: after a long read remfile reads ahead at every short one.
        units = read_units(file, kept, electrode[kept])
        invalid = invalid_times(file)
        tables = read_tables(file) if behaviour else {}
        series = read_series(file, left_out) if behaviour else {}
        times, unit_index, num_dropped = read_spikes(file, kept)
        if num_dropped:
            left_out.append(f"{num_dropped} spikes before 0 or without a time")
        return Recording(
            id=to_name(metadata.get("session") or name_of(path)),
            subject=_subject(file, path),
            source=NAME,
            spike_times=times,
            spike_unit_index=unit_index,
            units=units,
            domain=subtract(whole_seconds_around(times), invalid),
            series=series,
            tables=tables,
            metadata={**metadata, "left_out": to_ascii("; ".join(left_out))},
        )


def templates(path: Path | str) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the pictures and movies that a file holds, without reading them.

    Parameters
    ----------
    path : path or str
        An NWB file with ``stimulus/templates``, or a movie of the AllenSDK's cache
        (``natural_movie_1.h5``, one array ``data``). The public session files of this data
        set hold none: AllenSDK downloads movies and scenes by themselves.

    Yields
    ------
    (str, h5py.Dataset)
        Name and frames, (frames, H, W); a slice reads just these frames. The file is open as
        long as the iteration goes on: slice within the loop.

    Raises
    ------
    DataError
        If there are none.
    """
    with open_hdf5(path) as file:
        found: list[tuple[str, h5py.Dataset]] = []
        group = file.get("stimulus/templates")
        for name in group or ():
            data = group[name].get("data") if isinstance(group[name], h5py.Group) else None
            if isinstance(data, h5py.Dataset) and data.ndim >= 3:
                found.append((str(name), data))
        movie = file.get("data")
        if isinstance(movie, h5py.Dataset) and movie.ndim >= 3:
            found.append((to_name(name_of(path)), movie))
        if not found:
            raise DataError(
                f"{path}: no pictures in stimulus/templates; the movies and scenes of this data "
                "set are files of their own (AllenSDK: get_natural_movie_template)"
            )
        yield from found


def _subject(file: H5, path: Path | str) -> str:
    for name in ("subject_id", "specimen_name"):
        if subject := text_at(file, f"general/subject/{name}"):
            return to_name(subject)
    match = re.match(r"sub-(\d+)", name_of(path))
    return match[1] if match else "unknown"


def _metadata(file: H5) -> dict[str, str]:
    found = {
        "session": text_at(file, "general/session_id") or text_at(file, "identifier"),
        "start_time": text_at(file, "session_start_time"),
        "stimuli": text_at(file, "general/stimulus"),
        **{
            name: text_at(file, f"general/subject/{name}")
            for name in ("species", "sex", "age", "genotype", "strain")
        },
    }
    # Every session is of this species; not every version of the files says so.
    found["species"] = found["species"] or "Mus musculus"
    return {
        **{key: to_ascii(value) for key, value in found.items() if value},
        "laboratory": "Allen Institute for Brain Science",
        "preparation": "Neuropixels, awake head-fixed mouse on a wheel",
        "position": "common coordinate framework v3: anterior-posterior, dorsal-ventral, "
        "left-right, micrometres",
        "licence": SOURCE.licence,
        "citation": SOURCE.citation,
        "homepage": SOURCE.homepage,
    }


SOURCE = Source(
    name=NAME,
    title="Allen Visual Coding: Neuropixels in mouse visual areas, with movies and running",
    find_files=find_files,
    convert=convert,
    find_addresses=find_addresses,
    list_sessions=list_sessions,
    query_settings={
        "stimuli": Setting("all", f"all, {' or '.join(STIMULI)}: which sessions"),
    },
    convert_settings={
        "quality": Setting("good", 'keep units of this quality; "" keeps all'),
        "isi_violations": Setting(0.5, "largest refractory violation rate (ratio); inf keeps all"),
        "amplitude_cutoff": Setting(0.1, "largest share of missed spikes; inf keeps all"),
        "presence_ratio": Setting(0.95, "least share of the session with spikes; 0 keeps all"),
        "out_of_brain": Setting(False, "keep units on channels without an area too"),
        "behaviour": Setting(True, "read running, pupil and stimuli, not only spikes and units"),
    },
    licence="Allen Institute terms of use (https://alleninstitute.org/terms-of-use/)",
    citation=(
        "Siegle, Jia et al. 2021, Survey of spiking in the mouse visual system reveals "
        "functional hierarchy, Nature 592:86-92, doi 10.1038/s41586-020-03171-x"
    ),
    homepage="https://portal.brain-map.org/circuits-behavior/visual-coding-neuropixels",
    num_recordings=58,
    notes=(
        "58 sessions: 32 with the stimuli brain_observatory_1.1 (DANDI 000021), 26 with "
        "functional_connectivity (000022); about 2 to 3 GB each.",
        "Units are filtered as AllenSDK does; sessions have thousands of units before it. The "
        "filter reads the whole session, test part included.",
        "Areas and positions are of the unit's peak channel.",
        "Natural movies run without pause (one row a frame, 30 Hz): use them for horizons of 1 s. "
        "Natural scenes last 250 ms, so such a window crosses several.",
        "The table optogenetic_stimulation tells when a laser drove labelled cells, at the "
        "session's end; leave that time out of forecasting claims.",
    ),
)
