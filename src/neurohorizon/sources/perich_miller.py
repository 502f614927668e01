"""Perich and Miller: macaque M1 and PMd while reaching, Utah arrays, cursor movement.

DANDI 000688, one NWB file a session: four monkeys, a delayed center-out task (CO) and a task of
random targets (RT). Converted by torch_brain's pipeline ``perich_miller_population_2018``, so
spikes, ids of units, cursor, trials and movement phases are those that POYO was published on.
Mended here: each unit's area (the pipeline drops it), licence and origin. The pipeline's own
split becomes the table ``torch_brain_split``: its validation and test trials are scattered
among the training time, with 1 s around them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.sources import brainsets, nwb
from neurohorizon.sources.dandi_archive import list_assets
from neurohorizon.sources.source import RemoteFile, RemoteSession, Setting, Source

NAME = "perich_miller"
PIPELINE = "perich_miller_population_2018"
# The pipeline asks for the draft, which may change; this is the version with a DOI.
VERSION = "0.250122.1735"
TASKS = {"CO": "center_out_reaching", "RT": "random_target_reaching"}
_SESSION = re.compile(r"ses-(CO|RT)-\d{8}")
_FILE = re.compile(r"sub-(?P<animal>[A-Za-z])_ses-(?P<task>CO|RT)-(?P<date>\d{8})[^/]*\.nwb$")
SERIES_UNIT = {"cursor.pos": "cm", "cursor.vel": "cm/s", "cursor.acc": "cm/s^2"}


def find_files(path: Path) -> list[Path]:
    """Return the ``.nwb`` files below a folder, or the one file."""
    return [path] if path.is_file() else sorted(path.rglob("*.nwb"))


def list_sessions(folder: Path, task: str = "all", subject: str = "all") -> Sequence[RemoteSession]:
    """List the sessions, as torch_brain's pipeline names them.

    Parameters
    ----------
    folder : path
        Of the downloads.
    task : str
        "center_out_reaching", "random_target_reaching" or "all".
    subject : str
        "c", "j", "m", "t" or "all".

    Raises
    ------
    DataError
        If DANDI cannot be reached, or no session is of this task and subject.
    MissingExtraError
        If the dandi client is not installed.
    """
    if task not in (*TASKS.values(), "all"):
        raise DataError(f"{NAME}: unknown task {task!r}: choose all, {' or '.join(TASKS.values())}")
    sessions = []
    for asset in list_assets("000688", version=VERSION):
        match = _FILE.search(asset.path)
        if match is None:
            continue
        animal, kind, date = match["animal"].lower(), TASKS[match["task"]], match["date"]
        if task in (kind, "all") and subject.lower() in (animal, "all"):
            file = RemoteFile(asset.path, asset.download_url, asset.num_bytes, asset.sha256)
            about = {"subject": animal, "date": date, "task": kind}
            name = f"{animal}_{date}_{kind}"
            sessions.append(RemoteSession(name, asset.num_bytes, (file,), about))
    if not sessions:
        raise DataError(f"{NAME}: no session of subject {subject!r} and task {task!r}")
    return sorted(sessions, key=lambda session: session.id)


def convert(path: Path) -> Recording:
    """Convert one session.

    Raises
    ------
    DataError
        If it is missing, damaged or not a file of this data set.
    MissingExtraError
        If pynwb is not installed.
    """
    original = nwb.convert(path, behaviour=False)
    match = _SESSION.search(f"{original.metadata.get('session', '')} {path.name}")
    if match is None:
        raise DataError(
            f"{path}: no session of {NAME}: expected a session id or a file name like "
            "sub-C_ses-CO-20161013 (CO or RT is the task)"
        )
    made = brainsets.convert_file(PIPELINE, path, link_name=f"{match[1]}.nwb", not_in_path="CO")
    tables = dict(made.tables)
    if made.split is not None:
        tables[brainsets.SPLIT_TABLE] = brainsets.split_as_table(made.split)
    return replace(
        made,
        source=NAME,
        units=_units(made, original),
        series={
            key: replace(series, unit=SERIES_UNIT.get(key, series.unit))
            for key, series in made.series.items()
        },
        tables=tables,
        split=None,
        metadata={
            **original.metadata,
            **made.metadata,
            "task": TASKS[match[1]],
            "preparation": "Utah arrays, awake macaque",
            "origin_version": f"dandi/000688/{VERSION}",
            "licence": SOURCE.licence,
            "citation": SOURCE.citation,
            "homepage": SOURCE.homepage,
        },
    )


def _units(made: Recording, original: Recording) -> Units:
    """Return the pipeline's units with the areas of the file: both keep the file's order."""
    if made.num_units != original.num_units:
        raise DataError(
            f"{made.id}: {original.num_units} units in the file but {made.num_units} made of it"
        )
    return replace(made.units, area=np.array(original.units.area, dtype=np.str_))


SOURCE = Source(
    name=NAME,
    title="macaque M1 and PMd, reaching: center-out and random targets (DANDI 000688)",
    find_files=find_files,
    convert=convert,
    list_sessions=list_sessions,
    query_settings={
        "task": Setting("all", "all, center_out_reaching or random_target_reaching"),
        "subject": Setting("all", "all, c, j, m or t"),
    },
    licence="CC-BY-4.0",
    citation=(
        "Perich, Gallego, Miller 2018, Neuron 100: 964-976, doi 10.1016/j.neuron.2018.09.030; "
        "data: Perich, Miller, Azabou, Dyer 2025, doi 10.48324/dandi.000688/0.250122.1735"
    ),
    homepage="https://dandiarchive.org/dandiset/000688",
    num_recordings=111,
    num_units=10_410,
    notes=(
        "Spikes of three animals were sorted by hand, those of the fourth are threshold "
        "crossings: do not compare absolute scores between animals.",
        "Arrays stay implanted for months: sessions of one animal share neurons. Hold out by "
        "subject, not only by session.",
        "The table torch_brain_split holds the split that POYO was published on; its test trials "
        "lie 1 s from training time, less than context + horizon of a forecast of 1 s.",
    ),
)
