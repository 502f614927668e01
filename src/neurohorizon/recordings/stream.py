"""A stream: spikes that arrive while the session runs, read into windows at its end.

What a window needs of the past is a state that forgets: traces and the latents of the
population dynamics decay, and a spike adds to them. So a stream keeps them at its clock, with
the spikes of one context, and nothing else: its memory does not grow, and a window costs the
same after a day as after a minute.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.binning import TICKS_PER_S, to_ticks
from neurohorizon.recordings.dynamics import LinearDynamics
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import TRACE_TIME_CONSTANTS_S, Windows

_SPIKES_AT_ONCE = 20_000


class SpikeStream:
    """Windows at the end of a stream of spikes.

    Parameters
    ----------
    spec : WindowSpec
    start_rate_hz : (N,) array
        Rate that stands for the time before the stream (the reference rate).
    start_s : float
        When the stream starts, in seconds on its own clock.
    dynamics : LinearDynamics, optional
        Population dynamics to follow.

    Notes
    -----
    Equal to what :class:`~neurohorizon.recordings.windows.WindowReader` reads from a
    recording of the same spikes whose domain starts at `start_s`. State is double precision
    and each step multiplies it by less than one, so rounding is forgotten as fast as spikes
    are: nothing adds up over a day.
    """

    def __init__(
        self,
        spec: WindowSpec,
        *,
        start_rate_hz: FloatArray,
        start_s: float,
        dynamics: LinearDynamics | None = None,
    ) -> None:
        if not np.isfinite(start_s):
            raise DataError(f"the stream starts at {start_s} s: give a finite time in seconds")
        self.spec = spec
        self.num_units = len(start_rate_hz)
        self.time_constants_s = np.array(TRACE_TIME_CONSTANTS_S)
        self._filter = None if dynamics is None else dynamics.filter
        self._start_tick = self._tick = int(to_ticks(start_s))
        self._context_ticks = int(to_ticks(spec.context_s))
        # State at the clock, without the spikes at the very tick: they are its future.
        rates = np.asarray(start_rate_hz, dtype=np.float64)[:, None]
        self._traces_hz = np.repeat(rates, len(self.time_constants_s), axis=1)
        num_modes = 0 if self._filter is None else len(self._filter.poles)
        self._modes = np.zeros(num_modes, dtype=np.complex128)
        # Spikes of the last context, those at the clock's tick last.
        self._ticks = np.empty(0, dtype=np.int64)
        self._units = np.empty(0, dtype=np.int64)

    @property
    def now_s(self) -> float:
        """The clock: up to when spikes are known, in seconds."""
        return self._tick / TICKS_PER_S

    def update(
        self, times_s: ArrayLike, unit_index: ArrayLike, *, until_s: float | None = None
    ) -> None:
        """Take in the next spikes, and move the clock on.

        Parameters
        ----------
        times_s : (S,) array_like
            Seconds, sorted, none before the clock. May be empty.
        unit_index : (S,) array_like of int
        until_s : float, optional
            Up to when all spikes have now been given: the clock goes there. Default: to the
            last spike.

        Raises
        ------
        DataError
            If spikes come late or unsorted, a unit does not exist, or time would go back.
            The stream is then as it was before.
        """
        ticks, units = self._checked(times_s, unit_index)
        until = self._tick if until_s is None else _tick_of(until_s, "until_s")
        if len(ticks) and until_s is None:
            until = max(until, int(ticks[-1]))
        if until < self._tick:
            raise DataError(
                f"until_s is {until_s:.6f} s, but the stream has reached {self.now_s:.6f} s: "
                "time goes forward only"
            )
        if len(ticks) and ticks[-1] > until:
            raise DataError(
                f"a spike at {ticks[-1] / TICKS_PER_S:.6f} s lies after until_s, "
                f"{until / TICKS_PER_S:.6f} s: give it with a later update"
            )
        ticks, units = np.concatenate([self._ticks, ticks]), np.concatenate([self._units, units])
        first, last = np.searchsorted(ticks, (self._tick, until))
        while self._tick < until:
            part = slice(first, min(first + _SPIKES_AT_ONCE, last))
            tick = until if part.stop == last else int(ticks[part.stop - 1])
            self._traces_hz, self._modes = self._followed(tick, ticks[part], units[part])
            self._tick, first = tick, part.stop
        kept = slice(int(np.searchsorted(ticks, until - self._context_ticks)), None)
        # Copied, so that the chunk they came with can go.
        self._ticks, self._units = ticks[kept].copy(), units[kept].copy()

    def read(self, at_s: float | None = None) -> Windows:
        """Read the window whose origin is the clock or a time after it.

        The stream is not changed: spikes between the clock and `at_s` may still arrive.

        Parameters
        ----------
        at_s : float, optional
            The origin, in seconds; default the clock. Nothing fired between the clock and a
            later origin, as far as is known.

        Returns
        -------
        Windows
            One window. Its counts are zeros: they are not known yet.

        Raises
        ------
        DataError
            If the origin lies before the clock, or less than a context after the start.
        """
        at_s = self.now_s if at_s is None else at_s
        at = _tick_of(at_s, "the origin")
        if at < self._tick:
            raise DataError(
                f"the origin {at_s:.6f} s lies before {self.now_s:.6f} s, which the stream has "
                "reached: forecast before you give later spikes"
            )
        if at - self._context_ticks < self._start_tick:
            raise DataError(
                f"the origin {at_s:.6f} s lies less than {self.spec.context_s:g} s after the "
                f"stream's start at {self._start_tick / TICKS_PER_S:.6f} s: wait until a context "
                "has passed"
            )
        low, pending, high = np.searchsorted(
            self._ticks, (at - self._context_ticks, self._tick, at)
        )
        traces_hz, modes = self._followed(at, self._ticks[pending:high], self._units[pending:high])
        delay_s = (at - self._ticks[low:high]) / TICKS_PER_S
        return Windows(
            spec=self.spec,
            origins_s=np.array([at_s], dtype=np.float64),
            counts=np.zeros((1, self.num_units, self.spec.num_bins), dtype=np.int32),
            traces_hz=traces_hz[None],
            event_time_s=(-delay_s).astype(np.float32),
            event_unit_index=self._units[low:high],
            event_offsets=np.array([0, high - low]),
            states=self._latents(at, modes)[None],
        )

    def _checked(
        self, times_s: ArrayLike, unit_index: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return ticks and units of spikes that can be taken in; raise if they cannot."""
        times, units = np.asarray(times_s, dtype=np.float64), np.asarray(unit_index)
        if times.ndim != 1 or times.shape != units.shape:
            raise DataError(
                f"times of shape {times.shape} and units of shape {units.shape}: give one time "
                "and one unit for each spike"
            )
        if len(times) == 0:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        if not np.issubdtype(units.dtype, np.integer):
            raise DataError(f"units are {units.dtype}: give their row numbers, as integers")
        if units.min() < 0 or units.max() >= self.num_units:
            wrong = units[(units < 0) | (units >= self.num_units)][0]
            raise DataError(
                f"a spike of unit {wrong}, but the reference has {self.num_units} units, "
                f"0 to {self.num_units - 1}"
            )
        if not np.isfinite(times).all():
            raise DataError(f"a spike at {times[~np.isfinite(times)][0]} s: give finite times")
        ticks = to_ticks(times)
        if (steps := np.diff(ticks)).size and steps.min() < 0:
            row = int(np.argmax(steps < 0))
            raise DataError(
                f"spikes are not sorted: one at {times[row + 1]:.6f} s comes after one at "
                f"{times[row]:.6f} s"
            )
        if ticks[0] < self._tick:
            raise DataError(
                f"a spike at {times[0]:.6f} s comes late: the stream has reached {self.now_s:.6f} s"
            )
        return ticks, units.astype(np.int64)

    def _followed(
        self, tick: int, ticks: NDArray[np.int64], units: NDArray[np.int64]
    ) -> tuple[FloatArray, NDArray[np.complex128]]:
        """Return traces and modes at a later tick, with the spikes since the clock."""
        since_s = (tick - self._tick) / TICKS_PER_S
        delay_s = (tick - ticks) / TICKS_PER_S
        traces_hz = self._traces_hz * np.exp(-since_s / self.time_constants_s)
        if len(ticks):
            num_constants = len(self.time_constants_s)
            added = np.exp(-delay_s[:, None] / self.time_constants_s) / self.time_constants_s
            cell = units[:, None] * num_constants + np.arange(num_constants)
            arrived = np.bincount(cell.ravel(), added.ravel(), minlength=traces_hz.size)
            traces_hz += arrived.reshape(traces_hz.shape)
        if self._filter is None:
            return traces_hz, self._modes
        modes = self._modes * np.exp(since_s * self._filter.log_poles)
        if len(ticks):
            # The filter counts a spike when it is half a step old.
            age_s = (delay_s - self._filter.bin_s / 2)[:, None]
            weights = self._filter.spike_weights[units]
            modes += np.einsum("sr,sr->r", weights, np.exp(age_s * self._filter.log_poles))
        return traces_hz, modes

    def _latents(self, tick: int, modes: NDArray[np.complex128]) -> FloatArray:
        """Return the latents that belong to modes, the expected spikes taken out, (R,)."""
        if self._filter is None:
            return np.empty(0)
        elapsed_s = (tick - self._start_tick) / TICKS_PER_S
        expected = self._filter.drift * (1.0 - np.exp(elapsed_s * self._filter.log_poles))
        return (self._filter.modes @ (modes - expected)).real


def _tick_of(time_s: float, name: str) -> int:
    """Return a time in ticks; raise if it is none."""
    if not np.isfinite(time_s):
        raise DataError(f"{name} is {time_s} s: give a finite time in seconds")
    return int(to_ticks(time_s))
