"""From a configuration to the recordings of a run: opened, split, divided."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.configs.data_schema import (
    FilesData,
    HoldOutIds,
    HoldOutNone,
    HoldOutSubjects,
    SimulatedData,
    StoredSplit,
    TimeSplit,
)
from neurohorizon.configs.decode_schema import DecodeSimulated
from neurohorizon.configs.decode_sessions import prepare_for_decoding
from neurohorizon.configs.root import TrainConfig
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.configs.split_rules import split_recording
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.splits import (
    GUARD_S,
    assert_no_leakage,
    hold_out,
)
from neurohorizon.recordings.store import list_recordings, open_recording
from neurohorizon.simulate.calcium import CalciumWorld
from neurohorizon.simulate.recordings import PopulationPlan, write_population

NUM_NAMED = 8

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""


@dataclass(frozen=True)
class Session:
    """A recording and the file it was read from."""

    path: Path
    recording: Recording


@dataclass(frozen=True)
class Sessions:
    """The recordings of a run.

    Parameters
    ----------
    folder : Path
        Where their files lie.
    training, held_out : tuple of Session
        What training may read, and what it never sees.
    """

    folder: Path
    training: tuple[Session, ...]
    held_out: tuple[Session, ...]


def population_plan(data: SimulatedData) -> PopulationPlan:
    """Return the plan of a simulated world.

    Raises
    ------
    ConfigError
        If its settings make no sense.
    """
    decoded = isinstance(data, DecodeSimulated)
    try:
        return PopulationPlan(
            carrier_share=data.carrier_share if decoded else 1.0,
            calcium=CalciumWorld() if decoded and data.calcium else None,
            units_range=data.units,
            duration_s=60.0 * data.minutes,
            seed=data.seed,
            drift=data.drift,
            bursts=data.bursts,
            trials=data.trials,
            behavior=data.behavior,
            driven=data.driven,
        )
    except (ConfigError, DataError) as error:
        raise ConfigError(f"data: {error}") from error


def session_indices(data: SimulatedData) -> list[int]:
    """Return the indices of a world's training sessions, then of its held-out ones."""
    held_out = range(data.first_held_out, data.first_held_out + data.num_held_out)
    return [*range(data.num_sessions), *held_out]


def open_sessions(config: TrainConfig, *, progress: Progress | None = None) -> Sessions:
    """Open the recordings of a run, simulating first what is not there yet.

    Parameters
    ----------
    config : ForecastConfig or DecodeConfig
    progress : callable, optional

    Raises
    ------
    ConfigError, DataError
        If a file is missing, damaged or not usable, or nothing is left to train on.
    """
    if isinstance(config.data, SimulatedData):
        return _simulated_sessions(config, config.data, progress)
    data = config.data
    files = [path for place in data.places for path in list_recordings(_existing(place, data))]
    opened = [(path, open_recording(path)) for path in files]
    by_id: dict[str, tuple[Path, Recording]] = {}
    for path, recording in opened:
        if recording.id in by_id:
            raise DataError(
                f"{path}: holds a recording called {recording.id}, as {by_id[recording.id][0]} "
                "does; leave one of the files out"
            )
        by_id[recording.id] = path, recording
    _require_known(data.leave_out, by_id, "data.leave_out")
    kept = {
        id: Session(path, prepare_recording(recording, config, path=path))
        for id, (path, recording) in sorted(by_id.items())
        if id not in data.leave_out and data.source in (None, recording.source)
    }
    if not kept:
        sources = ", ".join(sorted({recording.source for _, recording in opened}))
        raise DataError(
            f"{_named(data)}: none of {len(opened)} recordings is left: data.source is "
            f"{data.source or 'any'}, the files hold {sources}"
        )
    training, held_out = _divide(data, {id: session.recording for id, session in kept.items()})
    if data.num_training is not None:
        training = _some(training, data.num_training)
    return Sessions(
        folder=_common_folder(data.places),
        training=tuple(kept[id] for id in training),
        held_out=tuple(kept[id] for id in held_out),
    )


def prepare_recording(recording: Recording, config: TrainConfig, *, path: Path) -> Recording:
    """Check that a recording can be used, and split it as a configuration says.

    Parameters
    ----------
    recording : Recording
    config : ForecastConfig or DecodeConfig
    path : Path
        Its file, for messages.

    Raises
    ------
    ConfigError, DataError
        If it is too small or too short, has no split, or has one through which windows leak.
    """
    # Unsorted activity would outweigh all units: it is neither read nor trained on nor scored.
    recording = recording.without_qualities(config.data.left_out_qualities)
    if isinstance(config, ForecastConfig):
        return _prepare_for_forecasts(recording, config, path)
    return prepare_for_decoding(recording, config, path)


def _prepare_for_forecasts(recording: Recording, config: ForecastConfig, path: Path) -> Recording:
    spec = config.window_spec()
    if recording.signals and len(recording.spike_times) == 0:
        raise DataError(
            f"{path}: holds signals ({', '.join(recording.signals)}) and no spikes, which a "
            "forecast is of; leave it out with data.leave_out"
        )
    if len(recording.spike_times) < 2 or recording.num_units < 2:
        raise DataError(
            f"{path}: {_plural(recording.num_units, 'unit')} and "
            f"{_plural(len(recording.spike_times), 'spike')}: a population forecast needs at "
            "least 2 of each; leave it out with data.leave_out"
        )
    window_s = spec.context_s + spec.horizon_s
    if recording.duration_s < window_s:
        raise DataError(
            f"{path}: {recording.duration_s:.3g} s recorded are shorter than one window "
            f"({spec.context_s:g} s of context and {spec.horizon_s:g} s of horizon): shorten "
            "window.context_s or window.horizon_s"
        )
    # A simulated session is short of nothing: a wider guard costs it no file.
    rule = TimeSplit() if isinstance(config.data, SimulatedData) else config.data.split
    try:
        split = split_recording(recording, rule, guard_s=max(GUARD_S, window_s))
        assert_no_leakage(split, context_s=spec.context_s, horizon_s=spec.horizon_s)
    except ConfigError as error:
        raise ConfigError(f"data.split: {error}") from error
    except DataError as error:
        stored = isinstance(rule, StoredSplit) and recording.split is not None
        hint = " (or let the run split anew: data.split.name=time)" if stored else ""
        raise DataError(f"{path}: {error}{hint}") from error
    return replace(recording, split=split)


def _simulated_sessions(
    config: TrainConfig, data: SimulatedData, progress: Progress | None
) -> Sessions:
    plan = population_plan(data)
    folder = data.folder / plan.fingerprint
    report = as_stage("simulating sessions", progress)
    paths = write_population(
        plan,
        folder,
        indices=session_indices(data),
        progress=report,
    )
    sessions = [
        Session(path, prepare_recording(open_recording(path), config, path=path)) for path in paths
    ]
    return Sessions(
        folder=folder,
        training=tuple(sessions[: data.num_sessions]),
        held_out=tuple(sessions[data.num_sessions :]),
    )


def _existing(place: Path, data: FilesData) -> Path:
    if not place.exists():
        raise DataError(
            f"{place}: no such file or folder: make it with `neurohorizon data prepare "
            f"{data.source or 'nwb'} PATH --out {place}`, or say where the recordings are with "
            "data.recordings=FOLDER"
        )
    return place


def _named(data: FilesData) -> str:
    return ", ".join(map(str, data.places))


def _common_folder(places: Sequence[Path]) -> Path:
    """Return the folder below which all of some files and folders lie."""
    folders = [place if place.is_dir() else place.parent for place in places]
    if len(folders) == 1:
        return folders[0]
    return Path(os.path.commonpath([folder.absolute() for folder in folders]))


def _divide(data: FilesData, recordings: dict[str, Recording]) -> tuple[list[str], list[str]]:
    """Return the ids of training recordings and of held-out ones."""
    rule = data.hold_out
    if isinstance(rule, HoldOutNone):
        return sorted(recordings), []
    if isinstance(rule, HoldOutIds):
        _require_known(rule.ids, recordings, "data.hold_out.ids")
        training = sorted(set(recordings) - set(rule.ids))
        if not training:
            raise ConfigError("data.hold_out.ids names every recording: nothing to train on")
        return training, sorted(rule.ids)
    groups = {id: id for id in recordings}
    if isinstance(rule, HoldOutSubjects):
        groups = {id: recording.subject for id, recording in recordings.items()}
        unknown = [id for id, subject in groups.items() if subject == "unknown"]
        if unknown:
            raise DataError(
                f"{unknown[0]}: its subject is unknown, so subjects cannot be held out: name it "
                "in the source file, or hold out recordings (data.hold_out.by=recording)"
            )
    strata = None
    if rule.stratify_by is not None:
        key = rule.stratify_by
        strata = {id: recording.metadata.get(key, "") for id, recording in recordings.items()}
        if not any(strata.values()):
            raise ConfigError(f"data.hold_out.stratify_by is {key}: no recording has such metadata")
    return hold_out(groups, strata=strata, fraction=rule.fraction, seed=rule.seed)


def _some(training: list[str], number: int) -> list[str]:
    """Return some recordings, in their order; more of them contain fewer."""
    if number > len(training):
        raise ConfigError(
            f"data.num_training is {number}: there are {len(training)} recordings to train on; "
            "leave it out for all of them"
        )
    drawn = np.random.default_rng(0).permutation(len(training))[:number]
    return [training[index] for index in sorted(drawn)]


def _require_known(ids: Sequence[str], known: dict[str, Any], key: str) -> None:
    for id in ids:
        if id not in known:
            near = difflib.get_close_matches(id, known, n=1)
            first = [*known][:NUM_NAMED] + ["..."] * (len(known) > NUM_NAMED)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(first)}"
            raise ConfigError(f"{key}: no recording is called {id}: {meant}")


def as_stage(name: str, progress: Progress | None) -> Callable[[int, int], None] | None:
    """Return a report of (done, in all) that names what is being done."""
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" + "s" * (count != 1)
