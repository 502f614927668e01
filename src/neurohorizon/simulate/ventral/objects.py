"""What is drawn: shapes, hues and surfaces, and the categories that they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]

#: Hue classes, 30 degrees apart, from red on.
HUES = (
    "red",
    "orange",
    "yellow",
    "lime",
    "green",
    "mint",
    "cyan",
    "azure",
    "blue",
    "purple",
    "magenta",
    "rose",
)
HUE_STEP_DEG = 360 / len(HUES)
#: Surfaces: patterns of a lighter and a darker tone of the hue.
TEXTURES = (
    "plain",
    "shaded",
    "striped",
    "banded",
    "checked",
    "tiled",
    "dotted",
    "spotted",
    "speckled",
    "marbled",
    "wavy",
    "gridded",
    "ringed",
)


def _circle(radius: float, *, x: float = 0.0, corners: int = 48) -> Polygon:
    angle = 2 * np.pi * np.arange(corners) / corners
    return np.column_stack([x + radius * np.cos(angle), radius * np.sin(angle)])


def _box(half_width: float, half_height: float) -> Polygon:
    corner = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    return corner * [half_width, half_height]


def _star(points: int, outer: float, inner: float) -> Polygon:
    angle = np.pi * np.arange(2 * points) / points - np.pi / 2
    radius = np.where(np.arange(2 * points) % 2 == 0, outer, inner)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def _heart() -> Polygon:
    angle = 2 * np.pi * np.arange(48) / 48
    across = 16 * np.sin(angle) ** 3
    down = -(13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle))
    return np.column_stack([across, down - 2.5]) / 16


def _cross(arm: float, half: float) -> Polygon:
    quarter = [(half, -arm), (half, -half), (arm, -half)]
    corners = [
        (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn))
        for turn in (math.pi / 2 * number for number in range(4))
        for x, y in quarter
    ]
    return np.array(corners)


#: Shape -> its outline, and what is cut out of it; in radii around the centre, y downward.
#: No two are alike under turning, so that any may be shown at any orientation.
SHAPES: dict[str, tuple[Polygon, Polygon | None]] = {
    "disc": (_circle(0.9), None),
    "square": (_box(0.8, 0.8), None),
    "triangle": (_star(3, 1.15, 0.575), None),
    "star": (_star(5, 1.15, 0.46), None),
    "cross": (_cross(1.0, 0.3), None),
    "ring": (_circle(1.0), _circle(0.55)),
    "crescent": (_circle(1.0), _circle(0.85, x=0.55)),
    "heart": (_heart(), None),
    "bar": (_box(1.2, 0.32), None),
    "arrow": (
        np.array(
            [
                (-1.1, -0.27),
                (0.0, -0.27),
                (0.0, -0.85),
                (1.1, 0.0),
                (0.0, 0.85),
                (0.0, 0.27),
                (-1.1, 0.27),
            ]
        ),
        None,
    ),
    "hourglass": (
        np.array([(-0.8, -1.0), (0.8, -1.0), (0.14, 0.0), (0.8, 1.0), (-0.8, 1.0), (-0.14, 0.0)]),
        None,
    ),
    "elbow": (
        np.array(
            [(-0.85, -0.95), (-0.3, -0.95), (-0.3, 0.35), (0.95, 0.35), (0.95, 0.9), (-0.85, 0.9)]
        ),
        None,
    ),
}
SHAPE_NAMES = tuple(SHAPES)
MOST_CATEGORIES = len(SHAPES) * len(HUES) * len(TEXTURES)


@dataclass(frozen=True)
class Category:
    """What the pictures of one category share.

    Parameters
    ----------
    shape, hue, texture : int
        Rows of `SHAPE_NAMES`, `HUES` and `TEXTURES`.
    """

    shape: int
    hue: int
    texture: int

    @property
    def name(self) -> str:
        """As in "red_striped_star"."""
        return f"{HUES[self.hue]}_{TEXTURES[self.texture]}_{SHAPE_NAMES[self.shape]}"


@lru_cache(maxsize=8)
def list_categories(seed: int) -> tuple[Category, ...]:
    """Return all categories, in the order in which a world of this seed uses them.

    Notes
    -----
    Shapes take turns. Hue and surface of a shape go round side by side, and because their
    numbers have no divisor in common, they meet in every combination once: any first few
    categories have all shapes, hues and surfaces about equally often.
    """
    num_hues, num_textures = len(HUES), len(TEXTURES)
    assert math.gcd(num_hues, num_textures) == 1
    rng = np.random.default_rng([seed, 0])
    starts = rng.integers([num_hues, num_textures], size=(len(SHAPES), 2))
    hues, textures = rng.permutation(num_hues), rng.permutation(num_textures)
    return tuple(
        Category(
            shape,
            int(hues[(turn + starts[shape, 0]) % num_hues]),
            int(textures[(turn + starts[shape, 1]) % num_textures]),
        )
        for turn in range(num_hues * num_textures)
        for shape in range(len(SHAPES))
    )
