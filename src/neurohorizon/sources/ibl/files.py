"""Which files of an IBL session are read: the newest of each, from the newest spike sorting.

Names follow ALF, ``[collection/][#revision#/][_namespace_]object.attribute.extension``, below
the session's folder. ONE-api takes them apart; nothing else of it is needed here.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from neurohorizon.errors import DataError, MissingExtraError
from neurohorizon.ops.files import require_readable
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.sources.naming import free_unit_column

# Of the spike sortings of one probe, the first of these; "" is Kilosort 2, beside the others.
SORTERS = ("iblsorter", "pykilosort", "")
LOCATIONS = ("brainLocationIds_ccf_2017", "brainLocationAcronyms_ccf_2017", "mlapdv")
SORTED_FILES = (
    "spikes.times",
    "spikes.clusters",
    "clusters.metrics",
    "clusters.channels",
    "channels.localCoordinates",
    *(f"{name}.{attribute}" for name in ("channels", "clusters") for attribute in LOCATIONS),
)
# Where histology placed the electrodes; newer than the copy beside the spikes.
SITE_FILES = tuple(f"electrodeSites.{attribute}" for attribute in (*LOCATIONS, "localCoordinates"))
TRIAL_NUMBERS = (
    "choice",
    "contrastLeft",
    "contrastRight",
    "feedbackType",
    "probabilityLeft",
    "rewardVolume",
)
TRIAL_TIMES = (
    "stimOn_times",
    "stimOff_times",
    "goCue_times",
    "firstMovement_times",
    "response_times",
    "feedback_times",
)
BEHAVIOUR_FILES = (
    "trials.table",
    "trials.intervals",
    *(f"trials.{attribute}" for attribute in (*TRIAL_NUMBERS, *TRIAL_TIMES)),
    "wheel.position",
    "wheel.timestamps",
    "licks.times",
)
CAMERAS = ("leftCamera", "rightCamera")
REGIONS = "brain_regions.csv"
# The cache's root is five folders above a session (lab/Subjects/subject/date/number).
MOST_LEVELS = 6


@dataclass(frozen=True)
class SessionFiles:
    """What is read of one session: paths below its folder, by ALF name.

    Parameters
    ----------
    probes : dict of str to dict
        Probe -> ``spikes.times`` and the like -> path.
    sortings : dict of str to str
        Probe -> spike sorter and revision.
    behaviour : dict of str to str
        ``trials.table`` and the like -> path; the camera's files are ``pupil.features`` and
        ``pupil.times``.
    """

    probes: dict[str, dict[str, str]]
    sortings: dict[str, str]
    behaviour: dict[str, str]

    @property
    def paths(self) -> list[str]:
        """All paths, in a fixed order."""
        found = set(self.behaviour.values())
        for files in self.probes.values():
            found |= set(files.values())
        return sorted(found)


def require_one(purpose: str) -> None:
    """Import ONE-api.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import one.alf.io  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("one", extra="ibl", purpose=purpose) from error


def choose_files(paths: Iterable[str]) -> SessionFiles:
    """Choose, from the paths of all files of a session, those that are read.

    Parameters
    ----------
    paths : iterable of str
        Below the session's folder, with forward slashes.
    """
    from one.alf.path import rel_path_parts

    newest: dict[tuple[str, str], tuple[tuple[str, int], str]] = {}
    for path in paths:
        parts: Any = rel_path_parts(path, as_dict=True, assert_valid=False)
        # A part more is a file's UUID: a download that was broken off.
        if parts["extra"] or parts["extension"] not in ("npy", "pqt", "csv"):
            continue
        # Other namespaces are somebody's own curation.
        if parts["namespace"] not in (None, "ibl"):
            continue
        attribute = "_".join(filter(None, (parts["attribute"], parts["timescale"])))
        key = (parts["collection"] or "", f"{parts['object']}.{attribute}")
        age = (parts["revision"] or "", ("csv", "npy", "pqt").index(parts["extension"]))
        if key not in newest or newest[key][0] < age:
            newest[key] = (age, path)
    files = {key: path for key, (_, path) in newest.items()}
    collections = sorted({collection for collection, _ in files})
    probes, sortings = {}, {}
    for probe, collection in sorted(_sorted_collections(files, collections).items()):
        sorted_at = newest[collection, "spikes.clusters"][0][0]
        found = {
            name: files.get((collection, name))
            for name in SORTED_FILES
            # Older than the clusters' numbers: of another clustering.
            if not name.startswith("clusters.")
            or newest.get((collection, name), ((sorted_at, 0), ""))[0][0] >= sorted_at
        }
        found |= {name: files.get((f"alf/{probe}", name)) for name in SITE_FILES}
        probes[probe] = {name: path for name, path in found.items() if path}
        revision = newest[collection, "spikes.times"][0][0]
        sorter = PurePosixPath(collection).name if collection.count("/") > 1 else "kilosort2"
        sortings[probe] = f"{sorter} {revision}".strip()
    behaviour: dict[str, str] = {}
    # Sessions of several tasks keep each in a folder of its own: the first is read.
    tasks = [name for name in collections if name == "alf" or name.startswith("alf/task_")]
    for kind in ("trials", "wheel", "licks"):
        names = [name for name in BEHAVIOUR_FILES if name.startswith(f"{kind}.")]
        for task in tasks:
            held = {name: files[task, name] for name in names if (task, name) in files}
            if held:
                behaviour |= held
                break
    for camera in CAMERAS:
        pair = [files.get(("alf", f"{camera}.{name}")) for name in ("features", "times")]
        if all(pair):
            behaviour |= {"pupil.features": str(pair[0]), "pupil.times": str(pair[1])}
            break
    return SessionFiles(probes, sortings, behaviour)


def _sorted_collections(
    files: dict[tuple[str, str], str], collections: list[str]
) -> dict[str, str]:
    """Return each probe's newest spike sorting, as probe -> collection."""
    best: dict[str, tuple[float, str]] = {}
    for collection in collections:
        folder, _, rest = collection.partition("/")
        probe, _, sorter = rest.partition("/")
        spikes = [(collection, name) in files for name in ("spikes.times", "spikes.clusters")]
        if folder != "alf" or not probe.startswith("probe") or not all(spikes):
            continue
        rank = SORTERS.index(sorter) if sorter in SORTERS else math.inf
        best[probe] = min(best.get(probe, (math.inf, collection)), (rank, collection))
    return {probe: collection for probe, (_, collection) in best.items()}


def session_files(session: Path) -> SessionFiles:
    """Choose among the files that lie in a session's folder."""
    alf = session / "alf"
    return choose_files(
        path.relative_to(session).as_posix() for path in alf.rglob("*") if path.is_file()
    )


def read_array(path: Path) -> np.ndarray[Any, Any]:
    """Read a ``.npy`` file; objects in it are not unpickled.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    return _read(path, lambda: np.load(path, allow_pickle=False))


def map_array(path: Path) -> np.ndarray[Any, Any]:
    """Open a ``.npy`` file as a memory map; one without elements is read.

    Raises
    ------
    DataError
        If it cannot be read.
    """

    def opened() -> np.ndarray[Any, Any]:
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # nothing to map, or damaged
            return np.load(path, allow_pickle=False)

    return _read(path, opened)


def read_table(path: Path) -> Any:
    """Read a ``.pqt`` or ``.csv`` file to a pandas table.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    import pandas as pd

    return _read(
        path, lambda: pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    )


def cluster_metrics(table: Any, num_clusters: int) -> dict[str, FloatArray]:
    """Return the numbers of a table of cluster metrics by name, one value a cluster.

    Parameters
    ----------
    table : pandas.DataFrame
        ``clusters.metrics``: rows in any order, numbered by ``cluster_id`` or by their index.
    num_clusters : int

    Returns
    -------
    dict of str to (num_clusters,) float array
        NaN where a cluster has no row. Text and ids are left out.
    """
    rows = np.asarray(table.get("cluster_id", table.index))
    known = (rows >= 0) & (rows < num_clusters)
    row = rows[known].astype(np.int64)
    metrics = {}
    for name in table.select_dtypes(["number", "bool"], exclude="timedelta"):
        # Tables that were joined have a second column, cluster_id.1.
        if str(name).startswith("cluster_id"):
            continue
        values = np.full(num_clusters, np.nan)
        values[row] = table[name].to_numpy(np.float64, na_value=np.nan)[known]
        metrics[free_unit_column(str(name))] = values
    return metrics


def _read(path: Path, read: Callable[[], Any]) -> Any:
    require_readable(path)
    try:
        return read()
    except Exception as error:  # numpy, pandas and pyarrow each raise their own
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(
            f"{path}: not readable ({reason}); delete it and download the session again"
        ) from error


def read_regions(session: Path) -> dict[int, str]:
    """Return acronyms by the Allen ontology's id, from ``brain_regions.csv`` above a session.

    Downloading writes that file from the server's list; the Allen Institute's table of
    structures, saved under this name, does as well. Empty if there is none.

    Raises
    ------
    DataError
        If it lacks the columns ``id`` and ``acronym``.
    """
    for folder in session.absolute().parents[:MOST_LEVELS]:
        path = folder / REGIONS
        if not path.is_file():
            continue
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return {int(row["id"]): row["acronym"] for row in csv.DictReader(file)}
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{path}: expected a table with the columns id and acronym ({error})"
            ) from error
    return {}
