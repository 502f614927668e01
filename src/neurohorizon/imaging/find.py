"""Find pictures by the hash of their content, in folders and archives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from neurohorizon.imaging.pictures import Pixels, open_pictures


def find_pictures(
    places: Sequence[Path | str], wanted: Collection[str], *, paths: Collection[str] = ()
) -> dict[str, Pixels]:
    """Return the pictures that have certain hashes, as far as they are there.

    Parameters
    ----------
    places : sequence of path
        As :func:`~neurohorizon.imaging.pictures.open_pictures` takes them.
    wanted : collection of str
        Hashes, see :func:`~neurohorizon.recordings.pictures.picture_hash`.
    paths : collection of str
        Where they are thought to be: files of these names are read first. What decides is the
        hash.

    Returns
    -------
    dict of str to (H, W, 3) uint8
        By hash.

    Raises
    ------
    DataError
        As `open_pictures`, and at a picture that cannot be decoded.
    """
    found: dict[str, Pixels] = {}
    opened, left = [open_pictures(place) for place in places], set(wanted)
    likely = {Path(path).name for path in paths}
    for first in (True, False):
        for pictures in opened:
            index = [
                number
                for number, name in enumerate(pictures.names)
                if (Path(name).name in likely) == first
            ]
            for picture in pictures.picked(index):
                if not left:
                    return found
                if picture.hash in left:
                    found[picture.hash] = picture.pixels
                    left.discard(picture.hash)
    return found
