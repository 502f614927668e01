"""Electrodes: in which area each lies, how well and how fast it answers, which are broken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import ConfigError

NUM_ELECTRODES = 1024
PER_ARRAY = 64
#: Areas in the order of the electrodes, with how many each has: the layout of TVSD's monkeys.
LAYOUTS = {
    "F": (("V1", 512), ("IT", 320), ("V4", 192)),
    "N": (("V1", 512), ("V4", 256), ("IT", 256)),
}
#: Median and scatter of the onset of an area's answer, ms after the picture's.
LATENCY_MS = {"V1": (42.0, 4.0), "V4": (62.0, 6.0), "IT": (92.0, 9.0)}
#: Median signal-to-noise ratio of a single presentation, at noise 1; it varies by electrode.
QUALITY = {"V1": 1.0, "V4": 0.8, "IT": 0.65}
QUALITY_SCATTER = 0.5
NUM_MISSING, NUM_DEAF, NUM_COPIES = 12, 12, 8


@dataclass(frozen=True)
class Electrodes:
    """One row an electrode, in the order of the arrays.

    Parameters
    ----------
    area : (1024,) str
    array : (1024,) int
        From 0.
    latency_ms : (1024,) float
        Onset of the answer.
    quality : (1024,) float
        Standard deviation of its answers over pictures, in those of the trial noise at
        noise 1; 0 where it is deaf.
    is_missing : (1024,) bool
        All of its values are NaN.
    is_deaf : (1024,) bool
        It records noise alone.
    copy_of : (1024,) int
        The electrode whose signal it records, too; -1 for its own.
    """

    area: NDArray[np.str_]
    array: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    quality: NDArray[np.float64]
    is_missing: NDArray[np.bool_]
    is_deaf: NDArray[np.bool_]
    copy_of: NDArray[np.int64]

    def of(self, area: str) -> NDArray[np.intp]:
        """Return the electrodes of an area."""
        return np.flatnonzero(self.area == area)


def draw_electrodes(monkey: str, seed: int) -> Electrodes:
    """Draw the electrodes of a monkey.

    Parameters
    ----------
    monkey : {"F", "N"}
    seed : int

    Raises
    ------
    ConfigError
        If there is no such monkey.
    """
    if monkey not in LAYOUTS:
        raise ConfigError(f"monkey is {monkey!r}: choose F or N")
    rng = np.random.default_rng([seed, 10])
    area = np.concatenate([np.full(count, name) for name, count in LAYOUTS[monkey]])
    array = np.arange(NUM_ELECTRODES) // PER_ARRAY
    scatter = rng.standard_normal((2, NUM_ELECTRODES))
    centre, spread = np.array([LATENCY_MS[name] for name in area]).T
    latency_ms = centre + spread * np.clip(scatter[0], -2, 2)
    median = np.array([QUALITY[name] for name in area])
    quality = median * np.exp(QUALITY_SCATTER * np.clip(scatter[1], -2.5, 2.5))
    missing, deaf, copies = _broken(rng)
    copy_of = np.full(NUM_ELECTRODES, -1)
    for number in copies:
        # A neighbour on the same array; none is chosen whose neighbour is broken itself.
        copy_of[number] = number - 1
        latency_ms[number], quality[number] = latency_ms[number - 1], quality[number - 1]
    # What is told twice is worth telling twice: a copied electrode is a good one.
    for number in copies:
        quality[[number, number - 1]] = median[number] * 1.5
    is_missing, is_deaf = np.zeros((2, NUM_ELECTRODES), dtype=bool)
    is_missing[missing], is_deaf[deaf] = True, True
    quality[missing] = quality[deaf] = 0
    return Electrodes(area, array, latency_ms, quality, is_missing, is_deaf, copy_of)


def _broken(rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Return electrodes that are missing, deaf and copies of the one before them."""
    # Of each three neighbours at most one is broken: the middle one.
    middle = np.arange(NUM_ELECTRODES).reshape(-1, PER_ARRAY)[:, 1:-1:3].ravel()
    chosen = rng.permutation(middle)[: NUM_MISSING + NUM_DEAF + NUM_COPIES]
    missing, deaf, copies = np.split(chosen, np.cumsum([NUM_MISSING, NUM_DEAF]))
    return missing, deaf, copies
