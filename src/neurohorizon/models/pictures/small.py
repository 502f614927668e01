"""A small convolutional encoder of pictures, trained here: no download."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.errors import ConfigError

_GREY, _SPREAD = 0.5, 0.25


class SmallNetwork(nn.Module):
    """Patches, three residual stages that halve the picture each, strongest place, projection.

    Parameters
    ----------
    size_px : int
        Width and height of the pictures; a multiple of 16.
    widths : sequence of 4 int
        Channels of the stem and of the three stages.
    num_dimensions : int
        Of the projected embedding.

    Notes
    -----
    The stem turns each 2 x 2 pixels into one place of 12 channels, so that no convolution runs at
    full size: there most of the time of a small network would be spent. Shortcuts and the last
    stage keep the strongest place rather than the mean: an object covers a part of a picture, and
    surfaces of objects are learned in half of the steps. *pooled* is what the last stage leaves;
    *projected*, a linear map of it, is what the losses see.

    References
    ----------
    He et al. 2016, "Deep residual learning for image recognition".
    """

    def __init__(
        self,
        *,
        size_px: int = 64,
        widths: Sequence[int] = (16, 48, 96, 192),
        num_dimensions: int = 128,
    ) -> None:
        super().__init__()
        if size_px < 16 or size_px % 16:
            raise ConfigError(f"size_px is {size_px}: expected a multiple of 16")
        if len(widths) != 4 or min(widths) < 1 or num_dimensions < 1:
            raise ConfigError(
                f"widths {tuple(widths)} and {num_dimensions} dimensions: expected 4 widths, and "
                "all of them 1 or more"
            )
        self.size_px = size_px
        self.widths = tuple(widths)
        self.num_dimensions = num_dimensions
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), _convolution(12, widths[0]), nn.ReLU())
        self.stages = nn.Sequential(*(_Stage(here, there) for here, there in pairwise(widths)))
        self.projection = nn.Linear(widths[-1], num_dimensions)

    def pool(self, pictures_B3SS: Tensor) -> Tensor:
        """Return the pooled embedding, (B, last width), of pictures from 0 to 1."""
        return self.stages(self.stem((pictures_B3SS - _GREY) / _SPREAD)).amax(dim=(2, 3))

    def forward(self, pictures_B3SS: Tensor) -> Tensor:
        """Return the projected embedding, (B, D), of pictures from 0 to 1."""
        return self.projection(self.pool(pictures_B3SS))


class _Stage(nn.Module):
    """A residual block that halves width and height."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.first = _convolution(num_in, num_out, stride=2)
        self.second = _convolution(num_out, num_out)
        self.short = nn.Conv2d(num_in, num_out, 1, bias=False)

    def forward(self, places_BCHW: Tensor) -> Tensor:
        inner = self.second(functional.relu(self.first(places_BCHW)))
        return functional.relu(inner + self.short(functional.max_pool2d(places_BCHW, 2)))


def _convolution(num_in: int, num_out: int, *, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(num_in, num_out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(num_out))
