"""What a simulated session is: its spikes, and all the truth behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.simulate.calcium import SimulatedCalcium
from neurohorizon.simulate.drives import SimulatedDrives
from neurohorizon.simulate.world import BLOCK_SIZES, PopulationWorld

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedTrials:
    """List the complete trials of a session, one row a trial.

    Parameters
    ----------
    preparation_start_s, movement_onset_s, end_s : (K,) float64
        Seconds.
    direction_index : (K,) int64
        Direction ``2 pi index / 8`` of the movement.
    """

    preparation_start_s: FloatArray
    movement_onset_s: FloatArray
    end_s: FloatArray
    direction_index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.end_s)


@dataclass(frozen=True)
class SimulatedUnits:
    """Hold the true parameters of a session's units.

    Parameters
    ----------
    loading : (N, 8) float64
        Effect of each latent on the unit's log-rate.
    base_log_rate : (N,) float64
        Natural logarithm of the rate in Hz when all latents and the log-gain are 0; set so
        that the mean rate over the session's latents is the one drawn for the unit.
    history_weight : (N, 3) float64
        Weights of the refractory, burst and adaptation kernels.
    is_burster : (N,) bool
    log_gain : (T, N) float32
        Natural logarithm of the unit's gain on the 10 ms grid.
    """

    loading: FloatArray
    base_log_rate: FloatArray
    history_weight: FloatArray
    is_burster: NDArray[np.bool_]
    log_gain: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.base_log_rate)


@dataclass(frozen=True)
class SimulatedSession:
    """Hold the spikes of one simulated session and all the truth behind them.

    Parameters
    ----------
    spike_times : (S,) float64
        Seconds, sorted.
    spike_unit_index : (S,) int64
    num_units : int
    duration_s : float
    latents : (T, 8) float64
        Latents on the grid: preparation (2), first plane (2), second plane (2), transient,
        slow drift. Row t holds during ``[t, t + 1) * world.grid_s``.
    rate_hz : (T, N) float32
        Latent-driven rates, gain included, without the effect of the unit's own spikes.
    units : SimulatedUnits
    trials : SimulatedTrials
    velocity : (T, 2) float64 or None
        None if the session was simulated without behaviour.
    velocity_timestamps : (T,) float64 or None
        Seconds: the middle of each grid step.
    world : PopulationWorld
        The world as it was simulated, with what was switched off taken out.
    seed : int or tuple of int
        A session of a population has the pair (seed of the population, index).
    drives : SimulatedDrives or None
        What drove units from outside, if anything did.
    calcium : SimulatedCalcium or None
        What a microscope would see of the units, if there is one.
    """

    spike_times: FloatArray
    spike_unit_index: NDArray[np.int64]
    num_units: int
    duration_s: float
    latents: FloatArray
    rate_hz: NDArray[np.float32]
    units: SimulatedUnits
    trials: SimulatedTrials
    velocity: FloatArray | None
    velocity_timestamps: FloatArray | None
    world: PopulationWorld
    seed: int | tuple[int, int]
    drives: SimulatedDrives | None = None
    calcium: SimulatedCalcium | None = None

    @property
    def is_carrier(self) -> NDArray[np.bool_]:
        """Units that tell of movement: that load on a latent other than the slow one, (N,)."""
        return np.any(self.units.loading[:, : -BLOCK_SIZES[-1]] != 0, axis=1)


def latent_log_rate(
    world: PopulationWorld,
    latents: FloatArray,
    units: SimulatedUnits,
    drives: SimulatedDrives | None,
) -> FloatArray:
    """Return each unit's log-rate without the effect of its own spikes, (T, N)."""
    log_rate = units.base_log_rate + latents @ units.loading.T + units.log_gain
    if drives is not None:
        log_rate = log_rate + drives.log_rate(world)
    return np.minimum(log_rate, np.log(world.max_rate_hz))
