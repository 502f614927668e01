"""How well behaviour is decoded: real and simulated recordings, all rows.

    python benchmarks/decode.py ca1            # data as `data prepare` leaves them; an hour
    python benchmarks/decode.py calcium
    python benchmarks/decode.py transfer

Each study trains and evaluates runs under ``runs/bench-decode/`` (a finished one is skipped, so the
script can be stopped and started again; with ``--now`` it takes those that are scored) and writes
``benchmarks/results/decode_<study>.md`` and ``.json``: every row's scores by task with intervals,
paired differences to the strongest simple decoder, date, hardware and command.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.load import LoadedConfig, load_trained
from neurohorizon.configs.run_decoding import evaluate_decoder, load_results
from neurohorizon.configs.runs import train_run
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import summarise
from neurohorizon.evaluation.result_files import plain
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.report.decoding_tables import format_decoding

RUNS = Path("runs/bench-decode")


@dataclass(frozen=True)
class Forecaster:
    """A forecaster that decoders start from."""

    recipe: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """One model that is trained: a recipe, and what differs from it.

    `on_forecaster`: it is made around the study's forecaster.
    """

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()
    on_forecaster: bool = False


@dataclass(frozen=True)
class Study:
    """Designs that are scored on the same time; `overrides` are of all of them.

    The first is scored beside the simple decoders, and holds all tasks. `scored`: on later blocks
    of the sessions that were trained on, or on sessions that were not. `rows`: simple decoders,
    where not all that there are.
    """

    title: str
    designs: tuple[Design, ...]
    overrides: tuple[str, ...] = ()
    forecaster: Forecaster | None = None
    scored: SetName = "later"
    rows: tuple[str, ...] = ()


STUDIES = {
    "ca1": Study(
        title="Rat CA1, both mazes: position, speed and direction of running",
        designs=(
            Design("POYO+", "ca1-behavior"),
            Design("POYO", "ca1-position"),
            Design("encoder, pretrained", "ca1-position-forecaster", on_forecaster=True),
            Design(
                "encoder, pretrained, rate 1",
                "ca1-position-forecaster",
                ("model.encoder_rate_share=1.0",),
                on_forecaster=True,
            ),
            Design(
                "encoder, untrained",
                "ca1-position-forecaster",
                ("model.weights=random",),
                on_forecaster=True,
            ),
        ),
        # Designs were compared on validation blocks of another seed and other shares.
        overrides=("data.split.seed=1",),
        forecaster=Forecaster(
            "ca1-in-session",
            (
                "window.context_s=8.0",
                "data.split.seed=1",
                "data.split.block_s=20.0",
                "data.split.within=on_maze",
            ),
        ),
    ),
    "calcium": Study(
        title="Simulated calcium traces, two sessions: velocity and direction",
        designs=(Design("CaPOYO", "reaching-calcium", ("training.max_epochs=15",)),),
    ),
    "transfer": Study(
        title="Simulated reaches: a decoder on a forecaster's encoder, in sessions that are new",
        designs=tuple(
            Design(
                f"{number} session{'s' if number > 1 else ''}, {told}",
                "reaching-forecaster",
                (f"data.num_sessions={number}", *words),
                on_forecaster=True,
            )
            for number in (8, 1)
            for told, words in (("pretrained", ()), ("untrained", ("model.weights=random",)))
        ),
        overrides=("data.first_held_out=2000", "window.length_s=0.5", "training.max_epochs=15"),
        rows=("mean", "Wiener", "Kalman smoother"),
        forecaster=Forecaster("default", ("training.max_epochs=30",)),
        scored="held-out",
    ),
}


def main() -> None:
    """Run the studies that are named."""
    parser = argparse.ArgumentParser(description="Train, score, and write the tables.")
    parser.add_argument("studies", nargs="*", default=list(STUDIES), help=", ".join(STUDIES))
    parser.add_argument("--data", type=Path, default=Path("data"), help="prepared recordings")
    parser.add_argument("--now", action="store_true", help="train nothing: what is there")
    arguments = parser.parse_args()
    for name in arguments.studies:
        study, found = STUDIES[name], {}
        if study.forecaster is not None and not arguments.now:
            _train_forecaster(name, study.forecaster, arguments.data)
        for design in study.designs:
            if not arguments.now:
                _train(name, study, design, arguments.data)
            if results := load_results(_folder(name, design)):
                found[design.name] = _renamed(results[study.scored], design)
        if found:
            _write(name, study, found)


def _train_forecaster(name: str, forecaster: Forecaster, data: Path) -> None:
    folder = RUNS / name / "forecaster"
    loaded = _load(forecaster.recipe, forecaster.overrides, folder, data)
    with StageProgress() as progress:
        train_run(loaded, resume=True, command_line=sys.argv, progress=progress)


def _folder(name: str, design: Design) -> Path:
    return (
        RUNS / name / design.name.lower().replace(",", "").replace(" ", "-").replace("+", "-plus")
    )


def _train(name: str, study: Study, design: Design, data: Path) -> None:
    """Train and score a design."""
    folder = _folder(name, design)
    overrides = [*study.overrides, *design.overrides]
    if design.on_forecaster:
        overrides.append(f"model.run={RUNS / name / 'forecaster'}")
    if design is not study.designs[0]:
        overrides.append("evaluation.rows=[]")
    elif study.rows:
        overrides.append(f"evaluation.rows=[{','.join(study.rows)}]")
    loaded = _load(design.recipe, overrides, folder, data)
    with StageProgress() as progress:
        train_run(loaded, resume=True, command_line=sys.argv, progress=progress)
        evaluate_decoder(folder, only=study.scored, progress=progress)


def _renamed(result: DecodingResult, design: Design) -> DecodingResult:
    """Call the row of a design's model by its name."""
    model = result.names("model")[0]
    return result.renamed(
        {row.name: design.name if row.name == model else row.name for row in result.rows}
    )


def _load(recipe: str, overrides: Sequence[str], folder: Path, data: Path) -> LoadedConfig[Any]:
    """Load a recipe; recordings are looked for below `data`, by the name of their source."""
    loaded = load_trained(recipe, overrides, folder=folder)
    if loaded.config.data.name != "files":
        return loaded
    where = f"data.recordings={data / (loaded.config.data.source or '')}"
    return load_trained(recipe, [*overrides, where], folder=folder)


def _by_task(found: Mapping[str, DecodingResult]) -> list[DecodingResult]:
    """Return a result a task, with the rows of all designs that decode it."""
    first, *others = found.values()
    joined = []
    for task in first.tasks:
        have = [each for each in others if any(task.name == own.name for own in each.tasks)]
        joined.append(
            reduce(_join, [each.only([task.name]) for each in have], first.only([task.name]))
        )
    return joined


def _join(one: DecodingResult, other: DecodingResult) -> DecodingResult:
    """Join rows; a forecaster's readouts, which several designs are scored beside, once."""
    known = {row.name for row in one.rows}
    return one.join(
        other.renamed({row.name: row.name for row in other.rows if row.name not in known})
    )


def _write(name: str, study: Study, found: Mapping[str, DecodingResult]) -> None:
    lines = []
    if study.forecaster is not None:
        told = " ".join([study.forecaster.recipe, *study.forecaster.overrides])
        lines.append(f"- forecaster: `neurohorizon train {told} run.name=forecaster`")
    for design in (each for each in study.designs if each.name in found):
        told = " ".join([design.recipe, *study.overrides, *design.overrides])
        if design.on_forecaster:
            told += " model.run=runs/forecaster"
        lines.append(f"- {design.name}: `neurohorizon train {told}`")
    results = _by_task(found)
    for result in results:
        lines += ["", f"## {result.tasks[0].name}", "", "```text"]
        lines += [format_decoding(result).rstrip(), "```"]
    tasks = {each.tasks[0].name: plain(summarise(each)) for each in results}
    write_results(f"decode_{name}", study.title, lines, {"study": name, "tasks": tasks})


if __name__ == "__main__":
    main()
