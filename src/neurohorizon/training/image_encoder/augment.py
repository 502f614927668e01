"""Other views of the same pictures: turned, moved, cut, mirrored, in another light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neurohorizon.errors import ConfigError

# How much of each colour channel the eye sees as light (ITU-R 601).
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Augmentation:
    """How views of a picture differ from it; every value 0 (`least_area` 1) is off.

    Parameters
    ----------
    least_area : float
        Smallest share of the picture that is cut out and enlarged, above 0 and at most 1.
    flip : bool
        Mirror half of the views left to right.
    turn_deg : float
        Turn by at most so much, either way; what comes in at the corners is mirrored.
    light : float
        Change brightness and contrast by at most this share.
    colour : float
        Change saturation by at most this share, and turn the hue by at most this share of a
        half circle. Leave it at 0 where colour is what shall be told apart.
    soft : float
        Share of the views that lose their detail: halved in size and enlarged again.
    noise : float
        Largest standard deviation of noise that is added, on values from 0 to 1.
    """

    least_area: float = 1.0
    flip: bool = False
    turn_deg: float = 0.0
    light: float = 0.0
    colour: float = 0.0
    soft: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.least_area <= 1:
            raise ConfigError(f"least_area is {self.least_area}: expected above 0, at most 1")
        if not 0 <= self.turn_deg <= 180:
            raise ConfigError(f"turn_deg is {self.turn_deg}: expected 0 to 180")
        for name in ("light", "colour", "soft", "noise"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}: expected 0 to 1")

    def __call__(self, pictures_B3SS: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of each picture.

        Parameters
        ----------
        pictures_B3SS : Tensor
            Values from 0 to 1.
        generator : torch.Generator
            On the CPU, so that the views are the same on every device.

        Returns
        -------
        Tensor
            The same shape, values from 0 to 1.
        """
        views = self._moved(pictures_B3SS, generator)
        if self.soft:
            views = self._softened(views, generator)
        if self.light or self.colour:
            views = self._lit(views, generator)
        if self.noise:
            spread = self.noise * _uniform(len(views), generator)
            grain = torch.randn(views.shape, generator=generator)
            views = views + (spread[:, None, None, None] * grain).to(views)
        return views.clamp(0, 1).contiguous(memory_format=torch.channels_last)

    def _moved(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        if self.least_area == 1 and not self.turn_deg and not self.flip:
            return pictures
        num = len(pictures)
        side = _uniform(num, generator, self.least_area, 1).sqrt()
        angle = math.radians(self.turn_deg) * _uniform(num, generator, -1, 1)
        mirror = 1 - 2.0 * (_uniform(num, generator) < 0.5 * self.flip)
        shift = (1 - side)[:, None] * _uniform(2 * num, generator, -1, 1).reshape(num, 2)
        cos, sin = side * angle.cos(), side * angle.sin()
        theta = torch.stack(
            [
                torch.stack([mirror * cos, -sin, shift[:, 0]], dim=1),
                torch.stack([mirror * sin, cos, shift[:, 1]], dim=1),
            ],
            dim=1,
        ).to(pictures)
        grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
        return functional.grid_sample(
            pictures, grid, padding_mode="reflection", align_corners=False
        )

    def _softened(self, views: Tensor, generator: torch.Generator) -> Tensor:
        chosen = (_uniform(len(views), generator) < self.soft).to(views.device)
        if not chosen.any():
            return views
        small = functional.avg_pool2d(views[chosen], 2)
        views = views.clone()
        views[chosen] = functional.interpolate(
            small, size=views.shape[2:], mode="bilinear", align_corners=False
        )
        return views

    def _lit(self, views: Tensor, generator: torch.Generator) -> Tensor:
        num = len(views)
        brightness = 1 + self.light * _uniform(num, generator, -1, 1)
        contrast = 1 + self.light * _uniform(num, generator, -1, 1)
        saturation = 1 + self.colour * _uniform(num, generator, -1, 1)
        angle = math.pi * self.colour * _uniform(num, generator, -1, 1)
        luma = torch.tensor(_LUMA)
        grey = torch.ones(3, 1) * luma  # takes colour away
        # A turn about the grey axis (Rodrigues), of what is left without grey.
        axis = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
        eye, third = torch.eye(3), torch.full((3, 3), 1 / 3)
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        turn = cos * eye + sin * axis + (1 - cos) * third
        mixed = grey + saturation[:, None, None] * (turn @ (eye - grey))
        mean = views.mean(dim=(1, 2, 3), keepdim=True)
        views = torch.einsum("bij,bjhw->bihw", mixed.to(views), views)
        wide = [-1, 1, 1, 1]
        views = mean + contrast.to(views).reshape(wide) * (views - mean)
        return brightness.to(views).reshape(wide) * views


def _uniform(num: int, generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(num, generator=generator)
