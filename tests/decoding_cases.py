"""A small animal that wanders while some cells fire at places, and others along directions."""

from __future__ import annotations

import numpy as np

from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.recordings.schema import Recording, Series, Units
from neurohorizon.recordings.splits import split_interleaved

RATE_HZ = 20.0


def wander(length_s: float, *, columns: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times and a smooth path (T, D) of about unit variance."""
    generator = np.random.default_rng(seed)
    times = np.arange(0.0, length_s, 1 / RATE_HZ) + 0.003
    phases = generator.uniform(0, 2 * np.pi, size=(columns, 6))
    cycles_hz = generator.uniform(0.05, 0.4, size=(columns, 6))
    angle = 2 * np.pi * cycles_hz[:, :, None] * times + phases[:, :, None]
    return times, np.sin(angle).sum(axis=1).T / np.sqrt(3)


def wandering_case(
    *,
    num_units: int = 16,
    length_s: float = 240.0,
    columns: int = 2,
    kind: str = "continuous",
    tuned: int | None = None,
    signal: bool = False,
    seed: int = 0,
) -> DecodingCase:
    """Make a recording whose first units are tuned to its task.

    Parameters
    ----------
    num_units : int
    length_s : float
    columns : int
    kind : str
        Of the task; classes are the sign of the first column, or thirds of it if ordinal.
    tuned : int, optional
        How many units carry the task; all by default.
    signal : bool
        Values at 10 Hz instead of spikes.
    seed : int
    """
    generator = np.random.default_rng(seed)
    times, path = wander(length_s, columns=columns, seed=seed)
    places = generator.uniform(-2, 2, size=(num_units, columns))
    square = ((path[:, None] - places) ** 2).sum(axis=2)
    rate_hz = 1.0 + 25.0 * np.exp(-square / 0.8)
    rate_hz[:, 1::2] = 8.0 + 8.0 * np.tanh(path @ generator.normal(size=(columns, num_units // 2)))
    rate_hz[:, num_units if tuned is None else tuned :] = 6.0
    counts = generator.poisson(rate_hz / RATE_HZ)
    step, unit = np.nonzero(counts)
    repeat = counts[step, unit]
    spikes = np.repeat(times[step], repeat)
    spikes = np.clip(spikes + generator.uniform(-0.5, 0.5, len(spikes)) / RATE_HZ, 0, length_s)
    order = np.argsort(spikes, kind="stable")
    domain = np.array([[0.0, length_s]])
    units = Units.numbered(num_units)
    units = Units(
        units.id, np.where(np.arange(num_units) % 2, "B", "A"), units.position_um, units.quality
    )
    signals = {}
    if signal:
        noisy = rate_hz[::2] + generator.normal(size=rate_hz[::2].shape)
        signals = {"calcium": Series(times[::2], noisy)}
    recording = Recording(
        id=f"wander-{seed}",
        subject="one",
        source="simulated",
        spike_times=np.empty(0) if signal else spikes[order],
        spike_unit_index=(
            np.empty(0, dtype=np.int64) if signal else np.repeat(unit, repeat)[order]
        ),
        units=units,
        domain=domain,
        signals=signals,
    )
    split = split_interleaved(domain, block_s=10.0, guard_s=0.0, seed=seed)
    if kind == "continuous":
        task = Task(
            TaskSpec(name="place", series="place"),
            tuple(path.mean(axis=0).tolist()),
            tuple(path.std(axis=0).tolist()),
        )
        values = path
    else:
        names = ("left", "right") if kind != "ordinal" else ("low", "middle", "high")
        task = Task(TaskSpec(name="side", kind=kind, series="side"), classes=names)  # type: ignore[arg-type]
        edges = [0.0] if kind != "ordinal" else [-0.4, 0.4]
        values = np.searchsorted(edges, path[:, 0])
    return DecodingCase(
        activity=Activity(recording, "calcium" if signal else ""),
        task=task,
        times_s=times,
        values=values,
        weights=np.ones(len(times)),
        train=split.train,
        valid=split.valid,
        test=split.test,
        unit="m",
    )
