"""Score the baseline ladder alone, on the recordings of a configuration, into a run folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from neurohorizon.configs import build
from neurohorizon.configs.load import LoadedConfig, load_config
from neurohorizon.configs.records import (
    CONFIG_FILE,
    DATA_FILE,
    RECORD_FILES,
    describe_data,
    first_difference,
    load_run,
    write_records,
)
from neurohorizon.configs.run_evaluation import BASELINES_FILE, evaluate_run
from neurohorizon.configs.sessions import Progress, open_sessions
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.run_results import RESULTS_FOLDER, SET_NAMES, is_there
from neurohorizon.ops.files import atomic_path

#: What is added to a run's name: its folder must not be that of a training.
SUFFIX = "-baselines"
#: Sections that say nothing of baselines.
OF_A_MODEL = ("model", "training", "reference")


def load_baselines_config(
    recipe: str, overrides: Sequence[str] = (), *, folder: Path | None = None
) -> LoadedConfig:
    """Load a recipe, or the recipe `nwb` for a folder of recordings.

    Parameters
    ----------
    recipe : str
        Name of a recipe, path of a ``.yaml`` file, a folder of recordings, or one recording.
    overrides : sequence of str
        ``key=value``.
    folder : Path, optional
        Folder of the run; runs/NAME-baselines by default.

    Raises
    ------
    ConfigError
        One line: what, where it is from, expected against got, and what to do. A setting of a
        model is refused: it would have no effect.
    """
    for text in overrides:
        if text.partition("=")[0].partition(".")[0] in OF_A_MODEL:
            raise ConfigError(
                f"'{text}': has no effect on baselines alone, no model is trained: leave it out"
            )
    path = Path(recipe)
    if path.is_dir() or path.suffix == ".h5":
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().stem).strip("-.") or "recordings"
        # A path in quotes: YAML would read some names as something else.
        given = {"data.recordings": json.dumps(str(path)), "run.name": name}
        own = [
            f"{key}={value}"
            for key, value in given.items()
            if not any(text.startswith(f"{key}=") for text in overrides)
        ]
        recipe, overrides = "nwb", [*own, *overrides]
    loaded = load_config(recipe, overrides, folder=folder)
    if folder is not None or loaded.origin["run.folder"] == "command line":
        return loaded
    plain = loaded.config.run.folder
    return load_config(recipe, overrides, folder=plain.with_name(plain.name + SUFFIX))


def score_baselines(
    loaded: LoadedConfig,
    *,
    again: bool = False,
    command_line: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[str]:
    """Fit the ladder on a configuration's recordings and score it; train nothing else.

    Parameters
    ----------
    loaded : LoadedConfig
        What it says of a model and its training is not used.
    again : bool
        Compute what is there already, too.
    command_line : sequence of str
        For the record.
    progress : callable, optional
        Called with (what is being done, steps done, steps in all).

    Returns
    -------
    list of str
        What was computed, by the name of its folder; empty if all of it was there.

    Raises
    ------
    ConfigError
        If the folder holds something else.
    NeuroHorizonError
        If the recordings cannot be used. Whatever goes wrong before a set is scored, the run
        folder is left as it was found.
    """
    config, folder = loaded.config, loaded.config.run.folder
    build.check(config)
    is_new = _require_baselines(loaded)
    sessions = open_sessions(config, progress=progress)
    described = describe_data(sessions, folder)
    if not is_new and load_run(folder).data != described:
        raise DataError(
            f"{folder}: the recordings have changed since these baselines were scored: bring them "
            "back, or choose another folder with --out"
        )
    existed = folder.exists()
    try:
        if is_new:
            with atomic_path(folder / BASELINES_FILE) as temporary:
                temporary.write_text(json.dumps({"recipe": loaded.recipe}) + "\n")
            write_records(folder, loaded, described, command_line=command_line)
        return evaluate_run(folder, again=again, command_line=command_line, progress=progress)
    except BaseException:
        if is_new and not any(is_there(folder / RESULTS_FOLDER / name) for name in SET_NAMES):
            for name in (*RECORD_FILES, BASELINES_FILE):
                (folder / name).unlink(missing_ok=True)
            if not existed:
                shutil.rmtree(folder, ignore_errors=True)
        raise


def _require_baselines(loaded: LoadedConfig) -> bool:
    """Tell whether the folder is new; refuse it if it holds something else.

    Raises
    ------
    ConfigError
    """
    folder = loaded.config.run.folder
    if folder.is_file():
        raise ConfigError(f"{folder}: is a file: choose another folder with --out")
    if not folder.is_dir() or not any(folder.iterdir()):
        return True
    if not (folder / BASELINES_FILE).is_file() or not (folder / DATA_FILE).is_file():
        what = "a training" if (folder / CONFIG_FILE).is_file() else "files"
        raise ConfigError(
            f"{folder}: holds {what}, not baselines alone: choose another folder with --out"
        )
    difference = first_difference(loaded.config, load_run(folder).config)
    if difference:
        raise ConfigError(
            f"{folder}: holds other baselines ({difference}): choose another folder with --out, or "
            "delete that one"
        )
    return False
