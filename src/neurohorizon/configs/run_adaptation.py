"""Adapt a run's model to a session, into a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from neurohorizon import __version__
from neurohorizon.configs.records import load_run
from neurohorizon.configs.sessions import prepare_recording
from neurohorizon.errors import ConfigError
from neurohorizon.models.checkpoint import MODEL_FILE, save_forecaster
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.ops.files import checksum, write_json
from neurohorizon.recordings.store import open_recording
from neurohorizon.training.adapt import Adaptation, AdaptMode, adapt_forecaster

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
    if out.exists() and not (out / ADAPTATION_FILE).is_file() and (
        not out.is_dir() or any(out.iterdir())
    ):  # fmt: skip
        raise ConfigError(f"{out}: holds something else: choose another folder with --out")
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
    content = {
        **asdict(told),
        "adapted_from": run.resolve().name,
        "model_sha256": checksum(run / MODEL_FILE),
        "recording_sha256": checksum(path),
        "neurohorizon": __version__,
    }
    write_json(out / ADAPTATION_FILE, content)
    return out, told
