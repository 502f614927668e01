"""What the runs of a sweep came to: which there are, and their scores by block of time.

A sweep's folder holds ``sweep.json``, which says what its members are, and a run folder for
each member and seed. Of the results only sums are kept, so that hundreds of runs fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.model_row import TEACHER_FORCED
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import (
    MADE_FROM_FILE,
    RESULTS_FOLDER,
    SET_NAMES,
    SetName,
    load_run_results,
    read_json,
)
from neurohorizon.evaluation.summary import strongest_by_horizon
from neurohorizon.ops.files import write_json

FloatArray = NDArray[np.float64]
SWEEP_FILE = "sweep.json"
#: What a training and an evaluation write at their ends.
TRAINING_FILE = "training.json"
FORMAT = 1


@dataclass(frozen=True)
class RecordingSums:
    """A row's scores on one recording, summed over units.

    Parameters
    ----------
    gain : (K, H) float
        Log-likelihood above the null, in nats, by block of time and horizon.
    spikes : (K, H) int
    block : (K,) int
        Number of each block.
    origin_ticks : (T,) int
        Where it was forecast from, in microseconds.
    origin_block : (T,) int
        The block that each of them is in.
    """

    gain: FloatArray
    spikes: NDArray[np.int64]
    block: NDArray[np.int64]
    origin_ticks: NDArray[np.int64]
    origin_block: NDArray[np.int64]


@dataclass(frozen=True)
class SetSums:
    """A row's scores on a set of windows.

    Parameters
    ----------
    title : str
    horizons_s : tuple of float
    recordings : mapping of str to RecordingSums
        Those that are scored.
    """

    title: str
    horizons_s: tuple[float, ...]
    recordings: Mapping[str, RecordingSums]


@dataclass(frozen=True)
class SeedResult:
    """One finished run of a member.

    Parameters
    ----------
    seed : int
    sets : mapping of {"held-out", "later"} to SetSums
        The model's.
    by_reference : mapping of float to SetSums
        The model's on the first set, by seconds of reference.
    withheld : mapping of str to mapping
        By row, the same model without a part of what it reads, by set.
    forced : mapping of {"held-out", "later"} to SetSums
        The same model told the true counts of earlier bins, if it feeds counts back.
    strongest : mapping
        By set, what the strongest baseline at each horizon came to, and their names.
    num_parameters : int
    seconds : float
        That the training took.
    """

    seed: int
    sets: Mapping[SetName, SetSums]
    by_reference: Mapping[float, SetSums]
    withheld: Mapping[str, Mapping[SetName, SetSums]]
    forced: Mapping[SetName, SetSums]
    strongest: Mapping[SetName, tuple[SetSums, list[str]]]
    num_parameters: int
    seconds: float


@dataclass(frozen=True)
class SweepMember:
    """A member and its finished runs.

    Parameters
    ----------
    name : str
    also : list of str
        Names that came to the same configuration.
    settings : mapping of str to str
        What differs from the recipe and from what all members have.
    seeds : mapping of int to SeedResult
    missing : list of int
        Seeds that are not finished.
    values : mapping of str to Any
        Values of the keys that are varied.
    """

    name: str
    also: list[str]
    settings: Mapping[str, str]
    seeds: Mapping[int, SeedResult]
    missing: list[int]
    values: Mapping[str, Any]

    @property
    def num_parameters(self) -> int:
        """Of the trained model."""
        return next(iter(self.seeds.values())).num_parameters

    @property
    def seconds(self) -> float:
        """Mean seconds of a training."""
        return float(np.mean([each.seconds for each in self.seeds.values()]))


@dataclass(frozen=True)
class SweepResults:
    """All that is there of a sweep.

    Parameters
    ----------
    record : mapping
        Content of ``sweep.json``.
    members : list of SweepMember
        With finished runs or without, in the order of the sweep.
    """

    record: Mapping[str, Any]
    members: list[SweepMember]

    @cached_property
    def finished(self) -> list[SweepMember]:
        """Members with at least one finished run."""
        return [member for member in self.members if member.seeds]

    @property
    def sets(self) -> list[SetName]:
        """Sets that any run was scored on, held-out sessions first."""
        there = {name for each in self.finished for run in each.seeds.values() for name in run.sets}
        return [name for name in SET_NAMES if name in there]

    @property
    def num_missing(self) -> int:
        """Runs that are not finished."""
        return sum(len(member.missing) for member in self.members)


def write_sweep_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``sweep.json``."""
    write_json(folder / SWEEP_FILE, {"format": FORMAT, **record})


def is_sweep(folder: Path) -> bool:
    """Tell whether a folder is a sweep's."""
    return (folder / SWEEP_FILE).is_file()


def is_scored(run: Path, parts: list[str]) -> bool:
    """Tell whether a run is trained, and all that is wanted of its results is there."""
    results = run / RESULTS_FOLDER
    wanted = [results / part / "evaluation.json" for part in parts]
    there = all(path.is_file() for path in (run / TRAINING_FILE, *wanted))
    return there and "finished" in read_json(results / MADE_FROM_FILE, {})


def load_sweep(folder: Path | str) -> SweepResults:
    """Read what is finished of a sweep.

    Raises
    ------
    DataError
        If the folder is no sweep's, or nothing is finished.
    """
    folder = Path(folder)
    if not is_sweep(folder):
        raise DataError(f"{folder}: no sweep there ({SWEEP_FILE} is missing)")
    record = read_json(folder / SWEEP_FILE, {})
    members = []
    try:
        if record["format"] != FORMAT:
            raise DataError(f"{folder}: a sweep of another version: give its command again")
        for member in record["members"]:
            runs = {run["seed"]: folder / run["folder"] for run in member["runs"]}
            done = {
                run["seed"]: runs[run["seed"]]
                for run in member["runs"]
                if is_scored(runs[run["seed"]], run["parts"])
            }
            members.append(
                SweepMember(
                    name=member["name"],
                    also=member["also"],
                    settings=member["settings"],
                    seeds={seed: _read_run(seed, run) for seed, run in done.items()},
                    missing=[seed for seed in runs if seed not in done],
                    values=member["values"],
                )
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{folder / SWEEP_FILE}: damaged: give the sweep's command again"
        ) from error
    found = SweepResults(record, members)
    if not found.finished:
        raise DataError(f"{folder}: no run of this sweep is finished: give its command again")
    return found


def sums_of(result: EvaluationResult, names: list[str]) -> SetSums:
    """Sum a row's scores over units.

    Parameters
    ----------
    result : EvaluationResult
    names : list of str
        The row to take at each horizon.
    """
    recordings = {}
    for index, case in enumerate(result.scored_cases()):
        rows = [result.of_row(name)[index] for name in names]
        gains = {
            name: row.at_horizons(row.gain).sum(axis=1)
            for name, row in zip(names, rows, strict=True)
        }
        recordings[case.recording] = RecordingSums(
            gain=np.stack([gains[name][:, at] for at, name in enumerate(names)], axis=1),
            spikes=rows[0].at_horizons(rows[0].spikes).sum(axis=1),
            block=rows[0].block,
            origin_ticks=rows[0].origin_ticks,
            origin_block=np.floor(rows[0].origin_ticks / 1e6 / result.protocol.block_s).astype(int),
        )
    return SetSums(result.title, result.protocol.horizons_s, recordings)


def _read_run(seed: int, run: Path) -> SeedResult:
    results = load_run_results(run / RESULTS_FOLDER)
    training = read_json(run / TRAINING_FILE, {})
    sets, withheld, forced, strongest = {}, {}, {}, {}
    for name, of_set in results.sets.items():
        num_horizons = len(of_set.rows.protocol.horizons_s)
        sets[name] = sums_of(of_set.rows, [of_set.model] * num_horizons)
        if TEACHER_FORCED in of_set.rows.names("cheat"):
            forced[name] = sums_of(of_set.rows, [TEACHER_FORCED] * num_horizons)
        best = strongest_by_horizon(of_set.rows)
        if best:
            strongest[name] = sums_of(of_set.rows, best), best
        if of_set.ablations is not None:
            for row in of_set.ablations.names("model"):
                sums = sums_of(of_set.ablations, [row] * num_horizons)
                withheld.setdefault(row, {})[name] = sums
    first = results.first
    return SeedResult(
        seed=seed,
        sets=sets,
        by_reference={
            seconds: sums_of(result, [first.model] * len(result.protocol.horizons_s))
            for seconds, result in first.by_reference.items()
        },
        withheld=withheld,
        forced=forced,
        strongest=strongest,
        num_parameters=training["num_parameters"],
        seconds=training["seconds"],
    )
