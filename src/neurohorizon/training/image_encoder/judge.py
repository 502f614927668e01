"""Fitting a judge of drawn pictures, on pictures that are drawn for it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurohorizon.errors import ConfigError
from neurohorizon.models.pictures.judge import JudgeNetwork
from neurohorizon.simulate.ventral.objects import HUES, MOST_CATEGORIES, SHAPE_NAMES, TEXTURES
from neurohorizon.simulate.ventral.pictures import draw_scene, render
from neurohorizon.training.image_encoder.augment import Augmentation
from neurohorizon.training.image_encoder.loop import LoopSettings, Progress, train

WORDS = {"shape": SHAPE_NAMES, "hue": HUES, "texture": TEXTURES}
WORLD_SEED = 90_000_001
"""Of the pictures that a judge learns from; seeds of worlds are expected to be smaller."""
# A judge must bear pictures that a network drew: less sharp, and not free of noise.
FOR_JUDGE = Augmentation(least_area=0.85, light=0.08, soft=0.25, noise=0.04)
#: Part of the drawn worlds that no recording shows.
PART = "calibration"


@dataclass(frozen=True)
class DrawnPictures:
    """Pictures that were drawn for a purpose, and what they show.

    Parameters
    ----------
    pixels : (n, S, S, 3) array of uint8
    code : dict of str to (n,) int
        Row of the words of each picture, for shape, hue and texture.
    """

    pixels: NDArray[np.uint8]
    code: dict[str, NDArray[np.int64]]


def draw_pictures(
    num_pictures: int,
    *,
    seed: int,
    size_px: int = 64,
    num_categories: int = MOST_CATEGORIES,
    progress: Progress | None = None,
) -> DrawnPictures:
    """Draw pictures of the drawn world, category after category.

    Parameters
    ----------
    num_pictures : int
    seed : int
        Of the world; no picture of one seed is in the world of another.
    size_px : int
    num_categories : int
        With fewer, there are several pictures of each.
    progress : callable, optional
        Called with ("draw", pictures done, pictures in all).

    Raises
    ------
    ConfigError
        If there are to be no pictures.
    """
    if num_pictures < 2:
        raise ConfigError(f"{num_pictures} pictures: expected 2 or more")
    pixels = np.empty((num_pictures, size_px, size_px, 3), np.uint8)
    scenes = []
    for number in range(num_pictures):
        exemplar, category = divmod(number, num_categories)
        scenes.append(draw_scene(seed, PART, category, exemplar))
        pixels[number] = render(scenes[-1], size_px)
        if progress and ((number + 1) % 100 == 0 or number + 1 == num_pictures):
            progress("draw", number + 1, num_pictures)
    code = {name: np.array([getattr(scene, name) for scene in scenes]) for name in WORDS}
    return DrawnPictures(pixels, code)


def fit_judge(
    pictures: DrawnPictures,
    *,
    settings: LoopSettings,
    augmentation: Augmentation = FOR_JUDGE,
    words: Sequence[str] = tuple(WORDS),
    progress: Progress | None = None,
) -> tuple[JudgeNetwork, list[tuple[int, float]]]:
    """Train a judge.

    Parameters
    ----------
    pictures : DrawnPictures
    settings : LoopSettings
    augmentation : Augmentation
    words : sequence of str
        What it shall judge: of shape, hue and texture.
    progress : callable, optional
        Called with ("train", steps done, steps in all).

    Returns
    -------
    network : JudgeNetwork
        On the CPU, in evaluation mode.
    curve : list of (step, loss)
    """
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed + 1)
    network = JudgeNetwork({name: WORDS[name] for name in words}, size_px=pictures.pixels.shape[1])
    pixels = torch.from_numpy(pictures.pixels).permute(0, 3, 1, 2)
    codes = {name: torch.from_numpy(pictures.code[name]) for name in words}

    def loss_of(network: JudgeNetwork, rows: Tensor) -> Tensor:
        shown = pixels[rows].to(settings.device).float() / 255
        with torch.autocast(shown.device.type, enabled=False):
            views = augmentation(shown, generator)
        losses = [
            functional.cross_entropy(logits.float(), codes[name][rows].to(logits.device))
            for name, logits in network(views).items()
        ]
        return torch.stack(losses).sum()

    return train(
        network.to(settings.device).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        loss_of,
        num_pictures=len(pixels),
        settings=settings,
        progress=progress,
    )
