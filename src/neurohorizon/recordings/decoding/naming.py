"""Telling a person what there is instead of what was asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LISTED = 8


def nearest(asked: str, there: Iterable[str]) -> str:
    """Say which name was probably meant, or which there are.

    Examples
    --------
    >>> nearest("postion", ["position", "velocity"])
    ': did you mean position? (there are position, velocity)'
    >>> nearest("postion", [])
    ': there are none at all'
    """
    names = list(there)
    if not names:
        return ": there are none at all"
    listed = ", ".join(names[:_MOST_LISTED]) + (", ..." if len(names) > _MOST_LISTED else "")
    close = difflib.get_close_matches(asked, names, n=1)
    if close:
        return f": did you mean {close[0]}? (there are {listed})"
    return f": there are {listed}"
