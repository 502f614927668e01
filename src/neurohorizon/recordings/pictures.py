"""Pictures: from a file to RGB with 8 bits a channel, and the hash that a picture is known by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from neurohorizon.errors import DataError
from neurohorizon.ops.files import ZIP_DAMAGE

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
# What Pillow and zipfile raise at damaged, foreign, huge or locked files.
_DAMAGE = (*ZIP_DAMAGE, SyntaxError, ValueError, Image.DecompressionBombError)


def decode_picture(open_file: Callable[[], IO[bytes]], *, where: str) -> NDArray[np.uint8]:
    """Decode a picture file as a viewer shows it.

    Parameters
    ----------
    open_file : callable
        Returns the open file.
    where : str
        Path for messages.

    Returns
    -------
    (H, W, 3) array of uint8
        RGB; turned as the file's orientation tag says; grey, palette and CMYK converted.

    Raises
    ------
    DataError
        If it cannot be decoded, or cannot become RGB without a guess: transparent pixels,
        more than 8 bits of grey, several frames.
    """
    try:
        with open_file() as file, Image.open(file) as image:
            num_frames = getattr(image, "n_frames", 1)
            image.load()
            picture = ImageOps.exif_transpose(image)
    except _DAMAGE as error:
        raise DataError(
            f"{where}: cannot be decoded as a picture ({_reason(error, where)}); "
            "mend it or take it out"
        ) from error
    if num_frames > 1:
        raise DataError(
            f"{where}: holds {num_frames} frames, expected one; save them as single pictures, "
            "or as an array (frames, height, width)"
        )
    if picture.mode in _DEEP_MODES:
        raise DataError(
            f"{where}: grey values of more than 8 bits, whose white is unknown; save it with 8"
        )
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        alpha = np.asarray(picture)[:, :, 3]
        if alpha.min() < 255:
            raise DataError(
                f"{where}: has transparent pixels, and what lay behind them is unknown; "
                "flatten it onto the background that was shown"
            )
    return np.asarray(picture.convert("RGB"))


def picture_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of a picture's shape and RGB pixels, in hexadecimal.

    Parameters
    ----------
    pixels : (H, W, 3) array of uint8

    Examples
    --------
    >>> picture_hash(np.zeros((2, 3, 3), np.uint8))[:8]
    '83f4458e'
    """
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    digest = hashlib.sha256("x".join(map(str, pixels.shape)).encode() + b"\n")
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _reason(error: BaseException, where: str) -> str:
    """Return the first line of an error without the path that the message names already."""
    lines = str(error).splitlines() or [type(error).__name__]
    if "cannot identify image file" in lines[0]:
        return "not a picture of a known format"
    return lines[0].replace(where, "it")
