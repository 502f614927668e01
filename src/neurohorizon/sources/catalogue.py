"""All data sets and formats that become recordings."""

from __future__ import annotations

from neurohorizon.errors import DataError
from neurohorizon.sources import (
    allen,
    allen_ophys,
    ca1_maze,
    ibl,
    macaque_v4,
    nlb,
    npz,
    nwb,
    perich_miller,
    retinal_waves,
    tables,
    tvsd,
)
from neurohorizon.sources.source import Source

DATA_SETS = (
    ibl.SOURCE,
    allen.SOURCE,
    allen_ophys.SOURCE,
    nlb.SOURCE,
    perich_miller.SOURCE,
    retinal_waves.SOURCE,
    ca1_maze.SOURCE,
    tvsd.SOURCE,
    macaque_v4.SOURCE,
)
FORMATS = (nwb.SOURCE, npz.SOURCE, tables.SOURCE)


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
