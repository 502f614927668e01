"""Small recordings that tests make for themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurohorizon.recordings.schema import Recording, Series, Units
from neurohorizon.recordings.splits import split_in_time


def poisson_recording(
    *,
    num_units: int = 6,
    duration_s: float = 60.0,
    rate_hz: float = 5.0,
    seed: int = 0,
    name: str = "poisson",
) -> Recording:
    """Stationary independent Poisson units: nothing to forecast but their rates."""
    generator = np.random.default_rng(seed)
    rates = rate_hz * generator.uniform(0.3, 2.0, num_units)
    counts = generator.poisson(rates * duration_s)
    times = np.concatenate([generator.uniform(0, duration_s, count) for count in counts])
    unit = np.repeat(np.arange(num_units), counts)
    return _recording(times, unit, num_units=num_units, duration_s=duration_s, name=name)


def waving_recording(
    *,
    num_units: int = 12,
    duration_s: float = 120.0,
    rate_hz: float = 6.0,
    period_s: float = 0.9,
    seed: int = 0,
    name: str = "waves",
) -> Recording:
    """Units that share a rhythm at different phases: the population foretells each unit."""
    generator = np.random.default_rng(seed)
    step_s = 0.005
    clock = np.arange(0.0, duration_s, step_s)
    jitter = np.cumsum(generator.standard_normal(len(clock))) * np.sqrt(step_s) * 0.3
    phase = 2 * np.pi * clock / period_s + jitter
    offset = generator.uniform(0, 2 * np.pi, num_units)
    base = rate_hz * generator.uniform(0.5, 1.5, num_units)
    rates = base[:, None] * np.exp(1.2 * np.cos(phase - offset[:, None]) - 0.5)
    unit, step = np.nonzero(generator.random(rates.shape) < rates * step_s)
    times = clock[step] + generator.uniform(0, step_s, len(step))
    recording = _recording(times, unit, num_units=num_units, duration_s=duration_s, name=name)
    position = Series(timestamps=clock, values=np.cos(phase)[:, None], unit="a.u.")
    return replace(recording, series={"position": position})


def _recording(
    times: np.ndarray, unit: np.ndarray, *, num_units: int, duration_s: float, name: str
) -> Recording:
    times = np.round(times, 6)
    order = np.argsort(times, kind="stable")
    domain = np.array([[0.0, duration_s]])
    return Recording(
        id=name,
        subject=name,
        source="tests",
        spike_times=times[order],
        spike_unit_index=unit[order],
        units=Units.numbered(num_units),
        domain=domain,
        split=split_in_time(domain, fractions=(0.6, 0.15, 0.25), guard_s=1.5),
    )
