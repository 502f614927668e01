"""From whom to whom: forecasters trained on some recordings, scored on all others, zero-shot.

    python benchmarks/transfer.py retinal_waves ca1_maze    # data as `data prepare` leaves them
    neurohorizon simulate population --num-sessions 6 --minutes 15 --out data/population
    python benchmarks/transfer.py population

Each study is a sweep of `neurohorizon sweep RECIPE --each KEY` below ``sweeps/bench-transfer-...``,
one training at a time; a finished one is skipped. Tables are written to
``benchmarks/results/transfer.md`` and ``.json`` (studies that are not on this machine stay as they
are there): whom was trained on in rows, whom was scored on in
columns, the strongest row of the ladder (fitted to the same recordings) beside each score, and
scores by seconds of reference. ``--now`` trains nothing: it takes what is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from writing import RESULTS, write_results

from neurohorizon.configs.run_sweep import run_sweep
from neurohorizon.configs.sweep_plan import plan_sweep
from neurohorizon.evaluation.sweep_results import SweepResults, is_scored, load_sweep
from neurohorizon.evaluation.sweep_steps import level_of, step_between
from neurohorizon.evaluation.sweep_table import recording_bits
from neurohorizon.training.queue import Outcome, Task

FOLDER = Path("sweeps")
LENGTHS_S = (10.0, 30.0, 60.0, 120.0, 300.0)
HORIZONS_S = (0.1, 0.5)


@dataclass(frozen=True)
class Study:
    """Recordings, and what each member trains on one of."""

    title: str
    recipe: str
    each: str
    words: tuple[str, ...]


STUDIES = {
    "population": Study(
        title="Six simulated sessions of one population: one session to another",
        recipe="tiny",
        each="recording",
        words=(
            "data.name=files",
            "data.recordings=data/population",
            "reference.longest_s=300",
        ),
    ),
    "retinal_waves": Study(
        title="Retinal waves: one laboratory to another",
        recipe="retinal-waves",
        each="laboratory",
        words=("data.recordings=data/retinal_waves", "reference.longest_s=300"),
    ),
    "ca1_maze": Study(
        title="Rat CA1: one maze to the other",
        recipe="ca1-linear-track",
        each="recording",
        words=("data.recordings=data/ca1_maze", "reference.longest_s=300"),
    ),
}


def main() -> None:
    """Run the studies that are named, and write the tables of all."""
    parser = argparse.ArgumentParser(description="Transfer matrices.")
    parser.add_argument("studies", nargs="*", default=list(STUDIES), help=", ".join(STUDIES))
    parser.add_argument("--now", action="store_true", help="train nothing: what is there")
    arguments = parser.parse_args()
    if unknown := set(arguments.studies) - set(STUDIES):
        parser.error(f"unknown study {', '.join(unknown)}: choose from {', '.join(STUDIES)}")
    for name in arguments.studies if not arguments.now else ():
        study = STUDIES[name]
        plan = plan_sweep(
            study.recipe,
            study.words,
            each=study.each,
            reference_lengths_s=LENGTHS_S,
            folder=FOLDER / f"bench-transfer-{name}",
        )
        run_sweep(plan, num_jobs=1, on_event=tell)
        write()
    write()


def tell(event: Task | Outcome, num_tasks: int) -> None:
    """Say what has ended."""
    if isinstance(event, Outcome):
        print(event.name, event.failure or "done", f"of {num_tasks}", flush=True)


def write() -> None:
    """Write the tables of all studies that are finished."""
    lines = [
        "Bits per spike over the null, zero-shot, of a model trained on the row and scored "
        "on the column; in brackets the strongest row of the ladder, fitted to the same "
        "recordings. On the diagonal, other time of what was trained on. Levels move with the null "
        "of a session: compare within a column.",
        "",
    ]
    known = RESULTS / "transfer.json"
    found: dict[str, Any] = json.loads(known.read_text("utf-8")) if known.is_file() else {}
    found = {name: found[name] for name in STUDIES if name in found}
    for name in STUDIES:
        folder = FOLDER / f"bench-transfer-{name}"
        finished = folder.glob("members/*/seed*/training.json")
        if not any(is_scored(each.parent, []) for each in finished):
            continue
        results = load_sweep(folder)
        found[name] = {
            "matrix": list(matrix(results)),
            "all others": list(over_others(results)),
            "reference": list(by_reference(results)),
        }
    for name, study in STUDIES.items():
        if name in found:
            lines += [f"## {study.title}", "", *as_markdown(found[name])]
    if found:
        write_results("transfer", "From whom to whom: transfer without a gradient", lines, found)


def matrix(results: SweepResults) -> Iterator[dict[str, Any]]:
    """Return the scores of each member on each group."""
    for trained_on, run in members(results):
        for scored_on, recordings in results.record["groups"].items():
            for name, sums in run.sets.items():
                strongest = run.strongest[name][0]
                for index, horizon_s in enumerate(sums.horizons_s):
                    value = recording_bits(sums, recordings, index)
                    if np.isfinite(value):
                        yield {
                            "trained_on": trained_on,
                            "scored_on": scored_on,
                            "horizon_s": horizon_s,
                            "bits_per_spike": value,
                            "strongest": recording_bits(strongest, recordings, index),
                        }


def over_others(results: SweepResults) -> Iterator[dict[str, Any]]:
    """Return each member's difference to the strongest baseline on all that it did not train on."""
    for trained_on, run in members(results):
        sums, (strongest, names) = run.sets["held-out"], run.strongest["held-out"]
        step = step_between({run.seed: sums}, {run.seed: strongest})
        assert step is not None
        for index, horizon_s in enumerate(sums.horizons_s):
            yield {
                "trained_on": trained_on,
                "horizon_s": horizon_s,
                "num_scored": len(sums.recordings),
                "strongest": names[index],
                "difference": float(step.interval.value[index]),
                "low": float(step.interval.low[index]),
                "high": float(step.interval.high[index]),
            }


def by_reference(results: SweepResults) -> Iterator[dict[str, Any]]:
    """Return each member's scores by seconds of reference, at all horizons."""
    for trained_on, run in members(results):
        for seconds, sums in sorted(run.by_reference.items()):
            level = level_of(sums)
            for index, horizon_s in enumerate(sums.horizons_s):
                yield {
                    "trained_on": trained_on,
                    "reference_s": seconds,
                    "horizon_s": horizon_s,
                    "num_scored": len(sums.recordings),
                    "bits_per_spike": float(level.value[index]),
                    "low": float(level.low[index]),
                    "high": float(level.high[index]),
                }


def members(results: SweepResults) -> Iterator[tuple[str, Any]]:
    """Return what each member was trained on, and its run."""
    for member in results.finished:
        for run in member.seeds.values():
            yield member.name.removeprefix("trained on "), run


def as_markdown(found: Mapping[str, Sequence[dict[str, Any]]]) -> Iterator[str]:
    """Write the tables of one study."""
    trained = list(dict.fromkeys(each["trained_on"] for each in found["matrix"]))
    scored = sorted({each["scored_on"] for each in found["matrix"]})
    cells = {
        (each["trained_on"], each["scored_on"], each["horizon_s"]): each for each in found["matrix"]
    }
    for horizon_s in HORIZONS_S:
        others = {
            each["trained_on"]: each
            for each in found["all others"]
            if each["horizon_s"] == horizon_s
        }
        yield (
            f"| {horizon_s * 1000:g} ms: trained on | "
            + " | ".join(scored)
            + (" | all others, minus the strongest row [95 %] |")
        )
        yield "|---|" + "---:|" * (len(scored) + 1)
        for one in trained:
            row = [cell(cells.get((one, other, horizon_s))) for other in scored]
            step = others[one]
            row.append(
                f"{step['difference']:+.4f} [{step['low']:+.4f}, {step['high']:+.4f}] "
                f"({step['strongest']})"
            )
            yield f"| {one} | " + " | ".join(row) + " |"
        yield ""
    seconds = sorted({each["reference_s"] for each in found["reference"]})
    if len(seconds) > 1:
        yield f"By seconds of reference, {HORIZONS_S[0] * 1000:g} ms, all others [95 %]:"
        yield ""
        yield "| trained on | " + " | ".join(f"{each:g} s" for each in seconds) + " |"
        yield "|---|" + "---:|" * len(seconds)
        for one in trained:
            levels = {
                each["reference_s"]: each
                for each in found["reference"]
                if each["trained_on"] == one and each["horizon_s"] == HORIZONS_S[0]
            }
            row = [level(levels.get(each)) for each in seconds]
            yield f"| {one} | " + " | ".join(row) + " |"
        yield ""


def cell(record: Mapping[str, Any] | None) -> str:
    """Return a score, and the strongest baseline's."""
    if record is None:
        return ""
    return f"{record['bits_per_spike']:.4f} ({record['strongest']:.4f})"


def level(record: Mapping[str, Any] | None) -> str:
    """Return a score with its interval."""
    if record is None:
        return ""
    return f"{record['bits_per_spike']:.4f} [{record['low']:.4f}, {record['high']:.4f}]"


if __name__ == "__main__":
    main()
