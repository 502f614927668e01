r"""A small flow from noise to pictures, told by an embedding what to draw.

A picture :math:`x_1` and a start :math:`x_0` (noise, or a blurry picture with noise) are joined by
a straight line, :math:`x_t = (1 - t) x_0 + t x_1`. Following the mean velocity
:math:`E[x_1 - x_0 \mid x_t, t, \text{embedding}]` from 0 to 1 leads from starts to pictures (Lipman
et al. 2023, "Flow matching for generative modeling"; Liu et al. 2023, "Flow straight and fast").
It is :math:`(\hat x_1 - x_t) / (1 - t)`, where :math:`\hat x_1 = E[x_1 \mid x_t, t,
\text{embedding}]` is what the network learns: a picture, so that a small network need not carry the
noise through to its output, and leaves none in what is drawn (Li & He 2025, "Back to basics: let
denoising generative models denoise").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.standard import Told
from neurohorizon.nn.attention import Attention

WIDTHS = {32: (48, 80, 128), 64: (32, 48, 80, 128)}
_PATCH_PX = 2
_TOLD = 128  # width of what scales and shifts every block
_HEAD_WIDTH = 32
_ATTENDED = 64  # places, at most, that read the tokens


class FlowNetwork(Told):
    """A U-shaped network of residual blocks with attention to tokens of the embedding.

    Parameters
    ----------
    size_px : int
        Width and height of the pictures.
    num_dimensions : int
        Of the embeddings.
    widths : sequence of int, optional
        Channels at half of the size, a quarter, and so on; multiples of 16.
    num_tokens : int
        Tokens that an embedding is turned into.
    start_noise : float
        0: flows start at noise alone. Above it they start at a picture that is given, with noise
        of this standard deviation (pictures have one of about 1): the more, the less of the
        picture's detail is believed.

    Notes
    -----
    Each 2 x 2 pixels are one place of 12 channels, so that no convolution runs at full size; a
    network of 1.3 million weights at 32 pixels is several times faster than one without. Time and
    embedding scale and shift every block (Perez et al. 2018, "FiLM"); where there are 8 x 8 places
    or fewer, places also attend to the embedding's tokens and to each other. The last layer is zero
    at first: an untrained network draws grey.
    """

    def __init__(
        self,
        *,
        size_px: int = 32,
        num_dimensions: int,
        widths: Sequence[int] | None = None,
        num_tokens: int = 8,
        start_noise: float = 0.0,
    ) -> None:
        super().__init__(num_dimensions)
        widths = widths or WIDTHS.get(size_px, WIDTHS[32])
        coarsest = _PATCH_PX << (len(widths) - 1)
        if size_px < 2 * coarsest or size_px % coarsest:
            raise ConfigError(
                f"size_px is {size_px}: expected a multiple of {coarsest}, {2 * coarsest} or more; "
                f"{' and '.join(map(str, WIDTHS))} are tried"
            )
        if min(widths) < _HEAD_WIDTH // 2 or any(width % (_HEAD_WIDTH // 2) for width in widths):
            raise ConfigError(f"widths {tuple(widths)}: expected multiples of {_HEAD_WIDTH // 2}")
        if num_tokens < 1 or not 0 <= start_noise < math.inf:
            raise ConfigError(
                f"{num_tokens} tokens, start_noise {start_noise}: expected 1 or more, and 0 or more"
            )
        self.size_px = size_px
        self.widths = tuple(widths)
        self.num_tokens = num_tokens
        self.start_noise = start_noise
        channels = 3 * _PATCH_PX**2
        self.to_tokens = nn.Linear(num_dimensions, num_tokens * _TOLD)
        self.from_embedding = _two_layers(num_dimensions, _TOLD)
        self.from_time = _two_layers(_TOLD, _TOLD)
        self.read = nn.Conv2d(channels, widths[0], 3, padding=1)
        sides = [size_px // _PATCH_PX >> level for level in range(len(widths))]
        levels = list(zip(widths, sides, strict=True))
        self.down = nn.ModuleList(_Level(width, width, side) for width, side in levels[:-1])
        self.halve = nn.ModuleList(
            nn.Conv2d(here, there, 3, stride=2, padding=1) for here, there in pairwise(widths)
        )
        self.middle = nn.ModuleList(_Level(widths[-1], widths[-1], sides[-1]) for _ in range(2))
        self.narrow = nn.ModuleList(nn.Conv2d(there, here, 1) for here, there in pairwise(widths))
        self.up = nn.ModuleList(_Level(2 * width, width, side) for width, side in levels[:-1])
        self.norm = _PlaceNorm(widths[0])
        self.draw = nn.Conv2d(widths[0], channels, 3, padding=1)
        for weight in self.draw.parameters():
            nn.init.zeros_(weight)

    @property
    def has_start(self) -> bool:
        """Whether flows start at a picture that is given."""
        return self.start_noise > 0

    def forward(self, values_B3SS: Tensor, time_B: Tensor, told_BD: Tensor) -> Tensor:
        """Return the pictures that are expected at the end, (B, 3, S, S).

        Parameters
        ----------
        values_B3SS : Tensor
            Values of :func:`~neurohorizon.models.pictures.standard.to_values` on the way.
        time_B : Tensor
            From 0, at the start, to 1, at the picture.
        told_BD : Tensor
            Of :meth:`tell`.
        """
        tokens_BTC = self.to_tokens(told_BD).unflatten(1, (self.num_tokens, _TOLD))
        told_BC = functional.silu(
            self.from_embedding(told_BD) + self.from_time(_waves(time_B).to(told_BD))
        )
        places = self.read(functional.pixel_unshuffle(values_B3SS, _PATCH_PX))
        passed = []
        for level, halve in zip(self.down, self.halve, strict=True):
            places = level(places, told_BC, tokens_BTC)
            passed.append(places)
            places = halve(places)
        for level in self.middle:
            places = level(places, told_BC, tokens_BTC)
        for narrow, level in zip(reversed(self.narrow), reversed(self.up), strict=True):
            finer = functional.interpolate(narrow(places), scale_factor=2)
            places = level(torch.cat([finer, passed.pop()], dim=1), told_BC, tokens_BTC)
        drawn = self.draw(functional.silu(self.norm(places)))
        return functional.pixel_shuffle(drawn, _PATCH_PX)


class _Level(nn.Module):
    """A residual block, and attention where places are few."""

    def __init__(self, num_in: int, num_out: int, side: int) -> None:
        super().__init__()
        self.first_norm = _PlaceNorm(num_in)
        self.first = nn.Conv2d(num_in, num_out, 3, padding=1)
        self.second_norm = _PlaceNorm(num_out, elementwise_affine=False)
        self.second = nn.Conv2d(num_out, num_out, 3, padding=1)
        self.modulate = nn.Linear(_TOLD, 2 * num_out)
        self.short = nn.Conv2d(num_in, num_out, 1) if num_in != num_out else nn.Identity()
        self.look = _Look(num_out, side) if side**2 <= _ATTENDED else None

    def forward(self, places_BCHW: Tensor, told_BC: Tensor, tokens_BTC: Tensor) -> Tensor:
        inner = self.first(functional.silu(self.first_norm(places_BCHW)))
        scale, shift = self.modulate(told_BC)[:, :, None, None].chunk(2, dim=1)
        inner = self.second_norm(inner) * (1 + scale) + shift
        places_BCHW = self.short(places_BCHW) + self.second(functional.silu(inner))
        return places_BCHW if self.look is None else self.look(places_BCHW, tokens_BTC)


class _Look(nn.Module):
    """Places read the embedding's tokens and each other."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.where_PC = nn.Parameter(0.02 * torch.randn(side**2, width))
        self.from_token = nn.Linear(_TOLD, width)
        self.attention = Attention(
            width=width, num_heads=max(1, width // _HEAD_WIDTH), head_width=_HEAD_WIDTH
        )

    def forward(self, places_BCHW: Tensor, tokens_BTC: Tensor) -> Tensor:
        places = places_BCHW.flatten(2).transpose(1, 2) + self.where_PC
        seen = torch.cat([self.from_token(tokens_BTC).to(places), places], dim=1)
        # So little is attended to that bfloat16 costs more time than it saves.
        with torch.autocast(places.device.type, enabled=False):
            places, seen = places.float(), seen.float()
            read = self.attention(places, self.attention.project(seen))
        return places_BCHW + read.transpose(1, 2).unflatten(2, places_BCHW.shape[2:])


class _PlaceNorm(nn.LayerNorm):
    """Layer norm over the channels of each place; with channels last nothing is moved."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _two_layers(num_in: int, num_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(num_in, num_out), nn.SiLU(), nn.Linear(num_out, num_out))


def _waves(time_B: Tensor) -> Tensor:
    """Return sines and cosines of time, (B, 128), with periods from 1 / 160 to 6."""
    frequency = torch.exp(torch.linspace(0, math.log(1000), _TOLD // 2, device=time_B.device))
    angle = time_B[:, None].float() * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)
