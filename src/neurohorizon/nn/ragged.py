"""Rows of different length, read in parts so that little of what is computed is padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor

# 1/40 and 1/80 take about equally long on one CPU core, on bursting and on steady recordings;
# beyond, another part costs more than it saves.
_PADDING_OF_A_PART = 1 / 80
_MOST_PARTS = 8


def parts_of_similar_length(lengths: Sequence[int], *, others: int = 0) -> list[int]:
    """Divide rows into parts, each to be padded to the length of its longest row.

    Parameters
    ----------
    lengths : sequence of int
        Length of each row, longest first.
    others : int
        What every row holds besides, whatever its length.

    Returns
    -------
    list of int
        Rows in each part, in order; at most 8 parts.

    Notes
    -----
    A part is closed where its padding would exceed 1/80 of all that the rows hold (more, if
    that makes too many parts): how much rows differ decides, not how many there are.

    Examples
    --------
    >>> parts_of_similar_length([90, 40, 38, 2, 1, 0], others=20)
    [1, 2, 3]
    >>> parts_of_similar_length([40, 40, 39, 39], others=20)
    [4]
    """
    allowed = _PADDING_OF_A_PART * (sum(lengths) + others * len(lengths))
    sizes = _close_where_padded(lengths, allowed)
    while len(sizes) > _MOST_PARTS:
        allowed *= 1.5
        sizes = _close_where_padded(lengths, allowed)
    return sizes


def parts_of_windows(mask_WE: Tensor, *, others: int = 0) -> list[tuple[Tensor, int]]:
    """Divide windows into parts with about as many tokens.

    Parameters
    ----------
    mask_WE : Tensor of bool
        False for padding.
    others : int
        What each window holds besides.

    Returns
    -------
    list of (Tensor of int64, int)
        The windows of each part, and the slots that they need.
    """
    # Slots up to the last token, so that a mask with holes loses nothing.
    num_slots_W = mask_WE.flip(1).cumsum(1).gt(0).sum(1)
    num_slots_W, order_W = num_slots_W.sort(descending=True, stable=True)
    num_slots = num_slots_W.tolist()
    sizes = parts_of_similar_length(num_slots, others=others)
    firsts = accumulate(sizes[:-1], initial=0)
    most = [num_slots[first] for first in firsts]
    return list(zip(order_W.split(sizes), most, strict=True))


def _close_where_padded(lengths: Sequence[int], allowed: float) -> list[int]:
    """Return rows by part, none with more padding than allowed."""
    sizes: list[int] = []
    longest = padding = 0
    for length in lengths:
        padding += longest - length
        if not sizes or padding > allowed:
            sizes.append(0)
            longest, padding = length, 0
        sizes[-1] += 1
    return sizes
