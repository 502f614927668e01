"""Windows that decoders read: the tokens of a stretch, and what is asked for in it.

Reading goes straight to a recording's arrays, which for a file are memory maps, by binary
search: a window is a slice. Times are compared in ticks of a microsecond, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.binning import TICKS_PER_S, search_times, spikes_in_windows, to_ticks
from neurohorizon.ops.intervals import as_intervals
from neurohorizon.ops.smoothing import median_step
from neurohorizon.recordings.decoding.naming import nearest
from neurohorizon.recordings.decoding.targets import Targets, read_targets, standardise
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording, Series

#: A window has one for each unit beside what the unit did.
EDGE_TOKENS = 2


@dataclass(frozen=True)
class DecodeWindows:
    """Windows of one recording.

    Parameters
    ----------
    starts_s : (W,) float
        Seconds.
    length_s : float
    num_units : int
    token_unit : (E,) int
        Unit of each spike or sample, window after window.
    token_time_s : (E,) float32
        Seconds since the window's start.
    token_value : (E,) float32
        Of signals: standardised values; empty for spikes.
    token_offsets : (W + 1,) int
        Tokens of window i are ``[token_offsets[i], token_offsets[i + 1])``.
    query_time_s : (Q,) float32
        Seconds since the window's start; ordered by window, task, time.
    query_task : (Q,) int
        Position in the reader's tasks.
    query_row : (Q,) int
        Which of the recording's time stamps of that task it is.
    query_offsets : (W + 1,) int
    targets : mapping of str to array
        By task: standardised values or classes of its queries, window after window.
    weights : mapping of str to (n,) float32
    is_signal : bool
        Whether tokens are samples of signals.
    kept_WN : (W, N) bool or None
        Units that a window shows; all of them for None.
    """

    starts_s: FloatArray
    length_s: float
    num_units: int
    token_unit: IntArray
    token_time_s: NDArray[np.float32]
    token_value: NDArray[np.float32]
    token_offsets: IntArray
    query_time_s: NDArray[np.float32]
    query_task: IntArray
    query_row: IntArray
    query_offsets: IntArray
    targets: Mapping[str, NDArray[Any]]
    weights: Mapping[str, NDArray[np.float32]]
    is_signal: bool = False
    kept_WN: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.starts_s)

    @property
    def num_shown(self) -> IntArray:
        """Units that each window shows, (W,)."""
        if self.kept_WN is None:
            return np.full(len(self), self.num_units)
        return self.kept_WN.sum(axis=1)

    @property
    def num_tokens(self) -> IntArray:
        """Tokens of each window, starts and ends of units among them, (W,)."""
        return np.diff(self.token_offsets) + EDGE_TOKENS * self.num_shown

    def keep_units(self, kept_WN: NDArray[np.bool_]) -> DecodeWindows:
        """Return the windows without what other units did in them."""
        window = np.repeat(np.arange(len(self)), np.diff(self.token_offsets))
        kept = kept_WN[window, self.token_unit]
        number = np.bincount(window[kept], minlength=len(self))
        return replace(
            self,
            token_unit=self.token_unit[kept],
            token_time_s=self.token_time_s[kept],
            token_value=self.token_value[kept] if self.is_signal else self.token_value,
            token_offsets=np.concatenate([[0], np.cumsum(number)]),
            kept_WN=kept_WN if self.kept_WN is None else kept_WN & self.kept_WN,
        )


class DecodeReader:
    """Cut windows from one recording.

    Parameters
    ----------
    recording : Recording
    tasks : sequence of Task
        Those that the recording lacks are never asked for in its windows.
    length_s : float
        Length of a window, in seconds.
    signal : str
        Name of the signals to read in place of spikes; "" for spikes or, where there are none,
        the only signals.
    scale_stretches : (K, 2) array, optional
        Where mean and deviation of each unit's signal are taken from: the train domain, or all
        of a recording without a split.
    clock_s : (T,) float, optional
        When every task is asked for, in seconds, sorted, whatever the recording says of it: its
        targets then hold nothing. Default: at the time stamps that the recording has of each.

    Attributes
    ----------
    targets : dict of str to Targets
        By task; those that the recording lacks are absent.
    standardised : dict of str to array
        Their values as models learn them: standardised (T, D) float32, or classes (T,).

    Raises
    ------
    ConfigError
        If the length is not positive.
    DataError
        If the recording has no such signals, or several and none is named.
    """

    def __init__(
        self,
        recording: Recording,
        tasks: Sequence[Task],
        *,
        length_s: float,
        signal: str = "",
        scale_stretches: FloatArray | None = None,
        clock_s: FloatArray | None = None,
    ) -> None:
        if not (np.isfinite(length_s) and length_s >= 1e-3):
            raise ConfigError(f"length_s is {length_s:g}: a window has a millisecond or more")
        self.recording = recording
        self.tasks = tuple(tasks)
        self.length_s = int(to_ticks(length_s)) / TICKS_PER_S
        self.targets: dict[str, Targets] = {}
        for task in self.tasks:
            found = read_targets(recording, task) if clock_s is None else _nothing(task, clock_s)
            if found is not None:
                self.targets[task.name] = found
        self.standardised = {
            task.name: self.targets[task.name].values
            if task.spec.is_categorical
            else standardise(task, self.targets[task.name].values)
            for task in self.tasks
            if task.name in self.targets
        }
        self.signal = choose_signal(recording, signal)
        if self.signal is None:
            self._times = np.asarray(recording.spike_times)
            self._units = np.asarray(recording.spike_unit_index)
        else:
            if scale_stretches is None:
                split = recording.split
                scale_stretches = recording.domain if split is None else split.train
            self._times = np.asarray(self.signal.timestamps, dtype=np.float64)
            self._mean, self._scale = _moments(recording, self.signal, scale_stretches)

    @property
    def num_units(self) -> int:
        """Units of the recording."""
        return self.recording.num_units

    @cached_property
    def sample_step_s(self) -> float:
        """Seconds between samples of the signals; 0 for spikes."""
        return 0.0 if self.signal is None else max(median_step(self._times), 1e-6)

    @cached_property
    def token_rates_hz(self) -> FloatArray:
        """How many tokens each unit has in a second, on average over the recording, (N,)."""
        if self.signal is None:
            return self.recording.rate_hz
        return np.full(self.num_units, 1.0 / self.sample_step_s)

    def samples_between(
        self, start_s: float, end_s: float
    ) -> tuple[FloatArray, NDArray[np.float32]]:
        """Return times and standardised samples of the signals, (T,) and (T, N)."""
        assert self.signal is not None, "spikes have no samples"
        low, high = search_times(self._times, (start_s, end_s))
        values = np.asarray(self.signal.values[low:high], dtype=np.float32)
        return self._times[low:high], (values - self._mean) / self._scale

    def count_tokens(
        self, starts_s: ArrayLike, *, kept_WN: NDArray[np.bool_] | None = None
    ) -> IntArray:
        """Count the tokens of windows without making them, (W,)."""
        low, high = self._find(to_ticks(starts_s))
        if kept_WN is None:
            per_sample = 1 if self.signal is None else self.num_units
            return (high - low) * per_sample + EDGE_TOKENS * self.num_units
        shown = kept_WN.sum(axis=1)
        if self.signal is not None:
            return (high - low + EDGE_TOKENS) * shown
        rows = zip(kept_WN, low.tolist(), high.tolist(), strict=True)
        spikes = [np.count_nonzero(kept[self._units[i:j]]) for kept, i, j in rows]
        return np.array(spikes, dtype=np.int64) + EDGE_TOKENS * shown

    def count_queries(self, starts_s: ArrayLike, *, asked_s: FloatArray | None = None) -> IntArray:
        """Count the time stamps, of all tasks, that windows are asked for, (W,)."""
        starts = to_ticks(starts_s) / TICKS_PER_S
        return np.diff(self._queries(starts, asked_s)["query_offsets"])

    def read(
        self,
        starts_s: ArrayLike,
        *,
        asked_s: FloatArray | None = None,
        kept_WN: NDArray[np.bool_] | None = None,
    ) -> DecodeWindows:
        """Read windows.

        Parameters
        ----------
        starts_s : (W,) array_like
            Seconds, in any order; windows may overlap.
        asked_s : (W, 2) array, optional
            Only time stamps in this part of each window are asked for.
        kept_WN : (W, N) bool, optional
            Units that each window shows.
        """
        ticks = to_ticks(starts_s)
        starts = ticks / TICKS_PER_S
        low, high = self._find(ticks)
        if self.signal is None:
            unit, time, value, offsets = self._spikes(starts, low, high)
        else:
            unit, time, value, offsets = self._signals(starts, low, high)
        windows = DecodeWindows(
            starts_s=starts,
            length_s=self.length_s,
            num_units=self.num_units,
            token_unit=unit,
            token_time_s=time,
            token_value=value,
            token_offsets=offsets,
            is_signal=self.signal is not None,
            **self._queries(starts, asked_s),
        )
        return windows if kept_WN is None else windows.keep_units(kept_WN)

    def _find(self, start_ticks: NDArray[np.int64]) -> tuple[IntArray, IntArray]:
        """Find the first sample of each window, and the first after it."""
        length = int(to_ticks(self.length_s))
        # What rounds to a tick lies within half a tick of it.
        low = search_times(self._times, (start_ticks - 0.5) / TICKS_PER_S)
        return low, search_times(self._times, (start_ticks + length - 0.5) / TICKS_PER_S)

    def _spikes(
        self, starts: FloatArray, low: IntArray, high: IntArray
    ) -> tuple[IntArray, NDArray[np.float32], NDArray[np.float32], IntArray]:
        offsets = np.concatenate([[0], np.cumsum(high - low)])
        unit = np.empty(offsets[-1], dtype=self._units.dtype)
        time = np.empty(offsets[-1], dtype=np.float32)
        rows = zip(pairwise(offsets.tolist()), low.tolist(), high.tolist(), starts, strict=True)
        for (first, end), i, j, start in rows:
            unit[first:end] = self._units[i:j]
            np.subtract(self._times[i:j], start, out=time[first:end], casting="same_kind")
        return unit, time, np.empty(0, dtype=np.float32), offsets

    def _signals(
        self, starts: FloatArray, low: IntArray, high: IntArray
    ) -> tuple[IntArray, NDArray[np.float32], NDArray[np.float32], IntArray]:
        """Lay out samples one after the other, each with all units; what is missing is left out."""
        number, num_units = high - low, self.num_units
        row = np.arange(int(number.sum())) + np.repeat(low - (np.cumsum(number) - number), number)
        window = np.repeat(np.arange(len(starts)), number)
        assert self.signal is not None
        values = np.asarray(self.signal.values[row], dtype=np.float32)
        values = ((values - self._mean) / self._scale).ravel()
        time = np.repeat((self._times[row] - starts[window]).astype(np.float32), num_units)
        unit = np.tile(np.arange(num_units), len(row))
        window = np.repeat(window, num_units)
        known = np.isfinite(values)
        if not known.all():
            values, time, unit, window = values[known], time[known], unit[known], window[known]
        count = np.bincount(window, minlength=len(starts))
        return unit, time, values, np.concatenate([[0], np.cumsum(count)])

    def _queries(self, starts: FloatArray, asked_s: FloatArray | None) -> dict[str, Any]:
        windows, times, tasks, rows = [], [], [], []
        targets, weights = {}, {}
        for position, task in enumerate(self.tasks):
            if task.name not in self.targets:
                continue
            stamps = self.targets[task.name]
            row, offsets, ticks = spikes_in_windows(stamps.times_s, starts, self.length_s)
            window = np.repeat(np.arange(len(starts)), np.diff(offsets))
            if asked_s is not None:
                at = stamps.times_s[row]
                asked = (at >= asked_s[window, 0]) & (at < asked_s[window, 1])
                row, window, ticks = row[asked], window[asked], ticks[asked]
            windows.append(window)
            times.append((ticks / TICKS_PER_S).astype(np.float32))
            tasks.append(np.full(len(row), position))
            rows.append(row)
            targets[task.name] = self.standardised[task.name][row]
            weights[task.name] = stamps.weights[row]
        window = np.concatenate(windows) if windows else np.empty(0, dtype=np.int64)
        # Stable, so that within a window tasks stay in their order and times in theirs.
        order = np.argsort(window, kind="stable")
        number = np.bincount(window, minlength=len(starts))
        return {
            "query_time_s": np.concatenate(times)[order] if times else np.empty(0, np.float32),
            "query_task": np.concatenate(tasks)[order] if tasks else np.empty(0, np.int64),
            "query_row": np.concatenate(rows)[order] if rows else np.empty(0, np.int64),
            "query_offsets": np.concatenate([[0], np.cumsum(number)]),
            "targets": targets,
            "weights": weights,
        }


def _nothing(task: Task, times_s: FloatArray) -> Targets:
    """Return time stamps of which nothing is known."""
    shape = (len(times_s),) if task.spec.is_categorical else (len(times_s), task.num_outputs)
    kind = np.int64 if task.spec.is_categorical else np.float64
    return Targets(times_s, np.zeros(shape, dtype=kind), np.zeros(len(times_s), dtype=np.float32))


def choose_signal(recording: Recording, name: str) -> Series | None:
    """Return the signals to read in place of spikes, None for spikes.

    Raises
    ------
    DataError
        If there are none of this name, or several and none is named.
    """
    if name:
        if name not in recording.signals:
            said = nearest(name, sorted(recording.signals))
            raise DataError(f"{recording.id}: no signals {name}{said}")
        return recording.signals[name]
    if len(recording.spike_times) or not recording.signals:
        return None
    if len(recording.signals) > 1:
        listed = ", ".join(sorted(recording.signals))
        raise DataError(f"{recording.id}: several signals and no spikes: name one of {listed}")
    return next(iter(recording.signals.values()))


def _moments(
    recording: Recording, signal: Series, stretches: FloatArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and deviation of each unit's signal in stretches."""
    times = np.asarray(signal.timestamps, dtype=np.float64)
    number, mean = np.zeros(recording.num_units), np.zeros(recording.num_units)
    power = np.zeros(recording.num_units)
    rows = [search_times(times, stretch) for stretch in as_intervals(stretches)]
    for low, high in rows:
        values = np.asarray(signal.values[low:high], dtype=np.float64)
        number += np.isfinite(values).sum(axis=0)
        mean += np.nansum(values, axis=0)
    mean /= np.maximum(number, 1)
    for low, high in rows:
        values = np.asarray(signal.values[low:high], dtype=np.float64)
        power += np.nansum((values - mean) ** 2, axis=0)
    scale = np.sqrt(power / np.maximum(number, 1))
    # A unit that never changes says nothing, at any scale.
    scale = np.where(scale > 1e-9, scale, 1.0)
    return mean.astype(np.float32), scale.astype(np.float32)
