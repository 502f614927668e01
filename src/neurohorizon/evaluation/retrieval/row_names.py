"""What rows of retrieval are called: a row of the ladder, and how it was varied."""

from __future__ import annotations

GREY = ", grey pictures"
TOGETHER = ", seeds together"
CORRECTED = ", hubness corrected"
CEILING = "other half of the trials"


def fitted_row(name: str) -> str:
    """Return the row that was fitted, of which a row is another reading.

    Examples
    --------
    >>> fitted_row("ridge, grey pictures, hubness corrected")
    'ridge, grey pictures'
    """
    return name.removesuffix(TOGETHER).removesuffix(CORRECTED)


def ladder_row(name: str) -> str:
    """Return the row of the ladder, whatever pictures it was fitted to.

    Examples
    --------
    >>> ladder_row("ridge, grey pictures, hubness corrected")
    'ridge'
    """
    return fitted_row(name).removesuffix(GREY)


def variant(name: str) -> str:
    """Return how a row differs from its row of the ladder; "" where it does not.

    Examples
    --------
    >>> variant("ridge, grey pictures, hubness corrected")
    'grey pictures, hubness corrected'
    """
    return name[len(ladder_row(name)) :].removeprefix(", ")
