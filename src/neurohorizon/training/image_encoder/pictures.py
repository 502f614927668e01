"""The pictures that an encoder is trained on: small, in memory, and none that it must not see."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import SUFFIX, EmbeddingBank
from neurohorizon.imaging.pictures import Pictures, open_pictures
from neurohorizon.imaging.small import stack_pictures

Progress = Callable[[str, int, int], None]
_AT_ONCE = 64


@dataclass(frozen=True)
class PictureSet:
    """Pictures to train on, no picture twice.

    Parameters
    ----------
    names, hashes : tuple of str
    pixels : (n, 3, S, S) Tensor of uint8
        Channels last in memory.
    num_left_out : int
        Pictures that were there and must not be trained on.
    """

    names: tuple[str, ...]
    hashes: tuple[str, ...]
    pixels: Tensor
    num_left_out: int


def gather_pictures(
    pictures: Pictures,
    *,
    size_px: int = 64,
    without: Collection[str] = (),
    progress: Progress | None = None,
) -> PictureSet:
    """Read pictures into memory, stretched to squares of one size.

    Parameters
    ----------
    pictures : Pictures
    size_px : int
    without : collection of str
        Names and hashes of pictures to leave out. The content of a picture that is left out by
        its name is left out under every other name, too.
    progress : callable, optional
        Called with ("read", pictures done, pictures in all).

    Raises
    ------
    DataError
        If a picture cannot be decoded, or none is left.
    """
    without = frozenset(without)
    # Before names are known by their content, all are kept.
    pixels = np.empty((len(pictures), size_px, size_px, 3), np.uint8)
    names, hashes = [], []
    for batch in pictures.batches(_AT_ONCE):
        first = len(names)
        small = stack_pictures([each.pixels for each in batch], size_px=size_px)
        pixels[first : first + len(batch)] = small
        names += [each.name for each in batch]
        hashes += [each.hash for each in batch]
        if progress:
            progress("read", len(names), len(pictures))
    forbidden = without | {one for name, one in zip(names, hashes, strict=True) if name in without}
    first_row = {one: row for row, one in reversed(list(enumerate(hashes)))}
    kept = sorted(row for one, row in first_row.items() if one not in forbidden)
    if not kept:
        raise DataError(f"{pictures.where}: every picture there is left out; none to train on")
    if len(kept) < len(pixels):
        pixels = pixels[kept]
    return PictureSet(
        names=tuple(names[row] for row in kept),
        hashes=tuple(hashes[row] for row in kept),
        pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2),
        num_left_out=sum(one in forbidden for one in hashes),
    )


def read_exclusions(path: Path | str) -> frozenset[str]:
    """Read which pictures shall be left out.

    Parameters
    ----------
    path : path
        A bank of embeddings, a folder or zip archive of pictures, or a text file with a name or
        a hash a line.

    Returns
    -------
    frozenset of str
        Names and hashes.

    Raises
    ------
    DataError
        If it is none of these.
    """
    path = Path(path)
    if path.suffix == SUFFIX:
        return frozenset(EmbeddingBank.load(path).hashes)
    if path.suffix == ".txt" and path.is_file():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not a text file ({error})") from error
        found = frozenset(line.strip() for line in lines if line.strip())
        if not found:
            raise DataError(f"{path}: empty; expected a name or a hash of a picture a line")
        return found
    return frozenset(open_pictures(path).hashes())
