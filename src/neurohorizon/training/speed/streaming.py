"""How long a forecast takes while the session runs, and what a day of it does to memory.

Latency is wall time from the moment a chunk of spikes is there to the moment its forecast is.
Processor time stands beside it: where the two differ, the machine did something else.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurohorizon.evaluation.describe import describe_machine
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.models.streaming import StreamingForecaster
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.schema import FloatArray, IntArray
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.training.speed.plan import one_thread, random_recording

Progress = Callable[[str, int, int], None]
Chunk = tuple[FloatArray, IntArray, float]

_WARM_UP = 50
_HOUR_S = 3600.0
_REMEMBERED_S = 1800.0


@dataclass(frozen=True)
class StreamingPlan:
    """How much is measured.

    Parameters
    ----------
    num_units : tuple of int
        Populations whose latency is measured.
    rate_hz : float
        Mean rate of their units.
    reference_s : float
    chunk_s : float
        Spikes between two forecasts, in seconds.
    num_forecasts : int
    day_units : int
        Population of the long stream.
    day_hours : int
        How long it is.
    day_chunk_s, day_forecast_s : float
        Seconds between its updates, and between its forecasts.
    """

    num_units: tuple[int, ...] = (100, 400, 900)
    rate_hz: float = 5.0
    reference_s: float = 120.0
    chunk_s: float = 0.02
    num_forecasts: int = 2000
    day_units: int = 400
    day_hours: int = 24
    day_chunk_s: float = 1.0
    day_forecast_s: float = 60.0


QUICK_STREAMING = StreamingPlan(
    num_units=(5, 8),
    reference_s=30.0,
    num_forecasts=20,
    day_units=5,
    day_hours=2,
    day_chunk_s=30.0,
    day_forecast_s=600.0,
)
"""To see that it runs: its numbers mean little."""


@dataclass(frozen=True)
class Latency:
    """How long an update and its forecast took.

    Parameters
    ----------
    num_units : int
    p50_ms, p99_ms, max_ms : float
        Wall time.
    processor_p50_ms, processor_p99_ms : float
        Processor time.
    update_p50_ms : float
        Wall time of the update alone.
    """

    num_units: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    processor_p50_ms: float
    processor_p99_ms: float
    update_p50_ms: float


@dataclass(frozen=True)
class LongStream:
    """What a long stream came to.

    Parameters
    ----------
    num_units, num_spikes, num_forecasts : int
    seconds : float
        It took to simulate.
    resident_mib : list of float
        Memory of the process after each hour.
    largest_difference : float
        Between the last forecast and that of a stream which has seen the last half hour
        only, relative to the rates.
    """

    num_units: int
    num_spikes: int
    num_forecasts: int
    seconds: float
    resident_mib: list[float]
    largest_difference: float


def measure_streaming(
    plan: StreamingPlan, *, progress: Progress | None = None
) -> tuple[list[Latency], LongStream]:
    """Measure latency and memory of the tiny model, with one torch thread."""

    def tell(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total)

    latencies: list[Latency] = []
    with one_thread():
        # Memory first: later measurements would leave theirs behind.
        day = measure_day(plan, lambda hour: tell("hours of a stream", hour, plan.day_hours))
        for index, num_units in enumerate(plan.num_units):
            tell("populations", index, len(plan.num_units))
            latencies.append(measure_latency(plan, num_units))
        tell("populations", len(plan.num_units), len(plan.num_units))
    return latencies, day


def measure_latency(plan: StreamingPlan, num_units: int) -> Latency:
    """Measure update and forecast, again and again, of a population that fires at random."""
    stream, spent = _random_stream(plan, num_units), []
    chunks = _random_chunks(
        num_units,
        plan.rate_hz,
        start_s=stream.now_s,
        chunk_s=plan.chunk_s,
        num_chunks=_WARM_UP + plan.num_forecasts,
    )
    for times, units, until in chunks:
        start, start_processor = time.perf_counter(), time.process_time()
        stream.update(times, units, until_s=until)
        updated = time.perf_counter()
        stream.forecast()
        end, end_processor = time.perf_counter(), time.process_time()
        spent.append((updated - start, end - start, end_processor - start_processor))
    update_ms, all_ms, processor_ms = 1e3 * np.array(spent[_WARM_UP:]).T
    return Latency(
        num_units=num_units,
        p50_ms=float(np.percentile(all_ms, 50)),
        p99_ms=float(np.percentile(all_ms, 99)),
        max_ms=float(all_ms.max()),
        processor_p50_ms=float(np.percentile(processor_ms, 50)),
        processor_p99_ms=float(np.percentile(processor_ms, 99)),
        update_p50_ms=float(np.percentile(update_ms, 50)),
    )


def measure_day(plan: StreamingPlan, on_hour: Callable[[int], None]) -> LongStream:
    """Stream for hours of the stream's own clock; look at memory after each."""
    stream, late = _random_stream(plan, plan.day_units), None
    start_s = stream.now_s
    end_s = start_s + plan.day_hours * _HOUR_S
    resident: list[float] = []
    num_spikes = num_forecasts = 0
    on_hour(0)
    started = time.perf_counter()
    chunks = _random_chunks(
        plan.day_units,
        plan.rate_hz,
        start_s=start_s,
        chunk_s=plan.day_chunk_s,
        num_chunks=round((end_s - start_s) / plan.day_chunk_s),
    )
    for times, units, until in chunks:
        if late is None and until > end_s - _REMEMBERED_S:
            late = StreamingForecaster(stream.forecaster, stream.reference, start_s=stream.now_s)
        for each in (stream, late):
            if each is not None:
                each.update(times, units, until_s=until)
        num_spikes += len(times)
        if until - start_s >= (num_forecasts + 1) * plan.day_forecast_s - 1e-6:
            stream.forecast()
            num_forecasts += 1
        if until - start_s >= (len(resident) + 1) * _HOUR_S - 1e-6:
            resident.append(_resident_mib())
            on_hour(len(resident))
    assert late is not None
    ratio = stream.forecast().rate_hz / late.forecast().rate_hz
    return LongStream(
        num_units=plan.day_units,
        num_spikes=num_spikes,
        num_forecasts=num_forecasts,
        seconds=time.perf_counter() - started,
        resident_mib=resident,
        largest_difference=float(np.abs(ratio - 1.0).max()),
    )


def save_streaming(
    latencies: Sequence[Latency],
    day: LongStream,
    folder: Path,
    *,
    plan: StreamingPlan,
    command: str,
) -> list[Path]:
    """Write ``streaming.json`` and ``streaming.md``: numbers, date, machine and command.

    Returns
    -------
    list of Path
        What was written.
    """
    with one_thread():
        machine = describe_machine()
    content: dict[str, Any] = {
        "title": "Streaming",
        "date": date.today().isoformat(),
        "command": command,
        "machine": machine,
        "plan": asdict(plan),
        "latencies": [asdict(each) for each in latencies],
        "day": asdict(day),
    }
    about = ", ".join(f"{key} {value}" for key, value in machine.items())
    lines = [
        "# Streaming",
        "",
        f"{content['date']}. `{command}`. {about}.",
        "",
        f"Tiny model, untrained weights; units that fire at random at {plan.rate_hz:g} Hz. An "
        f"update with {1000 * plan.chunk_s:g} ms of spikes and the forecast of 1 s in 20 ms bins "
        f"that follows, {plan.num_forecasts:,} times, on one thread, in ms. Wall time and, beside "
        "it, processor time: where the second is less, something else ran.",
        "",
        "| units | p50 | p99 | longest | p50, processor | p99, processor | p50 of the update |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {each.num_units} | {each.p50_ms:.1f} | {each.p99_ms:.1f} | {each.max_ms:.1f} "
            f"| {each.processor_p50_ms:.1f} | {each.processor_p99_ms:.1f} "
            f"| {each.update_p50_ms:.2f} |"
            for each in latencies
        ),
        "",
        f"A stream of {day.num_units} units for {plan.day_hours} hours of its own clock "
        f"({day.num_spikes:,} spikes in chunks of {plan.day_chunk_s:g} s, {day.num_forecasts:,} "
        f"forecasts, simulated in {day.seconds:.0f} s). Resident memory of the process: "
        f"{day.resident_mib[0]:.1f} MiB after hour 1, {day.resident_mib[-1]:.1f} MiB after hour "
        f"{len(day.resident_mib)}, at most {max(day.resident_mib):.1f} MiB. The last forecast "
        "differs from that of a stream which has seen the last half hour only by at most "
        f"{day.largest_difference:.1e} of the rate.",
    ]
    paths = []
    for suffix, text in ((".json", json.dumps(content, indent=1)), (".md", "\n".join(lines))):
        with atomic_path(folder / f"streaming{suffix}") as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        paths.append(folder / f"streaming{suffix}")
    return paths


def _random_stream(plan: StreamingPlan, num_units: int) -> StreamingForecaster:
    """Make a stream that goes on from a reference of random spikes."""
    spec = WindowSpec()
    recording = random_recording(
        f"random{num_units}",
        num_spikes=round(num_units * plan.rate_hz * plan.reference_s),
        num_units=num_units,
        duration_s=plan.reference_s,
        seed=num_units,
    )
    reference = compute_reference(recording, recording.domain, spec=spec)
    torch.manual_seed(0)
    model = HorizonForecaster(spec=spec)
    # Zero at initialisation, where every forecast would be the reference rate.
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return TrainedForecaster(model).stream(recording, reference=reference)


def _random_chunks(
    num_units: int, rate_hz: float, *, start_s: float, chunk_s: float, num_chunks: int
) -> Iterator[Chunk]:
    """Yield spike times, their units and the end of each chunk of a Poisson population."""
    generator = np.random.default_rng(0)
    for index in range(num_chunks):
        first_s, last_s = (start_s + (index + step) * chunk_s for step in (0, 1))
        count = generator.poisson(num_units * rate_hz * chunk_s)
        times = np.sort(generator.uniform(first_s, last_s, count))
        yield times, generator.integers(0, num_units, count), last_s


def _resident_mib() -> float:
    """Return this process's memory; where the system does not tell, the most it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
    return pages * resource.getpagesize() / 2**20
