"""How fast recordings are read, and how fast the tiny forecaster trains and forecasts.

Rates are per second of processor time on one thread, the best of several repeats, with the
files in the page cache: so what else the machine does counts for little.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurohorizon.evaluation.run_scoring import describe_machine
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.ops.binning import spikes_in_windows
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.windows import WindowReader, WindowSpec
from neurohorizon.training.data import ForecastData
from neurohorizon.training.fit import fit_forecaster

WINDOW_S = 1.0
WINDOWS_AT_ONCE = 64
CLOCK_HZ = 30_000

Progress = Callable[[str, int, int], None]


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
    """

    name: str
    what: str
    value: float
    unit: str


def measure_speed(plan: SpeedPlan, *, progress: Progress | None = None) -> list[Speed]:
    """Measure reading, training and forecasting on files made for it.

    Parameters
    ----------
    plan : SpeedPlan
    progress : callable, optional
        Called with what is being measured, parts done, and parts in all.

    Returns
    -------
    list of Speed
    """
    parts = (("reading windows", measure_reading), ("training", measure_training))
    speeds: list[Speed] = []
    with one_thread(), tempfile.TemporaryDirectory(prefix="neurohorizon-bench-") as folder:
        for index, (what, measure) in enumerate(parts):
            if progress is not None:
                progress(f"measuring: {what}", index, len(parts))
            speeds += measure(plan, Path(folder))
    if progress is not None:
        progress("measuring", len(parts), len(parts))
    return speeds


def save_speeds(
    speeds: Sequence[Speed], folder: Path, *, plan: SpeedPlan, command_line: Sequence[str]
) -> list[Path]:
    """Write ``speed.json`` and ``speed.md``: numbers, date, machine, versions and command.

    Returns
    -------
    list of Path
        What was written.
    """
    head = {
        "title": "Speed",
        "date": date.today().isoformat(),
        "command": " ".join(command_line),
        "machine": _describe_machine(),
        "plan": asdict(plan),
    }
    machine = ", ".join(f"{key} {value}" for key, value in head["machine"].items())
    lines = [
        "# Speed",
        "",
        f"{head['date']}. `{head['command']}`. {machine}.",
        "",
        "Per second of processor time on one thread, the best of "
        f"{plan.repeats} repeats, files in the page cache.",
        "",
        "| what | value | unit |",
        "|---|---:|---|",
        *(f"| {speed.what} | {format_value(speed.value)} | {speed.unit} |" for speed in speeds),
    ]
    content = {**head, "speeds": [asdict(speed) for speed in speeds]}
    paths = []
    for suffix, text in ((".json", json.dumps(content, indent=1)), (".md", "\n".join(lines))):
        with atomic_path(folder / f"speed{suffix}") as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        paths.append(folder / f"speed{suffix}")
    return paths


def format_value(value: float) -> str:
    """Write a number with about three digits.

    Examples
    --------
    >>> format_value(48213.3), format_value(21.54), format_value(0.0712)
    ('48,213', '21.5', '0.071')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{value:.3f}"


def _describe_machine() -> dict[str, Any]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    libraries = {name: metadata.version(name) for name in ("h5py", "torch_brain", "lightning")}
    return {
        **describe_machine(),
        **libraries,
        "platform": f"{platform.system()} {platform.machine()}",
        "memory": f"{pages / 2**30:.0f} GiB",
        "torch_threads": 1,
    }


def measure_reading(plan: SpeedPlan, folder: Path) -> list[Speed]:
    """Measure one-second windows a second, ours and torch_brain's, in random order.

    Notes
    -----
    Times and units of every window are copied out of the file in all rows, and the first
    windows of each are compared, so that all rows do the same work.
    """
    from torch_brain.datasets import Dataset
    from torch_brain.datasets.dataset import DatasetIndex

    folder = folder / "reading"
    for index in range(plan.num_recordings):
        recording = random_recording(
            f"r{index}",
            num_spikes=plan.num_spikes,
            num_units=plan.num_units,
            duration_s=plan.duration_s,
            seed=index,
        )
        write_recording(recording, folder / f"{recording.id}.h5")
    recordings = [open_recording(path) for path in sorted(folder.glob("*.h5"))]
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, plan.duration_s - WINDOW_S, plan.num_windows)
    owners = rng.integers(0, len(recordings), plan.num_windows)
    order = list(zip(owners.tolist(), starts.tolist(), strict=True))

    def read_singly() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for owner, start in order:
            times, units = recordings[owner].between(start, start + WINDOW_S)
            yield np.array(times), np.array(units)

    dataset = Dataset(folder)
    names = [recording.id for recording in recordings]

    def read_with_torch_brain() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for owner, start in order[: plan.num_slow_windows]:
            sample = dataset[DatasetIndex(names[owner], start, start + WINDOW_S)]
            yield sample.spikes.timestamps, sample.spikes.unit_index

    for (owner, start), ours, theirs in zip(
        order[:50], read_singly(), read_with_torch_brain(), strict=False
    ):
        assert np.allclose(ours[0] - start, theirs[0]), f"other times in {names[owner]}"
        assert np.array_equal(ours[1], theirs[1]), f"other units in {names[owner]}"

    batches = np.array_split(starts, max(len(starts) // WINDOWS_AT_ONCE, 1))
    origins = rng.uniform(2.0, plan.duration_s - 2.0, plan.num_windows // 5).round(6)
    origin_batches = np.array_split(origins, max(len(origins) // WINDOWS_AT_ONCE, 1))
    first = recordings[0]
    rate_hz, reader = first.rate_hz, WindowReader(first, WindowSpec())

    def read_together() -> None:
        for batch in batches:
            spike, _, _ = spikes_in_windows(first.spike_times, batch, WINDOW_S)
            np.asarray(first.spike_unit_index)[spike]

    def read_to_forecast() -> None:
        for batch in origin_batches:
            reader.read(batch, start_rate_hz=rate_hz)

    single = best_rate(lambda: _exhaust(read_singly()), len(order), plan.repeats)
    theirs = best_rate(
        lambda: _exhaust(read_with_torch_brain()), plan.num_slow_windows, plan.repeats
    )
    together = best_rate(read_together, len(starts), plan.repeats)
    to_forecast = best_rate(read_to_forecast, len(origins), plan.repeats)
    size = (
        f"{plan.num_recordings} files of {plan.num_spikes:,} spikes, "
        f"{plan.num_spikes / plan.duration_s:,.0f} in a window"
    )
    return [
        Speed("read_single", f"1 s windows, one at a time ({size})", single, "windows/s"),
        Speed("read_torch_brain", "the same by torch_brain's lazy Dataset", theirs, "windows/s"),
        Speed("read_ratio", "ratio of the two", single / theirs, "times"),
        Speed(
            "read_together",
            f"1 s windows, {WINDOWS_AT_ONCE} at a time, with times since their start",
            together,
            "windows/s",
        ),
        Speed(
            "read_to_forecast",
            f"windows to forecast from, {WINDOWS_AT_ONCE} at a time: 0.5 s of context, traces of "
            f"{plan.num_units} units, 50 bins of targets",
            to_forecast,
            "windows/s",
        ),
    ]


def measure_training(plan: SpeedPlan, folder: Path) -> list[Speed]:
    """Measure the tiny model on sessions of 40 to 100 units at 5 Hz, trained as recipes do."""
    spec = WindowSpec()
    recordings = [
        random_recording(
            f"t{units}", num_spikes=units * 5 * 300, num_units=units, duration_s=300.0, seed=units
        )
        for units in np.linspace(40, 100, plan.num_sessions).round().astype(int)
    ]
    data = ForecastData(
        recordings=recordings,
        spec=spec,
        num_references=2,
        valid_origin_step_s=5.0,
        steps_per_epoch=plan.num_steps,
    )
    batches = [batch for batch, _ in zip(data.train_loader(), range(plan.num_steps), strict=False)]
    model = HorizonForecaster(spec=spec)
    moments: list[float] = []
    fit_forecaster(
        model=model,
        data=data,
        run_folder=folder / "run",
        max_epochs=1,
        accelerator="cpu",
        on_step=lambda step, total: moments.append(time.process_time()),
    )
    num_windows = sum(len(batch) for batch in batches[1:])
    # The first step also pays for what is set up once.
    steps_per_s = (len(moments) - 1) / (moments[-1] - moments[0])
    largest = recordings[-1]
    reference = compute_reference(largest, np.array([[0.0, 120.0]]), spec=spec)
    origins = np.linspace(125.0, 295.0, plan.num_origins).round(6)
    forecaster = TrainedForecaster(model)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    return [
        Speed(
            "training_steps",
            f"training steps, tiny model ({num_parameters:,} parameters), reading included",
            steps_per_s,
            "steps/s",
        ),
        Speed(
            "training_windows",
            f"windows trained on ({num_windows / (len(batches) - 1):.0f} a step, 40 to 100 units)",
            steps_per_s * num_windows / (len(batches) - 1),
            "windows/s",
        ),
        Speed(
            "padding_share",
            "units and spikes of a training batch that are padding",
            data.padding_share(plan.num_steps),
            "share",
        ),
        Speed(
            "forecast_windows",
            f"forecasts of {largest.num_units} units, {spec.num_bins} bins, reading included",
            best_rate(
                lambda: forecaster.forecast(largest, origins, reference=reference),
                plan.num_origins,
                plan.repeats,
            ),
            "windows/s",
        ),
    ]


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


def _exhaust(items: Iterator[object]) -> None:
    for _ in items:
        pass
