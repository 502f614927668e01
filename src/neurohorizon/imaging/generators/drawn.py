"""Drawn pictures on disk: one PNG each, so that drawing goes on where it was interrupted.

A folder holds ``SEED/HASH.png`` for each picture, named after the picture that was seen, and
``made_by.json``: what drew them. A folder that something else drew is drawn anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from neurohorizon.errors import DataError
from neurohorizon.imaging.generators.generator import Generator, seeds_of
from neurohorizon.imaging.pictures import Pixels
from neurohorizon.ops.files import atomic_path, write_json

MADE_BY = "made_by.json"
Progress = Callable[[str, int, int], None]
#: Pictures between two looks at the disk: what an interruption costs at most.
_AT_ONCE = 8


def draw_to_folder(
    generator: Generator,
    embeddings: NDArray[np.float32],
    hashes: Sequence[str],
    folder: Path,
    *,
    num_seeds: int = 1,
    starts_ISS3: NDArray[np.uint8] | None = None,
    progress: Progress | None = None,
) -> list[list[Pixels]]:
    """Draw pictures into a folder, but for those that are there already.

    Parameters
    ----------
    generator : Generator
    embeddings : (I, D) or (S, I, D) array
        What each picture is drawn from; the same for all seeds, or one for each.
    hashes : sequence of str
        Of the pictures that were seen; seeds are made of them.
    folder : path
    num_seeds : int
    starts_ISS3 : (I, S, S, 3) array of uint8, optional
        Where the generator starts at pictures.
    progress : callable, optional
        Called with ("draw", pictures done, pictures in all).

    Returns
    -------
    list of list of (S, S, 3) arrays of uint8
        By seed.

    Raises
    ------
    DataError
        If a picture that was drawn before cannot be read.
    """
    _claim(folder, _request(generator, embeddings, hashes, starts_ISS3))
    drawn, done = [], 0
    for seed in range(num_seeds):
        told_ID = embeddings if embeddings.ndim == 2 else embeddings[seed]
        into = folder / str(seed)
        into.mkdir(parents=True, exist_ok=True)
        paths = [into / f"{one}.png" for one in hashes]
        seeds = seeds_of(hashes, seed)
        missing = [row for row, path in enumerate(paths) if not path.is_file()]
        done += len(paths) - len(missing)
        for first in range(0, len(missing), _AT_ONCE):
            rows = missing[first : first + _AT_ONCE]
            pictures = generator.generate(
                told_ID[rows],
                [seeds[row] for row in rows],
                starts_ISS3=None if starts_ISS3 is None else starts_ISS3[rows],
            )
            for row, picture in zip(rows, pictures, strict=True):
                save_picture(picture, paths[row])
            done += len(rows)
            if progress:
                progress("draw", done, num_seeds * len(paths))
        drawn.append([read_picture(path) for path in paths])
    return drawn


def is_drawn_by(
    generator: Generator,
    embeddings: NDArray[np.float32],
    hashes: Sequence[str],
    folder: Path,
    *,
    starts_ISS3: NDArray[np.uint8] | None = None,
) -> bool:
    """Tell whether a folder holds what :func:`draw_to_folder` draws of the same, or some of it."""
    return _read_claim(folder) == _request(generator, embeddings, hashes, starts_ISS3)


def save_picture(picture: Pixels, path: Path) -> None:
    """Write a picture as PNG, all of it or nothing."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def read_picture(path: Path) -> Pixels:
    """Read a picture that was drawn.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{path}: not a picture that can be read ({error}): delete it, and it is drawn anew"
        ) from error


def _claim(folder: Path, request: dict[str, str]) -> None:
    """Make the folder that of a request; what another one drew there is removed."""
    if _read_claim(folder) == request:
        return
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(folder / MADE_BY, request)


def _read_claim(folder: Path) -> object:
    """Return what drew a folder; None if nothing says so."""
    try:
        return json.loads((folder / MADE_BY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _request(
    generator: Generator,
    embeddings: NDArray[np.float32],
    hashes: Sequence[str],
    starts_ISS3: NDArray[np.uint8] | None,
) -> dict[str, str]:
    starts = b"" if starts_ISS3 is None else np.ascontiguousarray(starts_ISS3).tobytes()
    return {
        "generator": generator.fingerprint.to_json(),
        "embeddings": hashlib.sha256(np.ascontiguousarray(embeddings).tobytes()).hexdigest(),
        "pictures": hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
        "starts": hashlib.sha256(starts).hexdigest(),
    }
