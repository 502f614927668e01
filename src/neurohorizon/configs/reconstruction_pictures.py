"""The pictures of a run that is drawn: all of them small, and some as large as what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.find import find_pictures
from neurohorizon.imaging.pictures import Pixels

#: Width and height, at most, of the pictures that are all held at once: 22,248 take 0.3 GB.
MOST_SMALL_PX = 64


@dataclass(frozen=True, eq=False)
class RunPictures:
    """Pictures of a run by their hashes.

    Parameters
    ----------
    places : sequence of Path
        Where they are.
    names : mapping of str to str
        File of each, as far as it is known.
    size_px : int
        Width and height of what is drawn.
    small : mapping of str to picture
        All of them, that large or smaller.
    """

    places: Sequence[Path]
    names: Mapping[str, str]
    size_px: int
    small: Mapping[str, Pixels]

    @classmethod
    def find(
        cls,
        places: Sequence[Path],
        bank: EmbeddingBank,
        wanted: Collection[str],
        *,
        size_px: int,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> RunPictures:
        """Read all pictures of a run, small.

        Raises
        ------
        DataError
            If one is missing.
        """
        names = dict(zip(bank.hashes, bank.names, strict=True))
        paths = [names[one] for one in wanted if one in names]
        small_px = min(size_px, MOST_SMALL_PX)
        small = find_pictures(places, wanted, paths=paths, size_px=small_px, progress=progress)
        if missing := len(set(wanted) - small.keys()):
            raise DataError(
                f"{', '.join(map(str, places))}: {missing} of {len(wanted)} pictures are not "
                "there (they are known by their content): give the folder that was embedded"
            )
        return cls(places, names, size_px, small)

    @property
    def small_px(self) -> int:
        """Width and height of the small ones."""
        return min(self.size_px, MOST_SMALL_PX)

    def in_full(self, hashes: Sequence[str]) -> list[Pixels]:
        """Return some, as large as what is drawn."""
        if self.small_px == self.size_px:
            return [self.small[one] for one in hashes]
        found = self.read(hashes, size_px=self.size_px)
        return [found[one] for one in hashes]

    def read(self, hashes: Sequence[str], *, size_px: int | None = None) -> dict[str, Pixels]:
        """Read some, of one size or as they are."""
        paths = [self.names[one] for one in hashes if one in self.names]
        return find_pictures(self.places, set(hashes), paths=paths, size_px=size_px)
