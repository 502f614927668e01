"""Windows: what happened before an origin, and what happened after it.

A window is cut at its *origin*. Before it lie the context (spike events of the last half
second) and the history (exponential traces that reach back some 20 s); after it lies the
horizon, counted in bins. Reading is vectorised over the origins of one recording and goes
straight to its arrays, which for a file are memory maps: no object is sliced.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohorizon.ops.binning import TICKS_PER_S, count_in_windows, spikes_in_windows
from neurohorizon.ops.intervals import as_intervals, contains
from neurohorizon.ops.traces import exponential_traces
from neurohorizon.recordings.conditions import ConditionReader, Conditions
from neurohorizon.recordings.dynamics import LinearDynamics, StateHistory
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording
from neurohorizon.recordings.window_spec import WindowSpec

TRACE_TIME_CONSTANTS_S = (0.03, 0.1, 0.3, 1.0, 4.0, 20.0)


@dataclass(frozen=True)
class Windows:
    """Windows of one recording.

    Parameters
    ----------
    spec : WindowSpec
    origins_s : (T,) array
        Seconds.
    counts : (T, N, B) int array
        Spikes after each origin, by unit and bin: the targets.
    traces_hz : (T, N, K) array
        Exponential traces at the origin, one column a time constant.
    event_time_s : (E,) float32 array
        Context spikes, window after window, in seconds since the origin (negative).
    event_unit_index : (E,) array
    event_offsets : (T + 1,) array
        Events of window i are ``[event_offsets[i], event_offsets[i + 1])``.
    states : (T, R) array
        Latents of the reference's population dynamics at the origin; R = 0 if none was given.
    conditions : Conditions or None
        Behaviour and pictures; None if the geometry asks for none.
    """

    spec: WindowSpec
    origins_s: FloatArray
    counts: NDArray[np.int32]
    traces_hz: FloatArray
    event_time_s: NDArray[np.float32]
    event_unit_index: IntArray
    event_offsets: IntArray
    states: FloatArray
    conditions: Conditions | None = None

    def __len__(self) -> int:
        return len(self.origins_s)

    @property
    def num_units(self) -> int:
        """Units in the recording."""
        return self.counts.shape[1]

    def part(self, start: int, stop: int) -> Windows:
        """Return windows `start` to `stop`, without copying."""
        stop = min(stop, len(self))
        low, high = self.event_offsets[start], self.event_offsets[stop]
        return Windows(
            spec=self.spec,
            origins_s=self.origins_s[start:stop],
            counts=self.counts[start:stop],
            traces_hz=self.traces_hz[start:stop],
            event_time_s=self.event_time_s[low:high],
            event_unit_index=self.event_unit_index[low:high],
            event_offsets=self.event_offsets[start : stop + 1] - low,
            states=self.states[start:stop],
            conditions=self.conditions and self.conditions.take(slice(start, stop)),
        )

    def with_event_units(self, event_unit_index: IntArray) -> Windows:
        """Return the windows with other labels on the context spikes, shape (E,)."""
        return replace(self, event_unit_index=event_unit_index)

    def with_shuffled_events(self, generator: np.random.Generator) -> Windows:
        """Return the windows with the labels on context spikes permuted inside each of them.

        Times, traces and counts stay; only which unit fired which spike is lost.
        """
        unit = self.event_unit_index.copy()
        for low, high in itertools.pairwise(self.event_offsets):
            unit[low:high] = generator.permutation(unit[low:high])
        return self.with_event_units(unit)

    def with_conditions(self, conditions: Conditions | None) -> Windows:
        """Return the windows with other conditions."""
        return replace(self, conditions=conditions)


class History:
    """Exponential traces of a recording at any time, from states kept along it.

    Parameters
    ----------
    recording : Recording
    time_constants_s : sequence of float
        Time constants, in seconds.
    segments : (K, 2) array, optional
        Stretches within which history runs on; it starts afresh at each one's start.
        Default: the recording's domain or, for an interleaved split, its blocks.
    stride_s : float
        Seconds between kept states.

    Notes
    -----
    A trace at t is the kept state before t, decayed, plus the few spikes since then: equal
    to filtering the whole recording, at the cost of reading one stride.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        time_constants_s: tuple[float, ...] = TRACE_TIME_CONSTANTS_S,
        segments: FloatArray | None = None,
        stride_s: float = 1.0,
    ) -> None:
        if segments is None:
            segments = recording.domain
            if recording.split is not None and recording.split.interleaved:
                blocks = (recording.split.train, recording.split.valid, recording.split.test)
                segments = np.concatenate(blocks)
                segments = segments[np.argsort(segments[:, 0])]
        self.recording = recording
        self.time_constants_s = np.asarray(time_constants_s)
        self.segments = segments
        self._state_times = [np.arange(start, end, stride_s) for start, end in segments]
        self._states = [
            exponential_traces(
                recording.spike_times,
                recording.spike_unit_index,
                num_units=recording.num_units,
                at_s=times,
                time_constants_s=self.time_constants_s,
                start_s=float(times[0]),
                start_rate_hz=np.zeros(recording.num_units),
            ).astype(np.float32)
            for times in self._state_times
        ]

    def at(
        self,
        times_s: ArrayLike,
        *,
        start_rate_hz: FloatArray,
        inside_s: FloatArray | None = None,
    ) -> FloatArray:
        """Return the traces at given times.

        Parameters
        ----------
        times_s : (T,) array_like
            Seconds, in any order, each within a segment (or at its end).
        start_rate_hz : (N,) array
            Rate that stands for what came before a segment.
        inside_s : (T,) array, optional
            Earlier times that tell which segment each belongs to, where one ends as the next
            starts; default: `times_s`.

        Returns
        -------
        (T, N, K) array
            Traces in Hz.
        """
        times = np.asarray(times_s, dtype=np.float64)
        inside = times if inside_s is None else inside_s
        segment = np.searchsorted(self.segments[:, 0], inside + 1e-9, side="right") - 1
        assert np.all(segment >= 0), "a time lies before the first segment"
        state = np.empty((len(times), self.recording.num_units, len(self.time_constants_s)))
        state_time = np.empty(len(times))
        for index in np.unique(segment):
            mine = segment == index
            row = np.searchsorted(self._state_times[index], times[mine] + 1e-9, side="right") - 1
            state[mine] = self._states[index][row]
            state_time[mine] = self._state_times[index][row]
        since_start = times - self.segments[segment, 0]
        start = np.exp(-since_start[:, None] / self.time_constants_s)
        decay = np.exp(-(times - state_time)[:, None] / self.time_constants_s)
        state *= decay[:, None, :]
        state += start[:, None, :] * np.asarray(start_rate_hz)[None, :, None]

        length_s = np.maximum(times - state_time, 0.0)
        spike, offsets, ticks = spikes_in_windows(self.recording.spike_times, state_time, length_s)
        window = np.repeat(np.arange(len(times)), np.diff(offsets))
        delay_s = length_s[window] - ticks / TICKS_PER_S
        cell = window * self.recording.num_units + self.recording.spike_unit_index[spike]
        for column, time_constant in enumerate(self.time_constants_s):
            arrived = np.bincount(
                cell,
                weights=np.exp(-delay_s / time_constant) / time_constant,
                minlength=len(times) * self.recording.num_units,
            )
            state[:, :, column] += arrived.reshape(state.shape[:2])
        return state


class WindowReader:
    """Cut windows from one recording.

    Parameters
    ----------
    recording : Recording
    spec : WindowSpec
    history : History, optional
        Made from the recording if absent.
    """

    def __init__(
        self, recording: Recording, spec: WindowSpec, history: History | None = None
    ) -> None:
        self.recording = recording
        self.spec = spec
        self.history = history if history is not None else History(recording)
        self._state_histories: dict[int, tuple[LinearDynamics, StateHistory]] = {}
        self._conditions = ConditionReader(recording, spec.conditions) if spec.conditions else None

    def read(
        self,
        origins_s: ArrayLike,
        *,
        start_rate_hz: FloatArray,
        dynamics: LinearDynamics | None = None,
        inside_s: FloatArray | None = None,
    ) -> Windows:
        """Read the windows at the given origins.

        Parameters
        ----------
        origins_s : (T,) array_like
            Seconds, in any order.
        start_rate_hz : (N,) array
            Rate that stands for the time before history starts (the reference rate).
        dynamics : LinearDynamics, optional
            Population dynamics to follow up to each origin.
        inside_s : (T,) array, optional
            As `History.at` takes it.
        """
        origins = np.asarray(origins_s, dtype=np.float64)
        recording, spec = self.recording, self.spec
        spike, offsets, ticks = spikes_in_windows(
            recording.spike_times, origins - spec.context_s, spec.context_s
        )
        return Windows(
            spec=spec,
            origins_s=origins,
            counts=count_in_windows(
                recording.spike_times,
                recording.spike_unit_index,
                num_units=recording.num_units,
                starts_s=origins,
                bin_s=spec.bin_s,
                num_bins=spec.num_bins,
            ),
            traces_hz=self.history.at(origins, start_rate_hz=start_rate_hz, inside_s=inside_s),
            event_time_s=(ticks / TICKS_PER_S - spec.context_s).astype(np.float32),
            event_unit_index=np.asarray(recording.spike_unit_index[spike]),
            event_offsets=offsets,
            states=self._states(origins, dynamics, inside_s),
            conditions=(
                None
                if self._conditions is None
                else self._conditions.read(origins, horizon_s=spec.horizon_s)
            ),
        )

    def _states(
        self, origins: FloatArray, dynamics: LinearDynamics | None, inside_s: FloatArray | None
    ) -> FloatArray:
        """Follow the dynamics; a history is kept for each, since many reads share few."""
        if dynamics is None:
            return np.empty((len(origins), 0))
        known = self._state_histories.get(id(dynamics))
        if known is None:
            history = StateHistory(self.recording, dynamics, segments=self.history.segments)
            # The dynamics are kept with it: as long as they live no other has their id.
            known = self._state_histories[id(dynamics)] = (dynamics, history)
        return known[1].at(origins, inside_s=inside_s)

    def inside(self, origins_s: FloatArray, intervals: FloatArray) -> NDArray[np.bool_]:
        """Tell for which origins the whole horizon lies inside the stretches."""
        room = np.column_stack([intervals[:, 0], intervals[:, 1] - self.spec.horizon_s + 1e-6])
        return contains(as_intervals(room), origins_s)
