"""What generators read and draw, in units that a network learns well in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError

_GREY, _SPREAD = 0.5, 0.25
_LEAST_SPREAD = 1e-3


class Standardise(nn.Module):
    """Vectors with mean 0 and standard deviation 1 in each dimension.

    Parameters
    ----------
    num_dimensions : int

    Notes
    -----
    Mean and spread are found in training, by :meth:`fit`, and saved with the weights. A dimension
    that hardly varies is not blown up: no spread is below a thousandth of the largest.
    """

    mean_D: Tensor
    spread_D: Tensor

    def __init__(self, num_dimensions: int) -> None:
        super().__init__()
        if num_dimensions < 1:
            raise ConfigError(f"vectors of {num_dimensions} dimensions: expected 1 or more")
        self.register_buffer("mean_D", torch.zeros(num_dimensions))
        self.register_buffer("spread_D", torch.ones(num_dimensions))

    def fit(self, vectors_ND: Tensor) -> None:
        """Take mean and spread from the vectors of training pictures; NaN is left out."""
        mean = vectors_ND.nanmean(dim=0).nan_to_num()
        spread = (vectors_ND - mean).square().nanmean(dim=0).sqrt().nan_to_num()
        largest = float(spread.max())
        self.mean_D.copy_(mean)
        self.spread_D.copy_(spread.clamp(min=_LEAST_SPREAD * largest) if largest else spread + 1)

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """Return the standardised vectors, (B, D)."""
        return (vectors_BD - self.mean_D) / self.spread_D


class Told(nn.Module):
    """A network that an embedding, or none, tells what to draw.

    Parameters
    ----------
    num_dimensions : int
        Of the embeddings.

    Notes
    -----
    In training some embeddings are replaced by a learned vector that stands for none, so that
    guidance can compare (Ho & Salimans 2022, "Classifier-free diffusion guidance").
    """

    def __init__(self, num_dimensions: int) -> None:
        super().__init__()
        self.num_dimensions = num_dimensions
        self.standardise = Standardise(num_dimensions)
        self.nothing_D = nn.Parameter(torch.zeros(num_dimensions))

    def tell(
        self,
        embeddings_BD: Tensor,
        *,
        noise_BD: Tensor | None = None,
        known_B: Tensor | None = None,
    ) -> Tensor:
        """Return what the network is told of embeddings, (B, D).

        Parameters
        ----------
        embeddings_BD : Tensor
        noise_BD : Tensor, optional
            Added to the standardised embeddings, in training.
        known_B : Tensor of bool, optional
            Where it is False, the vector that stands for no embedding. All known by default.
        """
        told = self.standardise(embeddings_BD)
        if noise_BD is not None:
            told = told + noise_BD
        if known_B is not None:
            told = torch.where(known_B[:, None], told, self.nothing_D)
        return told


def to_values(pixels_B3SS: Tensor) -> Tensor:
    """Return pixels, uint8, as values around 0 with a spread of about 1."""
    return (pixels_B3SS.float() / 255 - _GREY) / _SPREAD


def to_pixels(values_B3SS: Tensor) -> Tensor:
    """Return values as pixels, uint8; what is darker than black is black."""
    share = (values_B3SS.float() * _SPREAD + _GREY).clamp(0, 1)
    return (255 * share).round().to(torch.uint8)
