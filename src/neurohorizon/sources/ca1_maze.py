"""Rat hippocampus CA1 on a linear track and a W-maze, with head position.

One folder a recording. ``spikes.mat`` (MATLAB v5) nests tetrode by tetrode; each sorted
cluster has ``time`` and ``timerange`` in seconds, and many clusters are empty.
``trajectory.videoPositionTracking`` is a text header that ends with ``<End settings>``,
then records of a uint32 clock (30 kHz) and pixel coordinates at 60 Hz. Both recordings are
of one animal on one clock, the W-maze first.

One W-maze cluster fires at 107 Hz and holds 89 % of all spikes: what the sorting left over.
It stays in the file with the quality "unsorted", so that pooled scores can leave it out.

For half of each recording the animal is not on the maze: the tracker then shows one pixel for a
quarter of an hour. The table ``on_maze`` holds the rest, without the seconds in which the animal
is put there and taken away; the table ``running`` the part of it in which the head moves: where an
animal that rests is, its place cells do not tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import as_intervals, contains, dilate, subtract
from neurohorizon.ops.smoothing import differentiate, find_runs, smooth
from neurohorizon.recordings.schema import FloatArray, Recording, Series, Table, Units
from neurohorizon.sources.source import RemoteFile, RemoteSession, Source

NAME = "ca1_maze"
URL = (
    "https://raw.githubusercontent.com/nelpy/example-data/099548c0608ffaa92933c66346c0d96f05a18622"
)
SPIKES = "spikes.mat"
POSITION = "trajectory.videoPositionTracking"
END_OF_HEADER = b"<End settings>"
CLOCK_HZ = 30_000
# No sorted unit of the hippocampus keeps this mean rate for half an hour.
UNSORTED_ABOVE_HZ = 60.0
# No animal that is tracked holds its head to the pixel for so long (the longest is 12 s).
PARKED_S = 20.0
# Before and after that it is carried.
CARRIED_S = 10.0
# The pixels have no known size; the slower mode of the speeds lies below, the faster around 90.
RUNNING_PX_S = 20.0
SHORTEST_RUN_S = 0.5
SMOOTH_S = 0.25


def find_files(folder: Path) -> list[Path]:
    """Return the recordings' folders: those that hold a ``spikes.mat``."""
    if folder.is_file():
        folder = folder.parent
    return sorted(path.parent for path in folder.rglob(SPIKES))


def convert(path: Path) -> Recording:
    """Read one recording's folder.

    Raises
    ------
    DataError
        If one of its two files is missing or not what it should be.
    """
    clusters, ranges = _read_clusters(path / SPIKES)
    domain = np.array([[min(start for start, _ in ranges), max(end for _, end in ranges)]])
    times = np.concatenate([spikes for _, spikes in clusters])
    num_spikes = np.array([len(spikes) for _, spikes in clusters])
    order = np.argsort(times, kind="stable")
    rate_hz = num_spikes / (domain[0, 1] - domain[0, 0])
    num_units = len(clusters)
    position = _read_position(path / POSITION)
    on_maze = _on_maze(position)
    return Recording(
        id=path.name,
        subject="ca1_maze_rat",
        source=NAME,
        spike_times=times[order],
        spike_unit_index=np.repeat(np.arange(num_units), num_spikes)[order],
        units=Units(
            id=np.array([name for name, _ in clusters], dtype=np.str_),
            area=np.full(num_units, "CA1"),
            position_um=np.full((num_units, 3), np.nan),
            quality=np.where(rate_hz > UNSORTED_ABOVE_HZ, "unsorted", "sorted"),
        ),
        domain=domain,
        series={"position": position},
        tables={"on_maze": on_maze, "running": _running(position, on_maze)},
        metadata={
            "laboratory": "nelpy",
            "species": "rat",
            "task": path.name,
            "preparation": "tetrodes in CA1, freely moving",
            "licence": SOURCE.licence,
            "citation": SOURCE.citation,
            "homepage": SOURCE.homepage,
        },
    )


def _read_clusters(
    path: Path,
) -> tuple[list[tuple[str, FloatArray]], list[tuple[float, float]]]:
    """Return (id, spike times) of the clusters with spikes, and all time ranges."""
    from scipy.io import loadmat

    if not path.exists():
        raise DataError(f"{path}: no such file")
    try:
        tetrodes = loadmat(path)["spikes"]
        while tetrodes.dtype == object and tetrodes.size == 1:
            tetrodes = tetrodes.ravel()[0]
        clusters, ranges = [], []
        for name, cell in _cells(tetrodes):
            times = np.asarray(cell["time"].ravel()[0], dtype=np.float64).ravel()
            start, end = np.asarray(cell["timerange"].ravel()[0], dtype=np.float64).ravel()
            ranges.append((float(start), float(end)))
            if len(times):
                clusters.append((name, times))
    except (OSError, KeyError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        raise DataError(f"{path}: not a readable spike file of {NAME} ({error})") from error
    if not clusters:
        raise DataError(f"{path}: no cluster with spikes; download the file again")
    return clusters, ranges


def _cells(tetrodes: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield each sorted cluster with its name; unsorted tetrodes and clusters are empty."""
    for tetrode, clusters in enumerate(tetrodes.ravel(), start=1):
        if clusters.dtype == object:
            for cluster, cell in enumerate(clusters.ravel(), start=1):
                if cell.size and cell.dtype.names:
                    yield f"tetrode{tetrode:02d}_cluster{cluster:02d}", cell


def _read_position(path: Path) -> Series:
    if not path.exists():
        raise DataError(f"{path}: no such file")
    content = path.read_bytes()
    end = content.find(END_OF_HEADER)
    start = content.find(b"\n", end) + 1
    record = np.dtype([("time", "<u4"), ("x", "<u2"), ("y", "<u2"), ("x2", "<u2"), ("y2", "<u2")])
    if end < 0 or start == 0 or (len(content) - start) % record.itemsize:
        raise DataError(
            f"{path}: expected a header ending with {END_OF_HEADER.decode()} and records of "
            f"{record.itemsize} bytes; download the file again"
        )
    rows = np.frombuffer(content, dtype=record, offset=start)
    values = np.column_stack([rows["x"], rows["y"]]).astype(np.float64)
    # Both coordinates at 0: the tracker had lost the light.
    values[(values == 0).all(axis=1)] = np.nan
    order = np.argsort(rows["time"], kind="stable")
    return Series(rows["time"][order] / CLOCK_HZ, values[order], unit="px")


def _on_maze(position: Series) -> Table:
    """Return when the tracker follows the animal on the maze."""
    times = position.timestamps
    moved = np.any(np.diff(position.values, axis=0) != 0, axis=1)
    # Where the position is the same from one sample to a later one.
    edges = np.concatenate([[0], np.flatnonzero(moved) + 1, [len(times)]])
    first, last = edges[:-1], edges[1:] - 1
    parked = times[last] - times[first] >= PARKED_S
    rows = np.column_stack([times[first], times[last]])[parked]
    whole = np.array([[times[0] - CARRIED_S, times[-1] + CARRIED_S]])
    kept = dilate(subtract(whole, as_intervals(rows)), -CARRIED_S)
    return Table(start=kept[:, 0], end=kept[:, 1])


def _running(position: Series, on_maze: Table) -> Table:
    """Return when the animal runs: stretches in which its smoothed speed stays above a bound."""
    times, values = position.timestamps, position.values.astype(np.float64)
    stretches = np.column_stack([on_maze.start, on_maze.end])
    known = np.isfinite(values).all(axis=1) & contains(stretches, times)
    known &= np.diff(times, prepend=-np.inf) > 0
    times, values = times[known], values[known]
    offsets = find_runs(times, longest_gap_s=0.1, edges_s=np.unique(stretches))
    velocity = differentiate(times, smooth(times, values, offsets, sigma_s=SMOOTH_S), offsets)
    fast = np.linalg.norm(velocity, axis=1) > RUNNING_PX_S
    edges = np.unique(np.concatenate([offsets, np.flatnonzero(np.diff(fast)) + 1])).astype(int)
    rows = [
        (times[low], times[high - 1])
        for low, high in pairwise(edges.tolist())
        if fast[low] and times[high - 1] - times[low] >= SHORTEST_RUN_S
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return Table(start=table[:, 0], end=table[:, 1])


SIZES = {
    "linear-track": {SPIKES: 176_567, POSITION: 1_427_777},
    "w-maze": {SPIKES: 2_806_793, POSITION: 3_144_137},
}


def list_sessions(folder: Path) -> list[RemoteSession]:
    """List both sessions; they are always the same ones."""
    return [
        RemoteSession(
            id=session,
            num_bytes=sum(sizes.values()),
            files=tuple(
                RemoteFile(f"{session}/{name}", f"{URL}/{session}/{name}", size)
                for name, size in sizes.items()
            ),
        )
        for session, sizes in SIZES.items()
    ]


SOURCE = Source(
    name=NAME,
    title="Rat CA1 on a linear track and a W-maze, with head position",
    find_files=find_files,
    convert=convert,
    licence="MIT",
    citation="nelpy example data, https://github.com/nelpy/example-data",
    homepage="https://github.com/nelpy/example-data",
    num_recordings=2,
    num_units=56,
    num_spikes=547_181,
    list_sessions=list_sessions,
    notes=(
        "One W-maze cluster fires at 107 Hz and holds 89 % of all spikes: unsorted activity, "
        'kept with quality "unsorted" and left out of pooled scores.',
        "For half of each recording the animal is not on the maze and the tracker shows one pixel: "
        "where position matters, keep to the table on_maze or running (tasks.position.evaluate).",
        "Both recordings are of one animal: they are never held out from each other as "
        "subjects, only as sessions.",
    ),
)
