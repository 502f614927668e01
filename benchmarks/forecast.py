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
from pathlib import Path

import numpy as np
from tables import Results, Untrained, study_tables
from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.build import forecaster, protocol
from neurohorizon.configs.load import load_config
from neurohorizon.configs.records import load_run, open_run_sessions
from neurohorizon.configs.run_evaluation import evaluate_run
from neurohorizon.configs.runs import train_run
from neurohorizon.evaluation.baselines.constant import ReferenceRate
from neurohorizon.evaluation.baselines.ladder import fit_ladder
from neurohorizon.evaluation.baselines.training import Baseline, prepare_training
from neurohorizon.evaluation.evaluate import evaluate
from neurohorizon.evaluation.model_row import ModelRow
from neurohorizon.evaluation.protocol import prepare_case
from neurohorizon.evaluation.run_results import MADE_FROM_FILE, RESULTS_FOLDER, load_run_results
from neurohorizon.evaluation.summary import pooled
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.ops.files import atomic_path

RUNS = Path("runs/bench")


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
    or blocks, drawn after the design was settled. `reference_lengths_s` are scored beside the
    recipe's own.
    """

    title: str
    designs: tuple[Design, ...]
    overrides: tuple[str, ...] = ()
    reference_lengths_s: tuple[float, ...] = ()


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
        reference_lengths_s=(10.0, 30.0, 60.0, 300.0),
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
    "training.queries_per_window=24",
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
    for name in arguments.studies:
        for results, untrained in run(name, data=arguments.data):
            sets, lines = study_tables(results, untrained)
            write_results(name, STUDIES[name].title, lines, {"sets": sets})


def run(name: str, *, data: Path) -> Iterator[tuple[Results, Untrained]]:
    """Train and evaluate the designs of a study; yield all results that are there after each."""
    study, ladder = STUDIES[name], None
    for seed in range(max(design.num_seeds for design in study.designs)):
        for design in study.designs:
            if seed >= design.num_seeds:
                continue
            folder = run_folder(name, design, seed)
            first = design == study.designs[0] and seed == 0
            with StageProgress() as progress:
                progress.say(f"{name}: {design.name}, seed {seed}")
                words = overrides(name, design, seed=seed, data=data)
                loaded = load_config(design.recipe, words, folder=folder)
                train_run(loaded, resume=True, command_line=sys.argv, progress=progress)
                if not is_scored(folder):
                    ladder = ladder or fit_baselines(folder, progress)
                    evaluate_run(
                        folder,
                        observer=None if first else False,
                        baselines=ladder,
                        command_line=sys.argv,
                        progress=progress,
                    )
                if first:
                    for seconds in study.reference_lengths_s:
                        evaluate_run(
                            folder,
                            reference_s=seconds,
                            sets=("held-out",),
                            command_line=sys.argv,
                            progress=progress,
                        )
            yield finished(name), untrained_distance(name)


def overrides(name: str, design: Design, *, seed: int, data: Path) -> list[str]:
    """Return what differs from the recipe of a design."""
    words = [f"run.seed={seed}", *STUDIES[name].overrides]
    for each in design.overrides:
        words += VARIANTS.get(each, (each,))
    if name != "simulated":
        source = "ca1_maze" if name.startswith("ca1") else name
        words.append(f"data.recordings={data / source}")
    return words


def fit_baselines(folder: Path, progress: StageProgress) -> list[Baseline]:
    """Fit the ladder that all designs of a study share on the training sessions of one run."""
    record = load_run(folder)
    training = [each.recording for each in open_run_sessions(record).training]
    return fit_ladder(prepare_training(training, protocol(record.config)), progress=progress)


def finished(name: str) -> Results:
    """Read the results of all runs of a study that are there, from this call or an earlier one."""
    results: Results = {}
    for design in STUDIES[name].designs:
        for seed in range(design.num_seeds):
            folder = run_folder(name, design, seed)
            if is_scored(folder):
                sets = load_run_results(folder / RESULTS_FOLDER).sets
                results.setdefault(design.name, {})[seed] = {str(key): sets[key] for key in sets}
    return results


def run_folder(name: str, design: Design, seed: int) -> Path:
    """Return the folder of a run."""
    return RUNS / name / f"{design.name.replace(' ', '-')}-{seed}"


def is_scored(folder: Path) -> bool:
    """Tell whether a run was evaluated."""
    return (folder / RESULTS_FOLDER / MADE_FROM_FILE).is_file()


def untrained_distance(name: str) -> Untrained:
    """Return how far the untrained model is from the row "reference rate", by set and horizon.

    Scored once for a study and kept beside its runs.
    """
    kept = RUNS / name / "untrained.json"
    if kept.is_file():
        return json.loads(kept.read_text(encoding="utf-8"))
    record = load_run(run_folder(name, STUDIES[name].designs[0], 0))
    sessions, asked = open_run_sessions(record), protocol(record.config)
    row = ModelRow(TrainedForecaster(forecaster(record.config), name="untrained"))
    differences: Untrained = {}
    for set_name, members in (("held-out", sessions.held_out), ("later", sessions.training)):
        held_out = set_name == "held-out"
        cases = [prepare_case(each.recording, asked, held_out=held_out) for each in members]
        if cases:
            result = evaluate([row, ReferenceRate()], cases)
            both = [pooled(result, each.name).value for each in result.rows]
            differences[set_name] = np.abs(both[0] - both[1]).tolist()
    with atomic_path(kept) as temporary:
        temporary.write_text(json.dumps(differences), encoding="utf-8")
    return differences


if __name__ == "__main__":
    main()
