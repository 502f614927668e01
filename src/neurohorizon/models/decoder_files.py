"""Checkpoints of decoders: weights, settings, tasks, and the words of both vocabularies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neurohorizon.models.capoyo import CaPOYO
from neurohorizon.models.forecaster_decoder import ForecasterDecoder
from neurohorizon.models.poyo import POYO
from neurohorizon.models.poyo_plus import POYOPlus
from neurohorizon.models.task_decoder import TaskDecoder
from neurohorizon.models.weights_file import build, read_weights, save_weights
from neurohorizon.nn.vocabulary import encode_words
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.schema import FloatArray

DECODERS: dict[str, type[TaskDecoder]] = {
    design.system: design for design in (POYO, POYOPlus, CaPOYO, ForecasterDecoder)
}
_VOCABULARIES = ("units", "sessions")


def save_decoder(
    model: TaskDecoder,
    path: Path | str,
    *,
    signal: str = "",
    references: Mapping[str, FloatArray] | None = None,
) -> None:
    """Write a decoder with its settings, its tasks and the words that it knows.

    Parameters
    ----------
    model : TaskDecoder
        POYO, POYOPlus, CaPOYO or ForecasterDecoder.
    path : path
        A ``.safetensors`` file; written to a temporary name first.
    signal : str
        Signals that it reads, where its run does not say.
    references : mapping of str to (K, 2) array, optional
        Stretches that it knows the units of recordings by, where it was taken to them.
    """
    weights = model.state_dict()
    header = {
        "settings": json.dumps(model.settings),
        "tasks": json.dumps([task.to_dict() for task in model.tasks]),
    }
    if signal:
        header["signal"] = signal
    if references:
        header["references"] = json.dumps(
            {name: np.asarray(each).tolist() for name, each in references.items()}
        )
    for name in _VOCABULARIES:
        del weights[f"{name}.words"]
        header[name] = json.dumps(getattr(model, name).words)
    save_weights(path, weights, system=model.system, header=header)


def load_decoder(path: Path | str) -> TaskDecoder:
    """Read a decoder from a run folder or a ``.safetensors`` file.

    Parameters
    ----------
    path : path

    Returns
    -------
    TaskDecoder
        On the CPU, in evaluation mode, its vocabularies as they were.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or it is no safetensors file, or one of another model.
    """
    return read_decoder(path)[0]


def read_decoder(
    path: Path | str,
) -> tuple[TaskDecoder, str, dict[str, FloatArray]]:
    """Read a decoder as `load_decoder` does, with its signal and its references."""
    path, weights, header = read_weights(path, systems=tuple(DECODERS))
    references: dict[str, FloatArray] = {}

    def make() -> TaskDecoder:
        tasks = [Task.from_dict(each) for each in json.loads(header["tasks"])]
        model = DECODERS[header["system"]](tasks=tasks, **json.loads(header["settings"]))
        for name in _VOCABULARIES:
            vocabulary = getattr(model, name)
            vocabulary.extend(json.loads(header[name]))
            weights[f"{name}.words"] = encode_words(vocabulary.words)
        for name, stretches in json.loads(header.get("references", "{}")).items():
            references[name] = np.array(stretches, dtype=np.float64).reshape(-1, 2)
        return model

    return build(make, path, weights, header), header.get("signal", ""), references
