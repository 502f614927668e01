"""What was drawn of what was seen: generators behind their gate, all rows, on simulated responses.

    python benchmarks/reconstruction.py            # half an hour of a core, after bridge.py

Takes the runs that ``python benchmarks/bridge.py ventral_stream ventral_stream_layout`` leaves
under ``runs/bench-bridge/``: bridges to what pictures show, and to where what is how bright; and
the encoder that embedded the first bank, ``small.safetensors``. Trains
a judge and the generators of each study under ``runs/bench-reconstruction/`` (what is trained is
kept), draws and scores the test pictures, and writes ``reconstruction_<study>.md`` and ``.json``
to ``benchmarks/results/``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.reconstruction_plan import OtherRun, ReconstructionPlan
from neurohorizon.configs.run_reconstruction import reconstruct_run
from neurohorizon.evaluation.pictures.judge import open_judge
from neurohorizon.evaluation.pictures.summary import summarise
from neurohorizon.report.reconstruction_figures import draw_reconstruction
from neurohorizon.report.reconstruction_page import write_reconstruction_page
from neurohorizon.report.reconstruction_tables import format_differences, format_reconstruction
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.generator.run import Kind, train_generator
from neurohorizon.training.image_encoder.loop import LoopSettings
from neurohorizon.training.image_encoder.run import train_judge

RUNS, BRIDGES = Path("runs/bench-reconstruction"), Path("runs/bench-bridge")


@dataclass(frozen=True)
class Study:
    """A generator, what it is fed with, and what is compared.

    Parameters
    ----------
    title : str
    world : str
        Folder of the drawn world, in ``data/``.
    run, other_run : str
        Runs of ``benchmarks/bridge.py``.
    row, other_row : str
        Whose predictions are drawn from.
    banks : tuple of str
        That the generator is told, in ``banks/``.
    kind : {"direct", "tiny"}
    settings : LoopSettings
    num_seeds : int
    best_of : int
        Pictures that the best is chosen of, by the encoder of the first bank.
    encoder : path
        Its checkpoint.
    compared : tuple of str
        Rows that every other one is compared with, picture by picture.
    """

    title: str
    world: str
    run: str
    other_run: str
    row: RowName
    other_row: RowName
    banks: tuple[str, ...]
    kind: Kind
    settings: LoopSettings
    num_seeds: int
    best_of: int
    encoder: Path
    compared: tuple[str, ...]


STUDIES = {
    "ventral_stream": Study(
        title="Drawn from simulated V1, V4 and IT: a direct decoder told of two spaces",
        world="ventral",
        run="ventral_stream",
        other_run="ventral_stream_layout",
        row="MLP BiMixCo",
        other_row="ridge",
        banks=("ventral_stream", "ventral_stream_looks"),
        kind="direct",
        settings=LoopSettings(
            steps=2000,
            batch_size=128,
            learning_rate=2e-3,
            weight_decay=0.01,
            precision="bfloat16",
        ),
        num_seeds=1,
        best_of=24,
        encoder=Path("small.safetensors"),
        compared=("retrieved picture", "ventral_stream, from responses"),
    ),
}
JUDGE = LoopSettings(steps=1500, batch_size=64, learning_rate=2e-3, precision="bfloat16")


def main() -> None:
    """Run the studies that are named."""
    parser = argparse.ArgumentParser(description="Train generators, draw, score, write tables.")
    parser.add_argument("studies", nargs="*", default=list(STUDIES), help=", ".join(STUDIES))
    arguments = parser.parse_args()
    if unknown := set(arguments.studies) - set(STUDIES):
        parser.error(f"unknown study {', '.join(unknown)}: choose from {', '.join(STUDIES)}")
    for name in arguments.studies:
        run(name, STUDIES[name])


def run(name: str, study: Study) -> None:
    """Train what a study wants, draw, score, and write."""
    RUNS.mkdir(parents=True, exist_ok=True)
    world, judge = Path("data") / study.world, RUNS / "judge.safetensors"
    generator = RUNS / f"{name}.safetensors"
    with StageProgress() as progress:
        train_judge(judge, num_pictures=30_000, settings=JUDGE, progress=progress)
        train_generator(
            world,
            generator,
            banks=[Path("banks") / f"{bank}.npz" for bank in study.banks],
            kind=study.kind,
            settings=study.settings,
            progress=progress,
        )
        plan = ReconstructionPlan(
            generator,
            [world],
            row=study.row,
            other_runs=[OtherRun(BRIDGES / study.other_run, study.other_row)],
            judge=judge,
            num_seeds=study.num_seeds,
            best_of=study.best_of,
            checkpoint=study.encoder,
        )
        done = reconstruct_run(BRIDGES / study.run, plan, progress=progress)
        figures = draw_reconstruction(done.result, done.seen, done.drawn, done.folder / "figures")
        write_reconstruction_page(done.result, figures, done.folder / "index.html")
    right = open_judge(judge).known_accuracy
    about = ", ".join(f"{what} {100 * share:.1f} %" for what, share in right.items())
    lines = [
        f"The judge is right about new pictures: {about}.",
        "",
        "```text",
        format_reconstruction(done.result).rstrip(),
        "```",
        "",
    ]
    for row in study.compared:
        lines += ["```text", format_differences(done.result, named=row).rstrip(), "```", ""]
    write_results(
        f"reconstruction_{name}",
        study.title,
        lines[:-1],
        {"judge": right, "result": summarise(done.result)},
    )


if __name__ == "__main__":
    main()
