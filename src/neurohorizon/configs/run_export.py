"""Write a run's scored forecasts for another benchmark's own code."""

from __future__ import annotations

from pathlib import Path

from neurohorizon.configs.build import protocol
from neurohorizon.configs.records import load_run, open_run_sessions
from neurohorizon.configs.run_evaluation import BASELINES_FILE
from neurohorizon.configs.sessions import Progress, Sessions
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.baselines.ladder import fit_ladder
from neurohorizon.evaluation.baselines.training import prepare_training
from neurohorizon.evaluation.export import (
    ExportedRecording,
    Layout,
    export_forecasts,
    require_own,
)
from neurohorizon.evaluation.model_row import ModelRow
from neurohorizon.evaluation.protocol import Forecaster, Protocol, prepare_case
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.models.forecasting import TrainedForecaster


def export_run(
    run: Path,
    out: Path,
    *,
    layout: Layout,
    of_set: SetName | None = None,
    row: str | None = None,
    horizon_s: float | None = None,
    recordings: Path | None = None,
    progress: Progress | None = None,
) -> list[ExportedRecording]:
    """Forecast the windows that a run is scored on, and write what was forecast.

    Parameters
    ----------
    run : Path
        Run folder.
    out : Path
        Folder for the files.
    layout : {"nlb", "bwb"}
    of_set : {"held-out", "later"}, optional
        Held-out sessions where there are any, by default.
    row : str, optional
        A baseline by its name; the model by default.
    horizon_s : float, optional
        One of the horizons that are scored; the longest by default.
    recordings : Path, optional
        Where the run's recordings lie now, if they were moved.
    progress : callable, optional
        Called with (what is being done, steps done, steps in all).

    Raises
    ------
    NeuroHorizonError
        If the run or its recordings cannot be used, or there is no such set or row.
    """
    require_own(out)
    record = load_run(run)
    scored_by = protocol(record.config)
    if row is None and (run / BASELINES_FILE).is_file():
        raise ConfigError(f"{run}: holds baselines alone: name one of them with --row")
    model = ModelRow(TrainedForecaster.load(run)) if row is None else None
    sessions = open_run_sessions(record, recordings=recordings)
    if of_set is None:
        of_set = "held-out" if sessions.held_out else "later"
    chosen = sessions.held_out if of_set == "held-out" else sessions.training
    if not chosen:
        raise ConfigError(f"{run}: holds out no recording: export with --set later")
    cases = [
        prepare_case(each.recording, scored_by, held_out=of_set == "held-out") for each in chosen
    ]
    return export_forecasts(
        model or _fitted(row or "", sessions, scored_by, progress),
        cases,
        out,
        layout=layout,
        horizon_s=horizon_s,
        label=run.resolve().name if row is None else f"{run.resolve().name} {row}",
        seed=record.config.run.seed,
        progress=progress,
    )


def _fitted(
    row: str, sessions: Sessions, scored_by: Protocol, progress: Progress | None
) -> Forecaster:
    """Return one baseline of the ladder, fitted on the training sessions."""
    recordings = [session.recording for session in sessions.training]
    training = prepare_training(recordings, scored_by, progress=progress)
    ladder = {each.name: each for each in fit_ladder(training, progress=progress)}
    if row not in ladder:
        raise ConfigError(f"--row {row}: no such baseline: choose one of {', '.join(ladder)}")
    return ladder[row]
