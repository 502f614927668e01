"""What a measurement of speed is made of: its plan, its recordings, its clock."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from neurohorizon.recordings.batches import ForecastBatch
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.recordings.splits import split_in_time

CLOCK_HZ = 30_000
Work = Callable[[ForecastBatch], object]


@dataclass(frozen=True)
class SpeedPlan:
    """How much is measured.

    Parameters
    ----------
    num_recordings, num_spikes, num_units : int
        Files that windows are read from, and the spikes and units in each.
    duration_s : float
        Length of each.
    num_windows, num_slow_windows : int
        Windows read in one repeat: by this package, and by torch_brain.
    num_sessions, num_steps : int
        Sessions that are trained on, and steps.
    num_origins : int
        Forecasts.
    num_batches : int
        Batches that parts of the model are compared on.
    num_decoded : int
        Windows of 1 s that decoders of behaviour are compared on, in one batch.
    decoded_spikes, decoded_units : int
        Spikes in each, on average, and units of each of three recordings.
    decoder_layers : tuple of int
        Layers of the smaller, the larger and, for memory, a decoder in between.
    num_electrodes, num_responses : int
        That bridges are fitted to; electrodes are a multiple of 4.
    bridge_steps : int
        Of a row of bridges that is trained; a pass over all responses is reckoned from them.
    repeats : int
        The best of so many is told.
    """

    num_recordings: int = 3
    num_spikes: int = 3_600_000
    num_units: int = 300
    duration_s: float = 1200.0
    num_windows: int = 20_000
    num_slow_windows: int = 2_000
    num_sessions: int = 8
    num_steps: int = 60
    num_origins: int = 512
    num_batches: int = 4
    num_decoded: int = 8
    decoded_spikes: int = 3000
    decoded_units: int = 300
    decoder_layers: tuple[int, int, int] = (6, 24, 16)
    num_electrodes: int = 1024
    num_responses: int = 22_248
    bridge_steps: int = 4
    repeats: int = 5


QUICK = SpeedPlan(
    num_spikes=60_000,
    num_units=30,
    duration_s=120.0,
    num_windows=500,
    num_slow_windows=50,
    num_sessions=2,
    num_steps=3,
    num_origins=32,
    num_batches=1,
    num_decoded=2,
    decoded_spikes=100,
    decoded_units=10,
    decoder_layers=(1, 1, 1),
    num_electrodes=32,
    num_responses=64,
    bridge_steps=1,
    repeats=1,
)
"""To see that it runs: its numbers mean little."""


@dataclass(frozen=True)
class Speed:
    """One number.

    Parameters
    ----------
    name : str
        Key in files.
    what : str
        What was done.
    value : float
    unit : str
    part : str
        Heading that it stands under.
    """

    name: str
    what: str
    value: float
    unit: str
    part: str = "Reading, training and forecasting"


def random_recording(
    id: str, *, num_spikes: int, num_units: int, duration_s: float, seed: int
) -> Recording:
    """Make a recording of units that fire at random, on the clock of a recording system."""
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, int(duration_s * CLOCK_HZ), num_spikes)
    domain = np.array([[0.0, duration_s]])
    return Recording(
        id=id,
        subject="random",
        source="random",
        spike_times=np.sort(samples) / CLOCK_HZ,
        spike_unit_index=rng.integers(0, num_units, num_spikes),
        units=Units.numbered(num_units),
        domain=domain,
        split=split_in_time(domain),
    )


def best_rate(work: Callable[[], object], count: int, repeats: int) -> float:
    """Return things done per second of processor time in the best repeat, after a first try."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return count / max(min(seconds), 1e-9)


def in_turns(
    works: Mapping[str, Work], batches: Sequence[ForecastBatch | None], repeats: int
) -> dict[str, list[float]]:
    """Time each work on all batches, one work after the other, `repeats` times, after a first.

    Returns
    -------
    dict of str to list of float
        Seconds of processor time of each repeat.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            start = time.process_time()
            for batch in batches:
                work(batch)  # type: ignore[arg-type]
            if turn:
                seconds[name].append(max(time.process_time() - start, 1e-9))
    return seconds


def compare(name: str, what: str, slow: Sequence[float], fast: Sequence[float], part: str) -> Speed:
    """Compare two works by their best repeats, and say how far single turns differ."""
    turns = sorted(a / b for a, b in zip(slow, fast, strict=True))
    spread = f" (turns {turns[0]:.3g} to {turns[-1]:.3g})"
    return Speed(name, what + spread, min(slow) / min(fast), "times", part)


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch use one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(before)
