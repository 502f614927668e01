"""Checkpoints without pickle: weights as safetensors, settings as JSON in its header.

Nothing in such a file can run code, so a checkpoint from a stranger is as safe as data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from neurohorizon import __version__
from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.window_spec import WindowSpec

SYSTEM = "horizon"
MODEL_FILE = "model.safetensors"


def save_forecaster(
    model: HorizonForecaster, path: Path | str, *, known_units: Mapping[str, int] | None = None
) -> None:
    """Write a forecaster with its settings and the standardisation it was trained with.

    Parameters
    ----------
    model : HorizonForecaster
    path : path
        A ``.safetensors`` file; written to a temporary name first.
    known_units : mapping of str to int, optional
        Row in the learned identity table by "recording id/unit id".
    """
    header = {
        "system": SYSTEM,
        "version": __version__,
        "settings": json.dumps(model.settings),
        "known_units": json.dumps(dict(known_units or {})),
    }
    weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(weights, metadata=header))


def load_forecaster(path: Path | str) -> tuple[HorizonForecaster, dict[str, int]]:
    """Read a forecaster from a run folder or a ``.safetensors`` file.

    Parameters
    ----------
    path : path

    Returns
    -------
    model : HorizonForecaster
        On the CPU, in evaluation mode.
    known_units : dict of str to int

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or it is no safetensors file, or one of another model.
    """
    path = Path(path)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no checkpoint there: give a run folder that holds {MODEL_FILE} "
            "(`neurohorizon train` writes it)"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        kind = "a pickle, which is never opened" if _is_pickle(path) else "damaged or foreign"
        raise CheckpointError(
            f"{path}: not a safetensors checkpoint but {kind}: give a file that "
            "`neurohorizon train` wrote"
        ) from error
    if header.get("system") != SYSTEM:
        raise CheckpointError(
            f"{path}: a checkpoint of {header.get('system', 'an unknown model')!r}, expected "
            f"{SYSTEM!r}: give one that `neurohorizon train` wrote"
        )
    try:
        settings = json.loads(header["settings"])
        model = HorizonForecaster(**(settings | {"spec": WindowSpec.from_dict(settings["spec"])}))
        known_units = json.loads(header.get("known_units", "{}"))
    except KeyError as error:
        raise _misfit(path, header, f"its header lacks {error.args[0]!r}") from error
    except (TypeError, RuntimeError, ConfigError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise _misfit(path, header, f"its settings make no model: {reason}") from error
    difference = _first_difference(weights, model.state_dict())
    if difference:
        raise _misfit(path, header, difference)
    model.load_state_dict(weights)
    return model.eval(), known_units


def _first_difference(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Say where the weights of a file differ from a model's in name or shape."""
    for told, names in (
        ("lacks", expected.keys() - found.keys()),
        ("has besides", found.keys() - expected.keys()),
    ):
        if names:
            first, more = min(names), f" and {len(names) - 1} more" * (len(names) > 1)
            return f"it {told} the weights {first}{more}"
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            shapes = tuple(found[name].shape), tuple(tensor.shape)
            return "its weights {} have shape {}, expected {}".format(name, *shapes)
    return ""


def _misfit(path: Path, header: Mapping[str, str], what: str) -> CheckpointError:
    version = header.get("version", "an unknown version")
    if version == __version__:
        advice = f"it says that this version, {__version__}, wrote it, so train again"
    else:
        advice = (
            f"it was written by {version}, this is {__version__}: load it there, or train again"
        )
    return CheckpointError(f"{path}: the checkpoint does not fit the model: {what}; {advice}")


def _is_pickle(path: Path) -> bool:
    """Tell a pickle, or the zip archive that torch.save makes, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(4)
    return start[:1] == b"\x80" or start == b"PK\x03\x04"
