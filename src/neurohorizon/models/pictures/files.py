"""Encoders, judges, generators on disk: weights without pickle, what they are in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from neurohorizon.errors import CheckpointError, ConfigError
from neurohorizon.models.pictures.direct import DirectNetwork
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.judge import JudgeNetwork
from neurohorizon.models.pictures.response_head import ResponseHead
from neurohorizon.models.pictures.small import SmallNetwork
from neurohorizon.models.pictures.token_adapter import TokenAdapter
from neurohorizon.models.weights_file import build, read_weights, save_weights

ENCODER, JUDGE = "image encoder", "judge of pictures"
FLOW, DIRECT = "flow to pictures", "direct decoder of pictures"
ADAPTER = "token adapter of a diffusion model"
_TRAINED_ON = "trained_on"
_START, _HEAD = "start.", "head."


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
    weights = {**network.state_dict(), _TRAINED_ON: _pack(trained_on)}
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
    trained_on = _unpack(path, weights)
    network = build(lambda: SmallNetwork(**json.loads(header["made_of"])), path, weights, header)
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


@dataclass(frozen=True)
class StartDecoder:
    """The direct decoder at whose pictures flows start; it travels with the flow.

    Parameters
    ----------
    network : DirectNetwork
        On the CPU, in evaluation mode.
    needs : str
        JSON of the fingerprint of the embeddings that it reads: those of the flow, or some of the
        spaces that these are joined of.
    """

    network: DirectNetwork
    needs: str


@dataclass(frozen=True)
class SavedGenerator:
    """A network that draws pictures, read from a file.

    Parameters
    ----------
    path : Path
        The file.
    network : FlowNetwork or DirectNetwork
        On the CPU, in evaluation mode.
    needs : str
        JSON of the fingerprint of the embeddings that it was trained with.
    start : StartDecoder or None
        What draws the pictures that flows start at.
    about : dict of str to str
        Header of the file: how it was trained.
    trained_on : frozenset of str
        Hashes of the pictures that it, or its start, was trained on.
    digest : str
        SHA-256 of all weights, as of :class:`SavedEncoder`.
    """

    path: Path
    network: FlowNetwork | DirectNetwork
    needs: str
    start: StartDecoder | None
    about: dict[str, str]
    trained_on: frozenset[str]
    digest: str


def save_generator(
    network: FlowNetwork | DirectNetwork,
    path: Path | str,
    *,
    needs: str,
    start: StartDecoder | None = None,
    trained_on: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a network that draws pictures.

    Parameters
    ----------
    network : FlowNetwork or DirectNetwork
    path : path
        A ``.safetensors`` file.
    needs : str
        JSON of the fingerprint of the embeddings that it was trained with.
    start : StartDecoder, optional
        Of a flow that starts at pictures.
    trained_on, about
        As of :func:`save_encoder`.

    Raises
    ------
    ConfigError
        If there is a start and the network is no flow that starts at pictures, or none and it is.
    """
    if (start is not None) != (isinstance(network, FlowNetwork) and network.has_start):
        raise ConfigError("a flow that starts at pictures goes with what draws them, none other")
    weights = {**network.state_dict(), _TRAINED_ON: _pack(trained_on)}
    header = {**(about or {}), "needs": needs, "made_of": _made_of(network)}
    if start is not None:
        weights |= {_START + key: value for key, value in start.network.state_dict().items()}
        header |= {"start_needs": start.needs, "start_made_of": _made_of(start.network)}
    system = FLOW if isinstance(network, FlowNetwork) else DIRECT
    save_weights(path, weights, system=system, header=header)


def load_generator(path: Path | str) -> SavedGenerator:
    """Read a network that draws pictures.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or of another version.
    """
    path, weights, header = read_weights(
        path, systems=[FLOW, DIRECT], writer="neurohorizon bridge train-generator"
    )
    trained_on = _unpack(path, weights)
    digest = digest_weights(weights)
    of_start = {key: weights.pop(key) for key in list(weights) if key.startswith(_START)}
    kind = FlowNetwork if header["system"] == FLOW else DirectNetwork
    network = build(lambda: kind(**json.loads(header["made_of"])), path, weights, header)
    network = network.requires_grad_(False)
    start = None
    if isinstance(network, FlowNetwork) and network.has_start:
        of_start = {key.removeprefix(_START): value for key, value in of_start.items()}
        decoder = build(
            lambda: DirectNetwork(**json.loads(header["start_made_of"])), path, of_start, header
        )
        start = StartDecoder(decoder.requires_grad_(False), header.get("start_needs", ""))
    return SavedGenerator(path, network, header.get("needs", ""), start, header, trained_on, digest)


def _made_of(network: FlowNetwork | DirectNetwork) -> str:
    names = ["size_px", "num_dimensions", "widths"]
    if isinstance(network, FlowNetwork):
        names += ["num_tokens", "start_noise"]
    return json.dumps({name: getattr(network, name) for name in names})


@dataclass(frozen=True)
class SavedAdapter:
    """A token adapter that was read from a file.

    Parameters
    ----------
    network : TokenAdapter
        On the CPU, in evaluation mode.
    base : str
        SHA-256 of the weights of the diffusion model that it was trained through.
    size_px : int
        Width and height of the pictures that it was trained on.
    head : ResponseHead or None
        Of an adapter that was trained end to end: what reads the responses of a recording.
    path, needs, about, trained_on, digest
        As of :class:`SavedGenerator`.
    """

    path: Path
    network: TokenAdapter
    base: str
    size_px: int
    head: ResponseHead | None
    needs: str
    about: dict[str, str]
    trained_on: frozenset[str]
    digest: str


def save_adapter(
    network: TokenAdapter,
    path: Path | str,
    *,
    base: str,
    size_px: int,
    needs: str,
    head: ResponseHead | None = None,
    trained_on: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a token adapter; arguments as of :class:`SavedAdapter`."""
    names = ("num_dimensions", "num_outputs", "num_tokens", "width", "num_layers", "num_heads")
    made_of = {name: getattr(network, name) for name in (*names, "num_parts")}
    weights = {**network.state_dict(), _TRAINED_ON: _pack(trained_on)}
    header = {**(about or {}), "base": base, "size_px": str(size_px), "needs": needs}
    header["made_of"] = json.dumps(made_of)
    if head is not None:
        weights |= {f"{_HEAD}{name}": each for name, each in head.state_dict().items()}
        names = ("num_values", "num_dimensions", "recording", "units")
        header["head"] = json.dumps({name: getattr(head, name) for name in names})
    save_weights(path, weights, system=ADAPTER, header=header)


def load_adapter(path: Path | str) -> SavedAdapter:
    """Read a token adapter.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged, or of another version.
    """
    path, weights, header = read_weights(
        path, systems=[ADAPTER], writer="neurohorizon bridge train-adapter"
    )
    trained_on = _unpack(path, weights)
    digest = digest_weights(weights)
    head = None
    if "head" in header:
        names = [name for name in weights if name.startswith(_HEAD)]
        read = {name.removeprefix(_HEAD): weights.pop(name) for name in names}
        head = build(lambda: ResponseHead(**json.loads(header["head"])), path, read, header)
        head = head.requires_grad_(False)
    network = build(lambda: TokenAdapter(**json.loads(header["made_of"])), path, weights, header)
    network = network.requires_grad_(False)
    if head is not None and head.num_dimensions != network.num_dimensions:
        raise CheckpointError(
            f"{path}: responses become embeddings of {head.num_dimensions} dimensions, and its "
            f"adapter reads {network.num_dimensions}: train it again"
        )
    base, size_px, needs = (header.get(name, "") for name in ("base", "size_px", "needs"))
    if not size_px.isdecimal():
        raise CheckpointError(f"{path}: does not say the size of its pictures: train it again")
    return SavedAdapter(path, network, base, int(size_px), head, needs, header, trained_on, digest)


def _pack(hashes: Sequence[str]) -> Tensor:
    digests = bytearray(b"".join(bytes.fromhex(each) for each in sorted(hashes)))
    packed = torch.frombuffer(digests, dtype=torch.uint8) if digests else torch.empty(0).byte()
    return packed.reshape(-1, 32)


def _unpack(path: Path, weights: dict[str, Tensor]) -> frozenset[str]:
    """Take the hashes of the pictures trained on out of what was read from a file."""
    seen = weights.pop(_TRAINED_ON, None)
    if seen is None or seen.dtype != torch.uint8 or seen.shape[1:] != (32,):
        raise CheckpointError(f"{path}: does not say what it was trained on: train it again")
    return frozenset(bytes(row).hex() for row in seen.numpy())


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights, by name, shape and value."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].cpu().numpy()
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
