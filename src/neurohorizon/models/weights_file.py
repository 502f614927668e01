"""Files of weights without pickle: safetensors, with settings as JSON in the header.

Nothing in such a file can run code, so a checkpoint from a stranger is as safe as data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from neurohorizon import __version__
from neurohorizon.errors import CheckpointError, NeuroHorizonError
from neurohorizon.ops.files import atomic_path, checksum

MODEL_FILE = "model.safetensors"

Model = TypeVar("Model", bound=nn.Module)


def model_checksum(folder: Path) -> str:
    """Return the SHA-256 of the model in a folder; "" if there is none."""
    path = folder / MODEL_FILE
    return checksum(path) if path.is_file() else ""


def save_weights(
    path: Path | str, weights: Mapping[str, Tensor], *, system: str, header: Mapping[str, str]
) -> None:
    """Write weights with the system they are of; to a temporary name first."""
    content = {"system": system, "version": __version__, **header}
    tensors = {name: tensor.contiguous().cpu() for name, tensor in weights.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=content))


def read_weights(
    path: Path | str, *, systems: Sequence[str], writer: str = "neurohorizon train"
) -> tuple[Path, dict[str, Tensor], dict[str, str]]:
    """Read weights and header from a run folder or a ``.safetensors`` file.

    Parameters
    ----------
    path : path
    systems : sequence of str
        Of which the file may be.
    writer : str
        The command that writes such files, for messages.

    Returns
    -------
    path : Path
        The file.
    weights : dict of str to Tensor
    header : dict of str to str

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or it is no safetensors file, or of none of the systems.
    """
    path = Path(path)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no checkpoint there: give a run folder that holds {MODEL_FILE} "
            f"(`{writer}` writes it)"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        kind = "a pickle, which is never opened" if _is_pickle(path) else "damaged or foreign"
        raise CheckpointError(
            f"{path}: not a safetensors checkpoint but {kind}: give a file that `{writer}` wrote"
        ) from error
    if header.get("system") not in systems:
        expected = " or ".join(repr(system) for system in systems)
        raise CheckpointError(
            f"{path}: a checkpoint of {header.get('system', 'an unknown model')!r}, expected "
            f"{expected}: give one that `{writer}` wrote"
        )
    return path, weights, header


def build(
    make: Callable[[], Model], path: Path, weights: Mapping[str, Tensor], header: Mapping[str, str]
) -> Model:
    """Make the model that a header describes and give it the weights of its file.

    Parameters
    ----------
    make : callable
        Reads the header; a key that it lacks, and settings that make no model, are told.
    path : Path
    weights : mapping of str to Tensor
    header : mapping of str to str

    Returns
    -------
    Module
        On the CPU, in evaluation mode.

    Raises
    ------
    CheckpointError
        If header, weights and this version's model do not fit.
    """
    try:
        model = make()
    except KeyError as error:
        raise _misfit(path, header, f"its header lacks {error.args[0]!r}") from error
    except (TypeError, RuntimeError, NeuroHorizonError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise _misfit(path, header, f"its settings make no model: {reason}") from error
    difference = _first_difference(weights, model.state_dict())
    if difference:
        raise _misfit(path, header, difference)
    model.load_state_dict(weights)
    return model.eval()


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
        start = file.read(9)
    # The first eight bytes of safetensors are a length, which may begin like a pickle.
    pickled = start[:1] == b"\x80" and start[8:] != b"{"
    return pickled or start[:4] == b"PK\x03\x04"
