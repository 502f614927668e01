"""What no recording of a simulated session tells, in a file beside it: latents, gains, loadings."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.ops.files import NPZ_DAMAGE, atomic_path
from neurohorizon.recordings.schema import Recording
from neurohorizon.recordings.store import open_recording
from neurohorizon.simulate.calcium import SimulatedCalcium
from neurohorizon.simulate.drives import SimulatedDrives
from neurohorizon.simulate.session import (
    SimulatedSession,
    SimulatedTrials,
    SimulatedUnits,
    latent_log_rate,
)
from neurohorizon.simulate.world import PopulationWorld

TRUTH_SUFFIX = ".truth.npz"
_DRIVE_TRUTH = ("running_weight", "picture_weight", "pictures")


def truth_path(recording_path: Path | str) -> Path:
    """Return where the truth behind a simulated recording's file lies."""
    return Path(recording_path).with_suffix(TRUTH_SUFFIX)


def write_truth(session: SimulatedSession, path: Path | str) -> None:
    """Write what a recording of the session would not tell, without pickle.

    Raises
    ------
    DataError
        If the file cannot be written; nothing is left behind.

    Notes
    -----
    Rates are not stored: they are a function of latents, loadings and gains, which are.
    """
    units, trials = session.units, session.trials
    arrays = {
        "latents": session.latents,
        "loading": units.loading,
        "base_log_rate": units.base_log_rate,
        "history_weight": units.history_weight,
        "is_burster": units.is_burster,
        "log_gain": units.log_gain,
        "preparation_start_s": trials.preparation_start_s,
        "movement_onset_s": trials.movement_onset_s,
        "end_s": trials.end_s,
        "direction_index": trials.direction_index,
        "duration_s": np.array(session.duration_s),
        "seed": np.atleast_1d(session.seed),
        "world": np.array(json.dumps(asdict(session.world))),
    }
    if session.drives is not None:
        # What was shown, and the running, are in the recording.
        arrays |= {name: getattr(session.drives, name) for name in _DRIVE_TRUTH}
    if session.calcium is not None:
        # The traces are in the recording, which does not tell the spikes.
        arrays |= {
            "calcium_amplitude": session.calcium.amplitude,
            "spike_times": session.spike_times,
            "spike_unit_index": session.spike_unit_index,
        }
    try:
        with atomic_path(path) as temporary:
            np.savez(temporary, **arrays)
    except OSError as error:
        raise DataError(
            f"{path}: could not be written ({error.strerror or error}); nothing was left behind, "
            "check the free space and the permissions"
        ) from error


def load_truth(recording_path: Path | str) -> SimulatedSession:
    """Load a simulated session again: its recording and the truth beside it.

    Parameters
    ----------
    recording_path : path
        The recording's file (``.h5``).

    Returns
    -------
    SimulatedSession
        As it was simulated; what the ideal observer needs.

    Raises
    ------
    DataError
        If either file is missing or damaged.
    """
    path = truth_path(recording_path)
    if not path.is_file():
        raise DataError(
            f"{recording_path}: no truth beside it (expected {path.name}): only sessions of "
            "`neurohorizon simulate population` have one"
        )
    recording = open_recording(recording_path)
    try:
        with np.load(path, allow_pickle=False) as file:
            truth = {name: file[name] for name in file.files}
        world = _read_world(str(truth["world"]))
        units = SimulatedUnits(
            **{name: truth[name] for name in SimulatedUnits.__dataclass_fields__}
        )
        trials = SimulatedTrials(
            **{name: truth[name] for name in SimulatedTrials.__dataclass_fields__}
        )
        latents, seed = truth["latents"], tuple(truth["seed"].tolist())
        duration_s = float(truth["duration_s"])
        drives = _load_drives(recording, truth) if "picture_weight" in truth else None
        calcium = _load_calcium(recording, truth) if "calcium_amplitude" in truth else None
        spike_times, spike_unit_index = recording.spike_times, recording.spike_unit_index
        if calcium is not None:
            spike_times, spike_unit_index = truth["spike_times"], truth["spike_unit_index"]
    except NPZ_DAMAGE as error:
        raise DataError(
            f"{path}: damaged or foreign ({error}); remove it and its recording, and simulate "
            "them again"
        ) from error
    if len(units) != recording.num_units:
        raise DataError(
            f"{path}: tells of {len(units)} units, {recording_path} has {recording.num_units}: "
            "they are not of one session; simulate them again"
        )
    velocity = recording.series.get("velocity")
    return SimulatedSession(
        spike_times=np.asarray(spike_times),
        spike_unit_index=np.asarray(spike_unit_index, dtype=np.int64),
        num_units=recording.num_units,
        duration_s=duration_s,
        latents=latents,
        rate_hz=np.exp(latent_log_rate(world, latents, units, drives)).astype(np.float32),
        units=units,
        trials=trials,
        velocity=None if velocity is None else np.asarray(velocity.values, dtype=np.float64),
        velocity_timestamps=None if velocity is None else velocity.timestamps,
        world=world,
        seed=seed[0] if len(seed) == 1 else seed,
        drives=drives,
        calcium=calcium,
    )


def _load_calcium(recording: Recording, truth: dict[str, Any]) -> SimulatedCalcium:
    signal = recording.signals["calcium"]
    traces = np.asarray(signal.values, dtype=np.float32)
    return SimulatedCalcium(signal.timestamps, traces, truth["calcium_amplitude"])


def _load_drives(recording: Recording, truth: dict[str, Any]) -> SimulatedDrives:
    shown = recording.tables["presentations"]
    return SimulatedDrives(
        running=np.asarray(recording.series["running"].values, dtype=np.float64)[:, 0],
        presentation_start_s=shown.start,
        presentation_end_s=shown.end,
        picture_index=np.asarray(shown.columns["picture"], dtype=np.int64),
        **{name: truth[name] for name in _DRIVE_TRUTH},
    )


def _read_world(text: str) -> PopulationWorld:
    values: dict[str, Any] = json.loads(text)
    for key, value in values.items():
        if isinstance(value, list):
            values[key] = tuple(value)
    return PopulationWorld(**values)
