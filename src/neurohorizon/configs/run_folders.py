"""Who may write in a run folder, and whether runs that go by recordings can go on there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurohorizon.configs.load import LoadedConfig
from neurohorizon.configs.records import (
    LOCK_SUFFIX,
    State,
    first_difference,
    load_any_run,
    run_state,
)
from neurohorizon.configs.root import AnyConfig
from neurohorizon.errors import ConfigError
from neurohorizon.ops.lock import locked
from neurohorizon.training.processes import is_first_process


@contextmanager
def alone_in_run(folder: Path, *, busy: str = "training") -> Iterator[None]:
    """Keep others from doing the same in a run folder; of several processes the first does it.

    Parameters
    ----------
    folder : Path
    busy : str
        What is done there: a training may be evaluated while it goes on.

    Raises
    ------
    DataError
        If somebody else is at it, or the folder cannot be written.
    """
    if not is_first_process():
        yield
        return
    with locked(folder, f".{busy}{LOCK_SUFFIX}", busy=busy):
        yield


def require_folder(loaded: LoadedConfig[AnyConfig], *, resume: bool) -> State:
    """Tell how far the run folder is, and refuse what cannot be gone on with.

    Raises
    ------
    ConfigError
        If it holds an unfinished run that shall not be resumed, or a run of other settings.
    """
    config, folder = loaded.config, loaded.config.run.folder
    state = run_state(folder)
    if state == "unfinished" and not resume:
        raise ConfigError(
            f"{folder}: holds an unfinished run: go on with --resume, or choose another --out"
        )
    if state != "new":
        difference = first_difference(config, load_any_run(folder).config)
        if difference:
            raise ConfigError(
                f"{folder}: holds a run of other settings ({difference}): choose another folder "
                "with --out"
            )
    return state


def require_same_data(folder: Path, now: dict[str, Any]) -> None:
    """Refuse to go on with a run on other data than it began with.

    Raises
    ------
    ConfigError
    """
    if json.loads(json.dumps(now)) != load_any_run(folder).data:
        raise ConfigError(
            f"{folder}: was begun on other recordings, another bank or other pretrained models: "
            "bring them back, or choose another folder with --out"
        )
