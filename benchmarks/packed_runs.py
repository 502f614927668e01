"""Runs of a sweep, packed: sums by block of time, so that a sweep goes on where runs are gone.

A run's folder holds a hundred megabytes, what its table needs some kilobytes. Numbers of blocks and
times of windows are the same for most runs and are kept once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.evaluation.result_files import plain
from neurohorizon.evaluation.sweep_results import RecordingSums, SeedResult, SetSums
from neurohorizon.ops.files import atomic_path

DIGITS = 3


class PackedRuns:
    """What is known of finished runs, by the settings that they were trained with.

    Parameters
    ----------
    path : Path
        A JSON file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content: dict[str, Any] = {"windows": {}, "runs": {}}
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
        self.windows: dict[str, Any] = content["windows"]
        self.runs: dict[str, Any] = content["runs"]

    def __contains__(self, key: str) -> bool:
        return key in self.runs

    def add(self, key: str, run: SeedResult, *, whole: bool) -> None:
        """Keep a run, and write the file; `whole`: with baselines, and parts of it withheld."""
        strongest, withheld = (run.strongest, run.withheld) if whole else ({}, {})
        self.runs[key] = {
            "seed": run.seed,
            "num_parameters": run.num_parameters,
            "seconds": round(run.seconds, 1),
            "sets": {name: self._pack(sums) for name, sums in run.sets.items()},
            "forced": {name: self._pack(sums) for name, sums in run.forced.items()},
            "strongest": {
                name: [self._pack(sums), names] for name, (sums, names) in strongest.items()
            },
            "withheld": {
                row: {name: self._pack(sums) for name, sums in sets.items()}
                for row, sets in withheld.items()
            },
        }
        lines = [
            f" {json.dumps(one)}: {json.dumps(plain(each))}" for one, each in self.runs.items()
        ]
        text = f'{{"windows": {json.dumps(self.windows)},\n"runs": {{\n' + ",\n".join(lines)
        with atomic_path(self.path) as temporary:
            temporary.write_text(text + "\n}}\n", encoding="utf-8")

    def open(self, key: str) -> SeedResult:
        """Return a run."""
        found = self.runs[key]
        return SeedResult(
            seed=found["seed"],
            sets=self._unpack_all(found["sets"]),
            by_reference={},
            withheld={row: self._unpack_all(sets) for row, sets in found["withheld"].items()},
            forced=self._unpack_all(found["forced"]),
            strongest={
                name: (self._unpack(sums), names)
                for name, (sums, names) in found["strongest"].items()
            },
            num_parameters=found["num_parameters"],
            seconds=found["seconds"],
        )

    def _pack(self, sums: SetSums) -> dict[str, Any]:
        recordings = {}
        for name, each in sums.recordings.items():
            windows = {
                "spikes": each.spikes.tolist(),
                "block": each.block.tolist(),
                "origin_ticks": each.origin_ticks.tolist(),
                "origin_block": each.origin_block.tolist(),
            }
            digest = hashlib.sha256(json.dumps(windows).encode()).hexdigest()[:12]
            self.windows[digest] = windows
            recordings[name] = [digest, np.round(each.gain, DIGITS).tolist()]
        return {
            "title": sums.title,
            "horizons_s": sums.horizons_s,
            "recordings": recordings,
        }

    def _unpack(self, packed: Mapping[str, Any]) -> SetSums:
        recordings = {}
        for name, (digest, gain) in packed["recordings"].items():
            windows = {key: np.array(value) for key, value in self.windows[digest].items()}
            recordings[name] = RecordingSums(gain=np.array(gain), **windows)
        return SetSums(packed["title"], tuple(packed["horizons_s"]), recordings)

    def _unpack_all(self, packed: Mapping[str, Any]) -> dict[Any, SetSums]:
        return {name: self._unpack(sums) for name, sums in packed.items()}
