"""How fast windows are read from files, beside torch_brain's own reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neurohorizon.ops.binning import spikes_in_windows
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.training.speed.plan import Speed, SpeedPlan, best_rate, random_recording

WINDOW_S = 1.0
WINDOWS_AT_ONCE = 64


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


def _exhaust(items: Iterator[object]) -> None:
    for _ in items:
        pass
