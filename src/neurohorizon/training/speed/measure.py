"""How fast recordings are read, and how fast the tiny forecaster trains and forecasts.

Its parts one by one are in :mod:`~neurohorizon.training.speed.models`.

Rates are per second of processor time on one thread, the best of several repeats, with the
files in the page cache: so what else the machine does counts for little.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.evaluation.describe import describe_machine
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.data import ForecastData
from neurohorizon.training.fit import fit_forecaster
from neurohorizon.training.loop import LoopSettings
from neurohorizon.training.speed.bridges import measure_bridges
from neurohorizon.training.speed.decoders import measure_decoders
from neurohorizon.training.speed.decoding_loader import measure_decoding_loader
from neurohorizon.training.speed.models import measure_models
from neurohorizon.training.speed.plan import (
    Speed,
    SpeedPlan,
    best_rate,
    one_thread,
    random_recording,
)
from neurohorizon.training.speed.reading import measure_reading

Progress = Callable[[str, int, int], None]


def measure_speed(plan: SpeedPlan, *, progress: Progress | None = None) -> list[Speed]:
    """Measure reading, training and forecasting, on files made for it, then parts of the model.

    Parameters
    ----------
    plan : SpeedPlan
    progress : callable, optional
        Called with what is being measured, parts done, and parts in all.

    Returns
    -------
    list of Speed
    """
    parts = (
        ("reading windows", measure_reading),
        ("training", measure_training),
        ("decoders, heads and encoders", measure_models),
        ("decoders of behaviour", measure_decoders),
        ("loading windows to decode from", measure_decoding_loader),
        ("bridges", lambda plan, _: measure_bridges(plan)),
    )
    speeds: list[Speed] = []
    with one_thread(), tempfile.TemporaryDirectory(prefix="neurohorizon-bench-") as folder:
        for index, (what, measure) in enumerate(parts):
            if progress is not None:
                progress(f"measuring: {what}", index, len(parts))
            speeds += measure(plan, Path(folder))
    if progress is not None:
        progress("measuring", len(parts), len(parts))
    return speeds


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
        settings=LoopSettings(max_epochs=1, accelerator="cpu"),
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
            "padding among the units, spikes and time slots that the encoder reads in training",
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
        f"{plan.repeats} repeats, files in the page cache. What is compared works in turns on the "
        "same windows.",
    ]
    for part, group in itertools.groupby(speeds, lambda speed: speed.part):
        lines += ["", f"## {part}", "", "| what | value | unit |", "|---|---:|---|"]
        lines += [f"| {s.what} | {format_value(s.value)} | {s.unit} |" for s in group]
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
