"""Train from a configuration into a run folder: begin, skip what is done, or go on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neurohorizon.configs.data_schema import SimulatedData
from neurohorizon.configs.load import LoadedConfig
from neurohorizon.configs.records import (
    RECORD_FILES,
    RESUME_FILE,
    State,
    describe_data,
    first_difference,
    load_trained_run,
    run_state,
    write_records,
)
from neurohorizon.configs.root import TrainConfig
from neurohorizon.configs.run_folders import alone_in_run
from neurohorizon.configs.sessions import (
    Progress,
    open_sessions,
    population_plan,
    session_indices,
)
from neurohorizon.configs.trainings import check, num_parameters, prepare_fit
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.training.processes import is_first_process

if TYPE_CHECKING:
    from neurohorizon.training.loop import FitSummary


@dataclass(frozen=True)
class TrainedRun:
    """What became of a training.

    Parameters
    ----------
    folder : Path
    outcome : {"trained", "resumed", "skipped"}
        Skipped: it was finished already.
    summary : FitSummary
    """

    folder: Path
    outcome: Literal["trained", "resumed", "skipped"]
    summary: FitSummary


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would do, found out without doing it.

    Parameters
    ----------
    folder : Path
    state : {"new", "unfinished", "finished"}
    num_training, num_held_out : int
        Recordings.
    num_to_simulate : int
        Of them, how many must be simulated first.
    num_units : int or None
        In all recordings; None if some are to be simulated.
    num_parameters : int
        Of the model.
    """

    folder: Path
    state: State
    num_training: int
    num_held_out: int
    num_to_simulate: int
    num_units: int | None
    num_parameters: int


def plan_run(loaded: LoadedConfig[TrainConfig]) -> TrainingPlan:
    """Check all that a training needs, open its recordings, and write nothing.

    Raises
    ------
    NeuroHorizonError
        What the training would raise before its first step.
    """
    config = loaded.config
    check(config)
    state = check_folder(loaded, resume=True)
    missing = _num_to_simulate(loaded)
    sessions = open_sessions(config) if missing == 0 else None
    opened = None if sessions is None else [each.recording for each in sessions.training]
    size = num_parameters(config, opened)
    if sessions is None:
        assert isinstance(config.data, SimulatedData)
        counts = (config.data.num_sessions, config.data.num_held_out)
    else:
        counts = (len(sessions.training), len(sessions.held_out))
    every = () if sessions is None else (*sessions.training, *sessions.held_out)
    return TrainingPlan(
        folder=config.run.folder,
        state=state,
        num_training=counts[0],
        num_held_out=counts[1],
        num_to_simulate=missing,
        num_units=sum(s.recording.num_units for s in every) if sessions is not None else None,
        num_parameters=size,
    )


def train_run(
    loaded: LoadedConfig[TrainConfig],
    *,
    resume: bool = False,
    command_line: Sequence[str] = (),
    progress: Progress | None = None,
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> TrainedRun:
    """Train what a configuration describes; skip a finished run.

    Parameters
    ----------
    loaded : LoadedConfig
    resume : bool
        Go on with an unfinished run, from its last point to resume from.
    command_line : sequence of str
        For the record.
    progress : callable, optional
        Called with (what is being done, steps done, steps in all).
    on_epoch : callable, optional
        Called with the metrics of each epoch.

    Returns
    -------
    TrainedRun

    Raises
    ------
    ConfigError
        If the folder holds an unfinished run and `resume` is not set, or another run.
    NeuroHorizonError
        If the recordings cannot be used. Whatever goes wrong before there is a point to
        resume from, the run folder is left as it was found.
    """
    config, folder = loaded.config, loaded.config.run.folder
    check(config)
    existed = folder.exists()
    if check_folder(loaded, resume=resume) == "finished":
        return _skipped(folder)
    with alone_in_run(folder):
        # Somebody else may have been at work until now.
        state = check_folder(loaded, resume=resume)
        if state == "finished":
            return _skipped(folder)
        summary = _train(
            loaded,
            state=state,
            existed=existed,
            resume=resume,
            command_line=command_line,
            progress=progress,
            on_epoch=on_epoch,
        )
    return TrainedRun(folder, "resumed" if state == "unfinished" else "trained", summary)


def _skipped(folder: Path) -> TrainedRun:
    from neurohorizon.training.loop import read_summary

    return TrainedRun(folder, "skipped", read_summary(folder))


def _train(
    loaded: LoadedConfig[TrainConfig],
    *,
    state: State,
    existed: bool,
    resume: bool,
    command_line: Sequence[str],
    progress: Progress | None,
    on_epoch: Callable[[Mapping[str, float]], None] | None,
) -> FitSummary:
    """Train into a folder that is locked."""
    config, folder = loaded.config, loaded.config.run.folder
    sessions = open_sessions(config, progress=progress)
    described = describe_data(sessions, folder)
    if state == "unfinished":
        _require_same_data(load_trained_run(folder).data, described, folder)
    recordings = [session.recording for session in sessions.training]
    fit = prepare_fit(config, recordings, progress=progress)
    at_interrupt = signal.getsignal(signal.SIGINT)
    try:
        if state == "new" and is_first_process():
            write_records(folder, loaded, described, command_line=command_line)
        return fit(
            run_folder=folder,
            resume=resume,
            on_epoch=on_epoch,
            on_step=None if progress is None else lambda n, total: progress("training", n, total),
        )
    except SystemExit as error:
        # Lightning answers an interruption by an exit, and is deaf to the keyboard from then on.
        signal.signal(signal.SIGINT, at_interrupt)
        raise KeyboardInterrupt from error
    finally:
        _tidy(folder, state=state, existed=existed)


def check_folder(loaded: LoadedConfig[TrainConfig], *, resume: bool) -> State:
    """Tell how far the run folder is, and refuse what cannot be gone on with.

    Raises
    ------
    ConfigError
        If it holds a run with other settings, an unfinished run that shall not be resumed,
        or no run.
    """
    folder = loaded.config.run.folder
    state = run_state(folder)
    if state == "new" or not is_first_process():
        return "new" if state == "unfinished" and not resume else state
    difference = first_difference(loaded.config, load_trained_run(folder).config)
    if difference:
        raise ConfigError(
            f"{folder}: holds another run ({difference}): choose another folder with --out, or "
            "delete that one"
        )
    if state == "unfinished" and not resume:
        raise ConfigError(
            f"{folder}: holds an unfinished run: go on with it with --resume, choose another "
            "folder with --out, or delete that one"
        )
    return state


def _num_to_simulate(loaded: LoadedConfig[TrainConfig]) -> int:
    data = loaded.config.data
    if not isinstance(data, SimulatedData):
        return 0
    plan = population_plan(data)
    folder = data.folder / plan.fingerprint
    files = [folder / f"{plan.session_id(index)}.h5" for index in session_indices(data)]
    return sum(not file.exists() for file in files)


def _require_same_data(
    before: Mapping[str, object], now: Mapping[str, object], folder: Path
) -> None:
    for part in ("training", "held_out"):
        if before[part] != now[part]:
            raise DataError(
                f"{folder}: the {part.replace('_', '-')} recordings have changed since this run "
                "began: bring them back, or train into another folder with --out"
            )


def _tidy(folder: Path, *, state: State, existed: bool) -> None:
    """Remove what a run that cannot be gone on with has left."""
    if state != "new" or (folder / RESUME_FILE).exists() or not is_first_process():
        return
    for name in RECORD_FILES:
        (folder / name).unlink(missing_ok=True)
    if not existed:
        shutil.rmtree(folder, ignore_errors=True)
