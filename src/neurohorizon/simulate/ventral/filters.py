"""What the model of visual cortex sees of a picture: opponent colours and oriented energy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating[Any]]

#: Pictures of any size are looked at with this many pixels a side.
RETINA_PX = 64
#: Side of the maps that V4 pools.
MAP_PX = 16
NUM_HUES = 6
TEXTURE_ORIENTATIONS, CONTOUR_ORIENTATIONS = 4, 8
TEXTURE_WAVELENGTHS_PX = (5.0, 10.0)
CONTOUR_WAVELENGTHS_PX = (5.0, 9.0, 16.0)
#: Turns of a contour that are told apart, from straight on to a corner of 90 degrees.
NUM_TURNS = CONTOUR_ORIENTATIONS // 2 + 1
#: Families of V4's features, and how many each has.
FAMILIES = {
    "texture": TEXTURE_ORIENTATIONS * len(TEXTURE_WAVELENGTHS_PX),
    "curvature": (CONTOUR_ORIENTATIONS + NUM_TURNS) * len(CONTOUR_WAVELENGTHS_PX),
    "hue": NUM_HUES,
    "lightness": 2,
}


def to_retina(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pictures (n, S, S, 3) with `RETINA_PX` pixels a side."""
    if pictures.shape[1] == RETINA_PX:
        return pictures
    shape = (RETINA_PX, RETINA_PX)
    box = Image.Resampling.BOX
    return np.stack([np.asarray(Image.fromarray(each).resize(shape, box)) for each in pictures])


def opponent(pictures: NDArray[np.uint8]) -> Array:
    """Return luminance, red minus green and blue minus yellow, shape (3, n, S, S)."""
    red, green, blue = np.moveaxis(pictures, -1, 0).astype(np.float32) / 255
    return np.stack(
        [
            0.299 * red + 0.587 * green + 0.114 * blue,
            red - green,
            blue - (red + green) / 2,
        ]
    )


def pool(maps: Array, side: int) -> Array:
    """Return means over square blocks, so that the last two axes are `side` long."""
    block = maps.shape[-1] // side
    shape = (*maps.shape[:-2], side, block, side, block)
    return maps.reshape(shape).mean(axis=(-3, -1))


@lru_cache(maxsize=8)
def _filters(wavelength_px: float, num_orientations: int, size_px: int) -> Array:
    """Return transfer functions of one-sided oriented filters, (orientations, size, size).

    The response of a one-sided filter is complex: its magnitude is the energy of a quadrature
    pair.
    """
    frequency = np.fft.fftfreq(size_px) * size_px / RETINA_PX  # cycles a pixel of the retina
    down, across = frequency[:, None], frequency[None, :]
    spread = 0.3 / wavelength_px
    bank = []
    for number in range(num_orientations):
        angle = np.pi * number / num_orientations
        u = np.cos(angle) * across + np.sin(angle) * down - 1 / wavelength_px
        v = np.cos(angle) * down - np.sin(angle) * across
        bank.append(np.exp(-(u**2 + v**2) / (2 * spread**2)))
    transfer = np.array(bank, dtype=np.float32)
    transfer[transfer < 1e-6] = 0
    transfer[:, 0, 0] = 0  # no answer to the mean
    return transfer


def oriented_energy(image: Array, wavelength_px: float, num_orientations: int) -> Array:
    """Return the energy at one scale of pictures (n, 64, 64), as maps (n, orientations, 16, 16)."""
    spectrum = np.fft.fft2(image)
    size = RETINA_PX
    if wavelength_px >= 8:
        # Nothing of the filter lies in the outer frequencies: a quarter of the work.
        size //= 2
        keep = np.r_[0 : size // 2, RETINA_PX - size // 2 : RETINA_PX]
        spectrum = spectrum[:, keep[:, None], keep] / np.float32(4)
    energy = np.empty((len(image), num_orientations, MAP_PX, MAP_PX), dtype=np.float32)
    for number, transfer in enumerate(_filters(wavelength_px, num_orientations, size)):
        energy[:, number] = pool(np.abs(np.fft.ifft2(spectrum * transfer)), MAP_PX)
    return energy


def v4_features(channels: Array, fields: Array) -> dict[str, Array]:
    """Return the features of V4 in large fields, by family, each (n, fields, features).

    Parameters
    ----------
    channels : (3, n, S, S) float32
        As :func:`opponent` returns them.
    fields : (256, fields) float32
        Weights by which a field pools a map of 16 x 16.

    Notes
    -----
    Texture is the oriented energy of luminance. Curvature is read from the contours of
    chroma: their oriented energy, and the product of energies at two places along a contour
    between which it turns. Energies of the orientations are sorted by strength, so that
    turning the picture changes little. Hue is chroma toward each of six hues; lightness is
    luminance above and below the middle.
    """
    luminance, red_green, blue_yellow = channels
    texture = [
        _sorted(oriented_energy(luminance, wavelength, TEXTURE_ORIENTATIONS), fields)
        for wavelength in TEXTURE_WAVELENGTHS_PX
    ]
    chroma, curvature = np.sqrt(red_green**2 + blue_yellow**2), []
    for number, wavelength in enumerate(CONTOUR_WAVELENGTHS_PX):
        energy = oriented_energy(chroma, wavelength, CONTOUR_ORIENTATIONS)
        curvature += [_sorted(energy, fields), _in(_turns(energy, 1 + number), fields)]
    return {
        "texture": np.concatenate(texture, axis=2),
        "curvature": np.concatenate(curvature, axis=2),
        "hue": _in(_hues(red_green, blue_yellow), fields),
        "lightness": _in(_lightness(luminance), fields),
    }


def _in(maps: Array, fields: Array) -> Array:
    """Pool maps (n, features, 16, 16) in fields: (n, fields, features)."""
    return (maps.reshape(*maps.shape[:2], -1) @ fields).transpose(0, 2, 1)


def _sorted(energy: Array, fields: Array) -> Array:
    return np.sort(_in(energy, fields), axis=2)


def _turns(energy: Array, step: int) -> Array:
    """Return how much contour turns by each angle within a step, (n, turns, 16, 16)."""
    count = CONTOUR_ORIENTATIONS
    maps = np.zeros((len(energy), NUM_TURNS, MAP_PX, MAP_PX), dtype=np.float32)
    root = np.sqrt(energy)
    for number in range(count):
        # A filter prefers contours that run at right angles to its wave vector.
        angle = np.pi * number / count + np.pi / 2
        shift = (-round(step * np.sin(angle)), -round(step * np.cos(angle)))
        back = (-shift[0], -shift[1])
        # Both ways along it, or else where the object lies could be told from the two.
        near = np.roll(root, shift, axis=(-2, -1)) + np.roll(root, back, axis=(-2, -1))
        for turn in range(count):
            # To the left and to the right alike.
            place = min(turn, count - turn)
            maps[:, place] += root[:, number] * near[:, (number + turn) % count]
    return maps / (2 * count)


def _hues(red_green: Array, blue_yellow: Array) -> Array:
    maps = []
    for number in range(NUM_HUES):
        angle = 2 * np.pi * number / NUM_HUES
        toward = np.float32(np.cos(angle)) * red_green + np.float32(np.sin(angle)) * blue_yellow
        maps.append(pool(np.maximum(toward - np.float32(0.15), 0), MAP_PX))
    return np.stack(maps, axis=1)


def _lightness(luminance: Array) -> Array:
    middle = np.float32(0.5)
    maps = [pool(np.maximum(sign * (luminance - middle), 0), MAP_PX) for sign in (1, -1)]
    return np.stack(maps, axis=1)
