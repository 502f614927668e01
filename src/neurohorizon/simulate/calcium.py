r"""What a microscope would see of simulated units: calcium traces of their spikes.

.. math:: F_n(t) = a_n \sum_i k(t - t_i) + b_n(t) + \epsilon, \qquad
   k(t) \propto (1 - e^{-t / \tau_r}) \, e^{-t / \tau_d}

with a kernel of peak 1, an amplitude :math:`a_n` of each unit, a baseline :math:`b_n` that drifts
(Ornstein-Uhlenbeck) and white noise :math:`\epsilon`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurohorizon.errors import ConfigError
from neurohorizon.ops.binning import search_times

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class CalciumWorld:
    """How spikes become traces.

    Parameters
    ----------
    rate_hz : float
        Frames a second; frame i is taken at ``(i + 1) / rate_hz``.
    rise_s, decay_s : float
        Time constants of the kernel.
    amplitude, amplitude_sd : float
        Median over units of what a spike adds at its peak, and standard deviation of its
        logarithm.
    noise_sd : float
        Standard deviation of the white noise of a frame.
    drift_sd, drift_tau_s : float
        Standard deviation and time constant of the baseline.

    Raises
    ------
    ConfigError
        If a quantity that must be positive is not.
    """

    rate_hz: float = 30.0
    rise_s: float = 0.05
    decay_s: float = 0.5
    amplitude: float = 1.0
    amplitude_sd: float = 0.3
    noise_sd: float = 0.5
    drift_sd: float = 0.5
    drift_tau_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("rate_hz", "rise_s", "decay_s", "amplitude", "drift_tau_s"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(
                    f"CalciumWorld: {name} is {getattr(self, name):g}: expected a positive number"
                )
        for name in ("amplitude_sd", "noise_sd", "drift_sd"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(
                    f"CalciumWorld: {name} is {getattr(self, name):g}: expected 0 or more"
                )

    @property
    def fast_s(self) -> float:
        """Time constant of the exponential that the kernel is short of."""
        return 1.0 / (1.0 / self.rise_s + 1.0 / self.decay_s)

    @property
    def peak_s(self) -> float:
        """Time from a spike to the peak of its kernel."""
        return self.rise_s * float(np.log1p(self.decay_s / self.rise_s))

    def kernel(self, delay_s: FloatArray) -> FloatArray:
        """Return what a spike adds after a delay, of peak 1."""
        after = np.maximum(delay_s, 0.0)
        return (np.exp(-after / self.decay_s) - np.exp(-after / self.fast_s)) / self._height

    @property
    def _height(self) -> float:
        peak = self.peak_s
        return float(np.exp(-peak / self.decay_s) - np.exp(-peak / self.fast_s))


@dataclass(frozen=True)
class SimulatedCalcium:
    """Hold the traces of one session, and what they are made of.

    Parameters
    ----------
    timestamps : (T,) float64
        Seconds.
    traces : (T, N) float32
    amplitude : (N,) float64
        What a spike of each unit adds at its peak.
    """

    timestamps: FloatArray
    traces: NDArray[np.float32]
    amplitude: FloatArray


def draw_calcium(
    world: CalciumWorld,
    spike_times: FloatArray,
    spike_unit_index: NDArray[np.int64],
    *,
    num_units: int,
    duration_s: float,
    rng: np.random.Generator,
) -> SimulatedCalcium:
    """Draw the traces of a session.

    Parameters
    ----------
    world : CalciumWorld
    spike_times, spike_unit_index : (S,) arrays
        Sorted seconds, and the unit of each spike.
    num_units : int
    duration_s : float
        Frames are taken while the session runs.
    rng : numpy.random.Generator
    """
    num_frames = int(np.floor(duration_s * world.rate_hz - 1e-9))
    times = (np.arange(num_frames) + 1) / np.float64(world.rate_hz)
    amplitude = world.amplitude * np.exp(world.amplitude_sd * rng.standard_normal(num_units))
    traces = amplitude * clean_traces(
        world, spike_times, spike_unit_index, num_units=num_units, times=times
    )
    decay = np.exp(-1.0 / (world.rate_hz * world.drift_tau_s))
    noise = world.drift_sd * rng.standard_normal((num_frames, num_units))
    noise[1:] *= np.sqrt(1.0 - decay**2)
    traces += np.asarray(lfilter([1.0], [1.0, -decay], noise, axis=0))
    traces += world.noise_sd * rng.standard_normal((num_frames, num_units))
    return SimulatedCalcium(times, traces.astype(np.float32), amplitude)


def clean_traces(
    world: CalciumWorld,
    spike_times: FloatArray,
    spike_unit_index: NDArray[np.int64],
    *,
    num_units: int,
    times: FloatArray,
) -> FloatArray:
    """Return the sum of kernels at regular times, without noise, drift or amplitude, (T, N).

    Notes
    -----
    The kernel is a difference of two exponentials, each of which decays from frame to frame and
    takes in the spikes since the last: exact, whatever the rate of the frames.
    """
    num_frames = len(times)
    # The first frame at or after each spike; spikes after the last frame are not seen.
    frame = search_times(times, spike_times)
    seen = frame < num_frames
    frame, unit = frame[seen], spike_unit_index[seen]
    since_s = times[frame] - spike_times[seen]
    cell = frame * num_units + unit
    traces = np.zeros((num_frames, num_units))
    for sign, tau_s in ((1.0, world.decay_s), (-1.0, world.fast_s)):
        arrived = np.bincount(cell, np.exp(-since_s / tau_s), minlength=num_frames * num_units)
        decay = np.exp(-1.0 / (world.rate_hz * tau_s))
        arrived = arrived.reshape(num_frames, num_units)
        traces += sign * np.asarray(lfilter([1.0], [1.0, -decay], arrived, axis=0))
    return traces / world._height
