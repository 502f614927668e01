"""What a run folder says about how it came to be.

===================  ================================================================
``config.yaml``      the resolved configuration: a recipe that gives the same run
``origin.json``      where each of its values came from
``provenance.json``  versions, platform, seeds, command line
``data.json``        which recordings were trained on and held out, with checksums
===================  ================================================================

The training itself adds ``model.safetensors``, ``metrics.csv``, ``last.ckpt`` and, at its
end, ``training.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic import ValidationError

from neurohorizon import __version__
from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.load import LoadedConfig, flatten, to_yaml
from neurohorizon.configs.masked_schema import MaskedConfig
from neurohorizon.configs.problems import format_value
from neurohorizon.configs.recipe_file import read_yaml
from neurohorizon.configs.root import AnyConfig, TrainConfig, root_of
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.configs.sessions import Session, Sessions, prepare_recording
from neurohorizon.errors import CheckpointError, ConfigError, DataError
from neurohorizon.evaluation.protocol import LEFT_OUT_QUALITIES
from neurohorizon.ops.files import atomic_path, checksum
from neurohorizon.recordings.store import open_recording

CONFIG_FILE = "config.yaml"
ORIGIN_FILE = "origin.json"
PROVENANCE_FILE = "provenance.json"
DATA_FILE = "data.json"
RECORD_FILES = (CONFIG_FILE, ORIGIN_FILE, PROVENANCE_FILE, DATA_FILE)
#: Written by the training; say that it can go on, and that it came to its end.
RESUME_FILE = "last.ckpt"
DONE_FILE = "training.json"

#: Where a run is computed, not what: may differ between a run and its continuation.
HARDWARE = (
    "run.folder",
    "training.accelerator",
    "training.devices",
    "training.strategy",
    "training.num_workers",
    "training.checkpoint_activations",
    "training.save_every_steps",
)
LIBRARIES = ("torch", "lightning", "torch_brain", "numpy", "scipy", "h5py", "safetensors")

State = Literal["new", "unfinished", "finished"]
#: Of the files by which a process says that it writes in a run folder.
LOCK_SUFFIX = ".lock"

C = TypeVar("C", bound=AnyConfig, covariant=True)


@dataclass(frozen=True)
class Run(Generic[C]):
    """A run folder, read.

    Parameters
    ----------
    folder : Path
    config : ForecastConfig, DecodeConfig, BridgeConfig or MaskedConfig
    data : dict
        Content of ``data.json``.
    """

    folder: Path
    config: C
    data: dict[str, Any]

    @property
    def recordings_folder(self) -> Path:
        """Where its recordings lie, seen from the run folder."""
        return Path(os.path.normpath(self.folder / self.data["folder"]))


def run_state(folder: Path | str) -> State:
    """Tell how far a run folder is.

    Raises
    ------
    ConfigError
        If the path is taken by something that is no run.
    """
    folder = Path(folder)
    if not folder.exists():
        return "new"
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is a file: choose another folder with --out")
    if (folder / DONE_FILE).is_file() and (folder / CONFIG_FILE).is_file():
        return "finished"
    if (folder / CONFIG_FILE).is_file():
        return "unfinished"
    if any(path.suffix != LOCK_SUFFIX for path in folder.iterdir()):
        raise ConfigError(
            f"{folder}: holds files, but no run ({CONFIG_FILE} is missing): choose another "
            "folder with --out"
        )
    return "new"


def load_run(folder: Path | str) -> Run[ForecastConfig]:
    """Read what the run folder of a forecaster says about itself.

    Raises
    ------
    CheckpointError
        What `load_any_run` raises, and if the run is of a decoder.
    """
    run = load_trained_run(folder)
    if not isinstance(run.config, ForecastConfig):
        raise CheckpointError(
            f"{folder}: holds a decoder ({run.config.model.name}), and this is about forecasts: "
            "give the run of a forecaster"
        )
    return cast("Run[ForecastConfig]", run)


def load_decode_run(folder: Path | str) -> Run[DecodeConfig]:
    """Read what the run folder of a decoder says about itself.

    Raises
    ------
    CheckpointError
        What `load_any_run` raises, and if the run is of a forecaster.
    """
    run = load_trained_run(folder)
    if not isinstance(run.config, DecodeConfig):
        raise CheckpointError(
            f"{folder}: holds a forecaster, and this is about decoding: give the run of a decoder"
        )
    return cast("Run[DecodeConfig]", run)


def load_trained_run(folder: Path | str) -> Run[TrainConfig]:
    """Read what the run folder of a forecaster or a decoder says about itself.

    Raises
    ------
    CheckpointError
        What `load_any_run` raises, and if the run is another's.
    """
    run = load_any_run(folder)
    if isinstance(run.config, BridgeConfig):
        raise CheckpointError(
            f"{folder}: holds bridges: `neurohorizon bridge retrieve` scores them"
        )
    if isinstance(run.config, MaskedConfig):
        raise CheckpointError(
            f"{folder}: holds pretrained models: `neurohorizon bridge align` starts from them "
            "(model.pretrained)"
        )
    return cast("Run[TrainConfig]", run)


def load_bridge_run(folder: Path | str) -> Run[BridgeConfig]:
    """Read what a run folder of bridges says about itself.

    Raises
    ------
    CheckpointError
        What `load_any_run` raises, and if the run is another's.
    """
    run = load_any_run(folder)
    if not isinstance(run.config, BridgeConfig):
        raise CheckpointError(
            f"{folder}: holds no bridges: give a folder that `neurohorizon bridge align` wrote"
        )
    return cast("Run[BridgeConfig]", run)


def load_any_run(folder: Path | str) -> Run[AnyConfig]:
    """Read what a run folder says about itself.

    Raises
    ------
    CheckpointError
        If there is no run, or its records are damaged or of another version.
    """
    folder = Path(folder)
    require_run(folder)
    try:
        values = read_yaml(folder / CONFIG_FILE)
        config = root_of(values).model_validate(values)
        data = json.loads((folder / DATA_FILE).read_text(encoding="utf-8"))
        if not {"folder", "training", "held_out"} <= set(data):
            raise ValueError(f"{DATA_FILE} is incomplete")
    except (ValidationError, ConfigError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: its records are damaged or of another version ({_reason(error)})"
        ) from error
    return Run(folder, config, data)


def require_run(folder: Path | str) -> None:
    """Refuse a folder that is no run's.

    Raises
    ------
    CheckpointError
        With what is there instead.
    """
    folder = Path(folder)
    if (folder / CONFIG_FILE).is_file():
        return
    why = f"{CONFIG_FILE} is missing"
    if not folder.is_dir():
        why = "it is a file" if folder.exists() else "there is no such folder"
    raise CheckpointError(
        f"{folder}: no run there ({why}): give a folder that `neurohorizon train` wrote"
    )


def left_out_qualities(run: Path | str) -> tuple[str, ...]:
    """Return the quality words of units that a run leaves out.

    Parameters
    ----------
    run : path
        Run folder, or the file of a model without its run: then those of the default.

    Raises
    ------
    CheckpointError
        If the run's records are damaged.
    """
    if not (Path(run) / CONFIG_FILE).is_file():
        return LEFT_OUT_QUALITIES
    return load_trained_run(run).config.data.left_out_qualities


def open_run_sessions(
    run: Run[TrainConfig], *, recordings: Path | str | None = None, verify: bool = True
) -> Sessions:
    """Open the recordings that a run trained on and held out, split as they were.

    Parameters
    ----------
    run : Run
    recordings : path, optional
        Where they lie now, if they were moved.
    verify : bool
        Compare checksums with those of the training.

    Raises
    ------
    DataError
        If one is missing or has changed.
    """
    folder = run.recordings_folder if recordings is None else Path(recordings)
    if not folder.is_dir():
        raise DataError(
            f"{folder}: the recordings of {run.folder} are not there: say where they "
            "lie with --recordings FOLDER"
        )

    def opened(entry: dict[str, Any]) -> Session:
        path = folder / entry["file"]
        recording = open_recording(path)
        if verify and checksum(path) != entry["sha256"]:
            raise DataError(
                f"{path}: has changed since {run.folder} was trained: train again, or bring the "
                "file back"
            )
        return Session(path, prepare_recording(recording, run.config, path=path))

    return Sessions(
        folder=folder,
        training=tuple(opened(entry) for entry in run.data["training"]),
        held_out=tuple(opened(entry) for entry in run.data["held_out"]),
    )


def first_difference(one: AnyConfig, other: AnyConfig) -> str:
    """Say where two configurations differ, hardware left out; "" where they do not."""
    here, there = dict(flatten(one)), dict(flatten(other))
    for key in dict.fromkeys([*here, *there]):
        if key not in HARDWARE and here.get(key) != there.get(key):
            values = (format_value(side[key]) if key in side else "-" for side in (here, there))
            return "{} is {} here and {} there".format(key, *values)
    return ""


def describe_data(sessions: Sessions, run_folder: Path) -> dict[str, Any]:
    """Return the content of ``data.json``; the folder is told relative to the run folder."""

    def entry(session: Session) -> dict[str, Any]:
        recording = session.recording
        return {
            "id": recording.id,
            "subject": recording.subject,
            "file": os.path.relpath(session.path, sessions.folder),
            "sha256": checksum(session.path),
            "num_units": recording.num_units,
            "num_spikes": len(recording.spike_times),
            "duration_s": round(recording.duration_s, 3),
        }

    return {
        "folder": Path(os.path.relpath(sessions.folder, run_folder)).as_posix(),
        "training": [entry(session) for session in sessions.training],
        "held_out": [entry(session) for session in sessions.held_out],
    }


def write_records(
    folder: Path,
    loaded: LoadedConfig[AnyConfig],
    data: dict[str, Any],
    *,
    command_line: Sequence[str],
) -> None:
    """Write the four records of a run; ``config.yaml``, which makes it one, comes last."""
    provenance = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command_line": list(command_line),
        "recipe": loaded.recipe,
        "seed": loaded.config.run.seed,
        "neurohorizon": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "num_cpus": os.cpu_count(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "data_sha256": _digest(data),
    }
    for name, content in (
        (DATA_FILE, data),
        (PROVENANCE_FILE, provenance),
        (ORIGIN_FILE, loaded.origin),
    ):
        _write(folder / name, json.dumps(content, indent=1) + "\n")
    header = f"# neurohorizon {__version__}, recipe {loaded.recipe}\n"
    _write(folder / CONFIG_FILE, header + to_yaml(loaded.config))


def _digest(data: dict[str, Any]) -> str:
    """Return one checksum over those of all recordings."""
    entries = [*data["training"], *data["held_out"]]
    joined = "\n".join(entry["sha256"] for entry in entries)
    return hashlib.sha256(joined.encode()).hexdigest()


def _reason(error: Exception) -> str:
    """Say in some words what is wrong with records."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    return str(error).splitlines()[0]


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _commit() -> str | None:
    """Return the commit of the source this package runs from, "+" if it was changed since."""
    source = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(source), *words], capture_output=True, text=True, timeout=10
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        # Only if this file is tracked there: an installed package lies in somebody's else.
        if not git("ls-files", "--", Path(__file__).name):
            return None
        commit = git("rev-parse", "HEAD")
        return commit + "+" * bool(git("status", "--porcelain", "--", ".")) if commit else None
    except (OSError, subprocess.TimeoutExpired):
        return None
