"""Which picture was it? The ladder of bridges on real and simulated responses, all rows.

    python benchmarks/bridge.py macaque_v4       # data as `data prepare` leaves them; an hour
    python benchmarks/bridge.py macaque_v4_transfer
    python benchmarks/bridge.py ventral_stream ventral_stream_many ventral_stream_layout

Data and banks as the recipes' first lines make them; of the drawn world two banks, of the small
encoder with labels (``banks/ventral_stream.npz``) and of the encoder layout
(``banks/ventral_stream_looks.npz``). ``ventral_stream_many`` tests on pictures that the small
encoder was trained on, and wants a bank of one that was trained on another world (``--seed 1``):
``banks/ventral_stream_other.npz``.

Each study fits and scores a run under ``runs/bench-bridge/`` (rows that are fitted are kept, so the
script can be stopped and started again) and writes ``benchmarks/results/bridge_<study>.md`` and
``.json``: identification out of 100 and out of all test pictures, both ways, by recording, with
chance, ceilings, intervals over pictures and seeds, paired differences to reference rows, and how
long each row took to tune and to fit.
"""

from __future__ import annotations

import argparse
import json
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
from neurohorizon.configs.run_bridges import TUNING_FILE, align_run, parts_of
from neurohorizon.configs.run_regions import score_regions
from neurohorizon.configs.run_retrieval import retrieve_run
from neurohorizon.configs.run_transfer import score_transfer
from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.evaluation.retrieval.regions import WHOLE
from neurohorizon.evaluation.retrieval.results import (
    Direction,
    Metric,
    RetrievalResult,
    RetrievalRow,
)
from neurohorizon.evaluation.retrieval.summary import common_metrics, estimate, summarise
from neurohorizon.evaluation.retrieval.transfer import TransferResult, summarise_transfer
from neurohorizon.report.retrieval_tables import format_retrieval
from neurohorizon.report.transfer_tables import format_transfer
from neurohorizon.training.bridge.closed_form import RidgeSettings
from neurohorizon.training.bridge.contrastive import ContrastiveSettings
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.bridge.rows import ROWS, Row
from neurohorizon.training.bridge.tuning import fit_tuned, tune

RUNS = Path("runs/bench-bridge")
TOP = Metric("top 1 of 100", 1, 100)
TOP5 = Metric("top 5 of 100", 5, 100)


@dataclass(frozen=True)
class Study:
    """A run of bridges, and what its rows are compared with.

    Parameters
    ----------
    title, recipe : str
    overrides : tuple of str
    data : str
        Name of its recordings' folder.
    banks : tuple of (key of ``data``, file)
    references : tuple of (name, Row)
        Rows of fixed settings, with which the strongest row is compared.
    named : str or None
        The row with which every other one is compared.
    regions : RowName or None
        A row that is fitted to the electrodes of each region as well.
    transfer : tuple of RowName
        Rows that are carried from recording to recording.
    """

    title: str
    recipe: str
    data: str
    banks: tuple[tuple[str, str], ...]
    overrides: tuple[str, ...] = ()
    references: tuple[tuple[str, Row], ...] = ()
    named: RowName | None = None
    regions: RowName | None = None
    transfer: tuple[RowName, ...] = ()


STUDIES = {
    "macaque_v4": Study(
        title="Macaque V4, six sessions of two animals: held-out photographs",
        recipe="macaque-v4",
        data="macaque_v4",
        banks=(("bank", "macaque_v4"), ("grey_bank", "macaque_v4_grey")),
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
    "macaque_v4_transfer": Study(
        title="Macaque V4: what five other sessions, of two animals, are worth to a sixth",
        recipe="macaque-v4",
        data="macaque_v4",
        banks=(("bank", "macaque_v4"),),
        overrides=(
            "training.budget=6",
            "model.rows=[ridge, encoding model]",
            "model.grey_rows=[]",
            "data.grey_bank=null",
        ),
        transfer=("ridge", "encoding model"),
    ),
    "ventral_stream": Study(
        title="A simulated monkey, V1, V4 and IT: 100 drawn pictures, by what they show",
        recipe="ventral-stream",
        data="ventral_stream",
        banks=(("bank", "ventral_stream"), ("looks_bank", "ventral_stream_looks")),
        overrides=(
            "model.rows=[ridge, whitened ridge, encoding model, linear InfoNCE, MLP InfoNCE, "
            "MLP SoftCLIP, MLP BiMixCo, deep MLP BiMixCo, Perceiver]",
        ),
        named="MLP InfoNCE",
        regions="ridge",
    ),
    # A hundred pictures tell rows apart that are 7 points apart; two thousand, 2 points. They are
    # train pictures of the world, which an encoder that was trained on that world has seen.
    "ventral_stream_many": Study(
        title="A simulated monkey, V1, V4 and IT: a tenth of the drawn pictures, at random",
        recipe="ventral-stream",
        data="ventral_stream",
        banks=(("bank", "ventral_stream_other"), ("looks_bank", "ventral_stream_looks")),
        overrides=(
            "model.rows=[encoding model, linear InfoNCE, MLP InfoNCE, MLP BiMixCo, Perceiver]",
            "data.split.name=pictures",
            "data.split.test_share=0.1",
        ),
        named="MLP InfoNCE",
    ),
    "ventral_stream_layout": Study(
        title="A simulated monkey, V1, V4 and IT: 100 drawn pictures, by light and edges",
        recipe="ventral-stream",
        data="ventral_stream",
        banks=(("bank", "ventral_stream_looks"),),
        overrides=("model.rows=[ridge, whitened ridge, encoding model, linear InfoNCE]",),
        regions="ridge",
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
        where = [f"data.recordings={arguments.data / study.data}"]
        where += [f"data.{key}={arguments.banks / file}.npz" for key, file in study.banks]
        loaded = load_bridges(study.recipe, [*study.overrides, *where], folder=RUNS / name)
        with StageProgress() as progress:
            align_run(loaded, resume=True, command_line=sys.argv, progress=progress)
            result = retrieve_run(RUNS / name, progress=progress).result
            found = open_bridge_sessions(loaded.config)
            result = with_references(result, study.references, found, loaded.config, progress)
            regions = carried = None
            if study.regions is not None:
                regions = score_regions(RUNS / name, study.regions, progress=progress)
            if study.transfer:
                carried = score_transfer(RUNS / name, study.transfer, progress=progress)
        took = took_s(loaded.config, found)
        write(name, study, result, took, regions, carried)


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


def took_s(config: BridgeConfig, found: BridgeSessions) -> dict[str, dict[str, float]]:
    """Return how long each row took to tune and to fit, summed over recordings, in seconds."""
    took: dict[str, dict[str, float]] = {}
    for part in parts_of(config, config.run.folder, found):
        about = json.loads((part.folder / TUNING_FILE).read_text(encoding="utf-8"))
        row = took.setdefault(part.name, {"wall": 0.0, "processor": 0.0})
        for clock, seconds in about["took_s"].items():
            row[clock] += seconds
    return took


def write(
    name: str,
    study: Study,
    result: RetrievalResult,
    took: dict[str, dict[str, float]],
    regions: RetrievalResult | None,
    carried: TransferResult | None,
) -> None:
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
    pairs = [(best, reference) for reference, _ in study.references]
    if study.named is not None:
        bridges = [row.name for row in result.rows if row.role == "bridge"]
        pairs += [(row, study.named) for row in bridges if row != study.named]
    steps: dict[str, Any] = {}
    if pairs:
        lines += ["", "## Differences", ""]
        lines += ["Top 1 of 100, percent, with 95 % intervals over pictures and seeds.", ""]
        everywhere = [[each] for each in names] if len(names) > 1 else []
        columns = [*names, "all"] if everywhere else ["difference"]
        lines += ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
        for row, minus in pairs:
            cells = []
            for recordings in [*everywhere, names]:
                step = estimate(result, row, TOP, recordings=recordings, minus=minus)
                value, low, high = (100 * each for each in (step.value, step.low, step.high))
                cells.append(f"{value:+.1f} [{low:+.1f}, {high:+.1f}]")
                key = recordings[0] if len(recordings) < len(names) else "all"
                steps.setdefault(f"{row} minus {minus}", {})[key] = [value, low, high]
            lines.append(f"| {row} minus {minus} | " + " | ".join(cells) + " |")
    lines += ["", "## Time", "", "Minutes to tune and to fit each row, on a processor.", ""]
    lines += ["| | processor | wall |", "|---|---:|---:|"]
    total = {clock: sum(each[clock] for each in took.values()) for clock in ("processor", "wall")}
    for row, each in {**took, "the ladder": total}.items():
        lines.append(f"| {row} | {each['processor'] / 60:.1f} | {each['wall'] / 60:.1f} |")
    content = {
        "study": name,
        "steps": steps,
        "took_s": took,
        **summarise(result, named=study.named or best),
    }
    if regions is not None:
        lines += ["", f"## By region: {study.regions}", ""]
        lines += ["```text", format_retrieval(regions, named=WHOLE).rstrip(), "```", ""]
        content["regions"] = summarise(regions, named=WHOLE)
    if carried is not None:
        lines += ["", "## Carried from recording to recording", ""]
        lines += ["```text", format_transfer(carried).rstrip(), "```", ""]
        content["transfer"] = summarise_transfer(carried)
    write_results(f"bridge_{name}", study.title, lines, content)


def _best(result: RetrievalResult) -> str:
    """Return the strongest row that sees colour, by its leading score."""
    metric = common_metrics(result)[0]
    rows = [row.name for row in result.rows if row.role == "bridge" and "grey" not in row.name]
    return max(rows, key=lambda name: estimate(result, name, metric, num_draws=1).value)


if __name__ == "__main__":
    main()
