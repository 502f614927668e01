"""Open a generator by its file."""

from __future__ import annotations

from pathlib import Path

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.generators.direct import DirectGenerator
from neurohorizon.imaging.generators.tiny import TinyGenerator
from neurohorizon.models.pictures.files import load_generator
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.sampling import Sampling


def open_generator(
    path: Path | str, *, device: str = "cpu", sampling: Sampling | None = None
) -> DirectGenerator | TinyGenerator:
    """Open what `neurohorizon bridge train-generator` wrote, a flow or a direct decoder.

    Parameters
    ----------
    path : path
    device : str
    sampling : Sampling, optional
        Of a flow.

    Raises
    ------
    CheckpointError, ConfigError
        If there is none, or the device is not there.
    """
    if isinstance(load_generator(path).network, FlowNetwork):
        return TinyGenerator(path, sampling=sampling, device=device)
    if sampling is not None:
        raise ConfigError(f"{path}: a direct decoder, which is not sampled: leave steps out")
    return DirectGenerator(path, device=device)
