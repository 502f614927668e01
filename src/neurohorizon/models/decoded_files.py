"""What was decoded of a whole recording, and the files that it is written to."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neurohorizon.errors import ConfigError
from neurohorizon.models.decoding import Decoded
from neurohorizon.ops.files import atomic_path
from neurohorizon.recordings.schema import FloatArray, Recording

SUFFIXES = (".npz", ".csv")


def regular_clock(recording: Recording, rate_hz: float) -> FloatArray:
    """Return times at a rate wherever a recording ran, in seconds, half a step from its starts.

    Raises
    ------
    ConfigError
        If the rate is not positive.
    """
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ConfigError(f"--rate-hz is {rate_hz:g}: expected times a second, above 0")
    step_s = 1.0 / rate_hz
    parts = [
        start + step_s * (np.arange(max(round((end - start) * rate_hz), 1)) + 0.5)
        for start, end in recording.domain
    ]
    times = np.concatenate(parts)
    return times[times < recording.domain[-1, 1]]


def require_suffix(path: Path) -> None:
    """Refuse the name of a file that nothing decoded is written to.

    Raises
    ------
    ConfigError
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: what is decoded is written as .npz or .csv: give such a name")


def write_decoded(decoded: Mapping[str, Decoded], path: Path) -> None:
    """Write what was decoded, by task.

    Parameters
    ----------
    decoded : mapping of str to Decoded
    path : Path
        ``.npz``: of each task ``TASK/times_s`` and ``TASK/values``, and ``tasks``, JSON, with kinds
        and classes; ``.csv``: one row a task, time and column (or class). Written to a temporary
        name first.

    Raises
    ------
    ConfigError
        If the suffix is another.
    """
    require_suffix(path)
    with atomic_path(path) as temporary:
        if path.suffix == ".npz":
            told = {
                name: {"kind": each.task.spec.kind, "classes": list(each.task.classes)}
                for name, each in decoded.items()
            }
            arrays = {"tasks": np.array(json.dumps(told))}
            for name, each in decoded.items():
                arrays[f"{name}/times_s"] = each.times_s
                arrays[f"{name}/values"] = each.values.astype(np.float32)
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["task", "time_s", "column", "value"])
            for name, each in decoded.items():
                columns = each.task.classes or range(each.values.shape[1])
                for time, values in zip(each.times_s, each.values, strict=True):
                    for column, value in zip(columns, values, strict=True):
                        writer.writerow([name, f"{time:.6f}", column, f"{value:.6g}"])
