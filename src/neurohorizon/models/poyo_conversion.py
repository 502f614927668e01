"""POYO to and from torch_brain: the same weights, the same outputs.

torch_brain (0.2) holds a model as a Lightning checkpoint::

    {"hyper_parameters": {"model": {...}}, "state_dict": {"model.unit_emb.weight": ...}}

What differs is how things are called, and that token types have a row there that nothing uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.poyo import POYO
from neurohorizon.nn.vocabulary import decode_words, encode_words
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.decoding.batches import TokenType
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec

_UNKNOWN = "NA"
_SETTINGS: dict[str, tuple[str, Any]] = {
    "sequence_length": ("length_s", None),
    "latent_step": ("latent_step_s", None),
    "num_latents_per_step": ("num_latents_per_step", 64),
    "dim": ("width", 512),
    "depth": ("num_layers", 2),
    "dim_head": ("head_width", 64),
    "cross_heads": ("num_cross_heads", 1),
    "self_heads": ("num_self_heads", 8),
    "ffn_dropout": ("dropout", 0.2),
    "lin_dropout": ("layer_dropout", 0.4),
    "atn_dropout": ("attention_dropout", 0.0),
    "emb_init_scale": ("scale", 0.02),
    "t_min": ("shortest_s", 1e-4),
    "t_max": ("longest_s", 2.0627),
}
"""Their argument; ours, and the value that theirs has by default."""


def load_torch_brain(path: Path | str, *, task: Task | None = None) -> POYO:
    """Read a POYO that torch_brain, or `save_torch_brain`, wrote.

    Parameters
    ----------
    path : path
        A Lightning checkpoint, read as tensors and plain values only.
    task : Task, optional
        What it decodes, with the mean and scale of its training values. The file does not tell:
        by default ``output``, a continuous one that is not standardised.

    Returns
    -------
    POYO
        On the CPU, in evaluation mode.

    Raises
    ------
    CheckpointError
        If there is no such file, it is not of that layout, or it cannot be read without
        running code that it brings along.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there: give a file that torch_brain wrote")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise CheckpointError(
            f"{path}: reading it would run code that it brings along, which is never done here: "
            "where you trust it, torch.load(..., weights_only=False) and torch.save its "
            "hyper_parameters and state_dict alone, as plain dicts and tensors"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path}: damaged or foreign: give a checkpoint that torch_brain's training wrote"
        ) from error
    try:
        settings = dict(content["hyper_parameters"]["model"])
        state = {
            name.removeprefix("model."): value for name, value in content["state_dict"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: not of torch_brain's layout: expected hyper_parameters.model and state_dict"
        ) from error
    try:
        return from_torch_brain(settings, state, task=task)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def save_torch_brain(model: POYO, path: Path | str) -> None:
    """Write a file that torch_brain's ``POYO.load_pretrained`` opens, with the same outputs.

    Raises
    ------
    ConfigError
        If the model knows units by their identity: torch_brain has vocabularies only.
    """
    settings, state = to_torch_brain(model)
    content = {
        "hyper_parameters": {"model": settings},
        "state_dict": {f"model.{name}": value for name, value in state.items()},
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def from_torch_brain(
    settings: Mapping[str, Any], state: Mapping[str, Any], *, task: Task | None = None
) -> POYO:
    """Make a POYO of the arguments and the state of torch_brain's.

    Parameters
    ----------
    settings : mapping of str to value
        Arguments of its constructor; what is missing has its default there.
    state : mapping of str to Tensor
        With the words of both vocabularies, as its ``state_dict()`` has them. Left as it is.
    task : Task, optional
        See :func:`load_torch_brain`.

    Raises
    ------
    CheckpointError
        If state and settings do not belong together.
    """
    try:
        arguments = settings_here(settings)
        num_outputs = len(state["readout.weight"])
    except KeyError as error:
        raise CheckpointError(f"it lacks {error.args[0]!r}: not a POYO of torch_brain") from error
    if task is None:
        plain = TaskSpec(name="output", series="output", standardise=False)
        task = Task(plain, mean=(0.0,) * num_outputs, scale=(1.0,) * num_outputs)
    if task.num_outputs != num_outputs:
        raise CheckpointError(
            f"it has {num_outputs} outputs, the task {task.name} {task.num_outputs}"
        )
    model = POYO(tasks=(task,), **arguments)
    omega = state.get("rotary_emb.omega")
    frequency = model.perceiver.rotary.frequency
    if omega is not None and not torch.allclose(omega[: len(frequency)], frequency, rtol=1e-5):
        raise CheckpointError("its rotary periods are not those of its t_min and t_max")
    found = rename_to_ours({name: v for name, v in state.items() if isinstance(v, Tensor)}, model)
    for theirs, ours in (("unit_emb", "units"), ("session_emb", "sessions")):
        found[f"{ours}.words"] = encode_words(_words(theirs, state, len(found[f"{ours}.weight"])))
    try:
        model.load_state_dict(found)
    except RuntimeError as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[1:2])
        raise CheckpointError(f"its weights do not fit its settings: {reason}") from error
    return model.eval()


def settings_here(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of POYO for those of torch_brain's; what is missing has its default there.

    Raises
    ------
    KeyError
        If one that has no default is missing.
    """
    return {
        ours: settings[theirs] if default is None else settings.get(theirs, default)
        for theirs, (ours, default) in _SETTINGS.items()
    }


def to_torch_brain(model: POYO) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments and the state of torch_brain's POYO that decodes as `model` does.

    Returns
    -------
    settings : dict of str to value
        Without ``dim_out``, the task's outputs, as in published checkpoints.
    state : dict of str to Tensor
        And, by ``unit_emb.vocab`` and ``session_emb.vocab``, rows by word.

    Raises
    ------
    ConfigError
        If the model knows units by their identity.
    """
    if model.identity is not None:
        raise ConfigError("units is identity: torch_brain's POYO has vocabularies only")
    settings = {theirs: model.settings[ours] for theirs, (ours, _) in _SETTINGS.items()}
    for name in ("sequence_length", "latent_step"):
        settings[name] = float(settings[name])
    ours = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    state: dict[str, Any] = {}
    for theirs, name in _names(model):
        state[theirs] = ours[name].clone()
    # A fourth type that nothing uses.
    unused = torch.zeros(4 - len(TokenType), state["token_type_emb.weight"].shape[1])
    state["token_type_emb.weight"] = torch.cat([state["token_type_emb.weight"], unused])
    omega = torch.zeros(model.settings["head_width"] // 2)
    frequency = model.perceiver.rotary.frequency.cpu()
    omega[: len(frequency)] = frequency
    state["rotary_emb.omega"] = omega
    for name, vocabulary in (("unit_emb", "units"), ("session_emb", "sessions")):
        words = [_UNKNOWN, *decode_words(ours.pop(f"{vocabulary}.words"))]
        if _UNKNOWN in words[1:]:
            raise ConfigError(f"{vocabulary}: {_UNKNOWN!r} is torch_brain's word for the unknown")
        state[f"{name}.vocab"] = {word: row for row, word in enumerate(words)}
    return settings, state


def rename_to_ours(tensors: Mapping[str, Tensor], model: POYO) -> dict[str, Tensor]:
    """Return weights, or their gradients, of torch_brain's by the names of ours.

    Raises
    ------
    CheckpointError
        If one is missing.
    """
    found = {}
    for theirs, ours in _names(model):
        if theirs not in tensors:
            raise CheckpointError(f"it lacks the weights {theirs}: not a POYO of torch_brain")
        tensor = tensors[theirs]
        if ours == "token_type":
            tensor = tensor[: len(TokenType)]
        found[ours] = tensor
    return found


def _names(model: POYO) -> Iterator[tuple[str, str]]:
    """Yield each tensor's name there and here."""
    yield "unit_emb.weight", "units.weight"
    yield "session_emb.weight", "sessions.weight"
    yield "token_type_emb.weight", "token_type"
    yield "latent_emb.weight", "perceiver.latents"
    modules = {"readout": "readouts.0"}
    projections = []
    for theirs, ours in (("enc", "reading"), ("dec", "answering")):
        there, here = f"{theirs}_atn", f"perceiver.{ours}"
        projections += [(f"{there}.to_q", f"{here}.to_query")]
        projections += [(f"{there}.to_kv", f"{here}.to_key_value")]
        modules |= {
            f"{there}.to_out": f"{here}.to_output",
            f"{there}.norm": f"{here}.norm_query",
            f"{there}.norm_context": f"{here}.norm_key",
            **_feed_forward(f"{theirs}_ffn", f"perceiver.after_{ours}"),
        }
    for index in range(len(model.perceiver.layers)):
        there, here = f"proc_layers.{index}", f"perceiver.layers.{index}"
        projections += [(f"{there}.0.to_qkv", f"{here}.attention.to_query_key_value")]
        modules |= {
            f"{there}.0.to_out": f"{here}.attention.to_output",
            f"{there}.0.norm": f"{here}.attention.norm",
            **_feed_forward(f"{there}.1", f"{here}.feed_forward"),
        }
    for there, here in projections:
        yield f"{there}.weight", f"{here}.weight"
    for there, here in modules.items():
        yield f"{there}.weight", f"{here}.weight"
        yield f"{there}.bias", f"{here}.bias"


def _feed_forward(theirs: str, ours: str) -> dict[str, str]:
    parts = (("0", "norm"), ("1.net.0", "expand"), ("1.net.3", "contract"))
    return {f"{theirs}.{there}": f"{ours}.{here}" for there, here in parts}


def _words(name: str, state: Mapping[str, Any], num_rows: int) -> list[str]:
    """Return the words of a vocabulary in the order of its rows."""
    rows = state.get(f"{name}.vocab")
    if not isinstance(rows, Mapping):
        raise CheckpointError(f"it lacks the words of {name}: not a POYO of torch_brain")
    words = [str(word) for word in sorted(rows, key=rows.__getitem__)]
    if sorted(rows.values()) != list(range(num_rows)) or words[0] != _UNKNOWN:
        raise CheckpointError(f"the words of {name} are not those of its {num_rows - 1} rows")
    return words[1:]
