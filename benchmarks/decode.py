"""How well behaviour is decoded: real and simulated recordings, all rows.

    python benchmarks/decode.py ca1            # data as `data prepare` leaves them; half an hour
    python benchmarks/decode.py calcium

Each study trains and evaluates runs under ``runs/bench-decode/`` (a finished one is skipped, so the
script can be stopped and started again) and writes ``benchmarks/results/decode_<study>.md`` and
``.json``: every row's scores by task with intervals, paired differences to the strongest simple
decoder, date, hardware and command.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.load import load_any
from neurohorizon.configs.run_decoding import evaluate_decoder, load_results
from neurohorizon.configs.runs import train_run
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.summary import summarise
from neurohorizon.evaluation.describe import describe_machine
from neurohorizon.evaluation.result_files import plain
from neurohorizon.ops.files import atomic_path
from neurohorizon.report.decoding_tables import format_decoding

RUNS = Path("runs/bench-decode")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Design:
    """One model that is trained: a recipe, and what differs from it."""

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Designs that are scored on the same time; `overrides` are of all of them."""

    title: str
    designs: tuple[Design, ...]
    overrides: tuple[str, ...] = ()


STUDIES = {
    "ca1": Study(
        title="Rat CA1, both mazes: position, speed and direction of running",
        designs=(Design("POYO", "ca1-position"), Design("POYO+", "ca1-behavior")),
        # Designs were compared on blocks dealt out by another seed.
        overrides=("data.split.seed=1",),
    ),
    "calcium": Study(
        title="Simulated calcium traces, two sessions: velocity and direction",
        designs=(Design("CaPOYO", "reaching-calcium"),),
    ),
}


def main() -> None:
    """Run the studies that are named."""
    parser = argparse.ArgumentParser(description="Train, score, and write the tables.")
    parser.add_argument("studies", nargs="*", default=list(STUDIES), help=", ".join(STUDIES))
    parser.add_argument("--data", type=Path, default=Path("data"), help="prepared recordings")
    arguments = parser.parse_args()
    for name in arguments.studies:
        study = STUDIES[name]
        found = [_scored(name, study, design, arguments.data) for design in study.designs]
        _write(name, study, found)


def _scored(name: str, study: Study, design: Design, data: Path) -> DecodingResult:
    """Train and score a design; its own row is called by its name."""
    folder = RUNS / name / design.name.lower().replace(" ", "-").replace("+", "-plus")
    overrides = [*study.overrides, *design.overrides]
    loaded = load_any(design.recipe, overrides, folder=folder)
    if loaded.config.data.name == "files":
        source = loaded.config.data.source or ""
        loaded = load_any(
            design.recipe, [*overrides, f"data.recordings={data / source}"], folder=folder
        )
    with StageProgress() as progress:
        train_run(loaded, resume=True, command_line=sys.argv, progress=progress)
        evaluate_decoder(folder, progress=progress)
    result = load_results(folder)["later"]
    names = {row.name: row.name if row.role == "baseline" else design.name for row in result.rows}
    return result.renamed(names)


def _write(name: str, study: Study, found: list[DecodingResult]) -> None:
    """Write the tables: a section a design, since designs may decode different tasks."""
    machine = describe_machine()
    command = " ".join(["python", *sys.argv])
    about = ", ".join(f"{key} {value}" for key, value in machine.items())
    lines = [f"# {study.title}", "", f"{date.today()}, `{command}`, {about}.", ""]
    for design, result in zip(study.designs, found, strict=True):
        told = " ".join([design.recipe, *study.overrides, *design.overrides])
        lines += [f"## {design.name} (`neurohorizon train {told}`)", "", "```text"]
        lines += [format_decoding(result).rstrip(), "```", ""]
    content = {
        "study": name,
        "title": study.title,
        "date": str(date.today()),
        "machine": machine,
        "command": command,
        "designs": {
            design.name: plain(summarise(result))
            for design, result in zip(study.designs, found, strict=True)
        },
    }
    RESULTS.mkdir(exist_ok=True)
    with atomic_path(RESULTS / f"decode_{name}.md") as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    with atomic_path(RESULTS / f"decode_{name}.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
