"""Taking long arrays a block at a time: they may be memory maps larger than memory."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 2**20


def blocks(length: int, *, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices that cover ``range(length)``, `size` elements each but the last.

    Examples
    --------
    >>> list(blocks(5, size=2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for first in range(0, length, size):
        yield slice(first, min(first + size, length))
