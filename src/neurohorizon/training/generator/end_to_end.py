"""Where an adapter that is trained end to end begins: responses, and a regression on them.

The bridge is part of what is trained: a linear map from the responses of one recording to
embeddings begins at a ridge regression, and learns from nothing but how well the denoiser, told by
what it says, finds the noise in the pictures that were seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.models.pictures.response_head import ResponseHead

FEWEST_PICTURES = 20
PENALTIES = tuple(10.0**power for power in np.arange(0, 6.5, 0.5))


@dataclass(frozen=True, eq=False)
class Heard:
    """The responses of a recording to its training pictures.

    Parameters
    ----------
    recording : str
    units : str
        Of :func:`~neurohorizon.models.pictures.response_head.digest_units`.
    hashes : sequence of str
        Of the pictures.
    values : (I, N) array
        The mean over trials; NaN where missing.
    """

    recording: str
    units: str
    hashes: Sequence[str]
    values: NDArray[np.float32]

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        told = [self.recording, self.units, *self.hashes]
        return sha256("\n".join(told).encode() + self.values.tobytes()).hexdigest()

    def of(self, hashes: Sequence[str]) -> Heard:
        """Return the responses to some of the pictures, in their order."""
        row = {one: number for number, one in enumerate(self.hashes)}
        return replace(self, hashes=hashes, values=self.values[[row[one] for one in hashes]])


def begin_head(heard: Heard, embeddings_ID: NDArray[np.floating]) -> ResponseHead:
    """Return a map from responses to embeddings that is a ridge regression.

    Parameters
    ----------
    heard : Heard
    embeddings_ID : (I, D) array
        True ones, of the same pictures.

    Notes
    -----
    The penalty, one for each dimension, is chosen by generalised cross-validation.

    Raises
    ------
    DataError
        If there are too few pictures.
    """
    from sklearn.linear_model import RidgeCV

    if len(heard.hashes) < FEWEST_PICTURES:
        raise DataError(
            f"{heard.recording}: {len(heard.hashes)} of its training pictures are learned from: "
            f"expected {FEWEST_PICTURES} or more"
        )
    values = torch.from_numpy(np.asarray(heard.values, np.float32))
    head = ResponseHead(
        num_values=values.shape[1],
        num_dimensions=embeddings_ID.shape[1],
        recording=heard.recording,
        units=heard.units,
    )
    head.standardise.fit(values)
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=embeddings_ID.shape[1] > 1)
    model.fit(head.read(values).double().numpy(), embeddings_ID)
    with torch.no_grad():
        head.map.weight.copy_(torch.from_numpy(np.atleast_2d(np.asarray(model.coef_))))
        head.map.bias.copy_(torch.from_numpy(np.atleast_1d(np.asarray(model.intercept_))))
    return head
