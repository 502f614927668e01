"""Small recordings with something to decode, that tests make for themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurohorizon.recordings.schema import Recording, Series, Split, Table, Units
from neurohorizon.recordings.splits import split_interleaved

TRIAL_S = 2.0


def moving_recording(
    *,
    num_units: int = 10,
    duration_s: float = 120.0,
    rate_hz: float = 8.0,
    step_s: float = 0.02,
    seed: int = 0,
    name: str = "moving",
) -> Recording:
    """Units tuned to a smooth velocity in the plane; trials with a class and a number."""
    generator = np.random.default_rng(seed)
    clock = np.arange(0.0, duration_s, step_s) + step_s / 2
    velocity = np.stack(
        [
            np.sin(2 * np.pi * clock / 1.7) + 0.5 * np.sin(2 * np.pi * clock / 0.9 + 1),
            0.6 * np.cos(2 * np.pi * clock / 2.3) + 0.2 * np.sin(2 * np.pi * clock / 1.1),
        ],
        axis=1,
    )
    tuning = generator.standard_normal((num_units, 2))
    rates = rate_hz * np.exp(0.8 * velocity @ tuning.T - 0.4)
    unit, row = np.nonzero(generator.random((num_units, len(clock))) < rates.T * step_s)
    times = np.round(clock[row] + step_s * (generator.random(len(row)) - 0.5), 6)
    order = np.argsort(times, kind="stable")
    starts = np.arange(0.0, duration_s - TRIAL_S, TRIAL_S)
    number = np.arange(len(starts))
    trials = Table(
        start=starts,
        end=starts + TRIAL_S * 0.75,
        columns={
            "side": np.where(number % 3 == 0, "left", "right"),
            "step": number % 4,
            "reward": generator.standard_normal(len(starts)),
        },
    )
    domain = np.array([[0.0, duration_s]])
    return Recording(
        id=name,
        subject=name,
        source="tests",
        spike_times=times[order],
        spike_unit_index=unit[order],
        units=Units.numbered(num_units),
        domain=domain,
        series={
            "velocity": Series(clock, velocity, unit="cm/s"),
            "position": Series(clock, np.cumsum(velocity, axis=0) * step_s, unit="cm"),
        },
        tables={"trials": trials},
        split=split_interleaved(domain, block_s=10.0, guard_s=0.0, seed=seed),
    )


def calcium_recording(*, num_units: int = 5, duration_s: float = 60.0, seed: int = 0) -> Recording:
    """Traces at 30 Hz on different scales, with a series beside them and no spikes."""
    generator = np.random.default_rng(seed)
    times = np.arange(0.0, duration_s, 1 / 30)
    values = generator.standard_normal((len(times), num_units)) * np.arange(1, num_units + 1) + 7
    domain = np.array([[0.0, duration_s]])
    return Recording(
        id="calcium",
        subject="calcium",
        source="tests",
        spike_times=np.empty(0),
        spike_unit_index=np.empty(0, dtype=np.int64),
        units=Units.numbered(num_units),
        domain=domain,
        series={"running": Series(times, np.sin(times)[:, None])},
        signals={"traces": Series(times, values)},
        split=split_interleaved(domain, block_s=5.0, guard_s=0.0, seed=seed),
    )


def with_split(recording: Recording, split: Split) -> Recording:
    """Return the recording with another split."""
    return replace(recording, split=split)


def maze_recording(name: str, *, duration_s: float = 150.0, seed: int = 0) -> Recording:
    """Place cells of an animal that runs to and fro on a track, as `ca1_maze` has recordings."""
    generator = np.random.default_rng(seed)
    clock = np.arange(0.0, duration_s, 1 / 60)
    phase = np.cumsum(0.1 + 0.06 * np.sin(clock / 7.0)) / 60
    along = 200 * (1 - np.abs(2 * (phase % 1) - 1))
    position = np.stack([100 + along, 80 + 0.5 * along], axis=1)
    position += generator.normal(scale=1.0, size=position.shape)
    centres = generator.uniform(0, 200, size=12)
    rates = 0.3 + 12 * np.exp(-0.5 * ((along[:, None] - centres) / 20) ** 2)
    row, unit = np.nonzero(generator.random(rates.shape) < rates / 60)
    domain = np.array([[0.0, duration_s]])
    whole = Table(start=np.array([1.0]), end=np.array([duration_s - 1.0]))
    return Recording(
        id=name,
        subject="ca1_maze_rat",
        source="ca1_maze",
        spike_times=clock[row],
        spike_unit_index=unit,
        units=Units.numbered(len(centres)),
        domain=domain,
        series={"position": Series(clock, position, unit="px")},
        tables={"on_maze": whole, "running": whole},
    )
