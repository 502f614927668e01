"""All data sets and formats that become recordings."""

from __future__ import annotations

from neurohorizon.errors import DataError
from neurohorizon.sources import ca1_maze, npz, nwb, retinal_waves
from neurohorizon.sources.source import Source

DATA_SETS = (retinal_waves.SOURCE, ca1_maze.SOURCE)
FORMATS = (nwb.SOURCE, npz.SOURCE)


def find_source(name: str) -> Source:
    """Return the data set or format of this name.

    Raises
    ------
    DataError
        If there is none, with those that there are.
    """
    for source in (*DATA_SETS, *FORMATS):
        if source.name == name:
            return source
    known = ", ".join(source.name for source in (*DATA_SETS, *FORMATS))
    raise DataError(f"unknown source {name!r}: choose one of {known}")
