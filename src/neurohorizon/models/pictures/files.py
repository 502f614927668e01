"""Small encoders and judges on disk: weights without pickle, and what they are in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from neurohorizon.errors import CheckpointError
from neurohorizon.models.pictures.judge import JudgeNetwork
from neurohorizon.models.pictures.small import SmallNetwork
from neurohorizon.models.weights_file import build, read_weights, save_weights

ENCODER, JUDGE = "image encoder", "judge of pictures"
_TRAINED_ON = "trained_on"


@dataclass(frozen=True)
class SavedEncoder:
    """A small encoder that was read from a file.

    Parameters
    ----------
    path : Path
        The file.
    network : SmallNetwork
        On the CPU, in evaluation mode.
    about : dict of str to str
        Header of the file: how it was trained.
    trained_on : frozenset of str
        Hashes of the pictures that it was trained on.
    digest : str
        SHA-256 of the weights, by name, shape and value: the same weights have the same one,
        while the bytes of files differ in the order of their headers.
    """

    path: Path
    network: SmallNetwork
    about: dict[str, str]
    trained_on: frozenset[str]
    digest: str


def save_encoder(
    network: SmallNetwork,
    path: Path | str,
    *,
    trained_on: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> None:
    """Write an encoder.

    Parameters
    ----------
    network : SmallNetwork
    path : path
        A ``.safetensors`` file.
    trained_on : sequence of str
        Hashes of the pictures that it was trained on.
    about : mapping of str to str, optional
        Kept in the header.
    """
    made_of = {
        "size_px": network.size_px,
        "widths": network.widths,
        "num_dimensions": network.num_dimensions,
    }
    digests = bytearray(b"".join(bytes.fromhex(each) for each in sorted(trained_on)))
    seen = torch.frombuffer(digests, dtype=torch.uint8) if digests else torch.empty(0).byte()
    weights = {**network.state_dict(), _TRAINED_ON: seen.reshape(-1, 32)}
    header = {**(about or {}), "made_of": json.dumps(made_of)}
    save_weights(path, weights, system=ENCODER, header=header)


def load_encoder(path: Path | str) -> SavedEncoder:
    """Read an encoder from a file, or from the folder that holds it as ``model.safetensors``.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or of another version.
    """
    path, weights, header = read_weights(
        path, systems=[ENCODER], writer="neurohorizon bridge train-encoder"
    )
    seen = weights.pop(_TRAINED_ON, None)
    if seen is None or seen.dtype != torch.uint8 or seen.shape[1:] != (32,):
        raise CheckpointError(f"{path}: does not say what it was trained on: train it again")
    network = build(lambda: SmallNetwork(**json.loads(header["made_of"])), path, weights, header)
    trained_on = frozenset(bytes(row).hex() for row in seen.numpy())
    network = network.requires_grad_(False)
    return SavedEncoder(path, network, header, trained_on, digest_weights(weights))


def save_judge(
    network: JudgeNetwork, path: Path | str, *, about: Mapping[str, str] | None = None
) -> None:
    """Write a judge; `about` is kept in its header."""
    made_of = {"words": network.words, "size_px": network.size_px}
    header = {**(about or {}), "made_of": json.dumps(made_of)}
    save_weights(path, network.state_dict(), system=JUDGE, header=header)


def load_judge(path: Path | str) -> tuple[JudgeNetwork, dict[str, str]]:
    """Read a judge and the header of its file.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or of another version.
    """
    path, weights, header = read_weights(
        path, systems=[JUDGE], writer="neurohorizon bridge train-judge"
    )
    network = build(lambda: JudgeNetwork(**json.loads(header["made_of"])), path, weights, header)
    return network.requires_grad_(False), header


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights, by name, shape and value."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].cpu().numpy()
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
