"""How well the next second is forecast: simulated and real recordings, all rows, seeds.

    python benchmarks/forecast.py simulated            # some two hours on 2 cores
    python benchmarks/forecast.py retinal_waves        # data as `data prepare` leaves them

Each study trains and evaluates runs under ``runs/bench/`` (a finished one is skipped, so the
script can be stopped and started again) and, after each run, writes
``benchmarks/results/<study>.md`` and ``.json``: every row's bits per spike by
horizon, paired differences to the strongest row of the ladder, wins, date, hardware and command.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.build import forecaster, protocol
from neurohorizon.configs.load import load_config
from neurohorizon.configs.records import load_run, open_run_sessions
from neurohorizon.configs.run_evaluation import evaluate_run
from neurohorizon.configs.runs import train_run
from neurohorizon.configs.schema import Config
from neurohorizon.configs.sessions import Sessions
from neurohorizon.evaluation.baselines.ladder import fit_ladder
from neurohorizon.evaluation.baselines.training import Baseline, prepare_training
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.model_row import ModelRow
from neurohorizon.evaluation.protocol import prepare_case
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import (
    MADE_FROM_FILE,
    RESULTS_FOLDER,
    SetResults,
    load_run_results,
)
from neurohorizon.evaluation.run_scoring import describe_machine
from neurohorizon.evaluation.summary import difference, pooled, strongest_by_horizon, wins
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.ops.files import atomic_path

Results = dict[str, dict[int, dict[str, SetResults]]]
"""By design, seed and set of windows."""
Untrained = dict[str, list[float]]
"""By set of windows: distance of the untrained model from the reference rate, by horizon."""

RUNS = Path("runs/bench")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Design:
    """One row that is trained: a recipe, what differs from it, and how many seeds."""

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()
    num_seeds: int = 1


@dataclass(frozen=True)
class Study:
    """Designs that are scored on the same cases.

    Where designs were compared on what a recipe holds out, `overrides` choose other sessions
    or blocks, drawn after the design was settled.
    """

    title: str
    designs: tuple[Design, ...]
    overrides: tuple[str, ...] = ()


STUDIES = {
    "simulated": Study(
        title="Simulated world: 8 training sessions, 12 held out, 120 s of reference",
        designs=(
            Design("NeuroHorizon", "default", num_seeds=3),
            Design("no encoder", "no-encoder"),
            Design("original design", "original"),
            Design("original design + rate term", "original-rate"),
        ),
        overrides=("data.first_held_out=2000",),
    ),
    "retinal_waves": Study(
        title="Retinal waves: whole animals or dates held out, 120 s of reference",
        designs=(
            Design("NeuroHorizon", "retinal-waves"),
            Design("original design + rate term", "retinal-waves", ("@original-rate",)),
            Design("original design", "retinal-waves", ("@original",)),
        ),
    ),
    "ca1_in_session": Study(
        title="Rat CA1, both mazes: blocks of 60 s between those trained on",
        designs=(
            Design("NeuroHorizon", "ca1-in-session"),
            Design("original design + rate term", "ca1-in-session", ("@original-rate",)),
            Design("original design", "ca1-in-session", ("@original",)),
        ),
        overrides=("data.split.seed=1",),
    ),
    "ca1_zero_shot": Study(
        title="Rat CA1: trained on the linear track, W-maze held out, 120 s of reference",
        designs=(
            Design("NeuroHorizon", "ca1-linear-track"),
            Design("original design + rate term", "ca1-linear-track", ("@original-rate",)),
            Design("original design", "ca1-linear-track", ("@original",)),
        ),
        overrides=("data.split.seed=1",),
    ),
}
ORIGINAL = (
    "model.decoder=causal_bins",
    "training.adapter_dropout=0",
    "model.identity=statistics",
    "model.use_past=false",
    "model.use_adapter=false",
    "model.use_unit_tokens=false",
    "model.use_population_tokens=false",
)
"""The design that the project started from; without its rate term by `use_rate=false`."""
VARIANTS = {"@original-rate": ORIGINAL, "@original": (*ORIGINAL, "model.use_rate=false")}


def main() -> None:
    """Run the studies that are named."""
    parser = argparse.ArgumentParser(description="Train, score, and write the tables.")
    parser.add_argument("studies", nargs="*", default=list(STUDIES), help=", ".join(STUDIES))
    parser.add_argument("--data", type=Path, default=Path("data"), help="prepared recordings")
    arguments = parser.parse_args()
    if unknown := set(arguments.studies) - set(STUDIES):
        parser.error(f"unknown study {', '.join(unknown)}: choose from {', '.join(STUDIES)}")
    command = f"python benchmarks/forecast.py {' '.join(sys.argv[1:])}".strip()
    for name in arguments.studies:
        for results, untrained in run(name, data=arguments.data):
            write(name, results, untrained=untrained, command=command)


def run(name: str, *, data: Path) -> Iterator[tuple[Results, Untrained]]:
    """Train and evaluate the designs of a study; yield all results that are there after each."""
    untrained: Untrained = {}
    ladder: list[Baseline] | None = None
    designs = STUDIES[name].designs
    for seed in range(max(design.num_seeds for design in designs)):
        for design in designs:
            if seed >= design.num_seeds:
                continue
            folder = run_folder(name, design, seed)
            overrides = [f"run.seed={seed}", *STUDIES[name].overrides]
            for override in design.overrides:
                overrides += VARIANTS.get(override, (override,))
            if name != "simulated":
                source = "ca1_maze" if name.startswith("ca1") else name
                overrides.append(f"data.recordings={data / source}")
            with StageProgress() as progress:
                progress.say(f"{name}: {design.name}, seed {seed}")
                loaded = load_config(design.recipe, overrides, folder=folder)
                train_run(loaded, resume=True, command_line=sys.argv, progress=progress)
                if ladder is None:
                    config = load_run(folder).config
                    sessions = open_run_sessions(load_run(folder))
                    training = [each.recording for each in sessions.training]
                    prepared = prepare_training(training, protocol(config))
                    ladder = fit_ladder(prepared, progress=progress)
                    untrained = score_untrained(config, sessions, ladder)
                observer = None if design == designs[0] and seed == 0 else False
                evaluate_run(
                    folder,
                    observer=observer,
                    baselines=ladder,
                    command_line=sys.argv,
                    progress=progress,
                )
            yield finished(name), untrained


def finished(name: str) -> Results:
    """Read the results of all runs of a study that are there, from this call or an earlier one."""
    results: Results = {}
    for design in STUDIES[name].designs:
        for seed in range(design.num_seeds):
            folder = run_folder(name, design, seed) / RESULTS_FOLDER
            if (folder / MADE_FROM_FILE).is_file():
                sets = load_run_results(folder).sets
                results.setdefault(design.name, {})[seed] = {str(key): sets[key] for key in sets}
    return results


def run_folder(name: str, design: Design, seed: int) -> Path:
    """Return the folder of a run."""
    return RUNS / name / f"{design.name.replace(' ', '-')}-{seed}"


def score_untrained(config: Config, sessions: Sessions, ladder: list[Baseline]) -> Untrained:
    """Return how far the untrained model is from the row "reference rate", by set and horizon."""
    row = ModelRow(TrainedForecaster(forecaster(config), name="untrained"))
    reference_rate = next(each for each in ladder if each.name == "reference rate")
    differences: Untrained = {}
    for name, members in (("held-out", sessions.held_out), ("later", sessions.training)):
        cases = [
            prepare_case(each.recording, protocol(config), held_out=name == "held-out")
            for each in members
        ]
        if cases:
            result = evaluate([row, reference_rate], cases)
            both = [pooled(result, each).value for each in ("untrained", "reference rate")]
            differences[name] = np.abs(both[0] - both[1]).tolist()
    return differences


def table(result: EvaluationResult) -> list[dict[str, Any]]:
    """Return every row's bits per spike and interval by horizon."""
    rows = []
    for row in result.rows:
        interval = pooled(result, row.name)
        rows.append(
            {
                "row": row.name,
                "role": row.role,
                "bits_per_spike": [round(float(value), 4) for value in interval.value],
                "low": [round(float(value), 4) for value in interval.low],
                "high": [round(float(value), 4) for value in interval.high],
            }
        )
    return rows


def paired(result: EvaluationResult, model: str) -> list[dict[str, Any]]:
    """Return the model's paired difference to the strongest row at each horizon."""
    rows = []
    for index, name in enumerate(strongest_by_horizon(result)):
        interval, won = difference(result, model, name), wins(result, model, name)
        rows.append(
            {
                "horizon_s": result.protocol.horizons_s[index],
                "strongest": name,
                "difference": round(float(interval.value[index]), 4),
                "low": round(float(interval.low[index]), 4),
                "high": round(float(interval.high[index]), 4),
                "over": interval.over,
                "wins": int(won[index]),
                "recordings": len(result.scored_cases()),
            }
        )
    return rows


def write(name: str, results: Results, *, untrained: Untrained, command: str) -> None:
    """Write a study's tables as Markdown and JSON."""
    first = next(iter(results.values()))
    data: dict[str, Any] = {
        "title": STUDIES[name].title,
        "date": date.today().isoformat(),
        "command": command,
        "machine": describe_machine(),
        "sets": {},
    }
    lines = [f"# {STUDIES[name].title}", ""]
    machine = ", ".join(f"{key} {value}" for key, value in data["machine"].items())
    lines += [f"{data['date']}. `{command}`. {machine}.", ""]
    for set_name in next(iter(first.values())):
        parts = [results[design][seed][set_name] for design in results for seed in results[design]]
        lead = parts[0]
        horizons = lead.rows.protocol.horizons_s
        rows = [row for row in table(lead.rows) if row["role"] != "model"]
        designs = []
        for design, seeds in results.items():
            for seed, sets in seeds.items():
                label = f"{design} (seed {seed})" if len(seeds) > 1 else design
                designs.append(table(sets[set_name].rows)[0] | {"row": label})
        ablations = [] if lead.ablations is None else table(lead.ablations)
        ablations = [row | {"row": f"NeuroHorizon, {row['row']}"} for row in ablations]
        entry: dict[str, Any] = {
            "horizons_s": list(horizons),
            "rows": [*rows, *designs, *ablations],
            "paired": {
                f"{design} (seed {seed})": paired(sets[set_name].rows, sets[set_name].model)
                for design, seeds in results.items()
                for seed, sets in seeds.items()
            },
        }
        lines += [f"## {lead.rows.title} ({len(lead.rows.scored_cases())} scored)", ""]
        lines += markdown(entry["rows"], horizons)
        if lead.observer is not None:
            entry["with_observer"] = table(lead.observer)
            ceilings = [row for row in entry["with_observer"] if row["role"] == "ceiling"]
            best = np.array(ceilings[0]["bits_per_spike"])
            ours = np.array(entry["with_observer"][0]["bits_per_spike"])
            entry["fraction_of_reachable"] = np.round(ours / best, 3).tolist()
            lines += ["With the ideal observer, on its windows:", ""]
            lines += markdown([entry["with_observer"][0], *ceilings], horizons)
            shares = " / ".join(f"{share:.0%}" for share in ours / best)
            lines += [f"Share of the reachable bits: {shares}.", ""]
        if set_name in untrained:
            entry["untrained_to_reference_rate"] = untrained[set_name]
            lines += [
                "The untrained default model is within "
                f"{max(untrained[set_name]):.0e} bits per spike of the row reference rate at "
                "every horizon.",
                "",
            ]
        lines += ["Paired difference to the strongest row of the ladder:", ""]
        lines += ["| design | horizon | strongest | difference | 95 % interval | wins |"]
        lines += ["|---|---|---|---|---|---|"]
        for design, differences in entry["paired"].items():
            for each in differences:
                lines.append(
                    f"| {design} | {each['horizon_s'] * 1000:.0f} ms | {each['strongest']} "
                    f"| {each['difference']:+.4f} | {each['low']:+.4f} to {each['high']:+.4f} "
                    f"| {each['wins']} of {each['recordings']} |"
                )
        lines.append("")
        data["sets"][set_name] = entry
    for suffix, text in ((".json", json.dumps(data, indent=1)), (".md", "\n".join(lines))):
        with atomic_path(RESULTS / f"{name}{suffix}") as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {RESULTS / name}.md and .json")


def markdown(rows: list[dict[str, Any]], horizons: tuple[float, ...]) -> list[str]:
    """Format rows as a Markdown table, with half-widths of the intervals."""
    lines = ["| row | " + " | ".join(f"{horizon * 1000:.0f} ms" for horizon in horizons) + " |"]
    lines += ["|---" * (len(horizons) + 1) + "|"]
    for row in rows:
        cells = [
            f"{value:.4f} ({low:.3f} to {high:.3f})"
            for value, low, high in zip(row["bits_per_spike"], row["low"], row["high"], strict=True)
        ]
        lines.append(f"| {row['row']} | " + " | ".join(cells) + " |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
