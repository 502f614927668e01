"""Patterns on objects and behind them, as shares of a second tone between 0 and 1."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from neurohorizon.simulate.ventral.objects import TEXTURES

Map = NDArray[np.floating[Any]]

#: Lengths of patterns are given in pixels of a picture of this width.
REFERENCE_PX = 64
BACKGROUNDS = ("colour", "gradient", "texture", "clutter")


@lru_cache(maxsize=4)
def pixel_grid(size_px: int) -> tuple[Map, Map]:
    """Return x and y of each pixel's centre, from 0 to 1, as (1, size) and (size, 1)."""
    centre = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px
    return centre[None, :], centre[:, None]


def smooth_noise(rng: np.random.Generator, size_px: int, cells: int) -> Map:
    """Return noise between 0 and 1 with about `cells` blobs across the picture."""
    coarse = rng.integers(0, 256, size=(cells, cells), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32) / 255


def _square_wave(phase: Map, sharpness: float) -> Map:
    """Return a wave between 0 and 1 with soft edges; `phase` in cycles."""
    return np.clip(0.5 + sharpness * np.sin(2 * np.pi * phase), 0, 1)


def surface(texture: int, rng: np.random.Generator, u: Map, v: Map, size_px: int) -> Map:
    """Return how much of the second tone each pixel of an object has.

    Parameters
    ----------
    texture : int
        Row of `TEXTURES`.
    rng : numpy.random.Generator
        Draws phases, spacing and grain.
    u, v : (S, S) float
        Place of each pixel along and across the object, in pixels of a picture 64 wide.
    size_px : int

    Returns
    -------
    (S, S) float32
    """
    name = TEXTURES[texture]
    phase_u, phase_v = rng.uniform(size=2).astype(np.float32)
    stretch = np.float32(rng.uniform(0.9, 1.1))

    def waves(length: float) -> tuple[Map, Map]:
        return u / (length * stretch) + phase_u, v / (length * stretch) + phase_v

    if name == "plain":
        return np.zeros((size_px, size_px), dtype=np.float32)
    if name == "shaded":
        return np.clip(0.5 + u / 28, 0, 1)
    if name == "striped":
        return _square_wave(waves(5.0)[0], 1.2)
    if name == "banded":
        return _square_wave(waves(13.0)[0], 2.5)
    if name in ("checked", "tiled"):
        length, sharpness = (7.0, 1.5) if name == "checked" else (16.0, 3.0)
        across, along = waves(length)
        product = np.sin(2 * np.pi * across) * np.sin(2 * np.pi * along)
        return np.clip(0.5 + sharpness * product, 0, 1)
    if name in ("dotted", "spotted"):
        length, sharpness = (5.5, 1.2) if name == "dotted" else (12.0, 2.5)
        across, along = waves(length)
        hills = np.cos(2 * np.pi * across) + np.cos(2 * np.pi * along)
        return np.clip(0.5 + sharpness * (hills - 0.7), 0, 1)
    if name == "speckled":
        return (smooth_noise(rng, size_px, 32) > 0.5).astype(np.float32)
    if name == "marbled":
        return np.clip(0.5 + 4 * (smooth_noise(rng, size_px, 9) - 0.5), 0, 1)
    if name == "wavy":
        across, along = waves(9.0)
        return _square_wave(across + 0.35 * np.sin(2 * np.pi * along), 1.8)
    if name == "gridded":
        across, along = waves(8.0)
        lines = np.maximum(np.cos(2 * np.pi * across), np.cos(2 * np.pi * along))
        return np.clip(0.5 + 3.0 * (lines - 0.75), 0, 1)
    assert name == "ringed"
    return _square_wave(np.sqrt(u**2 + v**2) / (8.0 * stretch) + phase_u, 1.8)


def rgb(hue_deg: float, saturation: float, lightness: float) -> Map:
    """Return a colour as (3,) float32 between 0 and 1."""
    red_green_blue = colorsys.hls_to_rgb(hue_deg % 360 / 360, lightness, saturation)
    return np.array(red_green_blue, dtype=np.float32)


def _dull(rng: np.random.Generator) -> Map:
    """Return a colour that no object has: it is nearly grey."""
    return rgb(rng.uniform(0, 360), rng.uniform(0, 0.3), rng.uniform(0.15, 0.85))


def background(kind: int, rng: np.random.Generator, size_px: int) -> Map:
    """Draw what is behind the object.

    Parameters
    ----------
    kind : int
        Row of `BACKGROUNDS`.
    rng : numpy.random.Generator
    size_px : int

    Returns
    -------
    (S, S, 3) float32
        RGB between 0 and 1, of low saturation.
    """
    name = BACKGROUNDS[kind]
    one, other = _dull(rng), _dull(rng)
    if name == "colour":
        return np.broadcast_to(one, (size_px, size_px, 3)).copy()
    if name == "clutter":
        return _clutter(rng, size_px, one)
    x, y = pixel_grid(size_px)
    angle = rng.uniform(0, 2 * np.pi)
    along = (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)).astype(np.float32)
    if name == "gradient":
        share = np.clip(0.5 + 0.8 * along, 0, 1)
    elif rng.uniform() < 0.5:
        waves = rng.uniform(4, 12)
        share = 0.5 + 0.3 * np.sin(2 * np.pi * (waves * along + rng.uniform())).astype(np.float32)
    else:
        share = smooth_noise(rng, size_px, int(rng.integers(6, 24)))
    return one + share[:, :, None] * (other - one)


def _clutter(rng: np.random.Generator, size_px: int, ground: Map) -> Map:
    """Draw lines and blobs of dull colours."""
    scale = 2 * size_px
    image = Image.new("RGB", (scale, scale), tuple((255 * ground).astype(int).tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(8, 17)):
        colour = tuple((255 * _dull(rng)).astype(int).tolist())
        (x, y), length = rng.uniform(0, scale, 2), rng.uniform(0.05, 0.2) * scale
        angle = rng.uniform(0, np.pi)
        if rng.uniform() < 0.5:
            dx, dy = length * np.cos(angle), length * np.sin(angle)
            width = max(1, round(0.02 * scale))
            pen.line([(x - dx, y - dy), (x + dx, y + dy)], fill=colour, width=width)
        else:
            half = (0.3 * length, 0.3 * length * rng.uniform(0.4, 1))
            pen.ellipse([x - half[0], y - half[1], x + half[0], y + half[1]], fill=colour)
    return np.asarray(image.reduce(2), dtype=np.float32) / 255
