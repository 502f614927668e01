"""What a recording is: one session, in memory, in the words of the field.

All times are float64 seconds on one clock; all stretches are half-open ``[start, end)``.
A recording read from a file may hold its spikes as memory maps: nothing here copies them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.binning import search_times
from neurohorizon.ops.spike_trains import count_spikes
from neurohorizon.recordings.embeddings import ShownImages

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer[Any]]


def empty_intervals() -> FloatArray:
    """Return an interval array with no rows, shape (0, 2)."""
    return np.empty((0, 2), dtype=np.float64)


@dataclass(frozen=True)
class Units:
    """Who was recorded, one row a unit.

    Parameters
    ----------
    id : (N,) str
        Unique within the recording.
    area : (N,) str
        Brain area, ``""`` where unknown.
    position_um : (N, 3) float
        Position in micrometres, NaN where unknown.
    quality : (N,) str
        The sorter's or curator's word ("good", "mua", ...), ``""`` where unknown.
    columns : mapping of str to (N,) or (N, D) array
        What else the source tells of each unit, numbers or text: quality metrics, signal to
        noise ratio, latency, whether a benchmark holds the unit out.
    """

    id: NDArray[np.str_]
    area: NDArray[np.str_]
    position_um: FloatArray
    quality: NDArray[np.str_]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id)

    @classmethod
    def numbered(cls, num_units: int, *, prefix: str = "unit") -> Units:
        """Make units known only by their number."""
        unknown = np.full(num_units, "", dtype=np.str_)
        return cls(
            id=np.array([f"{prefix}_{index:04d}" for index in range(num_units)], dtype=np.str_),
            area=unknown,
            position_um=np.full((num_units, 3), np.nan),
            quality=unknown,
        )

    def select(self, unit_index: IntArray) -> Units:
        """Return the units at `unit_index`, in that order."""
        return Units(
            id=self.id[unit_index],
            area=self.area[unit_index],
            position_um=self.position_um[unit_index],
            quality=self.quality[unit_index],
            columns={name: values[unit_index] for name, values in self.columns.items()},
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Units]) -> Units:
        """Return the units of several parts, one after the other, with the columns of all."""
        shared = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
        return cls(
            id=np.concatenate([part.id for part in parts]),
            area=np.concatenate([part.area for part in parts]),
            position_um=np.concatenate([part.position_um for part in parts]),
            quality=np.concatenate([part.quality for part in parts]),
            columns={
                name: np.concatenate([part.columns[name] for part in parts]) for name in shared
            },
        )


@dataclass(frozen=True)
class Series:
    """A behavioural (or other) series: values at times.

    Parameters
    ----------
    timestamps : (T,) float
        Seconds, sorted.
    values : (T, D) float
        One row a time stamp; NaN where missing.
    unit : str
        Physical unit of the values ("cm/s", "px", ...).
    """

    timestamps: FloatArray
    values: NDArray[np.floating[Any]]
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """Intervals with columns: trials, stimulus presentations.

    Parameters
    ----------
    start, end : (K,) float
        Seconds.
    columns : mapping of str to (K,) or (K, D) array
        Numbers or strings, one row an interval.
    """

    start: FloatArray
    end: FloatArray
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Split:
    """Which stretches of a recording are for training, validation and test.

    Parameters
    ----------
    train, valid, test : (K, 2) float
        Half-open stretches in seconds, sorted, disjoint; gaps between them are guards
        that no window may touch with its targets.
    interleaved : bool
        True for alternating blocks. History then restarts at each block's edge from the
        reference rate; in time order it runs on freely.
    """

    train: FloatArray
    valid: FloatArray
    test: FloatArray
    interleaved: bool = False

    def domain(self, name: str) -> FloatArray:
        """Return the stretches called "train", "valid" or "test"."""
        if name not in ("train", "valid", "test"):
            raise DataError(f"unknown split {name!r}: choose train, valid or test")
        return getattr(self, name)


@dataclass(frozen=True)
class Recording:
    """One session of one population.

    Parameters
    ----------
    id : str
        Session id, unique within its source; ASCII (the file format asks for it).
    subject : str
        Animal or culture; recordings of one subject are never on both sides of a split
        by subjects.
    source : str
        Name of the data set.
    spike_times : (S,) float64
        Seconds, sorted; none where the units have signals instead.
    spike_unit_index : (S,) int
        Row of `units` of each spike.
    units : Units
    domain : (K, 2) float64
        Stretches during which the recording ran, sorted and disjoint.
    signals : mapping
        Continuous values of the units by name: calcium, multi-unit activity, LFP power; one
        column a unit, values may be memory maps.
    series, tables : mapping
        Behaviour by name; trials and stimuli by name ("trials", "stimuli", ...).
    embeddings : mapping
        What was shown, as embeddings of pictures, by name.
    split : Split or None
    metadata : mapping of str to str
        Species, age, licence, citation and what else the source tells.
    """

    id: str
    subject: str
    source: str
    spike_times: FloatArray
    spike_unit_index: IntArray
    units: Units
    domain: FloatArray
    series: Mapping[str, Series] = field(default_factory=dict)
    signals: Mapping[str, Series] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    embeddings: Mapping[str, ShownImages] = field(default_factory=dict)
    split: Split | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def num_units(self) -> int:
        """Number of units, silent ones included."""
        return len(self.units)

    @property
    def duration_s(self) -> float:
        """Seconds recorded, gaps left out."""
        return float(np.sum(self.domain[:, 1] - self.domain[:, 0]))

    @property
    def rate_hz(self) -> FloatArray:
        """Mean rate of each unit over the whole recording, shape (N,)."""
        counts = count_spikes(self.spike_unit_index, num_units=self.num_units)
        return counts / self.duration_s

    def require_split(self) -> Split:
        """Return the split, or say how to make one.

        Raises
        ------
        DataError
            If the recording has none.
        """
        if self.split is None:
            raise DataError(
                f"{self.id}: the recording has no train/valid/test split: "
                "prepare it with `neurohorizon data prepare` or add one with "
                "neurohorizon.recordings.splits.split_in_time"
            )
        return self.split

    def without_qualities(self, qualities: Sequence[str]) -> Recording:
        """Return the recording without units of the given quality words.

        What was dropped is noted in the metadata under ``left_out``.
        """
        dropped = np.isin(self.units.quality, qualities)
        if not dropped.any():
            return self
        units = zip(self.units.id[dropped], self.units.quality[dropped], strict=True)
        words = [f"unit {unit} ({quality})" for unit, quality in units]
        before = self.metadata.get("left_out")
        left_out = ", ".join(words if before is None else [before, *words])
        kept = self.select_units(np.flatnonzero(~dropped))
        return replace(kept, metadata={**self.metadata, "left_out": left_out})

    def between(self, start_s: float, end_s: float) -> tuple[FloatArray, IntArray]:
        """Return times and units of the spikes in ``[start_s, end_s)``."""
        low, high = search_times(self.spike_times, (start_s, end_s))
        # A memory map is a slow subclass: taking a slice of it costs more than the search.
        times, unit_index = np.asarray(self.spike_times), np.asarray(self.spike_unit_index)
        return times[low:high], unit_index[low:high]

    def select_units(self, unit_index: IntArray) -> Recording:
        """Return the recording with only the units at `unit_index`, renumbered in that order."""
        position = np.full(self.num_units, -1, dtype=np.int64)
        position[unit_index] = np.arange(len(unit_index))
        kept = position[self.spike_unit_index]
        return replace(
            self,
            spike_times=self.spike_times[kept >= 0],
            spike_unit_index=kept[kept >= 0],
            units=self.units.select(unit_index),
            signals={
                name: replace(signal, values=signal.values[:, unit_index])
                for name, signal in self.signals.items()
            },
        )
