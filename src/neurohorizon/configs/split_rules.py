"""From a split's rule to the split of a recording."""

from __future__ import annotations

import numpy as np

from neurohorizon.configs.data_schema import InterleavedSplit, StoredSplit, TimeSplit
from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import as_intervals, intersect
from neurohorizon.recordings.schema import FloatArray, Recording, Split, Table
from neurohorizon.recordings.splits import split_in_time, split_interleaved


def split_recording(
    recording: Recording, rule: StoredSplit | TimeSplit | InterleavedSplit, *, guard_s: float
) -> Split:
    """Split a recording by a rule.

    Raises
    ------
    ConfigError, DataError
        If it holds no split where one is asked for, or is too short for the rule.
    """
    if isinstance(rule, InterleavedSplit):
        return split_interleaved(
            _domain_within(recording, rule.within),
            block_s=rule.block_s,
            fractions=rule.fractions,
            guard_s=guard_s,
            seed=rule.seed,
        )
    if isinstance(rule, TimeSplit):
        return split_in_time(recording.domain, fractions=rule.fractions, guard_s=guard_s)
    if recording.split is None:
        raise DataError("the file holds no split: set data.split.name=time")
    return recording.split


def table_of(recording: Recording, name: str) -> Table:
    """Return a table to split by.

    Raises
    ------
    DataError
        If the recording has none of this name.
    """
    if name not in recording.tables:
        has = ", ".join(recording.tables) or "none"
        raise DataError(f"no table {name} to split by, there are: {has}")
    return recording.tables[name]


def _domain_within(recording: Recording, name: str | None) -> FloatArray:
    """Return when was recorded, within the intervals of a table alone."""
    if name is None:
        return recording.domain
    table = table_of(recording, name)
    rows = as_intervals(np.column_stack([table.start, table.end]))
    return intersect(recording.domain, rows)
