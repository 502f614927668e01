"""Which electrodes speak for a region, and which time bins are read of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray, IntArray

WHOLE = "all regions"
NUM_BINS = 8
#: With fewer electrodes in common there is nothing to compare.
FEWEST = 4


@dataclass(frozen=True)
class Choice:
    """Electrodes that are read, drawn once or several times.

    Parameters
    ----------
    name : str
        What tables call it.
    region : str
    draws : tuple of (n,) int
        Units of each draw.
    """

    name: str
    region: str
    draws: tuple[IntArray, ...]


@dataclass(frozen=True)
class Window:
    """A time window after the picture came on, of a region's electrodes.

    Parameters
    ----------
    region : str
    start_s, end_s : float
    """

    region: str
    start_s: float
    end_s: float

    @property
    def row(self) -> str:
        """What tables call it.

        Examples
        --------
        >>> Window("V4", 0.05, 0.075).row
        'V4, 50 to 75 ms'
        >>> Window.of("V4, 50 to 75 ms")
        Window(region='V4', start_s=0.05, end_s=0.075)
        """
        return f"{self.region}, {1000 * self.start_s:g} to {1000 * self.end_s:g} ms"

    @classmethod
    def of(cls, row: str) -> Window:
        """Read what tables call it.

        Raises
        ------
        DataError
            If it is something else.
        """
        region, _, words = row.rpartition(", ")
        start, _, end = words.removesuffix(" ms").partition(" to ")
        try:
            return cls(region, float(start) / 1000, float(end) / 1000)
        except ValueError as error:
            raise DataError(f"{row!r} is no time window of a region") from error


def choose_regions(
    area: NDArray[np.str_],
    reliability: FloatArray | None = None,
    *,
    num_draws: int = 5,
    seed: int = 0,
) -> list[Choice]:
    """Return what is compared between regions.

    Parameters
    ----------
    area : (N,) str
    reliability : (N,) float, optional
        Of each unit's response. Without it, none is matched.
    num_draws : int
        Of matched electrodes.
    seed : int

    Returns
    -------
    list of Choice
        For every region: alone; left out; as many electrodes as the smallest region has, drawn at
        random; and electrodes matched in number and reliability: in each of 8 ranges of
        reliability, as many as the region that has fewest there.

    Raises
    ------
    DataError
        If there are not two regions.
    """
    regions = [name for name in np.unique(area).tolist() if name]
    if len(regions) < 2:
        raise DataError(
            f"regions are {', '.join(regions) or 'unknown'}: two are needed to compare them"
        )
    generator = np.random.default_rng(seed)
    units = {name: np.flatnonzero(area == name) for name in regions}
    fewest = min(len(each) for each in units.values())
    found = []
    for name in regions:
        others = np.flatnonzero((area != name) & (area != ""))
        found.append(Choice(f"{name} alone", name, (units[name],)))
        found.append(Choice(f"without {name}", name, (others,)))
        drawn = tuple(
            np.sort(generator.permutation(units[name])[:fewest]) for _ in range(num_draws)
        )
        found.append(Choice(f"{name}, {fewest} electrodes", name, drawn))
    if reliability is not None:
        found += _matched(units, reliability, num_draws, generator)
    return found


def _matched(
    units: Mapping[str, IntArray],
    reliability: FloatArray,
    num_draws: int,
    generator: np.random.Generator,
) -> list[Choice]:
    """Return electrodes that are alike in number and reliability; none where too few are."""
    known = {name: each[np.isfinite(reliability[each])] for name, each in units.items()}
    every = np.concatenate([reliability[each] for each in known.values()])
    edges = np.unique(np.quantile(every, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    place = {name: np.searchsorted(edges, reliability[each]) for name, each in known.items()}
    counts = {name: np.bincount(each, minlength=len(edges) + 1) for name, each in place.items()}
    common = np.min(list(counts.values()), axis=0)
    if common.sum() < FEWEST:
        return []
    found = []
    for name, each in known.items():
        draws = []
        for _ in range(num_draws):
            chosen = [
                generator.permutation(each[place[name] == number])[:size]
                for number, size in enumerate(common)
            ]
            draws.append(np.sort(np.concatenate(chosen)))
        found.append(Choice(f"{name}, {common.sum()} as reliable", name, tuple(draws)))
    return found
