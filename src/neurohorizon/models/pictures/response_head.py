"""From the response of one recording to an embedding, inside the adapter that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import torch
from torch import Tensor, nn

from neurohorizon.models.pictures.standard import Standardise


class ResponseHead(nn.Module):
    """A linear map from responses to embeddings, to be trained with what draws from these.

    Parameters
    ----------
    num_values : int
        Of a response: electrodes, or electrodes times bins.
    num_dimensions : int
        Of the embeddings.
    recording : str
        Whose responses it reads.
    units : str
        Of :func:`digest_units`: which electrodes, in which order.
    """

    def __init__(self, *, num_values: int, num_dimensions: int, recording: str, units: str) -> None:
        super().__init__()
        self.num_values, self.num_dimensions = num_values, num_dimensions
        self.recording, self.units = recording, units
        self.standardise = Standardise(num_values)
        self.map = nn.Linear(num_values, num_dimensions)

    def read(self, responses_BN: Tensor) -> Tensor:
        """Return standardised responses, (B, N); what is missing is the mean, 0."""
        return torch.nan_to_num(self.standardise(responses_BN))

    def forward(
        self,
        responses_BN: Tensor,
        *,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the embeddings that responses speak for, (B, D).

        Parameters
        ----------
        responses_BN : Tensor
        dropout : float
            Share of the values that are not told, in training.
        generator : Generator, optional
            Of the CPU: draws which.
        """
        read = self.read(responses_BN)
        if dropout:
            kept = torch.rand(read.shape, generator=generator) >= dropout
            read = read * kept.to(read) / (1 - dropout)
        return self.map(read)


def digest_units(ids: Sequence[str]) -> str:
    """Return what tells these electrodes, in this order, from others."""
    return sha256("\n".join(ids).encode()).hexdigest()
