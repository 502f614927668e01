"""Tables of whole experiments: what each part of the model is worth, and what more of it buys.

    python benchmarks/experiments.py ablations          # 90 trainings of 10 epochs, some six hours
    python benchmarks/experiments.py ablations_ca1      # 19 trainings, some two hours
    python benchmarks/experiments.py scaling_sessions   # 18 trainings of 20 epochs, two hours
    python benchmarks/experiments.py --now ablations

Each experiment of `neurohorizon sweep` is run below ``sweeps/bench-NAME``, one training at a time,
and after each the table is written to ``benchmarks/results/NAME.md`` and ``.json``. What a run came
to is kept in ``benchmarks/results/NAME_runs.json``: a run that is there is not trained again, even
if its folder is gone, so an experiment of many hours can be done in parts and on several machines.
``--now`` trains nothing: it takes what is there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from packed_runs import PackedRuns
from writing import RESULTS, write_results

from neurohorizon.configs.run_sweep import run_sweep
from neurohorizon.configs.sweep_plan import MemberRun, SweepPlan, plan_sweep
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.evaluation.sweep_results import (
    SweepMember,
    SweepResults,
    is_scored,
    load_sweep,
)
from neurohorizon.evaluation.sweep_table import gap, seed_records, sweep_rows, table_records
from neurohorizon.training.queue import Outcome, Task

FOLDER = Path("sweeps")


@dataclass(frozen=True)
class Experiment:
    """One experiment of the package or, beside this script, of a file, and what it is run with."""

    title: str
    file: Path | None = None
    base: str | None = None
    needs_data: bool = False
    words: tuple[str, ...] = ()
    told: str = ""


FILES = Path(__file__).parent / "sweeps"
LENGTH = "Twenty epochs each: between models that have learned for as long."
EXPERIMENTS = {
    "ablations": Experiment(
        title="What each part of the model is worth: one factor at a time, simulated world",
        words=("training.max_epochs=10",),
        told="Ten epochs each, with which the first row is not yet at its best: differences are "
        "between models that have learned for as long, not between the best of each kind.",
    ),
    "ablations_ca1": Experiment(
        title="What each part of the model is worth: rat CA1, both mazes",
        file=FILES / "ablations_real.yaml",
        words=("data.recordings=data/ca1_maze",),
        needs_data=True,
    ),
    "ablations_waves": Experiment(
        title="What each part of the model is worth: retinal waves, whole animals held out",
        file=FILES / "ablations_real.yaml",
        base="retinal-waves",
        words=("data.recordings=data/retinal_waves",),
        needs_data=True,
    ),
    "default_choices": Experiment(
        title="What the default recipe might be: other choices at its full length, simulated world",
        file=FILES / "default_choices.yaml",
        told="Eighty epochs each. Sessions 1000 to 1011, on which choices are made: the table of "
        "the default recipe, `simulated.md`, is of others.",
    ),
    "scaling_sessions": Experiment(
        title="What more training sessions buy: the same held-out sessions, simulated world",
        words=("data.num_sessions=1,2,4,8,16,24", "training.max_epochs=20"),
        told="Twenty epochs of as many steps each, whatever the number of sessions: what differs "
        "is what there is to learn from, not how long.",
    ),
    "scaling_parameters": Experiment(
        title="What more parameters buy: the tiny model narrower and wider, simulated world",
        words=("model.width=16,32,64,128", "training.max_epochs=20"),
        told=LENGTH,
    ),
    "horizons": Experiment(
        title="How far ahead: one model for a second, and models for less, simulated world",
        words=("training.max_epochs=20",),
        told=LENGTH,
    ),
    "teacher_forcing": Experiment(
        title="Counts fed back: roll-outs, and the same models told the true counts",
        words=("training.max_epochs=20",),
        told=LENGTH,
    ),
}
SETS: dict[SetName, str] = {
    "held-out": "Sessions held out from training, zero-shot from 120 s of reference",
    "later": "Other time of the training sessions",
}


def main() -> None:
    """Run the experiments that are named, and write their tables."""
    parser = argparse.ArgumentParser(description="Tables of whole experiments.")
    simulated = [name for name, each in EXPERIMENTS.items() if not each.needs_data]
    parser.add_argument(
        "experiments", nargs="*", default=simulated, help="all that need no recordings by default"
    )
    parser.add_argument("--now", action="store_true", help="train nothing: what is there")
    parser.add_argument("--sweep", type=Path, help="folder of a sweep; sweeps/bench-NAME")
    arguments = parser.parse_args()
    if unknown := set(arguments.experiments) - set(EXPERIMENTS):
        parser.error(f"unknown: {', '.join(unknown)}: choose from {', '.join(EXPERIMENTS)}")
    for name in arguments.experiments:
        run(name, arguments.sweep or FOLDER / f"bench-{name}", only_write=arguments.now)


def run(name: str, folder: Path, *, only_write: bool) -> None:
    """Train what is not known of an experiment, and write its tables after each training."""
    experiment = EXPERIMENTS[name]
    plan = plan_sweep(
        str(experiment.file or name), experiment.words, base=experiment.base, folder=folder
    )
    packed = PackedRuns(RESULTS / f"{name}_runs.json")
    take_finished(plan, packed)
    write(name, plan, packed)
    left = without_known(plan, packed)

    def after(event: Task | Outcome, num_tasks: int) -> None:
        if isinstance(event, Outcome):
            print(event.name, event.failure or "done", f"of {num_tasks}", flush=True)
            take_finished(plan, packed)
            write(name, plan, packed)

    if left.members and not only_write:
        run_sweep(left, num_jobs=1, on_event=after)


def key_of(run: MemberRun) -> str:
    """Return what a run is known by: its settings, whatever its folder is called."""
    return " ".join(run.overrides)


def take_finished(plan: SweepPlan, packed: PackedRuns) -> None:
    """Pack the runs on this machine that are finished and not known yet."""
    if not (plan.folder / "sweep.json").is_file():
        return
    there = {
        (member.name, seed): run
        for member in load_or_none(plan.folder)
        for seed, run in member.seeds.items()
    }
    for run in plan.runs:
        if key_of(run) not in packed and (run.member, run.seed) in there:
            first = run.member == plan.members[0].name
            packed.add(key_of(run), there[run.member, run.seed], whole=first)


def load_or_none(folder: Path) -> Sequence[SweepMember]:
    """Return the finished members of a sweep; none if nothing is finished."""
    if not any(is_scored(each.parent, []) for each in folder.glob("members/*/seed*/training.json")):
        return []
    return load_sweep(folder).finished


def without_known(plan: SweepPlan, packed: PackedRuns) -> SweepPlan:
    """Return the part of a sweep that is left to do."""
    members = [
        replace(member, runs=tuple(run for run in member.runs if key_of(run) not in packed))
        for member in plan.members
    ]
    return replace(plan, members=[member for member in members if member.runs])


def gather(plan: SweepPlan, packed: PackedRuns) -> SweepResults:
    """Return what is known of all runs."""
    members = []
    for member in plan.members:
        known = {run.seed: key_of(run) for run in member.runs if key_of(run) in packed}
        members.append(
            SweepMember(
                name=member.name,
                also=list(member.also),
                settings=member.settings,
                seeds={seed: packed.open(key) for seed, key in known.items()},
                missing=[run.seed for run in member.runs if run.seed not in known],
                values={},
            )
        )
    return SweepResults({"factors": {}}, members)


def write(name: str, plan: SweepPlan, packed: PackedRuns) -> None:
    """Write the tables, if anything is known."""
    results = gather(plan, packed)
    if not results.finished or results.finished[0].name != plan.members[0].name:
        return
    found = {
        "missing": {each.name: each.missing for each in results.members if each.missing},
        "rows": table_records(results),
        "seeds": seed_records(results),
    }
    write_results(name, EXPERIMENTS[name].title, as_markdown(name, plan, results), found)


def as_markdown(name: str, plan: SweepPlan, results: SweepResults) -> list[str]:
    """Write the results for people."""
    experiment, first = EXPERIMENTS[name], results.finished[0].name
    lines = [f"{experiment.told}", ""] if experiment.told else []
    lines += [
        f"Bits per spike over the null; differences to `{first}` with 95 % intervals over sessions "
        "(seeds are averaged first), **bold** where the interval excludes 0 and all seeds agree; "
        "seeds of each row; p of Wilcoxon's test over sessions at the first horizon, corrected for "
        "all rows (Holm).",
        "",
    ]
    if results.finished[0].also:
        lines += [f"The same as `{first}`: {', '.join(results.finished[0].also)}.", ""]
    if results.num_missing:
        lines += [f"{results.num_missing} of {len(plan.runs)} runs are not done yet.", ""]
    for of_set, told in SETS.items():
        rows = sweep_rows(results, of_set)
        if not rows:
            continue
        horizons = results.finished[0].seeds[next(iter(results.finished[0].seeds))].sets[of_set]
        headings = [f"{seconds * 1000:g} ms" for seconds in horizons.horizons_s]
        lines += [
            f"## {told}",
            "",
            f"| row | seeds | {' | '.join(headings)} | p |",
            "|---|---:|" + "---:|" * (len(headings) + 1),
        ]
        records = {
            (each["member"], each["horizon_s"]): each
            for each in table_records(results)
            if each["set"] == of_set
        }
        for row in rows:
            cells = [cell(records.get((row.name, each))) for each in horizons.horizons_s]
            start = records.get((row.name, horizons.horizons_s[0]), {})
            p = start.get("p_holm", "")
            told_p = f"{p:.2g}" if isinstance(p, float) and np.isfinite(p) else ""
            lines.append(f"| {row.name} | {len(row.seeds)} | {' | '.join(cells)} | {told_p} |")
        lines.append("")
    gaps = {each.name: gap(each) for each in results.finished}
    lines += [
        f"Held-out minus other time of training sessions, `{first}`, first horizon: "
        f"{gaps[first]:+.4f} bits per spike.",
    ]
    return lines


def cell(record: Mapping[str, Any] | None) -> str:
    """Return a level, or a difference with its interval."""
    if record is None or not np.isfinite(record["bits_per_spike"]):
        return ""
    if record["difference"] == "" or not np.isfinite(record["difference"]):
        return f"{record['bits_per_spike']:.4f}"
    text = f"{record['difference']:+.4f}"
    text = f"**{text}**" if record["moved"] else text
    return f"{text} [{record['difference_low']:+.4f}, {record['difference_high']:+.4f}]"


if __name__ == "__main__":
    main()
