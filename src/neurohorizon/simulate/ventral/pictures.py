"""Pictures drawn by a program: one object before a background, and the truth of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from neurohorizon.simulate.ventral.objects import (
    HUE_STEP_DEG,
    SHAPE_NAMES,
    SHAPES,
    list_categories,
)
from neurohorizon.simulate.ventral.surfaces import (
    BACKGROUNDS,
    REFERENCE_PX,
    Map,
    background,
    pixel_grid,
    rgb,
    surface,
)

#: Outlines are drawn this many times larger, so that their edges come out smooth.
OVERSAMPLING = 4
PARTS = ("train", "test", "calibration")


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Parameters
    ----------
    category, shape, hue, texture : int
        Of the object.
    hue_deg, saturation, lightness : float
        Its colour; the second tone of its surface is lighter or darker.
    x, y : float
        Its centre, as a share of the picture's width from the left and from the top.
    size : float
        Its radius, as a share of the picture's width.
    orientation_rad : float
        How far it is turned, clockwise.
    background : int
        Row of `BACKGROUNDS`.
    key : tuple of int
        Seeds what is drawn at random besides: grain, phases, background.
    """

    category: int
    shape: int
    hue: int
    texture: int
    hue_deg: float
    saturation: float
    lightness: float
    x: float
    y: float
    size: float
    orientation_rad: float
    background: int
    key: tuple[int, ...]


def draw_scene(seed: int, part: str, category: int, exemplar: int) -> Scene:
    """Draw what one picture shows; it depends on nothing but these four.

    Parameters
    ----------
    seed : int
        Of the world.
    part : {"train", "test", "calibration"}
    category : int
        Row of :func:`~neurohorizon.simulate.ventral.objects.list_categories`.
    exemplar : int
        Which picture of the category.
    """
    key = (seed, 1 + PARTS.index(part), category, exemplar)
    rng = np.random.default_rng(key)
    kind = list_categories(seed)[category]
    size = rng.uniform(0.19, 0.33)
    x, y = size + (1 - 2 * size) * rng.uniform(size=2)
    return Scene(
        category=category,
        shape=kind.shape,
        hue=kind.hue,
        texture=kind.texture,
        hue_deg=HUE_STEP_DEG * kind.hue + rng.uniform(-7, 7),
        saturation=rng.uniform(0.7, 1.0),
        lightness=rng.uniform(0.4, 0.62),
        x=x,
        y=y,
        size=size,
        orientation_rad=rng.uniform(0, 2 * np.pi),
        background=int(rng.integers(len(BACKGROUNDS))),
        key=(*key, 1),
    )


def render(scene: Scene, size_px: int = REFERENCE_PX) -> NDArray[np.uint8]:
    """Draw a picture.

    Parameters
    ----------
    scene : Scene
    size_px : int
        Its width and height.

    Returns
    -------
    (size_px, size_px, 3) uint8
    """
    rng = np.random.default_rng(scene.key)
    ground = background(scene.background, rng, size_px)
    x, y = pixel_grid(size_px)
    cos, sin = np.float32(np.cos(scene.orientation_rad)), np.float32(np.sin(scene.orientation_rad))
    right, down = REFERENCE_PX * (x - np.float32(scene.x)), REFERENCE_PX * (y - np.float32(scene.y))
    u, v = cos * right + sin * down, cos * down - sin * right
    share = surface(scene.texture, rng, u, v, size_px)[:, :, None]
    # The second tone is lighter than a dark object and darker than a light one.
    step = 0.26 if scene.lightness < 0.5 else -0.26
    tone = rgb(scene.hue_deg, scene.saturation, scene.lightness)
    second = rgb(scene.hue_deg, scene.saturation, scene.lightness + step)
    cover = silhouette(scene, size_px)[:, :, None]
    picture = ground + cover * (tone + share * (second - tone) - ground)
    return np.clip(255 * picture + 0.5, 0, 255).astype(np.uint8)


def silhouette(scene: Scene, size_px: int = REFERENCE_PX) -> Map:
    """Return how much of each pixel the object covers, from 0 to 1, (size, size)."""
    scale = OVERSAMPLING * size_px
    cos, sin = np.cos(scene.orientation_rad), np.sin(scene.orientation_rad)
    turn = scale * scene.size * np.array([[cos, sin], [-sin, cos]])
    mask = Image.new("L", (scale, scale), 0)
    pen = ImageDraw.Draw(mask)
    for outline, ink in zip(SHAPES[SHAPE_NAMES[scene.shape]], (255, 0), strict=True):
        if outline is not None:
            corners = outline @ turn + scale * np.array([scene.x, scene.y])
            pen.polygon(corners.ravel().tolist(), fill=ink)
    return np.asarray(mask.reduce(OVERSAMPLING), dtype=np.float32) / 255


def tabulate(scenes: Sequence[Scene]) -> dict[str, NDArray[Any]]:
    """Return the scenes as columns, one row a scene."""
    columns = {}
    for field in fields(Scene):
        if field.name != "key":
            values = np.array([getattr(scene, field.name) for scene in scenes])
            columns[field.name] = values.astype(np.int64 if values.dtype.kind == "i" else "f4")
    return columns
