"""Checkpoints of forecasters: weights, settings and the units that a table knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.models.weights_file import MODEL_FILE, build, read_weights, save_weights
from neurohorizon.recordings.window_spec import WindowSpec

__all__ = ["MODEL_FILE", "SYSTEM", "load_forecaster", "save_forecaster"]

SYSTEM = "horizon"


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
        "settings": json.dumps(model.settings),
        "known_units": json.dumps(dict(known_units or {})),
    }
    save_weights(path, model.state_dict(), system=SYSTEM, header=header)


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
    path, weights, header = read_weights(path, systems=(SYSTEM,))
    known_units: dict[str, int] = {}

    def make() -> HorizonForecaster:
        settings = json.loads(header["settings"])
        known_units.update(json.loads(header.get("known_units", "{}")))
        return HorizonForecaster(**(settings | {"spec": WindowSpec.from_dict(settings["spec"])}))

    return build(make, path, weights, header), known_units
