"""Frames in an array or an HDF5 file: which arrays are frames, and how they become RGB."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError


class Frames(Protocol):
    """What holds frames: an array, a memory map, an HDF5 data set."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, height, width and, for colour, 3."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value."""
        ...

    def __getitem__(self, key: slice, /) -> Any:
        """Read some frames."""
        ...


def frames_to_rgb(
    values: NDArray[Any],
    value_range: tuple[float, float] | None,
    *,
    where: str,
    first: int = 0,
) -> list[NDArray[np.uint8]]:
    """Convert frames to RGB with 8 bits a channel.

    Parameters
    ----------
    values : (F, H, W) or (F, H, W, 3) array
        uint8 or bool, or anything with a `value_range`.
    value_range : (float, float) or None
        Values of black and white.
    where : str
        Place for messages.
    first : int
        Index of the first of these frames, for messages.

    Raises
    ------
    DataError
        If a value is not finite or outside the range: one line with the frame.
    """
    if value_range is None:
        scaled = values.astype(np.uint8) * np.uint8(255) if values.dtype == bool else values
    else:
        black, white = value_range
        with np.errstate(invalid="ignore"):
            share = (values.astype(np.float64) - black) / (white - black)
        # Half a step of 8 bits beyond the ends is rounding, not another range.
        good = (share >= -0.5 / 255) & (share <= 1 + 0.5 / 255)
        if not good.all():
            index = np.argwhere(~good)[0]
            raise DataError(
                f"{where}: frame {first + index[0]} holds the value {values[tuple(index)]:g}, "
                f"outside the range {black:g} to {white:g}; give the true range, or cut out "
                "what has no value"
            )
        scaled = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    if scaled.ndim == 3:
        # One plane seen three times: grey frames take no more memory as RGB.
        scaled = np.broadcast_to(scaled[..., None], (*scaled.shape, 3))
    return list(scaled)


def check_frames(frames: Frames, value_range: tuple[float, float] | None, where: str) -> None:
    """Refuse an array that does not hold frames, or not without a range of values.

    Raises
    ------
    DataError
        One line that says what is expected.
    """
    shape, dtype = frames.shape, frames.dtype
    if len(shape) == 3 and shape[2] in (3, 4):
        raise DataError(f"{where}: shape {shape} is one colour picture: put an axis before it")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3) or 0 in shape:
        raise DataError(
            f"{where}: shape {shape}, expected frames of shape (frames, height, width) or "
            "(frames, height, width, 3)"
        )
    if dtype.kind not in "buif":
        raise DataError(f"{where}: frames of {dtype}, expected numbers")
    if value_range is None and dtype not in (np.dtype(np.uint8), np.dtype(bool)):
        raise DataError(
            f"{where}: frames of {dtype}, which do not say what black and white are: give "
            "value_range, such as (0, 1)"
        )
    if value_range is not None and not (np.isfinite(value_range).all() and np.ptp(value_range)):
        raise DataError(f"{where}: value_range {value_range}, expected two different numbers")


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; one that is damaged raises a DataError."""
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not a readable HDF5 file ({error}); copy it again") from error


def find_frames(file: h5py.File) -> list[str]:
    """Return the paths of the data sets that can be frames of 8 bits."""
    found: list[str] = []

    def look(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == np.uint8:
            grey = len(item.shape) == 3 and item.shape[2] > 4
            colour = len(item.shape) == 4 and item.shape[3] == 3
            if (grey or colour) and 0 not in item.shape:
                found.append(name)

    file.visititems(look)
    return found


def only_frames(path: Path) -> str:
    """Return the path of an HDF5 file's only data set of frames.

    Raises
    ------
    DataError
        If there are several, or none.
    """
    with open_hdf5(path) as file:
        found = find_frames(file)
    if len(found) != 1:
        what = f"several data sets of frames: {', '.join(found)}" if found else "none of 8 bits"
        raise DataError(f"{path}: {what}; name one, such as stimulus/templates/movie/data")
    return found[0]
