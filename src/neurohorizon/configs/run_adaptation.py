"""Adapt a run's model to a session, into a folder of its own; what adapting is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neurohorizon import __version__
from neurohorizon.configs.build import protocol
from neurohorizon.configs.records import load_run, open_run_sessions
from neurohorizon.configs.sessions import prepare_recording
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.result_files import load_result, save_result
from neurohorizon.evaluation.run_results import (
    FEW_SHOT_PART,
    RESULTS_FOLDER,
    is_there,
    part_path,
    results_of,
)
from neurohorizon.models.checkpoint import MODEL_FILE, save_forecaster
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.weights_file import model_checksum
from neurohorizon.ops.files import checksum, write_json
from neurohorizon.recordings.store import open_recording
from neurohorizon.training.adapt import ADAPT_MODES, Adaptation, AdaptMode, adapt_forecaster
from neurohorizon.training.few_shot import fitting_minutes, measure_few_shot, row_name

ADAPTATION_FILE = "adaptation.json"


def adapt_run(
    run: Path,
    path: Path,
    *,
    minutes: float,
    mode: AdaptMode,
    out: Path | None = None,
    max_steps: int = 200,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Adaptation]:
    """Adapt a run's model to a recording, split as the run's configuration says.

    Parameters
    ----------
    run : Path
        Run folder.
    path : Path
        Recording.
    minutes : float
    mode : {"offsets", "low_rank", "full"}
    out : Path, optional
        Folder; RUN/adapted/RECORDING-MODE-MINUTESmin by default.
    max_steps : int
    progress : callable, optional
        Called with steps taken, and steps at most.

    Returns
    -------
    out : Path
        Holds ``model.safetensors`` and, written last, ``adaptation.json``.
    adaptation : Adaptation

    Raises
    ------
    NeuroHorizonError
        If run, recording or minutes cannot be used, or the folder holds something else.
    """
    record = load_run(run)
    forecaster = TrainedForecaster.load(run)
    recording = prepare_recording(open_recording(path), record.config, path=path)
    if out is None:
        out = run / "adapted" / f"{path.stem}-{mode}-{minutes:g}min"
    require_adaptation_folder(out)
    adapted, told = adapt_forecaster(
        forecaster,
        recording,
        minutes=minutes,
        mode=mode,
        max_steps=max_steps,
        seed=record.config.run.seed,
        progress=progress,
    )
    out.mkdir(parents=True, exist_ok=True)
    save_forecaster(adapted.model, out / MODEL_FILE, known_units=adapted.known_units)
    write_adaptation(out, asdict(told), run=run, recording=path)
    return out, told


def require_adaptation_folder(out: Path) -> None:
    """Refuse a folder that holds something else than an adaptation.

    Raises
    ------
    ConfigError
    """
    if not out.exists() or (out / ADAPTATION_FILE).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise ConfigError(f"{out}: holds something else: choose another folder with --out")


def write_adaptation(out: Path, told: Mapping[str, Any], *, run: Path, recording: Path) -> None:
    """Write how an adaptation went, and of what to what: the last of its files."""
    content = {
        **told,
        "adapted_from": run.resolve().name,
        "model_sha256": checksum(run / MODEL_FILE),
        "recording_sha256": checksum(recording),
        "neurohorizon": __version__,
    }
    write_json(out / ADAPTATION_FILE, content)


def score_few_shot(
    run: Path,
    *,
    minutes: Sequence[float],
    recordings: Path | None = None,
    max_steps: int = 200,
    again: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> bool:
    """Score a run's model on its held-out sessions zero-shot, and adapted with minutes of each.

    Parameters
    ----------
    run : Path
        Run folder; its results are given the part ``held-out.few-shot``.
    minutes : sequence of float
        Those that not every session has to give are left out.
    recordings : Path, optional
        Where the run's recordings lie now, if they were moved.
    max_steps : int
        Of each adaptation.
    again : bool
        Compute what is there already, too.
    progress : callable, optional
        Called with what is being done, adaptations done, and adaptations in all.

    Returns
    -------
    bool
        False if it was there.

    Raises
    ------
    NeuroHorizonError
        If run, recordings or minutes cannot be used.
    """
    if not (run / MODEL_FILE).is_file():
        raise ConfigError(f"{run}: holds no model to adapt: train one")
    record = load_run(run)
    sessions = open_run_sessions(record, recordings=recordings)
    held_out = [session.recording for session in sessions.held_out]
    if not held_out:
        raise ConfigError(f"{run}: holds out no recording to adapt to")
    lengths = fitting_minutes(held_out, sorted(set(minutes)))
    path = part_path(run / RESULTS_FOLDER, "held-out", FEW_SHOT_PART)
    of_run = protocol(record.config)
    with results_of(run / RESULTS_FOLDER, [model_checksum(run), asdict(of_run)]):
        if not again and is_there(path):
            found = {row.name for row in load_result(path).rows}
            if all(row_name(mode, length) in found for mode in ADAPT_MODES for length in lengths):
                return False
        result = measure_few_shot(
            TrainedForecaster.load(run),
            held_out,
            of_run,
            minutes=lengths,
            max_steps=max_steps,
            seed=record.config.run.seed,
            progress=progress,
        )
        save_result(result, path)
    return True
