"""An image encoder that needs no download: colour layout and oriented energy.

It knows where which colour is and where edges of which direction and size are, and nothing
about what a picture shows. It is fixed: no weights, no training, the same numbers everywhere.
That makes it the encoder of demos and tests, and a baseline that a network's embedding must
beat before one may say that meaning was decoded rather than light.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurohorizon.imaging.fingerprint import Fingerprint, library_versions

CANVAS_PX = 96
"""Every picture is stretched to a square of this side: nothing is cut off."""
COLOUR_CELLS = 8
ENERGY_CELLS = 6
WAVELENGTHS_PX = (4.0, 8.0, 16.0, 32.0)
"""Of the energy's scales, on the canvas."""
ORIENTATIONS_DEG = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0)
"""Of the bars that a channel answers to, counter-clockwise from horizontal."""

_MARGIN_PX = 16
_ANGLE_SD_DEG = 20.0
_LOG_FREQUENCY_SD = abs(np.log(0.65))  # about an octave and a half
_VERSION = 1  # of this file's recipe: raise it when a number changes


class LayoutEncoder:
    """Encode a picture as a coarse grid of colours and a grid of oriented energies.

    Parameters
    ----------
    batch_size : int
        Pictures read at a time; changes no number.

    Notes
    -----
    The picture is resized to 96 x 96 pixels (bicubic, antialiased).

    1. Colour: CIELAB (D65), mean over each of 8 x 8 cells, divided by 100: 192 numbers.
    2. Energy: lightness is mirrored at its edges and filtered by quadrature pairs of log-Gabor
       filters of wavelength 4, 8, 16 and 32 pixels and 6 orientations,

       ``G(f, a) = 2 exp(-ln(f / f0)^2 / (2 ln(0.65)^2)) exp(-(a - a0)^2 / (2 (20 deg)^2))``,

       whose magnitude is the local amplitude of a grating, whatever its phase. Its mean over
       each of 6 x 6 cells, divided by 100, enters as its square root: 864 numbers.

    References
    ----------
    Field (1987), Relations between the statistics of natural images and the response
    properties of cortical cells, J. Opt. Soc. Am. A 4, 2379.

    Examples
    --------
    >>> encoder = LayoutEncoder()
    >>> grey = np.full((20, 30, 3), 119, np.uint8)
    >>> colour, energy = encoder.unpack(encoder.encode([grey]))
    >>> colour.shape, energy.shape, float(colour[0, 0, 0, 0].round(2)), float(energy.max())
    ((1, 8, 8, 3), (1, 4, 6, 6, 6), 0.5, 0.0)
    """

    name = "layout"

    def __init__(self, *, batch_size: int = 32) -> None:
        self.batch_size = batch_size

    @property
    def num_dimensions(self) -> int:
        """Length of an embedding: 1,056."""
        channels = len(WAVELENGTHS_PX) * len(ORIENTATIONS_DEG)
        return 3 * COLOUR_CELLS**2 + channels * ENERGY_CELLS**2

    @property
    def fingerprint(self) -> Fingerprint:
        """What made the embeddings."""
        return Fingerprint(
            encoder=self.name,
            settings={"recipe": _VERSION, "canvas_px": CANVAS_PX},
            versions=library_versions("numpy", "pillow", "scikit-image", "scipy"),
        )

    def encode(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode pictures one by one.

        Parameters
        ----------
        pictures : sequence of (H, W, 3) arrays of uint8
            Of any size, the same or not.

        Returns
        -------
        (B, 1056) array of float32
        """
        return np.array([_encode(picture) for picture in pictures], dtype=np.float32).reshape(
            len(pictures), self.num_dimensions
        )

    def saw(self, hashes: Iterable[str]) -> list[str]:
        """Return none: it was trained on nothing."""
        return []

    def unpack(
        self, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Split embeddings into their two grids.

        Parameters
        ----------
        embeddings : (B, 1056) array

        Returns
        -------
        colour : (B, 8, 8, 3) array
            L*, a* and b* divided by 100, from the top row down.
        energy : (B, 4, 6, 6, 6) array
            By wavelength, orientation, row, column.
        """
        cut = 3 * COLOUR_CELLS**2
        colour = embeddings[:, :cut].reshape(-1, COLOUR_CELLS, COLOUR_CELLS, 3)
        shape = (len(WAVELENGTHS_PX), len(ORIENTATIONS_DEG), ENERGY_CELLS, ENERGY_CELLS)
        return colour, embeddings[:, cut:].reshape(-1, *shape)


def _encode(picture: NDArray[np.uint8]) -> NDArray[np.floating]:
    from skimage.color import rgb2lab

    image = Image.fromarray(np.ascontiguousarray(picture))
    small = image.resize((CANVAS_PX, CANVAS_PX), Image.Resampling.BICUBIC)
    lab_3CC = np.moveaxis(rgb2lab(np.asarray(small, np.float32) / 255), 2, 0)
    colour = _cell_means(lab_3CC, COLOUR_CELLS) / 100
    energy = np.sqrt(_energies(lab_3CC[0]) / 100)
    return np.concatenate([np.moveaxis(colour, 0, 2).ravel(), energy.ravel()])


def _energies(lightness: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return each channel's mean local amplitude in each cell, (channels, cells, cells)."""
    from scipy import fft  # faster than numpy's here

    exact = lightness.astype(np.float64)
    flat = exact - exact.mean()
    flat[np.abs(flat) < 1e-9] = 0.0  # rounding, of which the square root would make something
    spectrum = np.asarray(fft.fft2(np.pad(flat, _MARGIN_PX, mode="reflect")))
    spectrum = spectrum.astype(np.complex64)
    # A wavelength at a time: then nothing leaves the processor's cache.
    return np.concatenate([_energies_of(filters, spectrum) for filters in _filters()])


def _energies_of(
    filters: NDArray[np.float32], spectrum: NDArray[np.complex64]
) -> NDArray[np.floating]:
    from scipy import fft

    inside = slice(_MARGIN_PX, _MARGIN_PX + CANVAS_PX)
    rows = np.asarray(fft.ifft(filters * spectrum, axis=2, overwrite_x=True))
    response = np.asarray(fft.ifft(rows[:, :, inside], axis=1))[:, inside]
    return _cell_means(np.abs(response), ENERGY_CELLS)


def _cell_means(planes: NDArray[np.floating], cells: int) -> NDArray[np.floating]:
    """Average (P, canvas, canvas) planes over a square grid of cells."""
    weights = _cell_weights(cells)
    return weights @ planes @ weights.T


@cache
def _cell_weights(cells: int) -> NDArray[np.floating]:
    """Return what each pixel along a side is worth in each cell's mean, (cells, canvas)."""
    side = CANVAS_PX // cells
    return np.repeat(np.eye(cells, dtype=np.float32), side, axis=1) / side


@cache
def _filters() -> NDArray[np.float32]:
    """Return the filters in the frequency plane, (wavelengths, orientations, side, side).

    Each covers one half of the plane only, so its response is complex: the even and the odd
    filter of a quadrature pair. The factor 2 makes its magnitude a grating's amplitude.
    """
    side = CANVAS_PX + 2 * _MARGIN_PX
    frequency = np.fft.fftfreq(side)
    across, down = frequency[None, :], frequency[:, None]
    radius = np.hypot(across, down)
    radius[0, 0] = 1.0
    filters = []
    for wavelength_px in WAVELENGTHS_PX:
        band = np.exp(-(np.log(radius * wavelength_px) ** 2) / (2 * _LOG_FREQUENCY_SD**2))
        band[0, 0] = 0.0
        for bars in np.deg2rad(ORIENTATIONS_DEG):
            # Light varies across the bars; rows run downwards, angles counter-clockwise.
            along = (across * np.sin(bars) + down * np.cos(bars)) / radius
            angle = np.arccos(np.clip(along, -1, 1))
            filters.append(2 * band * np.exp(-(angle**2) / (2 * np.deg2rad(_ANGLE_SD_DEG) ** 2)))
    shape = len(WAVELENGTHS_PX), len(ORIENTATIONS_DEG), side, side
    return np.array(filters, np.float32).reshape(shape)
