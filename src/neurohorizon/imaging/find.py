"""Find pictures by the hash of their content, in folders and archives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from neurohorizon.imaging.pictures import Pixels, open_pictures
from neurohorizon.imaging.small import stack_pictures


def find_pictures(
    places: Sequence[Path | str],
    wanted: Collection[str],
    *,
    paths: Collection[str] = (),
    size_px: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
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
    size_px : int, optional
        Stretch each to a square of this size as it is found; else it remains as it is.
    progress : callable, optional
        Called with ("find pictures", pictures found, pictures wanted).

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
                    pixels = picture.pixels
                    if size_px is not None:
                        pixels = stack_pictures([pixels], size_px=size_px)[0]
                    found[picture.hash] = pixels
                    left.discard(picture.hash)
                    if progress:
                        progress("find pictures", len(found), len(found) + len(left))
    return found
