"""Population dynamics: a linear dynamical system fitted to a reference, without a gradient.

A few latents move the whole population. From a minute or two of spikes,
expectation-maximisation estimates their dynamics and every unit's loading on them; a Kalman
filter then follows them through a session, and their dynamics carry each unit's rate into
the horizon. That takes some thousand parameters, where a regression from all units' pasts to
all units' futures takes ten thousands, and so needs far less data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import lfilter

from neurohorizon.ops.binning import TICKS_PER_S, search_times, spikes_in_windows, to_ticks
from neurohorizon.ops.kalman import ComplexArray, SteadyFilter, diagonalise
from neurohorizon.recordings.schema import FloatArray, IntArray, Recording

_LOWEST_RATE_HZ = 0.02
_SPIKES_AT_ONCE = 100_000


@dataclass(frozen=True)
class LinearDynamics:
    r"""A linear dynamical system of a population's spike counts, and its Kalman filter.

    Parameters
    ----------
    bin_s : float
        Time step, in seconds.
    rate_hz : (N,) float
        Rates that the latents modulate.
    loadings : (N, R) float
        From latents to counts, in units of each count's Poisson standard deviation.
    transition : (R, R) float
        From one step's latents to the next's.
    step_noise : (R, R) float
        Covariance of what is added in a step.
    count_noise : (N,) float
        Variance of counts about their expectation, in units of the Poisson variance.

    Notes
    -----
    .. math::

        z_{t+1} = A z_t + w_t, \qquad
        (k_{nt} - \bar r_n \Delta) / \sqrt{\bar r_n \Delta} = C_n z_t + v_{nt}

    with Gaussian w of covariance Q and v of variance R_n.

    References
    ----------
    Shumway & Stoffer 1982, J. Time Series Analysis 3:253 (EM for linear dynamical systems);
    Macke et al. 2011, NeurIPS 24 (population spike trains).
    """

    bin_s: float
    rate_hz: FloatArray
    loadings: FloatArray
    transition: FloatArray
    step_noise: FloatArray
    count_noise: FloatArray

    @property
    def readout(self) -> FloatArray:
        """From latents to relative rates minus one, (N, R)."""
        return self.loadings / poisson_deviation(self.rate_hz, self.bin_s)[:, None]

    @cached_property
    def filter(self) -> ModalFilter:
        """The steady Kalman filter, mode by mode."""
        gain = SteadyFilter.of(self.loadings, self.transition, self.step_noise, self.count_noise)
        poles, modes = diagonalise(gain.step)
        inputs = gain.inputs / poisson_deviation(self.rate_hz, self.bin_s)
        weights = np.linalg.solve(modes, inputs.astype(np.complex128))
        return ModalFilter(
            bin_s=self.bin_s,
            poles=poles,
            modes=modes,
            spike_weights=weights.T.astype(np.complex128),
            rate_hz=self.rate_hz,
        )

    def forecast(self, states: FloatArray, group_edges: IntArray) -> FloatArray:
        """Forecast rates relative to `rate_hz`, minus one.

        Parameters
        ----------
        states : (T, R) array
            The filter's latents at the origins.
        group_edges : (G + 1,) array
            Edges of the horizon groups, in steps.

        Returns
        -------
        (T, N, G) array
        """
        return carry(states, self.horizon_maps(group_edges))

    def horizon_maps(self, group_edges: IntArray) -> FloatArray:
        """Return the maps from latents to forecasts: (R, N, G), for the edges of the groups."""
        powers = [self.transition]
        for _ in range(int(group_edges[-1]) - 1):
            powers.append(self.transition @ powers[-1])
        sums = np.cumsum([np.zeros_like(self.transition), *powers], axis=0)
        widths = np.diff(group_edges)
        means = np.diff(sums[group_edges], axis=0) / widths[:, None, None]
        return np.einsum("nr,grs->sng", self.readout, means, optimize=True)

    def explained_traces(
        self, states: FloatArray, traces_hz: FloatArray, *, time_constants_s: ArrayLike
    ) -> FloatArray:
        r"""Return what the latents lead to expect of each unit's traces, in Hz.

        What a trace has beyond that is the unit's own: its gain, and how it drifts.

        Parameters
        ----------
        states : (T, R) array
        traces_hz : (T, N, K) array
            Exponential traces at the same origins, of all units.
        time_constants_s : (K,) array_like

        Returns
        -------
        (T, N, K) array
            May be negative where the latents are far out.

        Notes
        -----
        The exponential trace of a mode :math:`w` of the filter needs no state of its own. To
        each spike the mode answers with :math:`e^{\ell u}` and its trace with
        :math:`(e^{\ell u} - e^{-u/\tau}) / (\tau \ell + 1)`: the mode itself, less the
        units' traces weighted as the mode weighs their spikes.
        """
        poles = self.filter.log_poles
        # A spike is half a step old when the filter counts it.
        weights = self.filter.spike_weights * np.exp(-poles * self.bin_s / 2)
        modes = np.linalg.solve(self.filter.modes, states.T.astype(np.complex128)).T
        readout = self.filter.modes.T @ self.readout.T
        explained = np.empty(traces_hz.shape)
        for column, tau in enumerate(np.asarray(time_constants_s, dtype=np.float64)):
            arrived = tau * ((traces_hz[:, :, column] - self.rate_hz) @ weights)
            smooth = (modes - arrived) / (1.0 + tau * poles)
            explained[:, :, column] = self.rate_hz * (1.0 + (smooth @ readout).real)
        return explained


@dataclass(frozen=True)
class ModalFilter:
    """A filter as complex exponential traces of weighted spikes, one a mode.

    In this form it needs no grid of bins: its state at any time is the state kept somewhat
    earlier, decayed, plus what the few spikes since then have left.

    Parameters
    ----------
    bin_s : float
    poles : (R,) complex
        Decay of each mode in a step.
    modes : (R, R) complex
        From modes to latents.
    spike_weights : (N, R) complex
        What a spike of each unit adds to each mode.
    rate_hz : (N,) float
        Rates at which the expected state is zero.
    """

    bin_s: float
    poles: ComplexArray
    modes: ComplexArray
    spike_weights: ComplexArray
    rate_hz: FloatArray

    @cached_property
    def log_poles(self) -> ComplexArray:
        """Logarithm of the poles over a second."""
        poles = np.where(np.abs(self.poles) < 1e-6, 1e-6, self.poles)
        return np.asarray(np.log(poles.astype(np.complex128)) / self.bin_s, dtype=np.complex128)

    @cached_property
    def drift(self) -> ComplexArray:
        """What spikes at the reference rates would have added to each mode at rest."""
        inputs = (self.rate_hz * self.bin_s) @ self.spike_weights
        return inputs / (1.0 - self.poles)


class StateHistory:
    """The filter's latents at any time, from states kept along a recording.

    Parameters
    ----------
    recording : Recording
    dynamics : LinearDynamics
    segments : (K, 2) array
        Stretches within which history runs on; at each one's start the latents are 0.
    stride_s : float
        Seconds between kept states.
    """

    def __init__(
        self,
        recording: Recording,
        dynamics: LinearDynamics,
        *,
        segments: FloatArray,
        stride_s: float = 0.25,
    ) -> None:
        self.recording = recording
        self.filter = dynamics.filter
        self.segments = segments
        self.stride_s = stride_s
        self._states = [self._keep(start, end) for start, end in segments]

    def _keep(self, start: float, end: float) -> ComplexArray:
        """Return the modes at the start and every stride after it, means left in: (K, R)."""
        low, high = search_times(self.recording.spike_times, (start, end))
        start_tick, stride_ticks = int(to_ticks(start)), int(to_ticks(self.stride_s))
        num_states = int(np.floor((end - start) / self.stride_s + 1e-9)) + 1
        arrived = np.zeros((num_states + 1, len(self.filter.poles)), dtype=np.complex128)
        for first in range(low, high, _SPIKES_AT_ONCE):
            rows = slice(first, min(first + _SPIKES_AT_ONCE, high))
            ticks = to_ticks(np.asarray(self.recording.spike_times[rows])) - start_tick
            cell = np.minimum(ticks // stride_ticks + 1, num_states)
            added = self._decayed(rows, (cell * stride_ticks - ticks) / TICKS_PER_S)
            starts = np.flatnonzero(np.diff(cell, prepend=-1))
            arrived[cell[starts]] += np.add.reduceat(added, starts, axis=0)
        decay = np.exp(self.filter.log_poles * self.stride_s)
        for mode, pole in enumerate(decay):
            arrived[:, mode] = lfilter([1.0], [1.0, -pole], arrived[:, mode])
        return arrived[:num_states].astype(np.complex128)

    def _decayed(self, spikes: slice | IntArray, delay_s: FloatArray) -> ComplexArray:
        """Return what spikes left in the modes, (S, R), as the filter ages them by half a step."""
        weights = self.filter.spike_weights[np.asarray(self.recording.spike_unit_index[spikes])]
        age = (delay_s - self.filter.bin_s / 2)[:, None]
        return weights * np.exp(age * self.filter.log_poles)

    def at(self, times_s: ArrayLike, *, inside_s: FloatArray | None = None) -> FloatArray:
        """Return the latents at given times, (T, R).

        Parameters
        ----------
        times_s : (T,) array_like
            Seconds, in any order, each within a segment (or at its end).
        inside_s : (T,) array, optional
            Earlier times that tell which segment each belongs to; default: `times_s`.
        """
        times = np.asarray(times_s, dtype=np.float64)
        inside = times if inside_s is None else inside_s
        segment = np.searchsorted(self.segments[:, 0], inside + 1e-9, side="right") - 1
        assert np.all(segment >= 0), "a time lies before the first segment"
        start = self.segments[segment, 0]
        row = np.floor((times - start) / self.stride_s + 1e-9).astype(np.int64)
        modes = np.empty((len(times), len(self.filter.poles)), dtype=np.complex128)
        for index in np.unique(segment):
            mine = segment == index
            row[mine] = np.minimum(row[mine], len(self._states[index]) - 1)
            modes[mine] = self._states[index][row[mine]]
        state_time = start + row * self.stride_s
        since = np.maximum(times - state_time, 0.0)
        modes *= np.exp(since[:, None] * self.filter.log_poles)
        spike, offsets, ticks = spikes_in_windows(self.recording.spike_times, state_time, since)
        window = np.repeat(np.arange(len(times)), np.diff(offsets))
        added = self._decayed(spike, since[window] - ticks / TICKS_PER_S)
        filled = np.flatnonzero(np.diff(offsets))
        if len(filled):
            modes[filled] += np.add.reduceat(added, offsets[filled], axis=0)
        elapsed = np.exp((times - start)[:, None] * self.filter.log_poles)
        modes -= self.filter.drift * (1.0 - elapsed)
        return (modes @ self.filter.modes.T).real


def carry(states: FloatArray, maps: FloatArray) -> FloatArray:
    """Carry latents (T, R) into the horizon by the maps (R, N, G) of a reference: (T, N, G)."""
    flat = states @ maps.reshape(len(maps), -1)
    return flat.reshape(len(states), *maps.shape[1:])


def poisson_deviation(rate_hz: FloatArray, bin_s: float) -> FloatArray:
    """Return the standard deviation of counts in a bin under Poisson firing, (N,)."""
    return np.sqrt(np.maximum(rate_hz, _LOWEST_RATE_HZ) * bin_s)
