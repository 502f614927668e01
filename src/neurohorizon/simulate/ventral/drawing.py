"""Drawing all pictures of a plan, some categories at a time, and the answers to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurohorizon.ops.files import atomic_path
from neurohorizon.simulate.ventral.cortex import cortex_of, luminance_layout
from neurohorizon.simulate.ventral.filters import Array
from neurohorizon.simulate.ventral.objects import list_categories
from neurohorizon.simulate.ventral.pictures import Scene, draw_scene, render, tabulate
from neurohorizon.simulate.ventral.plan import VentralPlan
from neurohorizon.simulate.workers import map_in_processes

_CATEGORIES_AT_ONCE = 24


@dataclass(frozen=True)
class Drawn:
    """Pictures that were drawn, one row each.

    Parameters
    ----------
    scenes : list of Scene
        What they show.
    names : list of str
        Their paths, as in "red_plain_disc/red_plain_disc_01.png".
    test : (n,) int
        Which test picture it is, -1 for one of training.
    answers : (n, 1024) float32
        Of the electrodes, in standard units.
    layout : (n, 16) float32
        Luminance over a grid.
    """

    scenes: list[Scene]
    names: list[str]
    test: NDArray[np.int64]
    answers: Array
    layout: Array


def draw_all(plan: VentralPlan, folder: Path, *, progress: Callable[[int, int], None]) -> Drawn:
    """Draw all pictures into a folder, where they are not there already.

    Parameters
    ----------
    plan : VentralPlan
    folder : path
        Gets one folder a category.
    progress : callable
        Called with (pictures done, pictures in all).

    Returns
    -------
    Drawn
        Train pictures category by category, then test pictures.
    """
    blocks, done, num_images = [], 0, plan.num_train + plan.num_test
    progress(0, num_images)
    starts = range(0, plan.num_categories, _CATEGORIES_AT_ONCE)
    for block in map_in_processes(partial(_draw_categories, plan, folder), starts):
        blocks.append(block)
        done += len(block.scenes)
        progress(done, num_images)
    test = np.concatenate([block.test for block in blocks])
    order = np.argsort(test, kind="stable")  # those of training are -1: first, as they come
    scenes = [scene for block in blocks for scene in block.scenes]
    names = [name for block in blocks for name in block.names]
    return Drawn(
        scenes=[scenes[row] for row in order],
        names=[names[row] for row in order],
        test=test[order],
        answers=np.concatenate([block.answers for block in blocks])[order],
        layout=np.concatenate([block.layout for block in blocks])[order],
    )


def _draw_categories(plan: VentralPlan, folder: Path, first: int) -> Drawn:
    """Draw some categories, write their pictures, and answer them."""
    cortex = cortex_of(plan.monkey, plan.seed)
    scenes: list[Scene] = []
    names: list[str] = []
    test: list[int] = []
    pictures: list[NDArray[np.uint8]] = []
    for category in range(first, min(first + _CATEGORIES_AT_ONCE, plan.num_categories)):
        parts = {
            "train": [-1] * plan.images_per_category,
            "test": list(plan.test_images_of(category)),
        }
        mine = [
            draw_scene(plan.seed, part, category, exemplar)
            for part, numbers in parts.items()
            for exemplar in range(len(numbers))
        ]
        drawn = [render(scene, plan.size_px) for scene in mine]
        word = list_categories(plan.seed)[category].name
        files = [f"{word}_{number + 1:02d}.png" for number in range(len(mine))]
        _write_pictures(folder / word, dict(zip(files, drawn, strict=True)))
        scenes += mine
        names += [f"{word}/{file}" for file in files]
        test += [*parts["train"], *parts["test"]]
        pictures += drawn
    stacked = np.stack(pictures)
    answers = cortex.add_other(cortex.answers(stacked, tabulate(scenes)), scenes)
    return Drawn(scenes, names, np.array(test), answers, luminance_layout(stacked))


def _write_pictures(folder: Path, pictures: dict[str, NDArray[np.uint8]]) -> None:
    """Write the pictures of a category: all of them, or none."""
    if folder.is_dir():
        return
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, pixels in pictures.items():
            Image.fromarray(pixels).save(temporary / name, compress_level=3)
