"""The network of a judge: it says what a picture shows, in words of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from neurohorizon.errors import ConfigError

_WIDTHS = (24, 48, 96, 160)
_HIDDEN = 256


class JudgeNetwork(nn.Module):
    """Plain convolutions with max-pooling, the strongest answer of each channel, a hidden layer.

    Nothing of it is shared with :class:`~neurohorizon.models.pictures.small.SmallNetwork`: other
    filters (5 x 5 at first), no residuals, another nonlinearity, a hidden layer, and it learns from
    other pictures. What one of them overlooks the other need not.

    Parameters
    ----------
    words : mapping of str to sequence of str
        What is judged, as in "shape", and the answers to choose from.
    size_px : int
        Width and height of the pictures.
    """

    def __init__(self, words: Mapping[str, Sequence[str]], *, size_px: int = 64) -> None:
        super().__init__()
        if not words or min(len(each) for each in words.values()) < 2:
            raise ConfigError("a judge needs something to judge, with two answers or more")
        if size_px < 16:
            raise ConfigError(f"size_px is {size_px}: expected at least 16")
        self.words = {name: tuple(each) for name, each in words.items()}
        self.size_px = size_px
        layers: list[nn.Module] = [
            nn.Conv2d(3, _WIDTHS[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(_WIDTHS[0]),
            nn.GELU(),
        ]
        for here, there in pairwise(_WIDTHS):
            layers += [
                nn.MaxPool2d(2),
                nn.Conv2d(here, there, 3, padding=1, bias=False),
                nn.BatchNorm2d(there),
                nn.GELU(),
            ]
        self.trunk = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(_WIDTHS[-1], _HIDDEN), nn.GELU(), nn.Dropout(0.2))
        self.heads = nn.ModuleList(nn.Linear(_HIDDEN, len(each)) for each in self.words.values())

    def describe(self, pictures_B3SS: Tensor) -> Tensor:
        """Return the hidden layer, (B, 256), for pictures from 0 to 1."""
        places = self.trunk(2 * pictures_B3SS - 1)
        return self.hidden(torch.amax(places, dim=(2, 3)))

    def forward(self, pictures_B3SS: Tensor) -> dict[str, Tensor]:
        """Return the logits of each word, (B, words), for pictures from 0 to 1."""
        hidden = self.describe(pictures_B3SS)
        return {name: head(hidden) for name, head in zip(self.words, self.heads, strict=True)}
