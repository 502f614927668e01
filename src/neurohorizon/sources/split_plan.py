"""How the recordings of a folder are split when they are prepared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.schema import Recording, Split
from neurohorizon.recordings.splits import (
    FRACTIONS,
    GUARD_S,
    split_by_table,
    split_in_time,
    split_interleaved,
)


@dataclass(frozen=True)
class SplitPlan:
    """How every recording is split.

    Parameters
    ----------
    kind : str
        "time": earlier, later and last time. "interleaved": blocks that take turns.
        "TABLE.COLUMN", such as "trials.split_indicator": what a table of the recording says.
    fractions : (float, float, float)
        Shares of train, valid and test; a table has its own.
    guard_s : float
        Seconds between parts: at least context + horizon.
    block_s : float
        Length of a block, in seconds; only for "interleaved".
    seed : int
        Order of the blocks; only for "interleaved".
    """

    kind: str = "time"
    fractions: tuple[float, float, float] = FRACTIONS
    guard_s: float = GUARD_S
    block_s: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        table, _, column = self.kind.rpartition(".")
        if self.kind not in ("time", "interleaved") and not (table and column):
            raise ConfigError(
                f"unknown split {self.kind!r}: choose time or interleaved, or name a table and "
                "its column, as trials.split_indicator"
            )

    def apply(self, recording: Recording) -> Recording:
        """Return the recording with its split.

        Raises
        ------
        DataError
            If it is too short, or lacks the table or column.
        """
        if self.kind not in ("time", "interleaved"):
            return replace(recording, split=self._by_table(recording))
        try:
            return replace(recording, split=self._by_time(recording))
        except DataError as error:
            raise DataError(f"{error}; leave it out or give a smaller guard_s") from error

    def _by_time(self, recording: Recording) -> Split:
        if self.kind == "time":
            return split_in_time(recording.domain, fractions=self.fractions, guard_s=self.guard_s)
        return split_interleaved(
            recording.domain,
            block_s=self.block_s,
            fractions=self.fractions,
            guard_s=self.guard_s,
            seed=self.seed,
        )

    def _by_table(self, recording: Recording) -> Split:
        # A table's name may have dots of its own, a column's has none.
        name, _, column = self.kind.rpartition(".")
        table = recording.tables.get(name)
        if table is None:
            there = ", ".join(sorted(recording.tables)) or "none"
            raise DataError(f"no table {name!r} to split by; tables here: {there}")
        try:
            return split_by_table(recording.domain, table, column, guard_s=self.guard_s)
        except DataError as error:
            raise DataError(f"table {name!r}: {error}") from error
