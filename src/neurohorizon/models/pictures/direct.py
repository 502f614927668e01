"""A plain decoder: from an embedding, or responses, to the one picture of least squared error."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.standard import Standardise

_COARSE_PX = 4


class DirectNetwork(nn.Module):
    """A linear map to 4 x 4 places, convolutions that double width and height, pixels.

    Parameters
    ----------
    size_px : int
        Width and height of the pictures: 8 times a power of 2.
    num_dimensions : int
        Of the vectors that it reads.
    widths : sequence of int, optional
        Channels at 4 x 4 places and after each doubling but the last, which is a rearrangement
        of channels to pixels.

    Notes
    -----
    Trained on squared errors it draws the mean of all pictures that its vector leaves possible:
    a blob where the vector does not tell the shape. It wins by pixel scores, and nobody recognises
    what it shows; as the picture that a flow starts from it says where and in which colour.
    """

    def __init__(
        self, *, size_px: int = 32, num_dimensions: int, widths: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        doublings = _doublings(size_px)
        widths = widths or [256 >> level for level in range(doublings)]
        if len(widths) != doublings or min(widths) < 1:
            raise ConfigError(
                f"widths {tuple(widths)}: expected {doublings} for pictures of {size_px} pixels, "
                "and all of them 1 or more"
            )
        self.size_px = size_px
        self.num_dimensions = num_dimensions
        self.widths = tuple(widths)
        self.standardise = Standardise(num_dimensions)
        self.spread_out = nn.Linear(num_dimensions, widths[0] * _COARSE_PX**2)
        self.blocks = nn.ModuleList(_Block(width) for width in widths)
        self.narrow = nn.ModuleList(nn.Conv2d(here, there, 1) for here, there in pairwise(widths))
        self.draw = nn.Conv2d(widths[-1], 12, 3, padding=1)

    def forward(self, vectors_BD: Tensor, *, noise_BD: Tensor | None = None) -> Tensor:
        """Return the values of a picture for each vector, (B, 3, S, S).

        Parameters
        ----------
        vectors_BD : Tensor
        noise_BD : Tensor, optional
            Added to the standardised vectors, in training.
        """
        standard = self.standardise(vectors_BD)
        if noise_BD is not None:
            standard = standard + noise_BD
        places = self.spread_out(standard).unflatten(1, (-1, _COARSE_PX, _COARSE_PX))
        places = self.blocks[0](places)
        for block, narrow in zip(self.blocks[1:], self.narrow, strict=True):
            places = block(functional.interpolate(narrow(places), scale_factor=2))
        return functional.pixel_shuffle(self.draw(functional.relu(places)), 2)


class _Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, places_BCHW: Tensor) -> Tensor:
        return places_BCHW + self.inner(places_BCHW)


def _doublings(size_px: int) -> int:
    doublings = (size_px // _COARSE_PX).bit_length() - 1
    if doublings < 1 or size_px != _COARSE_PX << doublings:
        raise ConfigError(
            f"size_px is {size_px}: expected a power of 2, 8 or more, such as 32 or 64"
        )
    return doublings
