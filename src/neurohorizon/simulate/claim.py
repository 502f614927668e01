"""A folder of a world says how it was made, and is not mixed with another's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurohorizon.errors import ConfigError
from neurohorizon.ops.files import atomic_path


def claim(path: Path, wanted: Mapping[str, Any], *, foreign: str) -> None:
    """Write how a folder's files are made, or make sure that it says the same already.

    Parameters
    ----------
    path : path
        The JSON file in the folder.
    wanted : mapping
        Its content.
    foreign : str
        Pattern of files that are not expected in a folder without it.

    Raises
    ------
    ConfigError
        If the folder holds something else.
    """
    folder = path.parent
    if not path.exists():
        if any(folder.glob(foreign)):
            raise ConfigError(
                f"{folder}: holds files ({foreign}) that were not simulated here (no {path.name}): "
                "choose another folder"
            )
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        every = [*wanted, *(key for key in found if key not in wanted)]
        differing = [key for key in every if found.get(key) != wanted.get(key)]
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: damaged ({error}): choose another folder") from error
    if differing:
        key = differing[0]
        raise ConfigError(
            f"{folder}: was simulated with other settings ({key} is {found.get(key)} there, "
            f"{wanted.get(key)} here): choose another folder"
        )
