"""Bridges on disk: weights without pickle, with what they are made of in the header."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.masked import MaskedModel, MaskedSpec
from neurohorizon.models.bridge.towers import TowerSpec
from neurohorizon.models.weights_file import build, read_weights, save_weights

SYSTEM = "bridge"
MASKED = "masked bridge"


def save_bridge(bridge: Bridge, path: Path | str, *, about: dict[str, str] | None = None) -> None:
    """Write a bridge; `about` is kept in its header (its row, its settings, its bank)."""
    made_of = {
        "num_dimensions": bridge.space.num_dimensions,
        "num_components": bridge.space.num_components,
        "whitening": bridge.space.whitening,
        "root": bridge.scale.root,
        "measure": bridge.measure,
        "regression": bridge.regression is not None,
        "neural": asdict(bridge.neural_spec),
        "image": None if bridge.image_spec is None else asdict(bridge.image_spec),
    }
    header = {**(about or {}), "made_of": json.dumps(made_of)}
    save_weights(path, bridge.state_dict(), system=SYSTEM, header=header)


def load_bridge(path: Path | str) -> tuple[Bridge, dict[str, str]]:
    """Read a bridge and the header of its file.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or of another version.
    """
    path, weights, header = read_weights(path, systems=[SYSTEM])

    def make() -> Bridge:
        made_of = json.loads(header["made_of"])
        for name in ("neural", "image"):
            if made_of[name] is not None:
                spec = made_of[name]
                made_of[name] = TowerSpec(
                    **{**spec, "shape": tuple(spec["shape"]), "areas": tuple(spec["areas"])}
                )
        return Bridge(**made_of)

    return build(make, path, weights, header).requires_grad_(False), header


def save_masked(model: MaskedModel, path: Path | str, *, about: dict[str, str]) -> None:
    """Write a pretrained model; `about` is kept in its header (its electrodes, its pictures)."""
    header = {**about, "made_of": json.dumps(asdict(model.spec))}
    save_weights(path, model.state_dict(), system=MASKED, header=header)


def load_masked(path: Path | str) -> tuple[MaskedModel, dict[str, str]]:
    """Read a pretrained model, frozen, and the header of its file.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or of another version.
    """
    path, weights, header = read_weights(
        path, systems=[MASKED], writer="neurohorizon bridge pretrain"
    )

    def make() -> MaskedModel:
        made_of = json.loads(header["made_of"])
        for name in ("shape", "areas"):
            made_of[name] = tuple(made_of[name])
        return MaskedModel(MaskedSpec(**made_of))

    return build(make, path, weights, header).requires_grad_(False), header
