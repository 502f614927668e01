"""From a split's rule to the split of a recording."""

from __future__ import annotations

from neurohorizon.configs.data_schema import InterleavedSplit, StoredSplit, TimeSplit
from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import Recording, Split
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
            recording.domain,
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
