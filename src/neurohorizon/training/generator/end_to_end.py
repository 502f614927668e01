"""Fitting an adapter end to end: from responses, through the frozen denoiser, to its loss.

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
from torch import Tensor, nn

from neurohorizon.errors import DataError
from neurohorizon.models.pictures.response_head import ResponseHead
from neurohorizon.models.pictures.token_adapter import TokenAdapter
from neurohorizon.training.generator.adapter import Denoiser, loss_told
from neurohorizon.training.generator.fit import CURVE_POINTS, PREDICTED_SHARE, Blur, Fitted
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress, train
from neurohorizon.training.image_encoder.resume_point import ResumePoint

#: Share of the electrodes that are not told, in training: what is heard twice is not missed.
DROPOUT = 0.2
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


class EndToEnd(nn.Module):
    """An adapter, and what reads responses for it."""

    def __init__(self, adapter: TokenAdapter, head: ResponseHead) -> None:
        super().__init__()
        self.adapter, self.head = adapter, head


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
    values = np.asarray(heard.values, np.float64)
    there = ~np.isnan(values)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, values, 0).sum(axis=0) / count
    filled = torch.from_numpy(np.where(there, values, mean).astype(np.float32))
    head = ResponseHead(
        num_values=values.shape[1],
        num_dimensions=embeddings_ID.shape[1],
        recording=heard.recording,
        units=heard.units,
    )
    head.standardise.fit(filled)
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=embeddings_ID.shape[1] > 1)
    model.fit(head.read(filled).double().numpy(), embeddings_ID)
    with torch.no_grad():
        head.map.weight.copy_(torch.from_numpy(np.atleast_2d(np.asarray(model.coef_))))
        head.map.bias.copy_(torch.from_numpy(np.atleast_1d(np.asarray(model.intercept_))))
    return head


def fit_end_to_end(
    latents: Tensor,
    embeddings_ND: Tensor,
    responses_NU: Tensor,
    *,
    both: EndToEnd,
    denoiser: Denoiser,
    settings: LoopSettings,
    blur: Blur,
    generator: torch.Generator,
    resume: ResumePoint | None = None,
    progress: Progress | None = None,
) -> Fitted[EndToEnd]:
    """Train an adapter and the map from responses that it is told by.

    Parameters
    ----------
    latents : (n, 4, H, W) Tensor
        Scaled to a spread of about 1.
    embeddings_ND : Tensor
        True ones: told for three pictures of ten, so that the adapter can still be judged by them.
    responses_NU : Tensor
        To the same pictures.
    both : EndToEnd
    denoiser, settings, blur, generator, resume, progress
        As of :func:`~neurohorizon.training.generator.adapter.fit_adapter`.
    """
    device = settings.device

    def loss_of(both: EndToEnd, rows: Tensor) -> Tensor:
        said = both.head(responses_NU[rows].to(device), dropout=DROPOUT, generator=generator)
        true = torch.rand(len(rows), generator=generator) >= PREDICTED_SHARE
        told = torch.where(true.to(device)[:, None], embeddings_ND[rows].to(device), said)
        return loss_told(both.adapter, denoiser, latents[rows], told, blur, generator)

    torch.manual_seed(settings.seed)
    fitted, curve = train(
        both.to(device),
        loss_of,
        num_pictures=len(latents),
        settings=settings,
        progress=progress,
        resume=resume,
        num_points=CURVE_POINTS,
    )
    return Fitted(fitted, curve)
