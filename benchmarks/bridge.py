"""Which picture was it? The ladder of bridges on real and simulated responses, all rows.

    python benchmarks/bridge.py macaque_v4       # data as `data prepare` leaves them; an hour

Each study fits and scores a run under ``runs/bench-bridge/`` (rows that are fitted are kept, so the
script can be stopped and started again) and writes ``benchmarks/results/bridge_<study>.md`` and
``.json``: identification out of 100 and out of all test pictures, both ways, by recording, with
chance, ceilings, intervals over pictures and seeds, and paired differences to reference rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.bridge_schema import BridgeConfig
from neurohorizon.configs.bridge_sessions import BridgeSessions, open_bridge_sessions
from neurohorizon.configs.load import load_bridges
from neurohorizon.configs.run_bridges import align_run
from neurohorizon.configs.run_retrieval import retrieve_run
from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.results import (
    Direction,
    Metric,
    RetrievalResult,
    RetrievalRow,
)
from neurohorizon.evaluation.retrieval.summary import common_metrics, estimate, summarise
from neurohorizon.report.retrieval_tables import format_retrieval
from neurohorizon.training.bridge.closed_form import RidgeSettings
from neurohorizon.training.bridge.contrastive import ContrastiveSettings
from neurohorizon.training.bridge.rows import ROWS, Row
from neurohorizon.training.bridge.tuning import fit_tuned, tune

RUNS = Path("runs/bench-bridge")
TOP = Metric("top 1 of 100", 1, 100)
TOP5 = Metric("top 5 of 100", 5, 100)


@dataclass(frozen=True)
class Study:
    """A run of bridges, and rows of fixed settings that it is compared with."""

    title: str
    recipe: str
    overrides: tuple[str, ...] = ()
    references: tuple[tuple[str, Row], ...] = ()


STUDIES = {
    "macaque_v4": Study(
        title="Macaque V4, six sessions of two animals: held-out photographs",
        recipe="macaque-v4",
        overrides=("training.budget=6", "model.grey_rows=[encoding model, linear InfoNCE]"),
        # What was reported before this ladder was built, on one split of each session: a
        # hand-made embedding of 40 components.
        references=(
            ("ridge, 40 components", replace(ROWS["ridge"], start=RidgeSettings(40))),
            (
                "linear InfoNCE, 40 components",
                replace(
                    ROWS["linear InfoNCE"],
                    start=ContrastiveSettings(num_components=40, whitening=0.0, noise=0.0),
                ),
            ),
        ),
    ),
}


def main() -> None:
    """Run the studies that are named."""
    parser = argparse.ArgumentParser(description="Fit, score, and write the tables.")
    parser.add_argument("studies", nargs="*", default=list(STUDIES), help=", ".join(STUDIES))
    parser.add_argument("--data", type=Path, default=Path("data"), help="prepared recordings")
    parser.add_argument("--banks", type=Path, default=Path("banks"), help="banks of the pictures")
    arguments = parser.parse_args()
    if unknown := set(arguments.studies) - set(STUDIES):
        parser.error(f"unknown study {', '.join(unknown)}: choose from {', '.join(STUDIES)}")
    for name in arguments.studies:
        study = STUDIES[name]
        where = [
            f"data.recordings={arguments.data / name}",
            f"data.bank={arguments.banks / name}.npz",
            f"data.grey_bank={arguments.banks / name}_grey.npz",
        ]
        loaded = load_bridges(study.recipe, [*study.overrides, *where], folder=RUNS / name)
        with StageProgress() as progress:
            align_run(loaded, resume=True, command_line=sys.argv, progress=progress)
            result = retrieve_run(RUNS / name, progress=progress).result
            found = open_bridge_sessions(loaded.config)
            result = with_references(result, study.references, found, loaded.config, progress)
        write(name, study, result)


def with_references(
    result: RetrievalResult,
    references: Sequence[tuple[str, Row]],
    found: BridgeSessions,
    config: BridgeConfig,
    progress: StageProgress,
) -> RetrievalResult:
    """Add rows of fixed settings, on the same pictures, folds and seeds."""
    better: dict[tuple[str, str, Direction], Any] = dict(result.better)
    for name, row in references:
        for number, session in enumerate(found.sessions):
            samples = session.training(found.bank, single_trials=config.data.single_trials)
            test = session.pairs.only("test").mean_over_trials()
            embeddings = found.bank.select(test.hashes.tolist())
            tuned = tune(row, samples, budget=1)
            seeds = range(config.training.num_seeds if row.trained else 1)
            similarity = np.array(
                [
                    fit_tuned(row, samples, tuned, seed=seed).similarity(test.values, embeddings)
                    for seed in seeds
                ]
            )
            right = np.arange(len(test.hashes))
            key = name, session.pairs.id
            better[*key, "picture"] = np.array([count_better(s, right) for s in similarity])
            better[*key, "response"] = np.array([count_better(s.T, right) for s in similarity])
            progress(name, number + 1, len(found.sessions))
    rows = [RetrievalRow(name, "reference") for name, _ in references]
    return replace(result, rows=[*rows, *result.rows], better=better)


def write(name: str, study: Study, result: RetrievalResult) -> None:
    """Write the tables of a study."""
    told = " ".join(f"'{each}'" if " " in each else each for each in study.overrides)
    lines = [f"`neurohorizon bridge align {study.recipe} {told}`, then `bridge retrieve`.", ""]
    for direction in ("picture", "response"):
        lines += ["```text", format_retrieval(result, direction=direction).rstrip(), "```", ""]
    lines += ["## By recording", "", "Top 1 and top 5 of 100, percent.", ""]
    names = [case.recording for case in result.cases]
    lines += ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    about = [f"{case.num_units}, {case.num_training}, {len(case)}" for case in result.cases]
    lines.append("| units, pictures trained on, tested on | " + " | ".join(about) + " |")
    for row in result.rows:
        cells = []
        for recording in names:
            if (row.name, recording, "picture") not in result.better:
                cells.append("")
                continue
            one, five = (
                100 * estimate(result, row.name, metric, recordings=[recording]).value
                for metric in (TOP, TOP5)
            )
            cells.append(f"{one:.1f} / {five:.1f}")
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    best = _best(result)
    lines += ["", f"## {best} minus reference rows", ""]
    lines += ["Top 1 of 100, percent, with 95 % intervals over pictures and seeds.", ""]
    lines += ["| minus | " + " | ".join(names) + " | all |", "|---|" + "---:|" * (len(names) + 1)]
    steps: dict[str, Any] = {}
    for reference, _ in study.references:
        cells = []
        for recordings in [*([each] for each in names), names]:
            step = estimate(result, best, TOP, recordings=recordings, minus=reference)
            value, low, high = (100 * each for each in (step.value, step.low, step.high))
            cells.append(f"{value:+.1f} [{low:+.1f}, {high:+.1f}]")
            key = recordings[0] if len(recordings) == 1 else "all"
            steps.setdefault(reference, {})[key] = [value, low, high]
        lines.append(f"| {reference} | " + " | ".join(cells) + " |")
    content = {"study": name, "steps": steps, **summarise(result, named=best)}
    write_results(f"bridge_{name}", study.title, lines, content)


def _best(result: RetrievalResult) -> str:
    """Return the strongest row that sees colour, by its leading score."""
    metric = next(each for each in common_metrics(result) if each.gallery is not None)
    rows = [row.name for row in result.rows if row.role == "bridge" and "grey" not in row.name]
    return max(rows, key=lambda name: estimate(result, name, metric, num_draws=1).value)


if __name__ == "__main__":
    main()
