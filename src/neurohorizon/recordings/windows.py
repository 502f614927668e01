"""Windows: what happened before an origin, and what happened after it.

A window is cut at its *origin*. Before it lie the context (spike events of the last half
second) and the history (exponential traces that reach back some 20 s); after it lies the
horizon, counted in bins. Reading is vectorised over the origins of one recording and goes
straight to its arrays, which for a file are memory maps: no object is sliced.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohorizon.errors import ConfigError
from neurohorizon.ops.binning import TICKS_PER_S, count_in_windows, spikes_in_windows, to_ticks
from neurohorizon.ops.intervals import as_intervals, contains, regular_origins
from neurohorizon.ops.traces import exponential_traces
from neurohorizon.recordings.conditions import ConditionReader, Conditions, ConditionSpec
from neurohorizon.recordings.dynamics import LinearDynamics, StateHistory
from neurohorizon.recordings.reference_samples import SampleSpec
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording

#: The first origin lies so far inside a stretch, or a whole number of steps further.
GRID_START_S = 0.5
TRACE_TIME_CONSTANTS_S = (0.03, 0.1, 0.3, 1.0, 4.0, 20.0)
#: Width of a block of bins, about: coarse bins, for models that forecast those first.
BLOCK_S = 0.1


@dataclass(frozen=True)
class WindowSpec:
    """The geometry of a window.

    Parameters
    ----------
    context_s : float
        Seconds of spike events before the origin.
    horizon_s : float
        Seconds to forecast after it.
    bin_s : float
        Width of a forecast bin, in seconds.
    conditions : ConditionSpec
        What is read besides spikes; nothing by default.
    samples : SampleSpec
        What an identity reads of the reference besides features; nothing by default.

    Raises
    ------
    ConfigError
        If a quantity is not positive or the horizon, or a window of `samples`, is no whole
        number of bins.

    Examples
    --------
    >>> WindowSpec(horizon_s=1.0, bin_s=0.02).num_bins
    50
    """

    context_s: float = 0.5
    horizon_s: float = 1.0
    bin_s: float = 0.02
    conditions: ConditionSpec = field(default_factory=ConditionSpec)
    samples: SampleSpec = field(default_factory=SampleSpec)

    def __post_init__(self) -> None:
        for name in ("context_s", "horizon_s", "bin_s"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 1e-3):
                raise ConfigError(f"{name} is {value:g} s: it must be at least a millisecond")
        self.bins_until(self.horizon_s)
        if self.samples.num_windows:
            self._whole_bins(self.samples.window_s, "an identity window")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WindowSpec:
        """Make a geometry again of what ``dataclasses.asdict`` or JSON made of it."""
        conditions = dict(values.get("conditions", {}))
        if "behavior" in conditions:
            conditions["behavior"] = tuple(conditions["behavior"])
        samples = SampleSpec(**values.get("samples", {}))
        rest = {key: values[key] for key in values if key not in ("conditions", "samples")}
        return cls(**rest, conditions=ConditionSpec(**conditions), samples=samples)

    @property
    def geometry(self) -> WindowSpec:
        """The same without what a model reads besides spikes: what makes windows comparable."""
        return WindowSpec(context_s=self.context_s, horizon_s=self.horizon_s, bin_s=self.bin_s)

    @property
    def num_bins(self) -> int:
        """Bins in the horizon."""
        return self.bins_until(self.horizon_s)

    @property
    def num_context_bins(self) -> int:
        """Whole bins of the context, counted back from the origin."""
        return int(to_ticks(self.context_s)) // int(to_ticks(self.bin_s))

    def bins_until(self, horizon_s: float) -> int:
        """Return how many bins lie between the origin and a horizon.

        Raises
        ------
        ConfigError
            If that is no whole number, with the nearest choices.
        """
        return self._whole_bins(horizon_s, "a horizon")

    def _whole_bins(self, length_s: float, what: str) -> int:
        bin_ticks, ticks = int(to_ticks(self.bin_s)), int(to_ticks(length_s))
        if ticks % bin_ticks:
            below = ticks // bin_ticks * bin_ticks
            choices = [f"{c / TICKS_PER_S:g}" for c in (below, below + bin_ticks) if c > 0]
            raise ConfigError(
                f"{what} of {length_s:g} s is no whole number of {self.bin_s:g} s bins: "
                f"choose {' or '.join(choices)} s"
            )
        return ticks // bin_ticks

    @cached_property
    def group_edges(self) -> NDArray[np.int64]:
        """Bin edges of the horizon groups, fine near the origin and coarse far from it.

        Closed-form baselines and the population adapter forecast one value a group.

        Examples
        --------
        >>> WindowSpec().group_edges.tolist()
        [0, 1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 36, 43, 50]
        """
        widths, edge, edges = (1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 6, 7, 7), 0, [0]
        group = 0
        while edge < self.num_bins:
            edge = min(edge + widths[min(group, len(widths) - 1)], self.num_bins)
            edges.append(edge)
            group += 1
        return np.array(edges)

    @property
    def num_groups(self) -> int:
        """Number of horizon groups."""
        return len(self.group_edges) - 1

    @property
    def bins_per_block(self) -> int:
        """Bins in a block of about 100 ms; the horizon's last block may hold fewer."""
        return min(max(round(BLOCK_S / self.bin_s), 1), self.num_bins)

    @cached_property
    def group_of_bin(self) -> NDArray[np.int64]:
        """Horizon group of each bin, shape (B,)."""
        return np.repeat(np.arange(self.num_groups), np.diff(self.group_edges))

    def group_rates(self, counts: NDArray[np.integer]) -> FloatArray:
        """Average counts into rates by horizon group.

        Parameters
        ----------
        counts : (..., B) array

        Returns
        -------
        (..., G) array
            Rates in Hz.
        """
        summed = np.add.reduceat(counts, self.group_edges[:-1], axis=-1)
        return summed / (np.diff(self.group_edges) * self.bin_s)

    def origins(self, intervals: FloatArray, *, step_s: float) -> FloatArray:
        """Place origins every `step_s` so that context and horizon fit inside the stretches.

        Other contexts have origins on the same grid, so that their windows can be compared.
        """
        late_s = max(self.context_s - GRID_START_S, 0.0)
        before_s = GRID_START_S + np.ceil(late_s / step_s - 1e-9) * step_s
        return regular_origins(intervals, step_s=step_s, before_s=before_s, after_s=self.horizon_s)


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

    def at(self, times_s: ArrayLike, *, start_rate_hz: FloatArray) -> FloatArray:
        """Return the traces at given times.

        Parameters
        ----------
        times_s : (T,) array_like
            Seconds, in any order, each within a segment (or at its end).
        start_rate_hz : (N,) array
            Rate that stands for what came before a segment.

        Returns
        -------
        (T, N, K) array
            Traces in Hz.
        """
        times = np.asarray(times_s, dtype=np.float64)
        segment = np.searchsorted(self.segments[:, 0], times + 1e-9, side="right") - 1
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
            traces_hz=self.history.at(origins, start_rate_hz=start_rate_hz),
            event_time_s=(ticks / TICKS_PER_S - spec.context_s).astype(np.float32),
            event_unit_index=np.asarray(recording.spike_unit_index[spike]),
            event_offsets=offsets,
            states=self._states(origins, dynamics),
            conditions=(
                None
                if self._conditions is None
                else self._conditions.read(origins, horizon_s=spec.horizon_s)
            ),
        )

    def _states(self, origins: FloatArray, dynamics: LinearDynamics | None) -> FloatArray:
        """Follow the dynamics; a history is kept for each, since many reads share few."""
        if dynamics is None:
            return np.empty((len(origins), 0))
        known = self._state_histories.get(id(dynamics))
        if known is None:
            history = StateHistory(self.recording, dynamics, segments=self.history.segments)
            # The dynamics are kept with it: as long as they live no other has their id.
            known = self._state_histories[id(dynamics)] = (dynamics, history)
        return known[1].at(origins)

    def inside(self, origins_s: FloatArray, intervals: FloatArray) -> NDArray[np.bool_]:
        """Tell for which origins the whole horizon lies inside the stretches."""
        room = np.column_stack([intervals[:, 0], intervals[:, 1] - self.spec.horizon_s + 1e-6])
        return contains(as_intervals(room), origins_s)
