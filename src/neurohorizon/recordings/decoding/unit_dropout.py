"""Unit dropout: windows show a random part of the units, so that a model leans on none.

References
----------
Azabou et al. 2023, A unified, scalable framework for neural population decoding (POYO).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class UnitDropout:
    r"""How many units a window shows.

    Parameters
    ----------
    min_units : int
        Fewest that are shown; a recording with no more than these shows all.
    mode_units : int
        The likeliest number.
    max_units : int
        Most that are drawn; 0 for as many as the recording has.
    peak : float
        How much likelier the mode is than either end.

    Raises
    ------
    ConfigError
        If the numbers are not in order.

    Notes
    -----
    With :math:`f` rising in a straight line from 1 at `min_units` to `peak` at `mode_units` and
    falling to 1 at `max_units`, a number is drawn with probability :math:`f(k) / \sum_j f(j)`
    over the whole numbers from `min_units` to `max_units`; where the recording has fewer units,
    all of them are shown. This is the density that torch_brain documents (its sampler draws from
    another). With ``max_units=0`` the range ends at the recording's own number of units, and the
    mode lies there if it would lie beyond.

    Examples
    --------
    >>> UnitDropout(min_units=2, mode_units=3, peak=2.0).probabilities(4).tolist()
    [0.0, 0.0, 0.25, 0.5, 0.25]
    """

    min_units: int = 20
    mode_units: int = 100
    max_units: int = 0
    peak: float = 4.0

    def __post_init__(self) -> None:
        last = self.max_units or max(self.min_units, self.mode_units)
        if not 1 <= self.min_units <= self.mode_units <= last or self.max_units < 0:
            raise ConfigError(
                f"unit_dropout: min_units {self.min_units}, mode_units {self.mode_units}, "
                f"max_units {self.max_units}: expected 1 <= min <= mode <= max (or max 0)"
            )
        if not (np.isfinite(self.peak) and self.peak > 0):
            raise ConfigError(f"unit_dropout: peak is {self.peak:g}: expected a positive number")

    def probabilities(self, num_units: int) -> FloatArray:
        """Return the probability of showing 0, 1, ... `num_units` units, (N + 1,)."""
        chance = np.zeros(num_units + 1)
        if num_units <= self.min_units:
            chance[num_units] = 1.0
            return chance
        last = self.max_units or num_units
        mode = min(self.mode_units, last)
        number = np.arange(self.min_units, last + 1)
        knots, heights = [self.min_units, mode, last], [1.0, self.peak, 1.0]
        # A mode at an end leaves one slope.
        if mode == last:
            knots, heights = knots[:2], heights[:2]
        if mode == self.min_units:
            knots, heights = knots[1:], heights[1:]
        density = np.interp(number, knots, heights)
        np.add.at(chance, np.minimum(number, num_units), density / density.sum())
        return chance

    def mean_share(self, num_units: int) -> float:
        """Return the share of its units that a recording shows on average."""
        return float(self.probabilities(num_units) @ np.arange(num_units + 1)) / max(num_units, 1)

    def draw(
        self, num_windows: int, num_units: int, generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draw which units each window shows, every one as likely as any other, (W, N)."""
        edges = np.cumsum(self.probabilities(num_units))
        shown = np.searchsorted(edges / edges[-1], generator.random(num_windows), side="right")
        place = generator.random((num_windows, num_units)).argsort(axis=1).argsort(axis=1)
        return place < shown[:, None]
