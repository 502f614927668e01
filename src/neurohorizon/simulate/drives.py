"""What drives units from outside: how fast an animal runs, and which pictures it is shown.

Neither depends on the latents, so what a unit owes to each is known: its planted weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurohorizon.simulate.world import PopulationWorld

FloatArray = NDArray[np.float64]

# One set of pictures for all sessions of all populations, as a laboratory has one.
_PICTURES_SEED = 7


@dataclass(frozen=True)
class SimulatedDrives:
    """Hold what was recorded of the world outside, and what each unit makes of it.

    Parameters
    ----------
    running : (T,) float64
        Running speed on the grid, in its own standard deviations.
    presentation_start_s, presentation_end_s : (K,) float64
        Seconds.
    picture_index : (K,) int64
        Row of `pictures` that was shown.
    pictures : (I, D) float64
        Embedding of each picture.
    running_weight : (N,) float64
        Change of log-rate per standard deviation of running; 0 for units that it leaves cold.
    picture_weight : (N, D + 1) float64
        Change of log-rate at the peak of the response: first by any picture, then by each
        dimension of the one shown; 0 for units that see nothing.
    """

    running: FloatArray
    presentation_start_s: FloatArray
    presentation_end_s: FloatArray
    picture_index: NDArray[np.int64]
    pictures: FloatArray
    running_weight: FloatArray
    picture_weight: FloatArray

    def log_rate(self, world: PopulationWorld) -> FloatArray:
        """Return what the drives add to the log-rates, (T, N)."""
        shown = np.column_stack([np.ones(len(self.picture_index)), self.pictures_shown])
        amount = np.zeros((len(self.running), self.picture_weight.shape[1]))
        row = np.round(self.presentation_start_s / world.grid_s).astype(np.int64)
        np.add.at(amount, row, shown)
        response = lfilter(picture_kernel(world), [1.0], amount, axis=0)
        return np.outer(self.running, self.running_weight) + response @ self.picture_weight.T

    @property
    def pictures_shown(self) -> FloatArray:
        """Embedding of each presentation's picture, (K, D)."""
        return self.pictures[self.picture_index]


def picture_kernel(world: PopulationWorld) -> FloatArray:
    """Return how a response rises and falls after the onset of a picture, peak 1, on the grid."""
    time_s = np.arange(0.0, world.picture_s + 0.3, world.grid_s) - world.picture_latency_s
    rise = np.clip(time_s, 0.0, None) / world.picture_rise_s
    return rise * np.exp(1.0 - rise)


def draw_drives(
    world: PopulationWorld, *, num_rows: int, num_units: int, rng: np.random.Generator
) -> SimulatedDrives:
    """Draw running, presentations, and what each unit makes of them.

    Parameters
    ----------
    world : PopulationWorld
    num_rows, num_units : int
        Steps of the grid, and units.
    rng : numpy.random.Generator

    Notes
    -----
    Running is an Ornstein-Uhlenbeck process. A picture is shown for `world.picture_s`; the
    pauses between are uniform, so that when the next one comes is not known from the last.
    Which units are driven by which of the two is drawn independently.
    """
    decay = np.exp(-world.grid_s / world.running_tau_s)
    noise = rng.standard_normal(num_rows)
    noise[1:] *= np.sqrt(1.0 - decay**2)
    running = np.asarray(lfilter([1.0], [1.0, -decay], noise))

    start_s, starts = 0.5, []
    while start_s + world.picture_s + 0.1 < num_rows * world.grid_s:
        starts.append(start_s)
        start_s += world.picture_s + rng.uniform(*world.picture_pause_s)
    start = np.round(np.array(starts) / world.grid_s) * world.grid_s
    index = rng.integers(world.num_pictures, size=len(start))

    pictures = np.random.default_rng(_PICTURES_SEED).standard_normal(
        (world.num_pictures, world.picture_dimensions)
    )
    # Dimensions of real embeddings differ much in how far they spread.
    pictures *= np.arange(1, world.picture_dimensions + 1) ** -0.5
    pictures -= pictures.mean(axis=0)

    runs = rng.random(num_units) < world.running_share
    strength = rng.uniform(*world.running_weight, num_units)
    running_weight = runs * rng.choice([-1.0, 1.0], num_units) * strength
    sees = rng.random(num_units) < world.picture_share
    direction = rng.standard_normal((num_units, world.picture_dimensions))
    # Each unit's tuning is scaled to the spread that the pictures give it.
    direction *= world.picture_tuning / (direction @ pictures.T).std(axis=1, keepdims=True)
    common = rng.uniform(*world.picture_response, num_units)
    return SimulatedDrives(
        running=running,
        presentation_start_s=start,
        presentation_end_s=start + world.picture_s,
        picture_index=index,
        pictures=pictures,
        running_weight=running_weight,
        picture_weight=sees[:, None] * np.column_stack([common, direction]),
    )
