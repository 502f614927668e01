"""The ideal observer: a particle filter that knows the world and sees only the spikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohorizon.errors import ConfigError
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.simulate.dynamics import ClockState, LatentDynamics, TrialClock
from neurohorizon.simulate.history import history_effect, history_response
from neurohorizon.simulate.session import SimulatedSession
from neurohorizon.simulate.world import NUM_LATENTS

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Progress = Callable[[int, int], None]


class IdealObserver:
    """Forecast a simulated session as well as its spikes allow.

    Parameters
    ----------
    session : SimulatedSession
    num_particles : int
        Hypotheses about the latents and the trial clock. Half or four times as many change
        the score by 0.003 bits/spike or less.
    num_rollouts : int
        Hypotheses, drawn from the particles at each origin, that are carried forward.
    gains : {"current", "reference"}
        Whether each unit's gain is told at every moment, or only its mean in the reference.
    reference_s : float
        Length of the reference, the stretch ``[0, reference_s)`` of the session, in seconds.
        No forecast may start inside it.
    burn_in_s : float
        Seconds of spikes that the filter sees before its first origin. Between origins
        further apart than this it starts anew.
    seed : int
        Same seed and same origins, same forecasts.

    Raises
    ------
    ConfigError
        If the reference does not fit into the session, or a setting is out of its range.

    Notes
    -----
    A particle holds the eight latents and the trial clock (phase, elapsed steps, direction).
    It is propagated by the laws of `TrialClock` and `LatentDynamics`, one grid step at a
    time, and weighted by the point-process likelihood of the step's counts `k`,
    ``sum_n k_n log(lambda_n) - lambda_n e_n``, in which ``e_n`` is the exposure: the step
    times the effect of the unit's own, known, past spikes. Particles are resampled
    (systematically) when their effective number falls under half.

    A forecast is the latent-driven rate averaged over the rollouts' futures, after a
    correction per unit, ``c lambda ** p``, for the mean effect that spikes still to come
    will have on the units that fire them (`history.history_response`, computed in the
    reference). A constant ``c lambda`` alone costs 0.01 bits/spike, because a unit that is
    driven hard is held back more.

    What it leaves out is worth little at 100 ms: the momentary state of adaptation 0.002
    bits/spike (measured), the drift of the gains after the origin less than 0.001 (from its
    variance).

    References
    ----------
    Gordon, Salmond, Smith (1993), Novel approach to nonlinear/non-Gaussian Bayesian state
    estimation, IEE Proceedings F 140(2).

    Examples
    --------
    >>> from neurohorizon.simulate.population import simulate_session
    >>> from neurohorizon.simulate.world import PopulationWorld
    >>> session = simulate_session(PopulationWorld(), num_units=5, duration_s=30.0, seed=1)
    >>> observer = IdealObserver(session, num_particles=100, reference_s=20.0)
    >>> observer.forecast([22.0, 25.0]).shape
    (2, 5, 50)
    """

    def __init__(
        self,
        session: SimulatedSession,
        *,
        num_particles: int = 1000,
        num_rollouts: int = 250,
        gains: Literal["current", "reference"] = "current",
        reference_s: float = 420.0,
        burn_in_s: float = 20.0,
        seed: int = 0,
    ) -> None:
        world, units = session.world, session.units
        if not world.grid_s <= reference_s <= session.duration_s:
            raise ConfigError(
                f"IdealObserver: expected reference_s between {world.grid_s:g} s and the length "
                f"of the session, {session.duration_s:g} s, got {reference_s:g} s"
            )
        if session.drives is not None:
            raise ConfigError(
                "IdealObserver: running and pictures drive units of this session, and the "
                "observer sees spikes alone: use a world without drives"
            )
        if gains not in ("current", "reference"):
            raise ConfigError(
                f"IdealObserver: expected gains 'current' or 'reference', got {gains!r}"
            )
        if num_particles < 1 or num_rollouts < 1 or burn_in_s < 0:
            raise ConfigError(
                f"IdealObserver: expected at least 1 particle and rollout and burn_in_s >= 0, got "
                f"num_particles={num_particles}, num_rollouts={num_rollouts}, "
                f"burn_in_s={burn_in_s:g}"
            )
        self.session = session
        self.num_particles = num_particles
        self.num_rollouts = num_rollouts
        self.reference_s = reference_s
        self.seed = seed
        self._burn_in_rows = round(burn_in_s / world.grid_s)
        self._clock = TrialClock(world)
        self._dynamics = LatentDynamics(world)
        self._transition = self._dynamics.transition.T.astype(np.float32)
        self._drive_table = self._dynamics.drive_table.astype(np.float32)
        self._noisy = np.flatnonzero(self._dynamics.noise_sd)
        self._noise_sd = self._dynamics.noise_sd[self._noisy].astype(np.float32)
        self._loading = units.loading.T.astype(np.float32)
        self._log_max_rate = np.float32(np.log(world.max_rate_hz))

        num_rows = len(session.latents)
        reference_rows = round(reference_s / world.grid_s)
        log_gain = units.log_gain
        if gains == "reference":
            mean_gain = np.log(np.exp(log_gain[:reference_rows]).mean(axis=0))
            log_gain = np.broadcast_to(mean_gain, log_gain.shape)
        self._log_rate_at_rest = units.base_log_rate.astype(np.float32) + log_gain
        effect = history_effect(
            session.spike_times,
            session.spike_unit_index,
            units.history_weight,
            num_rows=num_rows,
            world=world,
        )
        self._exposure_s = effect * np.float32(world.grid_s)
        factor, exponent = history_response(
            session.rate_hz[:reference_rows], effect[:reference_rows], step_s=world.grid_s
        )
        self._history_factor, self._history_exponent = factor, exponent.astype(np.float32)
        counts = count_in_windows(
            session.spike_times,
            session.spike_unit_index,
            num_units=session.num_units,
            starts_s=[0.0],
            bin_s=world.grid_s,
            num_bins=num_rows,
        )
        self._counts = counts[0].T.astype(np.float32)

    def forecast(
        self,
        origins_s: ArrayLike,
        *,
        bin_s: float = 0.02,
        num_bins: int = 50,
        progress: Progress | None = None,
    ) -> FloatArray:
        """Forecast the expected counts that follow each origin.

        Parameters
        ----------
        origins_s : (T,) array_like
            Seconds, sorted. The observer sees the spikes of all grid steps that have ended
            by then.
        bin_s : float
            Width of a bin, in seconds.
        num_bins : int
        progress : callable, optional
            Called with (origins done, origins in all).

        Returns
        -------
        (T, N, B) float64
            Expected counts by origin, unit and bin.

        Raises
        ------
        ConfigError
            If origins are not sorted, lie in the reference, or past the end of the session.
        """
        grid = self._grid(origins_s, bin_s=bin_s, num_bins=num_bins)
        rng = np.random.default_rng(self.seed)
        expected = np.empty((len(grid.row), self.session.num_units, num_bins))
        row: int | None = None
        particles = self._prior(rng)
        for origin, origin_row in enumerate(grid.row):
            if row is None or origin_row - row > self._burn_in_rows:
                if row is not None:
                    particles = self._prior(rng)
                row = max(0, int(origin_row) - self._burn_in_rows)
            while row < origin_row:
                particles = self._filter_step(row, particles, rng)
                row += 1
            at_rest = self._log_rate_at_rest[max(row - 1, 0)]
            drawn = particles.draw(self.num_rollouts, rng)
            rate_hz = self._roll_out(drawn, at_rest, grid.num_steps, rng)
            expected[origin] = grid.integrate(rate_hz, origin)
            if progress is not None:
                progress(origin + 1, len(grid.row))
        return expected

    def oracle(
        self, origins_s: ArrayLike, *, bin_s: float = 0.02, num_bins: int = 50
    ) -> FloatArray:
        """Return the expected counts of one who knows the future of all latents and gains.

        Parameters and the shape of what is returned are those of `forecast`. No forecast
        can be better, and none that sees only spikes can be as good.

        Raises
        ------
        ConfigError
            As `forecast`, and if a window ends after the session.
        """
        grid = self._grid(origins_s, bin_s=bin_s, num_bins=num_bins)
        rate_hz = self.session.rate_hz
        if len(grid.row) and grid.row[-1] + grid.num_steps > len(rate_hz):
            raise ConfigError(
                f"IdealObserver.oracle: expected windows inside the session of "
                f"{self.session.duration_s:g} s, got one that ends after it; drop the last origins"
            )
        expected = np.empty((len(grid.row), self.session.num_units, num_bins))
        for origin, row in enumerate(grid.row):
            rate = np.power(rate_hz[row : row + grid.num_steps], self._history_exponent)
            expected[origin] = grid.integrate(rate * self._history_factor, origin)
        return expected

    def _grid(self, origins_s: ArrayLike, *, bin_s: float, num_bins: int) -> _OriginGrid:
        """Check the origins and place them and their bins on the world's grid."""
        origins_s = np.asarray(origins_s, dtype=np.float64)
        if origins_s.ndim != 1 or np.any(np.diff(origins_s) < 0):
            raise ConfigError("IdealObserver: expected origins_s sorted, in one dimension")
        if len(origins_s) and not (
            self.reference_s <= origins_s[0] + 1e-6
            and origins_s[-1] <= self.session.duration_s + 1e-6
        ):
            raise ConfigError(
                f"IdealObserver: expected origins_s between the end of the reference, "
                f"{self.reference_s:g} s, and that of the session, {self.session.duration_s:g} s, "
                f"got {origins_s[0]:g} to {origins_s[-1]:g} s"
            )
        grid_s = self.session.world.grid_s
        # A microsecond of slack keeps an origin on the grid on its own row.
        row = np.floor((origins_s + 1e-6) / grid_s).astype(np.int64)
        edges_s = (origins_s - row * grid_s)[:, None] + bin_s * np.arange(num_bins + 1)
        num_steps = int(np.ceil((edges_s.max(initial=0.0) - 1e-6) / grid_s))
        return _OriginGrid(row=row, edges_s=edges_s, num_steps=num_steps, step_s=grid_s)

    def _prior(self, rng: np.random.Generator) -> _Particles:
        """Draw particles from what is known before any spike is seen."""
        noise = rng.standard_normal((self.num_particles, NUM_LATENTS))
        particles = _Particles(
            latents=(self._dynamics.stationary_sd * noise).astype(np.float32),
            clock=ClockState.at_start(self.num_particles),
            log_weight=np.zeros(self.num_particles, dtype=np.float32),
        )
        # Some trials' worth of steps make the clocks forget that they started together.
        for _ in range(round(5.0 / self.session.world.grid_s)):
            self._propagate(particles, rng)
        return particles

    def _propagate(self, particles: _Particles, rng: np.random.Generator) -> None:
        """Advance clocks and latents by one grid step, in place."""
        self._clock.step(particles.clock, rng)
        latents = particles.latents @ self._transition
        latents += self._drive_table[self._clock.drive(particles.clock)]
        noise = rng.standard_normal((len(latents), len(self._noisy)), dtype=np.float32)
        latents[:, self._noisy] += noise * self._noise_sd
        particles.latents = latents

    def _log_rate(self, latents: Float32Array, at_rest: Float32Array) -> Float32Array:
        """Return the logarithm of the latent-driven rates, (..., N)."""
        log_rate = latents @ self._loading
        log_rate += at_rest
        return np.minimum(log_rate, self._log_max_rate, out=log_rate)

    def _filter_step(self, row: int, particles: _Particles, rng: np.random.Generator) -> _Particles:
        """Propagate the particles to a grid step and weight them by its spikes."""
        self._propagate(particles, rng)
        log_rate = self._log_rate(particles.latents, self._log_rate_at_rest[row])
        particles.log_weight += log_rate @ self._counts[row]
        particles.log_weight -= np.exp(log_rate) @ self._exposure_s[row]
        particles.log_weight -= particles.log_weight.max()
        weight = np.exp(particles.log_weight)
        if weight.sum() ** 2 < 0.5 * len(weight) * (weight @ weight):
            return particles.draw(self.num_particles, rng)
        return particles

    def _roll_out(
        self,
        particles: _Particles,
        at_rest: Float32Array,
        num_steps: int,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return the mean rate of each future step, history corrected, (steps, N) Hz."""
        path = np.empty((num_steps, *particles.latents.shape), dtype=np.float32)
        for step in range(num_steps):
            self._propagate(particles, rng)
            path[step] = particles.latents
        log_rate = self._log_rate(path, at_rest)
        log_rate *= self._history_exponent
        return np.exp(log_rate).mean(axis=1, dtype=np.float64) * self._history_factor


@dataclass
class _Particles:
    """Weighted hypotheses: latents (P, 8), clock and log-weights (P,)."""

    latents: Float32Array
    clock: ClockState
    log_weight: Float32Array

    def draw(self, num_drawn: int, rng: np.random.Generator) -> _Particles:
        """Draw in proportion to the weights, evenly spaced along their sum."""
        cumulative = np.cumsum(np.exp(self.log_weight), dtype=np.float64)
        points = (np.arange(num_drawn) + rng.random()) * (cumulative[-1] / num_drawn)
        index = np.searchsorted(cumulative, points, side="right")
        index = np.minimum(index, len(cumulative) - 1)
        return _Particles(
            latents=self.latents[index],
            clock=self.clock.take(index),
            log_weight=np.zeros(num_drawn, dtype=np.float32),
        )


@dataclass(frozen=True)
class _OriginGrid:
    """Where origins and their bins lie on the world's grid."""

    row: NDArray[np.int64]
    edges_s: FloatArray
    num_steps: int
    step_s: float

    def integrate(self, rate_hz: FloatArray, origin: int) -> FloatArray:
        """Integrate rates (steps, N) from an origin's row on over its bins, (N, B).

        Bins need not be whole grid steps: within a step the rate is constant.
        """
        cumulative = np.zeros((self.num_steps + 1, rate_hz.shape[1]))
        np.cumsum(rate_hz * self.step_s, axis=0, out=cumulative[1:])
        position = np.clip(self.edges_s[origin] / self.step_s, 0, self.num_steps)
        low = np.minimum(position.astype(np.int64), self.num_steps - 1)
        share = (position - low)[:, None]
        at_edges = cumulative[low] * (1 - share) + cumulative[low + 1] * share
        return np.diff(at_edges, axis=0).T
