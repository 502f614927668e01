"""Allen Visual Coding, two-photon: calcium traces of mouse visual cortex under many stimuli.

Converted by torch_brain's pipeline ``allen_visual_coding_ophys_2016``, for the 1,334 sessions
that POYO+ was published on: the data that CaPOYO learns from. The pipeline needs AllenSDK,
which needs a numpy below 1.24 and so cannot live beside this package: `download` runs it where
AllenSDK is installed all the same, and `convert` reads what it writes, here or anywhere
(``brainsets prepare allen_visual_coding_ophys_2016``, an environment of its own).

A session has no spikes. Its units are the regions of interest, in the pipeline's order; the
series ``calcium_traces.df_over_f`` holds one column a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording, Series, Split, Table, Units, empty_intervals
from neurohorizon.sources import brainsets
from neurohorizon.sources.naming import to_ascii
from neurohorizon.sources.source import DownloadProgress, RemoteSession, Source

NAME = "allen_ophys"
PIPELINE = "allen_visual_coding_ophys_2016"
TRACES = "calcium_traces.df_over_f"
SERIES_UNIT = {"running.running_speed": "cm/s"}
_SPLIT_NAMES = ("train_domain", "valid_domain", "test_domain")


def find_files(path: Path) -> list[Path]:
    """Return the ``.h5`` files below a folder, or the one file."""
    return [path] if path.is_file() else sorted(path.rglob("*.h5"))


def list_sessions(folder: Path) -> Sequence[RemoteSession]:
    """List the sessions that POYO+ used, by their Allen experiment ids."""
    text = (brainsets.pipeline_folder(PIPELINE) / "session_ids.txt").read_text()
    return [RemoteSession(id=number) for number in sorted(text.split())]


def download(session: RemoteSession, folder: Path, progress: DownloadProgress) -> Path:
    """Download one session with AllenSDK and let the pipeline write its HDF5 file.

    Raises
    ------
    DataError
        If AllenSDK is not installed (it says what to run instead), the archive cannot be
        asked, or the session cannot be read.
    """
    pipeline = brainsets.load_pipeline(PIPELINE)
    raw = folder / "raw"
    brainsets.list_manifest(pipeline, raw)  # writes the cache's manifest, which download reads
    progress(0, 0)
    row = SimpleNamespace(Index=session.id, session_id=session.id)
    downloaded = brainsets.download(pipeline, row, raw)
    return brainsets.process(pipeline, downloaded, folder, where=f"{NAME} {session.id}")


def convert(path: Path) -> Recording:
    """Convert one HDF5 file that the pipeline wrote.

    Raises
    ------
    DataError
        If it is missing, damaged or written by another pipeline.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    from torch_brain.data import Data

    try:
        with h5py.File(path, "r") as file:
            data: Any = Data.from_hdf5(file, lazy=False)
            return _recording(data)
    except (OSError, KeyError, AttributeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{path}: not a file of torch_brain's pipeline {PIPELINE} "
            f"({brainsets.first_line(error)}); make it with `brainsets prepare {PIPELINE}`"
        ) from error


def _recording(data: Any) -> Recording:
    from torch_brain.data import Interval, IrregularTimeSeries, RegularTimeSeries

    ids = np.asarray(data.rois.id).astype(np.str_)
    if data.calcium_traces.df_over_f.shape[1:] != (len(ids),):
        raise ValueError(f"{len(ids)} units, traces {data.calcium_traces.df_over_f.shape}")
    series: dict[str, Series] = {}
    tables: dict[str, Table] = {}
    names = list(data.keys())
    for name in names:
        value = getattr(data, name)
        if isinstance(value, IrregularTimeSeries | RegularTimeSeries):
            times = np.asarray(value.timestamps, dtype=np.float64)
            for column in _columns(value):
                key = f"{name}.{column}"
                values = np.asarray(getattr(value, column), dtype=np.float64)
                unit = SERIES_UNIT.get(key, "")
                series[key] = Series(times, values.reshape(len(times), -1), unit)
        elif isinstance(value, Interval) and name not in ("domain", *_SPLIT_NAMES):
            columns = {column: _plain(getattr(value, column)) for column in _columns(value)}
            tables[name] = Table(np.asarray(value.start), np.asarray(value.end), columns)
    train, valid, test = (_rows(getattr(data, name)) for name in _SPLIT_NAMES)
    tables[brainsets.SPLIT_TABLE] = brainsets.split_as_table(Split(train, valid, test))
    domain = _rows(data.domain)
    # Half-open: the last sample must lie inside.
    traces = series.pop(TRACES)
    domain[-1, 1] = np.nextafter(max(domain[-1, 1], traces.timestamps[-1]), np.inf)
    return Recording(
        id=str(data.session.id),
        subject=str(data.subject.id),
        source=NAME,
        spike_times=np.empty(0),
        spike_unit_index=np.empty(0, dtype=np.int64),
        units=Units(
            id=ids,
            area=np.full(len(ids), to_ascii(str(data.device.target_area))),
            position_um=np.full((len(ids), 3), np.nan),
            quality=np.full(len(ids), "", dtype=np.str_),
        ),
        domain=domain,
        series=series,
        signals={TRACES: traces},
        tables=tables,
        metadata=_metadata(data),
    )


def _columns(value: Any) -> list[str]:
    own = ("start", "end", "timestamps", "timestamp_indices_1s", "domain")
    names = list(value.keys())
    return [name for name in names if name not in own]


def _plain(values: Any) -> NDArray[Any]:
    array = np.asarray(values)
    return array.astype(np.str_) if array.dtype.kind in "SO" else array


def _rows(intervals: Any) -> NDArray[np.float64]:
    rows = np.column_stack([intervals.start, intervals.end]).astype(np.float64)
    return rows[np.argsort(rows[:, 0], kind="stable")] if len(rows) else empty_intervals()


def _metadata(data: Any) -> dict[str, str]:
    named = {
        "species": (data.subject, "species"),
        "sex": (data.subject, "sex"),
        "age": (data.subject, "age"),
        "genotype": (data.subject, "cre_line"),
        "imaging_depth_um": (data.device, "imaging_depth"),
        "recording_date": (data.session, "recording_date"),
    }
    found = {key: getattr(holder, name, None) for key, (holder, name) in named.items()}
    return {key: str(value) for key, value in found.items() if value not in (None, "")} | {
        "laboratory": "Allen Institute",
        "preparation": "two-photon calcium imaging, head-fixed mouse",
        "licence": SOURCE.licence,
        "citation": SOURCE.citation,
        "homepage": SOURCE.homepage,
    }


SOURCE = Source(
    name=NAME,
    title="mouse visual cortex, two-photon calcium imaging (Allen Visual Coding), no spikes",
    find_files=find_files,
    convert=convert,
    list_sessions=list_sessions,
    download=download,
    licence="Allen Institute terms of use",
    citation=(
        "de Vries et al. 2020, Nature Neuroscience 23: 138-151, doi 10.1038/s41593-019-0550-9; "
        "choice of sessions: Azabou et al. 2025, POYO+, ICLR"
    ),
    homepage="https://observatory.brain-map.org/visualcoding",
    num_recordings=1334,
    notes=(
        "No spikes: dF/F of regions of interest at 30 Hz. What needs spikes refuses these.",
        "The subject is an experiment container, one field of view in one mouse: a mouse can "
        "have several, so subjects held out may share an animal.",
    ),
)
