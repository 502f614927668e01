"""Fitting what draws pictures: a direct decoder by squared errors, a flow by its velocities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.direct import DirectNetwork
from neurohorizon.models.pictures.flow import FlowNetwork
from neurohorizon.models.pictures.standard import to_values
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress, train
from neurohorizon.training.image_encoder.resume_point import ResumePoint

CURVE_POINTS = 50
PREDICTED_SHARE = 0.7
_LEAST_TIME_LEFT = 0.3
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Blur:
    """What is taken from embeddings in training, so that predicted ones will do.

    Parameters
    ----------
    noise : float
        Largest standard deviation of the noise that is added, where embeddings have one of 1 in
        each dimension. Each picture's is drawn anew between 0 and this.
    unknown : float
        Share of the pictures whose embedding is not told, for guidance; of flows.

    Raises
    ------
    ConfigError
        If a value is out of its bounds.
    """

    noise: float = 0.2
    unknown: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 10:
            raise ConfigError(f"noise of embeddings is {self.noise}: expected 0 to 10")
        if not 0 <= self.unknown < 1:
            raise ConfigError(f"share of unknown is {self.unknown}: expected 0 or more, below 1")

    def draw_noise(self, vectors_BD: Tensor, generator: torch.Generator) -> Tensor:
        """Return noise for standardised vectors, on their device."""
        level = self.noise * torch.rand(len(vectors_BD), 1, generator=generator)
        return (level * torch.randn(vectors_BD.shape, generator=generator)).to(vectors_BD)


@dataclass(frozen=True)
class FromResponses:
    """What responses predict, told in place of true embeddings for a share of the pictures.

    Predictions must be out of fold: of bridges that were fitted to other pictures. From them a
    network learns how far they may be trusted.

    Parameters
    ----------
    vectors_ND : Tensor
        One for each picture; where there is no prediction, the true embedding.
    starts : (n, 3, S, S) Tensor of uint8, optional
        What flows start at, if they start at pictures.
    share : float

    Raises
    ------
    ConfigError
        If the share is out of its bounds.
    """

    vectors_ND: Tensor
    starts: Tensor | None = None
    share: float = PREDICTED_SHARE

    def __post_init__(self) -> None:
        require_share(self.share)


@dataclass(frozen=True)
class Fitted(Generic[Model]):
    """A network that was trained.

    Parameters
    ----------
    network : Module
        On the CPU, in evaluation mode.
    curve : list of (step, loss)
        Mean squared errors of pictures (of a flow: of velocities), which have a spread of about 1.
    """

    network: Model
    curve: list[tuple[int, float]]


def draws_of(settings: LoopSettings) -> torch.Generator:
    """Return what the losses draw from: times, noise, and whose embedding is not told."""
    return torch.Generator().manual_seed(settings.seed + 1)


def fit_direct(
    pixels: Tensor,
    vectors_ND: Tensor,
    *,
    settings: LoopSettings,
    predicted: FromResponses | None = None,
    blur: Blur | None = None,
    network: DirectNetwork | None = None,
    generator: torch.Generator | None = None,
    resume: ResumePoint | None = None,
    progress: Progress | None = None,
) -> Fitted[DirectNetwork]:
    """Train a direct decoder.

    Parameters
    ----------
    pixels : (n, 3, S, S) Tensor of uint8
    vectors_ND : Tensor
        What is told of each picture: its embedding, or the response to it.
    settings : LoopSettings
    predicted : FromResponses, optional
    blur : Blur, optional
        Only its noise is used.
    network : DirectNetwork, optional
        Untrained; one of the pictures' size by default.
    generator : Generator, optional
        Of :func:`draws_of`; to be named in `resume`.
    resume, progress
        As of :func:`~neurohorizon.training.image_encoder.loop.train`.

    Raises
    ------
    ConfigError
        If pictures and vectors do not fit together.
    """
    require_pairs(pixels, vectors_ND)
    _require_like(predicted, vectors_ND, None)
    blur = blur or Blur()
    generator = generator or draws_of(settings)
    torch.manual_seed(settings.seed)
    network = network or DirectNetwork(size_px=pixels.shape[-1], num_dimensions=vectors_ND.shape[1])
    network.standardise.fit(vectors_ND)

    def loss_of(network: DirectNetwork, rows: Tensor) -> Tensor:
        vectors, _ = _told(vectors_ND, None, predicted, rows, generator)
        vectors = vectors.to(settings.device)
        drawn = network(vectors, noise_BD=blur.draw_noise(vectors, generator))
        return (drawn.float() - to_values(pixels[rows].to(settings.device))).square().mean()

    fitted, curve = train(
        network.to(settings.device).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        loss_of,
        num_pictures=len(pixels),
        settings=settings,
        progress=progress,
        resume=resume,
        num_points=CURVE_POINTS,
    )
    return Fitted(fitted, curve)


def fit_flow(
    pixels: Tensor,
    embeddings_ND: Tensor,
    *,
    settings: LoopSettings,
    starts: Tensor | None = None,
    start_noise: float = 0.7,
    predicted: FromResponses | None = None,
    blur: Blur | None = None,
    network: FlowNetwork | None = None,
    generator: torch.Generator | None = None,
    resume: ResumePoint | None = None,
    progress: Progress | None = None,
) -> Fitted[FlowNetwork]:
    """Train a flow from noise, or from blurry pictures, to pictures.

    Parameters
    ----------
    pixels : (n, 3, S, S) Tensor of uint8
    embeddings_ND : Tensor
    settings : LoopSettings
    starts : (n, 3, S, S) Tensor of uint8, optional
        A blurry picture of each, from which its flow starts, as a direct decoder draws it.
    start_noise : float
        Standard deviation of the noise on the starts, if there are any.
    predicted : FromResponses, optional
    blur : Blur, optional
    network : FlowNetwork, optional
        Untrained; one of the pictures' size by default.
    generator, resume, progress
        As of :func:`fit_direct`.

    Raises
    ------
    ConfigError
        If pictures, embeddings and starts do not fit together.

    Notes
    -----
    The loss is the squared error of velocities, from 0.7 on as if so much time were left as there.
    Times are uniform. The embedding is all that tells of the picture near the start; where times
    near 0 are rare, as logistic functions of normal deviates are, it is hardly learned.
    """
    require_pairs(pixels, embeddings_ND)
    if starts is not None and (starts.shape != pixels.shape or start_noise <= 0):
        raise ConfigError(
            f"starts of shape {tuple(starts.shape)} with noise {start_noise}: expected "
            f"{tuple(pixels.shape)} as the pictures, and noise above 0"
        )
    _require_like(predicted, embeddings_ND, starts)
    blur = blur or Blur()
    generator = generator or draws_of(settings)
    torch.manual_seed(settings.seed)
    network = network or FlowNetwork(
        size_px=pixels.shape[-1],
        num_dimensions=embeddings_ND.shape[1],
        start_noise=0.0 if starts is None else start_noise,
    )
    network.standardise.fit(embeddings_ND)

    def loss_of(network: FlowNetwork, rows: Tensor) -> Tensor:
        device = settings.device
        ends = to_values(pixels[rows].to(device))
        time = torch.rand(len(rows), generator=generator).to(device)
        noise = torch.randn(ends.shape, generator=generator).to(device)
        known = torch.rand(len(rows), generator=generator) >= blur.unknown
        embeddings, begins_at = _told(embeddings_ND, starts, predicted, rows, generator)
        embeddings = embeddings.to(device)
        told = network.tell(
            embeddings,
            noise_BD=blur.draw_noise(embeddings, generator),
            known_B=known.to(device),
        )
        begins = noise
        if begins_at is not None:
            begins = to_values(begins_at.to(device)) + network.start_noise * noise
        share = time[:, None, None, None]
        on_the_way = torch.lerp(begins, ends, share).contiguous(memory_format=torch.channels_last)
        error = network(on_the_way, time, told).float() - ends
        return (error / (1 - share).clamp(min=_LEAST_TIME_LEFT)).square().mean()

    fitted, curve = train(
        network.to(settings.device).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        loss_of,
        num_pictures=len(pixels),
        settings=settings,
        progress=progress,
        resume=resume,
        num_points=CURVE_POINTS,
    )
    return Fitted(fitted, curve)


def _told(
    true_ND: Tensor,
    starts: Tensor | None,
    predicted: FromResponses | None,
    rows: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor | None]:
    """Return what is told of some pictures, and what flows start at: true or predicted."""
    told, begins = true_ND[rows], None if starts is None else starts[rows]
    if predicted is None:
        return told, begins
    chosen = torch.rand(len(rows), generator=generator) < predicted.share
    told = torch.where(chosen[:, None], predicted.vectors_ND[rows], told)
    if begins is not None and predicted.starts is not None:
        begins = torch.where(chosen[:, None, None, None], predicted.starts[rows], begins)
    return told, begins


def _require_like(predicted: FromResponses | None, true_ND: Tensor, starts: Tensor | None) -> None:
    if predicted is None:
        return
    alike = predicted.vectors_ND.shape == true_ND.shape
    if not alike or (starts is None) != (predicted.starts is None):
        raise ConfigError(
            f"predicted embeddings of shape {tuple(predicted.vectors_ND.shape)}: expected "
            f"{tuple(true_ND.shape)} as the true ones, and starts where there are starts"
        )


def require_share(share: float) -> None:
    """Refuse a share of predicted embeddings that is none.

    Raises
    ------
    ConfigError
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share of predicted embeddings is {share}: expected above 0, at most 1")


def require_pairs(pixels: Tensor, vectors_ND: Tensor) -> None:
    """Refuse to train on fewer than two pictures, or with a vector too few.

    Raises
    ------
    ConfigError
    """
    if len(pixels) < 2:
        raise ConfigError(f"{len(pixels)} pictures to train on: expected 2 or more")
    if vectors_ND.ndim != 2 or len(vectors_ND) != len(pixels):
        raise ConfigError(
            f"vectors of shape {tuple(vectors_ND.shape)}: expected one for each of the "
            f"{len(pixels)} pictures"
        )
