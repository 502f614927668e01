"""Simulate sessions of a neural population whose optimal forecast is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError
from neurohorizon.simulate.calcium import CalciumWorld, draw_calcium
from neurohorizon.simulate.drives import draw_drives
from neurohorizon.simulate.dynamics import (
    MOVEMENT,
    PREPARATION,
    ClockState,
    LatentDynamics,
    TrialClock,
)
from neurohorizon.simulate.history import draw_spikes
from neurohorizon.simulate.session import (
    SimulatedSession,
    SimulatedTrials,
    SimulatedUnits,
    latent_log_rate,
)
from neurohorizon.simulate.world import (
    ADAPTATION,
    BLOCK_SIZES,
    BURST,
    NUM_LATENTS,
    REFRACTORY,
    PopulationWorld,
)

FloatArray = NDArray[np.float64]


def simulate_session(
    world: PopulationWorld,
    *,
    num_units: int,
    duration_s: float,
    seed: int | tuple[int, int],
    drift: bool = True,
    bursts: bool = True,
    trials: bool = True,
    behavior: bool = True,
    driven: bool = False,
    carrier_share: float = 1.0,
    calcium: CalciumWorld | None = None,
) -> SimulatedSession:
    """Simulate one session.

    Parameters
    ----------
    world : PopulationWorld
    num_units : int
    duration_s : float
        Seconds, rounded to the grid of the world.
    seed : int or (int, int)
        Same seed, same session. A pair is the seed of a population and the session's index.
    drift : bool
        False holds all gains at 1 and the slow latent at 0.
    bursts : bool
        False takes the burst kernel from every unit.
    trials : bool
        False leaves spontaneous activity: no preparation, kick or transient, noise only.
    behavior : bool
        False leaves out the velocity; spikes do not change.
    driven : bool
        True lets running and pictures drive some of the units.
    carrier_share : float
        Share of the units that tell of movement, one at least. The others load on the slow
        latent alone, and so tell nothing of velocity and direction.
    calcium : CalciumWorld, optional
        True spikes are then seen through calcium traces.

    Returns
    -------
    SimulatedSession

    Raises
    ------
    ConfigError
        If there is no unit, the session is shorter than one grid step, or the share of carriers
        is none.

    Notes
    -----
    ``log rate = base + loading @ latents + log_gain``, and what the drives add, bounded by
    `world.max_rate_hz`. Each
    part of a session draws from a stream of its own, so a switch leaves the draws of all
    other parts as they are.

    Examples
    --------
    >>> session = simulate_session(PopulationWorld(), num_units=5, duration_s=10.0, seed=1)
    >>> session.rate_hz.shape
    (1000, 5)
    """
    num_rows = round(duration_s / world.grid_s)
    if num_units < 1 or num_rows < 1:
        raise ConfigError(
            f"simulate_session: expected at least 1 unit and {world.grid_s:g} s, got "
            f"num_units={num_units}, duration_s={duration_s:g}"
        )
    require_share(carrier_share)
    world = _switch(world, drift=drift, bursts=bursts, trials=trials)
    entropy, key = (seed[0], (seed[1],)) if isinstance(seed, tuple) else (seed, ())
    unit_rng, gain_rng, clock_rng, latent_rng, spike_rng, velocity_rng, drive_rng, *rest = (
        np.random.default_rng(child)
        for child in np.random.SeedSequence(entropy, spawn_key=key).spawn(9)
    )
    carrier_rng, calcium_rng = rest
    latents, trial_table = _draw_latents(world, num_rows, clock_rng, latent_rng)
    is_carrier = np.ones(num_units, dtype=bool)
    if carrier_share < 1.0:
        number = max(round(carrier_share * num_units), 1)
        is_carrier[carrier_rng.permutation(num_units)[number:]] = False
    units = _draw_units(world, latents, is_carrier, unit_rng, gain_rng)
    drives = None
    if driven:
        drives = draw_drives(world, num_rows=num_rows, num_units=num_units, rng=drive_rng)
    log_rate = latent_log_rate(world, latents, units, drives)
    spike_times, spike_unit_index = draw_spikes(
        log_rate, units.history_weight, world=world, rng=spike_rng
    )
    traces = None
    if calcium is not None:
        traces = draw_calcium(
            calcium,
            spike_times,
            spike_unit_index,
            num_units=num_units,
            duration_s=num_rows * world.grid_s,
            rng=calcium_rng,
        )
    velocity = timestamps = None
    if behavior:
        noise = world.velocity_noise * velocity_rng.standard_normal((num_rows, 2))
        velocity = latents[:, 2:4] * (world.velocity_base + latents[:, 6:7]) + noise
        timestamps = (np.arange(num_rows) + 0.5) * np.float64(world.grid_s)
    return SimulatedSession(
        spike_times=spike_times,
        spike_unit_index=spike_unit_index,
        num_units=num_units,
        duration_s=num_rows * world.grid_s,
        latents=latents,
        rate_hz=np.exp(log_rate).astype(np.float32),
        units=units,
        trials=trial_table,
        velocity=velocity,
        velocity_timestamps=timestamps,
        world=world,
        seed=seed,
        drives=drives,
        calcium=traces,
    )


def simulate_population(
    world: PopulationWorld,
    *,
    num_sessions: int,
    units_range: tuple[int, int] = (40, 100),
    duration_s: float = 600.0,
    seed: int,
    drift: bool = True,
    bursts: bool = True,
    trials: bool = True,
    behavior: bool = True,
    driven: bool = False,
    carrier_share: float = 1.0,
    calcium: CalciumWorld | None = None,
) -> Iterator[SimulatedSession]:
    """Yield sessions of one world, each with units of its own.

    Parameters
    ----------
    world : PopulationWorld
        Shared by all sessions.
    num_sessions : int
        How many to yield; session i does not depend on it.
    units_range : (int, int)
        Smallest and largest number of units.
    duration_s : float
        Seconds of each session.
    seed : int
    drift, bursts, trials, behavior, driven : bool
        As in `simulate_session`.
    carrier_share, calcium : float, CalciumWorld or None
        Likewise.

    Yields
    ------
    SimulatedSession

    Raises
    ------
    ConfigError
        If the range of units is empty.
    """
    for index in range(num_sessions):
        yield simulate_session(
            world,
            num_units=draw_num_units(units_range, seed=seed, index=index),
            duration_s=duration_s,
            seed=(seed, index),
            drift=drift,
            bursts=bursts,
            trials=trials,
            behavior=behavior,
            driven=driven,
            carrier_share=carrier_share,
            calcium=calcium,
        )


def require_share(carrier_share: float) -> None:
    """Refuse a share of carriers that is none.

    Raises
    ------
    ConfigError
    """
    if not 0.0 < carrier_share <= 1.0:
        raise ConfigError(f"carrier_share is {carrier_share:g}: expected more than 0, at most 1")


def require_units_range(units_range: tuple[int, int]) -> None:
    """Refuse an empty range of units.

    Raises
    ------
    ConfigError
    """
    low, high = units_range
    if not 1 <= low <= high:
        raise ConfigError(
            f"units_range is {low} to {high}: expected at least 1 unit, the smaller first"
        )


def draw_num_units(units_range: tuple[int, int], *, seed: int, index: int) -> int:
    """Draw how many units session `index` of a population has.

    Raises
    ------
    ConfigError
        If the range is empty.
    """
    require_units_range(units_range)
    # A stream apart from those that simulate_session spawns from the same seed.
    stream = np.random.SeedSequence(seed, spawn_key=(index, 1_000))
    return int(np.random.default_rng(stream).integers(units_range[0], units_range[1] + 1))


def _switch(world: PopulationWorld, *, drift: bool, bursts: bool, trials: bool) -> PopulationWorld:
    """Return the world with what is switched off taken out."""
    if not drift:
        world = replace(world, gain_sd=0.0, slow_sd=0.0)
    if not bursts:
        world = replace(world, burst_fraction=0.0)
    if not trials:
        world = replace(world, has_trials=False)
    return world


def _draw_latents(
    world: PopulationWorld,
    num_rows: int,
    clock_rng: np.random.Generator,
    latent_rng: np.random.Generator,
) -> tuple[FloatArray, SimulatedTrials]:
    """Run the trial clock and the latents that it drives."""
    clock, dynamics = TrialClock(world), LatentDynamics(world)
    walker = ClockState.at_start(1)
    phase = np.empty(num_rows, dtype=np.int8)
    direction = np.empty(num_rows, dtype=np.int64)
    drive = np.empty(num_rows, dtype=np.intp)
    for row in range(num_rows):
        clock.step(walker, clock_rng)
        phase[row], direction[row] = walker.phase[0], walker.direction[0]
        drive[row] = clock.drive(walker)[0]

    push = dynamics.drive_table[drive]
    push += dynamics.noise_sd * latent_rng.standard_normal((num_rows, NUM_LATENTS))
    latents = np.empty((num_rows, NUM_LATENTS))
    state = dynamics.stationary_sd * latent_rng.standard_normal(NUM_LATENTS)
    for row in range(num_rows):
        state = dynamics.transition @ state + push[row]
        latents[row] = state

    # A trial is complete once the pause after its movement has begun.
    changes = np.flatnonzero(np.diff(phase)) + 1
    onset = changes[phase[changes] == MOVEMENT]
    end = changes[phase[changes - 1] == MOVEMENT]
    start = changes[phase[changes] == PREPARATION][: len(end)]
    onset = onset[: len(end)]
    table = SimulatedTrials(
        preparation_start_s=start * np.float64(world.grid_s),
        movement_onset_s=onset * np.float64(world.grid_s),
        end_s=end * np.float64(world.grid_s),
        direction_index=direction[onset],
    )
    return latents, table


def _draw_units(
    world: PopulationWorld,
    latents: FloatArray,
    is_carrier: NDArray[np.bool_],
    unit_rng: np.random.Generator,
    gain_rng: np.random.Generator,
) -> SimulatedUnits:
    """Draw what distinguishes the units, and let their gains drift."""
    num_units = len(is_carrier)
    loading = unit_rng.standard_normal((num_units, NUM_LATENTS))
    strength = unit_rng.gamma(
        world.loading_shape, 1 / world.loading_shape, (num_units, len(BLOCK_SIZES))
    )
    first = 0
    for block, size in enumerate(BLOCK_SIZES):
        part = loading[:, first : first + size]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        part *= world.block_loading[block] * strength[:, block, None]
        first += size
    # The last block is the slow latent, which says nothing of movement.
    loading[~is_carrier, : -BLOCK_SIZES[-1]] = 0.0
    deviation = np.clip(unit_rng.standard_normal(num_units), -2.0, 2.0)
    log_mean_rate = np.log(world.median_rate_hz) + world.log_rate_sd * deviation
    base = log_mean_rate - np.log(np.exp(latents @ loading.T).mean(axis=0))

    weight = np.empty((num_units, 3))
    weight[:, REFRACTORY] = unit_rng.uniform(*world.refractory_weight, num_units)
    weight[:, BURST] = unit_rng.uniform(*world.burst_weight, num_units)
    weight[:, ADAPTATION] = unit_rng.uniform(*world.adaptation_weight, num_units)
    is_burster = unit_rng.random(num_units) < world.burst_fraction
    weight[~is_burster, BURST] = 0.0

    decay = np.exp(-world.grid_s / world.gain_tau_s)
    log_gain = np.empty((len(latents), num_units), dtype=np.float32)
    state = world.gain_sd * gain_rng.standard_normal(num_units)
    noise_sd = world.gain_sd * np.sqrt(1 - decay**2)
    for row in range(len(latents)):
        log_gain[row] = state
        state = decay * state + noise_sd * gain_rng.standard_normal(num_units)
    return SimulatedUnits(
        loading=loading,
        base_log_rate=base,
        history_weight=weight,
        is_burster=is_burster,
        log_gain=log_gain,
    )
