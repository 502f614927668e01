"""What every generator of pictures does, and what it may be fed with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.spaces import select_joined

Progress = Callable[[str, int, int], None]


class Generator(Protocol):
    """Draws a picture for each embedding."""

    @property
    def name(self) -> str:
        """As in "tiny"."""
        ...

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes the pictures: weights or gallery, and settings."""
        ...

    @property
    def needs(self) -> Fingerprint:
        """What the embeddings that it is fed with must be made by."""
        ...

    @property
    def size_px(self) -> int:
        """Width and height of the pictures."""
        ...

    @property
    def needs_starts(self) -> bool:
        """Whether it starts at pictures that are given."""
        ...

    @property
    def known(self) -> frozenset[str]:
        """Hashes of the pictures that it was trained on, or takes its own from."""
        ...

    def generate(
        self,
        embeddings_ID: NDArray[np.float32],
        seeds: Sequence[int],
        *,
        starts_ISS3: NDArray[np.uint8] | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.uint8]:
        """Draw pictures.

        Parameters
        ----------
        embeddings_ID : (I, D) array
            As the embeddings of the bank that `needs` is of.
        seeds : sequence of int
            One a picture. A picture depends on its embedding, its seed and its start alone, not on
            what is drawn beside it (up to the rounding of sums, a level of 255 at most).
        starts_ISS3 : (I, S, S, 3) array of uint8, optional
            Blurry pictures to start at, where `needs_starts`.
        progress : callable, optional
            Called with ("draw", pictures done, pictures in all).

        Returns
        -------
        (I, S, S, 3) array of uint8

        Raises
        ------
        ConfigError, DataError
            If embeddings, seeds and starts do not fit together, or the generator.
        """
        ...


def select_embeddings(
    generator: Generator, banks: EmbeddingBank | Sequence[EmbeddingBank], hashes: Sequence[str]
) -> NDArray[np.float32]:
    """Return the embeddings of some pictures for a generator, (I, D).

    Parameters
    ----------
    generator : Generator
    banks : EmbeddingBank, or sequence of EmbeddingBank
        True embeddings, or what responses predict of them; all spaces that the generator wants.
    hashes : sequence of str

    Raises
    ------
    DataError
        If they are of another encoder than the generator was made with, or one is missing.
    """
    every = [banks] if isinstance(banks, EmbeddingBank) else banks
    return select_joined(generator.needs, every, hashes, what=f"the generator {generator.name}")


def seeds_of(hashes: Sequence[str], seed: int) -> list[int]:
    """Return a seed for each picture: of its hash and one seed, whatever is drawn beside it.

    Examples
    --------
    >>> seeds_of(["ab", "cd"], 0) == [*seeds_of(["ab"], 0), *seeds_of(["cd"], 0)]
    True
    """
    made = [hashlib.sha256(f"{seed} {one}".encode()).digest() for one in hashes]
    return [int.from_bytes(each[:4], "big") for each in made]


def check_request(
    embeddings_ID: NDArray[np.float32],
    seeds: Sequence[int],
    starts_ISS3: NDArray[np.uint8] | None,
    *,
    num_dimensions: int,
    start_px: int | None,
) -> None:
    """Refuse what no picture can be drawn from.

    Parameters
    ----------
    embeddings_ID, seeds, starts_ISS3
        As of :meth:`Generator.generate`.
    num_dimensions : int
        That embeddings must have.
    start_px : int or None
        Width and height of the starts; None if it takes none.

    Raises
    ------
    DataError
        If embeddings are of another length, or not finite.
    ConfigError
        If seeds or starts are missing, or of no use.
    """
    count = len(embeddings_ID)
    if embeddings_ID.shape != (count, num_dimensions):
        raise DataError(
            f"embeddings of shape {embeddings_ID.shape}: the generator was made with "
            f"{num_dimensions} dimensions"
        )
    bad = ~np.isfinite(embeddings_ID).all(axis=1)
    if bad.any():
        raise DataError(f"embedding {int(bad.argmax())} is not finite: predict it again")
    if len(seeds) != count or (count and min(seeds) < 0):
        raise ConfigError(f"{len(seeds)} seeds for {count} pictures: expected one each, from 0")
    if start_px is None and starts_ISS3 is not None:
        raise ConfigError("the generator starts at no picture: leave the starts out")
    expected = (count, start_px, start_px, 3)
    if start_px is not None and (starts_ISS3 is None or starts_ISS3.shape != expected):
        found = "none" if starts_ISS3 is None else f"shape {starts_ISS3.shape}"
        raise ConfigError(
            f"the generator starts at pictures, of shape {expected}: found {found}; give "
            "it what the low-level path draws, or retrieved pictures"
        )
