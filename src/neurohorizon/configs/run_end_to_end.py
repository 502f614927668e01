"""Adapters that are trained end to end: responses of a run to learn from, and to draw from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.configs.bridge_sessions import BridgeSession
from neurohorizon.configs.run_bridges import open_finished
from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.response_head import ResponseHead, digest_units
from neurohorizon.training.generator.end_to_end import Heard


def hear_training(folder: Path, *, recording: str | None = None) -> Heard:
    """Return the responses of a run's recording to its training pictures.

    Parameters
    ----------
    folder : path
        A finished run of bridges.
    recording : str, optional
        Not needed where the run has one.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If the run is not finished, its data have changed, or it has no such recording.
    """
    _, found = open_finished(folder)
    sessions = {each.pairs.id: each for each in found.sessions}
    if recording is None and len(sessions) > 1:
        raise ConfigError(
            f"{folder}: is of {len(sessions)} recordings: name the one whose responses are learned "
            f"from with --recording ({', '.join(sessions)})"
        )
    if recording is not None and recording not in sessions:
        raise ConfigError(
            f"{folder}: has no recording {recording}: there are {', '.join(sessions)}"
        )
    session = sessions[recording or next(iter(sessions))]
    pairs = session.pairs.only("train").mean_over_trials()
    return Heard(
        pairs.id,
        digest_units(pairs.units.id.tolist()),
        pairs.hashes.tolist(),
        pairs.values.reshape(len(pairs.values), -1).astype(np.float32),
    )


def require_heard(head: ResponseHead, sessions: Sequence[BridgeSession], *, what: str) -> None:
    """Make sure that an adapter reads the responses of a run.

    Raises
    ------
    ConfigError
        If they are of other recordings or electrodes.
    """
    for session in sessions:
        pairs = session.pairs
        if pairs.id != head.recording:
            raise ConfigError(
                f"{what}: was trained end to end with responses of {head.recording}, and the run "
                f"has {pairs.id}: draw from a run of {head.recording} alone (data.recordings)"
            )
        num_values = int(np.prod(pairs.values.shape[1:]))
        if digest_units(pairs.units.id.tolist()) != head.units or num_values != head.num_values:
            raise ConfigError(
                f"{what}: was trained end to end with {head.num_values} values of other electrodes "
                f"or bins than the {num_values} of {pairs.id} in this run: choose the same "
                "(data.units), or train it with this run"
            )


def hear_test(
    head: ResponseHead, session: BridgeSession, *, num_trials: int | None
) -> NDArray[np.float32]:
    """Return the embeddings that the responses to the test pictures speak for, (I, D)."""
    values = session.test_responses(num_trials=num_trials).values
    with torch.inference_mode():
        said = head(torch.from_numpy(values.reshape(len(values), -1).astype(np.float32)))
    return said.numpy()
