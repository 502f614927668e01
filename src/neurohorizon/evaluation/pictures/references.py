"""Pictures to compare reconstructions with, that no generator drew.

Rows of chance: the mean training picture, a random one. Controls: a random training picture of the
same category, which tells what the category alone is worth. And blends of two pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurohorizon.errors import DataError
from neurohorizon.imaging.small import stack_pictures

MEAN = "mean training picture"
RANDOM = "random training picture"
SAME_CATEGORY = "random training picture of the category"


def mean_picture(pictures: Iterable[NDArray[np.uint8]], *, size_px: int) -> NDArray[np.uint8]:
    """Return the mean of training pictures, (size_px, size_px, 3).

    Parameters
    ----------
    pictures : iterable of (H, W, 3) arrays of uint8
        Of any size, stretched; only one is held at a time.
    size_px : int

    Raises
    ------
    DataError
        If there are none.
    """
    total, num = np.zeros((size_px, size_px, 3)), 0
    for picture in pictures:
        total += stack_pictures([picture], size_px=size_px)[0]
        num += 1
    if not num:
        raise DataError("no training pictures to take the mean of")
    return np.rint(total / num).astype(np.uint8)


def random_training(num: int, num_training: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return a random training picture for each of `num` test pictures, (num,).

    None is drawn twice before all were.
    """
    if not num_training:
        raise DataError("no training pictures to draw from")
    generator = np.random.default_rng(seed)
    rounds = -(-num // num_training)
    return np.concatenate([generator.permutation(num_training) for _ in range(rounds)])[:num]


def same_category(
    category: Sequence[str] | NDArray[np.str_],
    of_training: Sequence[str] | NDArray[np.str_],
    *,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Return a random training picture of each test picture's category, (Q,).

    Parameters
    ----------
    category : (Q,) str
        Of the test pictures.
    of_training : (T,) str
    seed : int

    Raises
    ------
    DataError
        If a test picture has no category, or no training picture shares it: there is no such row.
    """
    training = np.asarray(of_training)
    generator = np.random.default_rng(seed)
    there = {name: np.flatnonzero(training == name) for name in set(map(str, category)) - {""}}
    without = sum(not len(there.get(str(name), ())) for name in category)
    if without:
        raise DataError(
            f"{without} of {len(category)} test pictures share no category with a training picture"
        )
    return np.array([generator.choice(there[str(name)]) for name in category], np.int64)


def blend(
    one: NDArray[np.uint8], other: NDArray[np.uint8], *, share: float = 0.75
) -> NDArray[np.uint8]:
    """Return `share` of one picture and the rest of another, in the size of the first.

    MindEye2 blends its reconstructions with a blurry, low-level picture: 0.75 and 0.25.
    """
    if one.shape != other.shape:
        image = Image.fromarray(np.ascontiguousarray(other))
        size = (one.shape[1], one.shape[0])
        other = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    return np.rint(share * one.astype(np.float64) + (1 - share) * other).astype(np.uint8)
