"""How fast batches to decode from are loaded, beside torch_brain's own path to POYO.

From the same files: random one-second windows of several recordings, with the start and end
tokens of every unit, and a series of two columns as what is to be decoded; as padded tensors,
from a DataLoader. Ours reads arrays and collates (:class:`~neurohorizon.training.decoding.data`);
torch_brain's takes its Dataset, RandomFixedWindowSampler, ``POYO.tokenize`` and collate.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.sessions import unit_words
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.schema import Recording, Series
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.training.decoding.data import DecodeData
from neurohorizon.training.speed.plan import Speed, SpeedPlan, random_recording

PART = "Loading windows to decode from"
WINDOW_S = 1.0
SERIES_HZ = 50.0
WINDOWS_A_BATCH = 64
NUM_WORKERS = 2
# Of our batches, to so many of torch_brain's: both then take about as long.
_TIMES_MORE = 4


@dataclass(frozen=True)
class LoadingRate:
    """How fast a loader was.

    Parameters
    ----------
    per_s : float
        Windows a second of the clock, from the first batch on.
    per_cpu_s : float
        Windows a second of processor time, of all processes.
    """

    per_s: float
    per_cpu_s: float


def measure_decoding_loader(plan: SpeedPlan, folder: Path) -> list[Speed]:
    """Measure windows a second of both loaders, in turns, without and with worker processes.

    Parameters
    ----------
    plan : SpeedPlan
    folder : Path
        For the recordings that are made.

    Notes
    -----
    Each rate is the best of the repeats; that processes start is not in the time of the clock,
    but is in that of the processor.
    """
    folder = folder / "decoding"
    recordings = make_recordings(plan, folder)
    num_batches = max(plan.num_slow_windows // WINDOWS_A_BATCH, 2)
    speeds = []
    for num_workers in (0, NUM_WORKERS):
        ours = our_loader(recordings, num_workers=num_workers, num_batches=10**6)
        theirs = torch_brain_loader(folder, num_workers=num_workers)
        rates: dict[str, list[LoadingRate]] = {"ours": [], "theirs": []}
        for _ in range(plan.repeats):
            rates["theirs"].append(_load(theirs, num_batches, _windows_of_torch_brain))
            rates["ours"].append(_load(ours, num_batches * _TIMES_MORE, len))
        best = {
            name: LoadingRate(max(r.per_s for r in each), max(r.per_cpu_s for r in each))
            for name, each in rates.items()
        }
        where = f"{num_workers} workers" if num_workers else "in the training process"
        key = f"load_{num_workers}"
        size = f"{plan.num_recordings} files of {plan.num_spikes:,} spikes"
        what = f"batches of {WINDOWS_A_BATCH} windows of {WINDOW_S:g} s, {where} ({size})"
        mine, other = best["ours"], best["theirs"]
        speeds += [
            Speed(f"{key}_ours", what, mine.per_s, "windows/s", PART),
            Speed(
                f"{key}_torch_brain",
                "the same by torch_brain's Dataset, POYO.tokenize and collate",
                other.per_s,
                "windows/s",
                PART,
            ),
            Speed(f"{key}_ratio", "ratio of the two", mine.per_s / other.per_s, "times", PART),
            Speed(
                f"{key}_cpu_ratio",
                "ratio of windows a second of processor time, of all processes",
                mine.per_cpu_s / other.per_cpu_s,
                "times",
                PART,
            ),
        ]
    return speeds


def make_recordings(plan: SpeedPlan, folder: Path) -> list[Recording]:
    """Write recordings of units that fire at random beside a series, and open them."""
    for index in range(plan.num_recordings):
        recording = random_recording(
            f"d{index}",
            num_spikes=plan.num_spikes,
            num_units=plan.num_units,
            duration_s=plan.duration_s,
            seed=index,
        )
        times = np.arange(0.5 / SERIES_HZ, plan.duration_s, 1 / SERIES_HZ, dtype=np.float64)
        values = np.random.default_rng(index).standard_normal((len(times), 2))
        with_series = replace(recording, series={"velocity": Series(times, values)})
        write_recording(with_series, folder / f"{recording.id}.h5")
    return [open_recording(path) for path in sorted(folder.glob("*.h5"))]


def our_loader(
    recordings: list[Recording], *, num_workers: int, num_batches: int
) -> DataLoader[DecodeBatch]:
    """Return our batches of about `WINDOWS_A_BATCH` windows."""
    first = recordings[0]
    tokens = float(first.rate_hz.sum()) * WINDOW_S + 2 * first.num_units
    data = DecodeData(
        recordings=recordings,
        tasks=[TaskSpec(name="velocity", series="velocity")],
        length_s=WINDOW_S,
        tokens_per_batch=round(WINDOWS_A_BATCH * tokens),
        steps_per_epoch=num_batches,
        num_workers=num_workers,
    )
    return data.train_loader()


def torch_brain_loader(folder: Path, *, num_workers: int) -> DataLoader[Any]:
    """Return torch_brain's batches, made as its examples make them."""
    from torch_brain.batching import collate, pad8, track_mask8
    from torch_brain.datasets import Dataset
    from torch_brain.models import POYO
    from torch_brain.samplers import RandomFixedWindowSampler

    # Its width plays no part in loading.
    poyo = POYO(sequence_length=WINDOW_S, latent_step=0.125, dim_out=2, dim=8, dim_head=8)
    recordings = [open_recording(path) for path in sorted(folder.glob("*.h5"))]
    poyo.unit_emb.initialize_vocab([word for each in recordings for word in unit_words(each)])
    poyo.session_emb.initialize_vocab([each.id for each in recordings])

    class Recordings(Dataset):
        """Its Dataset, with ids of units that are unique."""

        def get_recording_hook(self, data: Any) -> None:
            """Set the session's name before each unit's."""
            ids = data.units.id.astype(str)
            data.units.id = np.char.add(f"{data.session.id}/", ids)

    def tokenize(data: Any) -> Mapping[str, Any]:
        made = poyo.tokenize(data)
        made["output_timestamps"] = pad8(data.velocity.timestamps)
        made["output_mask"] = track_mask8(data.velocity.timestamps)
        made["target"] = pad8(data.velocity.values.astype(np.float32))
        return made

    dataset = Recordings(folder, transform=tokenize)
    intervals = {each.id: dataset.get_recording(each.id).train_domain for each in recordings}
    sampler = RandomFixedWindowSampler(
        sampling_intervals=intervals,
        window_length=WINDOW_S,
        generator=torch.Generator().manual_seed(0),
    )
    return DataLoader(
        dataset,
        sampler=sampler,
        batch_size=WINDOWS_A_BATCH,
        collate_fn=collate,
        num_workers=num_workers,
    )


def _load(loader: Iterable[Any], num_batches: int, count: Callable[[Any], int]) -> LoadingRate:
    """Take batches of a loader, the first of which is not timed by the clock."""
    cpu = _processor_s()
    batches = iter(loader)
    windows = count(next(batches))
    start, later = time.perf_counter(), 0
    for _ in range(num_batches):
        # Theirs ends with its epoch.
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        later += count(batch)
    seconds = time.perf_counter() - start
    # Worker processes end, and are counted, with the iterator.
    del batches
    return LoadingRate(later / seconds, (windows + later) / max(_processor_s() - cpu, 1e-9))


def _processor_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _windows_of_torch_brain(batch: Mapping[str, torch.Tensor]) -> int:
    return len(batch["session_index"])
