"""Neural Latents Benchmark '21: seven data sets of macaque cortex, with their held-out units.

On DANDI, two NWB files each: ``desc-train`` (trials of the splits train, val and none, all
units, behaviour) and ``desc-test`` (segments of test trials with the held-in units alone).
What the benchmark hides, held-out units and forward bins of test trials, is in no file, and
nothing is put in its place: the test recording has fewer units.

Which units, trials and bins are scored stands in `nlb_benchmark`. A unit's id is that of the
NWB file, the same in both files of a data set.

torch_brain's pipeline ``pei_pandarinath_nlb_2021`` covers MC_Maze_Small alone, and drops the
held-out flag, the stretches that were recorded, cursor and subject; it numbers units by row,
so that its train and test files disagree about who is who. ``reader=torch_brain`` takes spikes
and behaviour from it and mends the rest; the default reads all seven alike.

References
----------
Pei et al. 2021, Neural Latents Benchmark '21, NeurIPS Datasets and Benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import as_intervals, intersect
from neurohorizon.recordings.schema import FloatArray, Recording, Table, Units
from neurohorizon.sources import brainsets, nwb
from neurohorizon.sources.dandi_archive import list_assets
from neurohorizon.sources.nlb.benchmark import (
    DATASETS,
    HELD_OUT_COLUMN,
    NAME,
    PARTS,
    SPLIT_COLUMN,
    Benchmark,
)
from neurohorizon.sources.source import RemoteFile, RemoteSession, Setting, Source

PIPELINE = "pei_pandarinath_nlb_2021"
PIPELINE_DATASET = "mc_maze_small"


def find_files(path: Path) -> list[Path]:
    """Return the ``.nwb`` files below a folder, or the one file."""
    return [path] if path.is_file() else sorted(path.rglob("*.nwb"))


def list_sessions(folder: Path, dataset: str = "all") -> Sequence[RemoteSession]:
    """List the files, two a data set.

    Raises
    ------
    DataError
        If there is no such data set, or DANDI cannot be reached.
    MissingExtraError
        If the dandi client is not installed.
    """
    if dataset not in (*DATASETS, "all"):
        raise DataError(f"{NAME}: unknown dataset {dataset!r}: choose all, {', '.join(DATASETS)}")
    sessions = []
    for name in DATASETS if dataset == "all" else [dataset]:
        number, _, version = DATASETS[name].dandiset.partition("/")
        for asset in list_assets(number, version=version):
            part = next((word for word in ("train", "test") if f"desc-{word}" in asset.path), None)
            if part is not None and asset.path.endswith(".nwb"):
                path = f"{number}/{asset.path}"
                file = RemoteFile(path, asset.download_url, asset.num_bytes, asset.sha256)
                about = {"dataset": name, "part": part, "subject": DATASETS[name].subject}
                sessions.append(RemoteSession(f"{name}_{part}", asset.num_bytes, (file,), about))
    return sorted(sessions, key=lambda session: session.id)


def convert(path: Path, reader: str = "own") -> Recording:
    """Convert one file.

    Parameters
    ----------
    path : path
        A train or test file of one of the `DATASETS`, told apart by what it holds.
    reader : {"own", "torch_brain"}
        torch_brain's pipeline takes MC_Maze_Small only.

    Raises
    ------
    DataError
        If it is missing, damaged or no file of the benchmark.
    MissingExtraError
        If pynwb is not installed.
    """
    if reader not in ("own", "torch_brain"):
        raise DataError(f"{NAME}: unknown reader {reader!r}: choose own or torch_brain")
    recording = nwb.convert(path)
    dataset = _dataset(recording, path)
    benchmark = DATASETS[dataset]
    trials = _trials(recording, path)
    part = "test" if set(trials.columns[SPLIT_COLUMN]) == {"test"} else "train"
    try:
        with h5py.File(path, "r") as file:
            held_out_unit = np.asarray(file["units/heldout"], dtype=bool)
            domain = _observed(file)
            target = _active_target(file)
    except (KeyError, OSError, ValueError, TypeError, IndexError) as error:
        raise DataError(
            f"{path}: not a file of {NAME} ({brainsets.first_line(error)}): expected units with "
            "heldout and obs_intervals"
        ) from error
    if target is not None:
        trials = replace(trials, columns={**trials.columns, "active_target_pos": target})
    recording = replace(
        recording,
        id=f"{dataset}_{part}",
        source=NAME,
        units=_units(recording, benchmark, held_out_unit),
        domain=domain,
        tables={**recording.tables, "trials": trials},
        metadata={
            **recording.metadata,
            "task": dataset,
            "nlb_dataset": dataset,
            "nlb_part": part,
            "origin_version": f"dandi/{benchmark.dandiset}",
            "licence": SOURCE.licence,
            "citation": f"{SOURCE.citation}; data: doi 10.48324/dandi.{benchmark.dandiset}",
            "homepage": f"https://dandiarchive.org/dandiset/{benchmark.dandiset[:6]}",
        },
    )
    return recording if reader == "own" else _through_torch_brain(recording, path)


def _dataset(recording: Recording, path: Path) -> str:
    """Tell the data set by subject and session: file names differ between versions."""
    session = recording.metadata.get("session", "")
    for name, benchmark in DATASETS.items():
        if (benchmark.subject, benchmark.session) == (recording.subject, session):
            return name
    # One session a subject, except for the maze: there a missing session is no doubt.
    for name, benchmark in DATASETS.items():
        if benchmark.subject == recording.subject != "Jenkins":
            return name
    raise DataError(
        f"{path}: subject {recording.subject!r} and session {session!r} are of no data set of "
        f"{NAME}: choose files of DANDI {', '.join(x.dandiset[:6] for x in DATASETS.values())}"
    )


def _trials(recording: Recording, path: Path) -> Table:
    """Return the trial table with the benchmark's split under a name that the format allows."""
    trials = recording.tables.get("trials")
    found = [] if trials is None else [x for x in ("split", "split_") if x in trials.columns]
    if trials is None or not found:
        raise DataError(f"{path}: not a file of {NAME}: its trials have no column `split`")
    columns = {
        SPLIT_COLUMN if name == found[0] else name: values
        for name, values in trials.columns.items()
    }
    unknown = sorted(set(columns[SPLIT_COLUMN]) - set(PARTS))
    if unknown:
        raise DataError(f"{path}: unknown split {unknown[0]!r}, expected {', '.join(PARTS)}")
    return replace(trials, columns=columns)


def _units(recording: Recording, benchmark: Benchmark, held_out_unit: NDArray[np.bool_]) -> Units:
    """Return the units with areas that can be believed, and no positions.

    MC_Maze's electrode rows of M1 units are 96 too low (a known error of the files): all units
    seem to be of one array. The first digit of a unit's id tells the array: 1 PMd, 2 M1.
    """
    units = recording.units
    area = np.array(units.area, dtype=object)
    if benchmark.subject == "Jenkins":
        digit = [name.removeprefix("unit_")[:1] for name in units.id]
        area[:] = [{"1": "PMd", "2": "M1"}.get(one, "") for one in digit]
    else:
        # The files say where an array lies in words of their own, or name no electrode.
        area[:] = benchmark.areas[0]
    return replace(
        units,
        area=area.astype(np.str_),
        position_um=np.full((len(units), 3), np.nan),
        columns={
            **{name: values for name, values in units.columns.items() if name != "heldout"},
            HELD_OUT_COLUMN: held_out_unit,
        },
    )


def _observed(file: h5py.File) -> FloatArray:
    """Return when all units were observed: exact stretches, silent ends included."""
    ends = np.asarray(file["units/obs_intervals_index"], dtype=np.int64)
    rows = np.asarray(file["units/obs_intervals"], dtype=np.float64)
    # Most often one and the same list for every unit.
    lists = {rows[low:high].tobytes() for low, high in pairwise([0, *ends])}
    stretches = [as_intervals(np.frombuffer(one).reshape(-1, 2)) for one in sorted(lists)]
    domain = stretches[0]
    for one in stretches[1:]:
        domain = intersect(domain, one)
    if len(domain) == 0:
        raise ValueError("obs_intervals of the units do not overlap")
    return domain


def _active_target(file: h5py.File) -> FloatArray | None:
    """Return where the target was that was hit, (K, 2); the list of all targets is ragged."""
    trials: Any = file["intervals/trials"]
    if not {"target_pos", "target_pos_index", "active_target"} <= set(trials):
        return None
    ends = np.asarray(trials["target_pos_index"], dtype=np.int64)
    row = np.concatenate([[0], ends[:-1]]) + np.asarray(trials["active_target"], dtype=np.int64)
    return np.asarray(trials["target_pos"], dtype=np.float64)[row]


def _through_torch_brain(recording: Recording, path: Path) -> Recording:
    """Return the recording with spikes and behaviour as torch_brain's pipeline reads them."""
    if recording.metadata["nlb_dataset"] != PIPELINE_DATASET:
        raise DataError(
            f"{path}: torch_brain's pipeline covers {PIPELINE_DATASET} only: "
            "leave out reader=torch_brain"
        )
    part = recording.metadata["nlb_part"]
    made = brainsets.convert_file(PIPELINE, path, link_name=f"{part}.nwb", not_in_path="test")
    series = {name.replace(".", "_"): one for name, one in made.series.items()}
    tables = {name: table for name, table in made.tables.items() if name != "trials"}
    if made.split is not None:
        tables[brainsets.SPLIT_TABLE] = brainsets.split_as_table(made.split)
    return replace(
        recording,
        spike_times=made.spike_times,
        spike_unit_index=made.spike_unit_index,
        series={
            **recording.series,
            **{
                name: replace(one, unit=recording.series[name].unit) for name, one in series.items()
            },
        },
        tables={**recording.tables, **tables},
        metadata={**recording.metadata, "reader": f"torch_brain {PIPELINE}"},
    )


SOURCE = Source(
    name=NAME,
    title="Neural Latents Benchmark '21: MC_Maze (4 sizes), MC_RTT, Area2_Bump, DMFC_RSG",
    find_files=find_files,
    convert=convert,
    list_sessions=list_sessions,
    query_settings={"dataset": Setting("all", f"all, {', '.join(DATASETS)}")},
    convert_settings={
        "reader": Setting("own", "own, or torch_brain: its pipeline, for mc_maze_small only")
    },
    licence="CC-BY-4.0",
    citation=(
        "Pei et al. 2021, Neural Latents Benchmark '21: evaluating latent variable models of "
        "neural population activity, NeurIPS Datasets and Benchmarks"
    ),
    homepage="https://neurallatents.github.io",
    num_recordings=14,
    num_units=1554,
    num_spikes=8_688_150,
    notes=(
        "The train recording holds the splits train, val and none; the test recording only the "
        "held-in units in its segments. Nothing hidden is made up.",
        "Held-out units are marked in the units' column held_out: a model that reads them in a "
        "scored window has seen the answer.",
        "MC_Maze holds trials only, nothing between them; its four sizes are one monkey's.",
        "In MC_Maze the area comes from the unit's id (1: PMd, 2: M1): the electrode rows of M1 "
        "units in the files are wrong.",
    ),
)
