"""Conditions: behaviour and pictures that a forecast may know besides spikes.

Nothing from after the origin is read, but for pictures whose schedule is known, where a
:class:`ConditionSpec` says so.

Shapes: T windows, S series, L slots of the past, C columns, I pictures shown in all windows,
V pictures, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError
from neurohorizon.ops.binning import search_times
from neurohorizon.recordings.embeddings import ShownImages
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording, Series

Modality = Literal["behavior", "images"]
MODALITIES: tuple[Modality, ...] = ("behavior", "images")
#: A sample stands for what is behind it for so long, or two of its series' steps if longer.
STALE_S = 0.5
#: Of one window; the latest are kept.
MOST_PICTURES = 64


@dataclass(frozen=True)
class ConditionSpec:
    """What is read besides spikes; false if nothing is.

    Parameters
    ----------
    behavior : tuple of str
        Names of series.
    images : str
        Name of embeddings; "" for none.
    known_schedule : bool
        True also reads the pictures that will come on within the horizon: a task of its own,
        in which the experimenter's schedule is known.
    span_s : float
        How far back, in seconds.
    step_s : float
        Width of the slots that behaviour is averaged in, in seconds.
    delay_s : float
        Behaviour of the last so many seconds before the origin is not read: a series that was
        filtered both ways says there what comes after the origin.

    Raises
    ------
    ConfigError
        If the span is no whole number of slots, or a series is named twice.

    Examples
    --------
    >>> bool(ConditionSpec()), ConditionSpec(behavior=("running",)).num_slots
    (False, 10)
    """

    behavior: tuple[str, ...] = ()
    images: str = ""
    known_schedule: bool = False
    span_s: float = 1.0
    step_s: float = 0.1
    delay_s: float = 0.0

    def __post_init__(self) -> None:
        if not (0.005 <= self.step_s <= self.span_s <= 60.0):
            raise ConfigError(
                f"conditions: slots of {self.step_s:g} s in a span of {self.span_s:g} s: expected "
                "slots of 0.005 s or more and a span of up to 60 s that holds one"
            )
        if abs(self.span_s / self.step_s - self.num_slots) > 1e-6:
            raise ConfigError(
                f"conditions: a span of {self.span_s:g} s is no whole number of slots of "
                f"{self.step_s:g} s: choose {self.num_slots * self.step_s:g} s"
            )
        if not (0.0 <= self.delay_s <= 60.0):
            raise ConfigError(f"conditions: a delay of {self.delay_s:g} s: expected 0 to 60 s")
        if len(set(self.behavior)) < len(self.behavior):
            raise ConfigError(f"conditions: a series is named twice in {', '.join(self.behavior)}")
        if self.known_schedule and not self.images:
            raise ConfigError("conditions: a known schedule needs images whose schedule it is")

    def __bool__(self) -> bool:
        return bool(self.behavior or self.images)

    @property
    def num_slots(self) -> int:
        """Slots of the past that behaviour is averaged in."""
        return max(round(self.span_s / self.step_s), 1)

    @property
    def slot_times_s(self) -> FloatArray:
        """Middle of each slot, in seconds since the last that is read, shape (L,)."""
        return np.asarray((np.arange(self.num_slots) + 0.5) * self.step_s - self.span_s, np.float64)


@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of some windows of one recording.

    Parameters
    ----------
    behavior : tuple of (T, L, C) float32
        Means of each series by slot, the oldest first; NaN where nothing was recorded.
    picture_offsets : (T + 1,) int
        Pictures of window i are ``[picture_offsets[i], picture_offsets[i + 1])``.
    picture_time_s : (I,) float32
        Onset since the origin, in seconds: positive only under a known schedule.
    picture_row : (I,) int
        Row of `vectors`.
    vectors : (V, D) float32
        Embeddings of the recording's pictures.
    pictures_known : (T,) bool
        Whether it is known what was shown: nothing, if there is no picture then.
    """

    behavior: tuple[NDArray[np.float32], ...]
    picture_offsets: IntArray
    picture_time_s: NDArray[np.float32]
    picture_row: IntArray
    vectors: NDArray[np.float32]
    pictures_known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.picture_offsets) - 1

    def take(self, windows: slice | IntArray) -> Conditions:
        """Return the conditions of windows, in the order given, repeats allowed."""
        index = np.arange(len(self))[windows]
        low, high = self.picture_offsets[:-1][index], self.picture_offsets[1:][index]
        pictures = _ranges(low, high)
        return replace(
            self,
            behavior=tuple(values[index] for values in self.behavior),
            picture_offsets=np.concatenate([[0], np.cumsum(high - low)]),
            picture_time_s=self.picture_time_s[pictures],
            picture_row=self.picture_row[pictures],
            pictures_known=self.pictures_known[index],
        )

    def without(self, modality: Modality) -> Conditions:
        """Return the conditions with one modality missing in all windows."""
        if modality == "behavior":
            missing = tuple(np.full_like(values, np.nan) for values in self.behavior)
            return replace(self, behavior=missing)
        return replace(
            self,
            picture_offsets=np.zeros_like(self.picture_offsets),
            picture_time_s=self.picture_time_s[:0],
            picture_row=self.picture_row[:0],
            pictures_known=np.zeros_like(self.pictures_known),
        )

    def mixed(self, other: Conditions, modality: Modality) -> Conditions:
        """Return the conditions with one modality taken from others of as many windows."""
        if modality == "behavior":
            return replace(self, behavior=other.behavior)
        return replace(other, behavior=self.behavior)


class ConditionReader:
    """Read the conditions of one recording.

    Parameters
    ----------
    recording : Recording
        Series and embeddings that it lacks are missing, which is no error.
    spec : ConditionSpec
    """

    def __init__(self, recording: Recording, spec: ConditionSpec) -> None:
        self.spec = spec
        self._series = [recording.series.get(name) for name in spec.behavior]
        self.shown = recording.embeddings.get(spec.images) if spec.images else None
        if self.shown is not None:
            longest = (self.shown.end - self.shown.start).max(initial=0.0)
            self._reach_s = float(longest) + spec.span_s

    def read(
        self, origins_s: FloatArray, *, horizon_s: float, known_schedule: bool | None = None
    ) -> Conditions:
        """Read the conditions at the given origins.

        Parameters
        ----------
        origins_s : (T,) array
            Seconds, in any order.
        horizon_s : float
            How far a known schedule is read.
        known_schedule : bool, optional
            In place of the spec's: inside a reference all is known.
        """
        spec = self.spec
        if known_schedule is None:
            known_schedule = spec.known_schedule
        behavior = tuple(
            np.full((len(origins_s), spec.num_slots, 0), np.nan, dtype=np.float32)
            if series is None
            else slot_means(series, origins_s, spec)
            for series in self._series
        )
        if self.shown is None:
            nothing = np.empty(0, dtype=np.int64)
            offsets = np.zeros(len(origins_s) + 1, dtype=np.int64)
            return Conditions(
                behavior=behavior,
                picture_offsets=offsets,
                picture_time_s=nothing.astype(np.float32),
                picture_row=nothing,
                vectors=np.empty((0, 0), dtype=np.float32),
                pictures_known=np.zeros(len(origins_s), dtype=bool),
            )
        until_s = origins_s + horizon_s if known_schedule else origins_s
        return self._pictures(self.shown, behavior, origins_s, until_s)

    def _pictures(
        self,
        shown: ShownImages,
        behavior: tuple[NDArray[np.float32], ...],
        origins_s: FloatArray,
        until_s: FloatArray,
    ) -> Conditions:
        """Find the presentations that were on at any time in the span, or will come on."""
        low = np.asarray(search_times(shown.start, origins_s - self._reach_s))
        high = np.asarray(search_times(shown.start, until_s))
        low = np.maximum(low, high - MOST_PICTURES)
        row = _ranges(low, high)
        window = np.repeat(np.arange(len(origins_s)), high - low)
        seen = (shown.end[row] > origins_s[window] - self.spec.span_s) & (shown.row[row] >= 0)
        row, window = row[seen], window[seen]
        counts = np.bincount(window, minlength=len(origins_s))
        return Conditions(
            behavior=behavior,
            picture_offsets=np.concatenate([[0], np.cumsum(counts)]),
            picture_time_s=(shown.start[row] - origins_s[window]).astype(np.float32),
            picture_row=np.asarray(shown.row)[row],
            vectors=shown.vectors,
            pictures_known=np.ones(len(origins_s), dtype=bool),
        )


def slot_means(series: Series, origins_s: FloatArray, spec: ConditionSpec) -> NDArray[np.float32]:
    """Average a series in the slots before each origin, or before the spec's delay.

    Parameters
    ----------
    series : Series
        At any rate.
    origins_s : (T,) array
        Seconds.
    spec : ConditionSpec

    Returns
    -------
    (T, L, C) float32
        A slot without a finite sample holds the last one before its end, unless that is older
        than :data:`STALE_S` or two steps of the series; then it is NaN.
    """
    times, num_columns = series.timestamps, series.values.shape[1]
    until_s = origins_s - spec.delay_s
    edges = until_s[:, None] + np.arange(spec.num_slots + 1) * spec.step_s - spec.span_s
    # Half-open: a sample at the origin itself is not of the past. Edges that are meant to be
    # equal to a sample's time are so to a microsecond.
    index = np.searchsorted(times, edges - 1e-7)
    sample = _ranges(index[:, 0], index[:, -1])
    cell = np.repeat(np.arange(edges[:, 1:].size), np.diff(index, axis=1).ravel())
    values = np.asarray(series.values[sample], dtype=np.float64).reshape(len(sample), num_columns)
    means = np.full((edges[:, 1:].size, num_columns), np.nan)
    for column in range(num_columns):
        known = np.isfinite(values[:, column])
        count = np.bincount(cell[known], minlength=len(means))
        total = np.bincount(cell[known], weights=values[known, column], minlength=len(means))
        np.divide(total, count, out=means[:, column], where=count > 0)
    means = means.reshape(len(origins_s), spec.num_slots, num_columns)
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    last = np.clip(index[:, 1:] - 1, 0, max(len(times) - 1, 0))
    if len(times):
        age_s = edges[:, 1:] - times[last]
        held = np.asarray(series.values[last], dtype=np.float64).reshape(means.shape)
        fresh = (index[:, 1:] > 0) & (age_s <= max(STALE_S, 2 * step_s))
        means = np.where(np.isnan(means) & fresh[..., None], held, means)
    return means.astype(np.float32)


def require_conditions(
    spec: ConditionSpec, recordings: Mapping[str, Recording]
) -> tuple[tuple[int, ...], int]:
    """Find how many columns each series and how many dimensions the embeddings have.

    Parameters
    ----------
    spec : ConditionSpec
    recordings : mapping of str to Recording
        By the name that messages give them. One that lacks a condition is fine.

    Returns
    -------
    columns : tuple of int
        Of each series.
    num_dimensions : int
        Of the embeddings; 0 if none are read.

    Raises
    ------
    ConfigError
        If no recording has a series or the embeddings, or two differ in its columns.
    """
    columns = []
    for name in spec.behavior:
        found = {
            where: recording.series[name].values.shape[1]
            for where, recording in recordings.items()
            if name in recording.series
        }
        every = {each for recording in recordings.values() for each in recording.series}
        columns.append(_agreed(found, f"the series {name}", "columns", every, "behavior"))
    if not spec.images:
        return tuple(columns), 0
    found = {
        where: recording.embeddings[spec.images].num_dimensions
        for where, recording in recordings.items()
        if spec.images in recording.embeddings
    }
    every = {each for recording in recordings.values() for each in recording.embeddings}
    number = _agreed(found, f"the embeddings {spec.images}", "dimensions", every, "images")
    return tuple(columns), number


def _agreed(found: dict[str, int], what: str, unit: str, every: set[str], key: str) -> int:
    if not found:
        there = f"they have {', '.join(sorted(every))}" if every else "they have none at all"
        raise ConfigError(f"conditions.{key}: no training recording has {what}: {there}")
    first = next(iter(found))
    for where, number in found.items():
        if number != found[first]:
            raise ConfigError(
                f"conditions.{key}: {what} has {found[first]} {unit} in {first} and {number} in "
                f"{where}: leave one of them out, or give the series another name"
            )
    return found[first]


def _ranges(low: IntArray, high: IntArray) -> IntArray:
    """Return all indices of ranges ``[low, high)``, range after range."""
    lengths = np.maximum(high - low, 0)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    return np.arange(int(lengths.sum())) - np.repeat(first - low, lengths)
