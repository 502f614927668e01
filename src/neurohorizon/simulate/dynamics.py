"""The laws that simulated latents obey, shared by the simulator and by its observer.

Both step the same clock and the same linear recursion, so that what the observer knows of
the world is exact by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.simulate.world import NUM_DIRECTIONS, NUM_LATENTS, PopulationWorld

PAUSE, PREPARATION, MOVEMENT = 0, 1, 2
#: What drives the latents: nothing, a target, a kick with the transient, the transient alone.
REST, TARGET, KICK, TRANSIENT = 0, 1, 2, 3


@dataclass
class ClockState:
    """Say where in a trial each of P walkers is.

    Parameters
    ----------
    phase : (P,) int8
        `PAUSE`, `PREPARATION` or `MOVEMENT`.
    elapsed : (P,) int32
        Steps since the phase began.
    direction : (P,) int8
        Direction of the current trial (in a pause, of the last one).
    """

    phase: NDArray[np.int8]
    elapsed: NDArray[np.int32]
    direction: NDArray[np.int8]

    @classmethod
    def at_start(cls, num_walkers: int) -> ClockState:
        """Return walkers that have just entered a pause."""
        return cls(
            phase=np.full(num_walkers, PAUSE, dtype=np.int8),
            elapsed=np.zeros(num_walkers, dtype=np.int32),
            direction=np.zeros(num_walkers, dtype=np.int8),
        )

    def take(self, index: NDArray[np.integer]) -> ClockState:
        """Return the walkers at these positions."""
        return ClockState(self.phase[index], self.elapsed[index], self.direction[index])


class TrialClock:
    """Step the semi-Markov process pause -> preparation -> movement -> pause.

    Parameters
    ----------
    world : PopulationWorld

    Notes
    -----
    On a grid of step `dt`, a phase of at least `m` seconds plus an exponential time of mean
    `tau` cannot end in its first `m / dt` steps and then ends at each step with probability
    ``1 - exp(-dt / tau)``.
    """

    def __init__(self, world: PopulationWorld) -> None:
        minimum_s = (world.pause_min_s, world.preparation_min_s, world.movement_s)
        self.minimum = np.rint(np.array(minimum_s) / world.grid_s).astype(np.int32)
        tau_s = np.array([world.pause_tau_s, world.preparation_mean_s])
        self.hazard = np.append(1.0 - np.exp(-world.grid_s / tau_s), 1.0).astype(np.float32)
        self.kick_steps = round(world.kick_s / world.grid_s)
        self.transient_steps = round(world.transient_s / world.grid_s)
        self.has_trials = world.has_trials

    def step(self, state: ClockState, rng: np.random.Generator) -> None:
        """Advance all walkers by one grid step, in place."""
        state.elapsed += 1
        if not self.has_trials:
            return
        due = np.flatnonzero(state.elapsed >= self.minimum[state.phase])
        leaves = rng.random(len(due), dtype=np.float32) < self.hazard[state.phase[due]]
        leaving = due[leaves]
        phase = (state.phase[leaving] + 1) % 3
        state.phase[leaving] = phase
        state.elapsed[leaving] = 0
        prepares = leaving[phase == PREPARATION]
        state.direction[prepares] = rng.integers(NUM_DIRECTIONS, size=len(prepares))

    def drive(self, state: ClockState) -> NDArray[np.intp]:
        """Return the row of `LatentDynamics.drive_table` that acts on each walker now."""
        moving = state.phase == MOVEMENT
        kind = (
            TARGET * (state.phase == PREPARATION)
            + KICK * (moving & (state.elapsed < self.kick_steps))
            + TRANSIENT
            * (moving & (state.elapsed >= self.kick_steps) & (state.elapsed < self.transient_steps))
        )
        return kind * NUM_DIRECTIONS + state.direction


class LatentDynamics:
    """Hold the linear recursion of the latents, ``x[t] = A x[t-1] + u[t] + noise[t]``.

    Parameters
    ----------
    world : PopulationWorld

    Attributes
    ----------
    transition : (8, 8)
        `A`, for one grid step.
    drive_table : (4 * 8, 8)
        `u` for each kind of drive and direction.
    noise_sd : (8,)
        Standard deviation of the noise per step (0 for latents that the clock determines).
    stationary_sd : (8,)
        Standard deviation of each latent if nothing but the noise acted.
    """

    def __init__(self, world: PopulationWorld) -> None:
        dt = world.grid_s
        self.transition = np.zeros((NUM_LATENTS, NUM_LATENTS))
        self.noise_sd = np.zeros(NUM_LATENTS)
        self.stationary_sd = np.zeros(NUM_LATENTS)
        drive = np.zeros((4, NUM_DIRECTIONS, NUM_LATENTS))
        angle = 2 * np.pi * np.arange(NUM_DIRECTIONS) / NUM_DIRECTIONS

        preparation_decay = np.exp(-dt / world.preparation_tau_s)
        self.transition[0, 0] = self.transition[1, 1] = preparation_decay
        target = world.preparation_gain * np.column_stack([np.cos(angle), np.sin(angle)])
        drive[TARGET, :, 0:2] = (1 - preparation_decay) * target

        for plane, kick_angle in enumerate((angle, 2 * angle + 1)):
            first = 2 + 2 * plane
            both = slice(first, first + 2)
            decay = np.exp(-dt / world.plane_decay_s[plane])
            turn = 2 * np.pi * world.plane_hz[plane] * dt
            self.transition[both, both] = decay * np.array(
                [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
            )
            kick = np.column_stack([np.cos(kick_angle), np.sin(kick_angle)])
            drive[KICK, :, both] = world.plane_kick[plane] * dt * kick
            self.noise_sd[both] = world.plane_noise[plane]
            self.stationary_sd[both] = world.plane_noise[plane] / np.sqrt(1 - decay**2)

        transient_decay = np.exp(-dt / world.transient_tau_s)
        self.transition[6, 6] = transient_decay
        drive[[KICK, TRANSIENT], :, 6] = (1 - transient_decay) * world.transient_drive

        slow_decay = np.exp(-dt / world.slow_tau_s)
        self.transition[7, 7] = slow_decay
        self.noise_sd[7] = world.slow_sd * np.sqrt(1 - slow_decay**2)
        self.stationary_sd[7] = world.slow_sd
        self.drive_table = drive.reshape(-1, NUM_LATENTS)
