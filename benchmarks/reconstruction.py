"""What was drawn of what was seen: generators behind their gate, all rows.

    python benchmarks/reconstruction.py ventral_stream        # half an hour, after bridge.py
    python benchmarks/reconstruction.py ventral_stream_flow   # as long, after the first
    python benchmarks/reconstruction.py macaque_v4            # as long, after bridge.py

Takes the runs that ``python benchmarks/bridge.py`` leaves under ``runs/bench-bridge/``: of the
drawn world ``ventral_stream`` and ``ventral_stream_layout``, bridges to what pictures show and to
where what is how bright, with the encoder that embedded the first bank, ``small.safetensors``; of
real V4 ``macaque_v4``. Trains what judges and the generators under ``runs/bench-reconstruction/``
(what is trained is kept), draws and scores the test pictures, and writes
``reconstruction_<study>.md`` and ``.json`` to ``benchmarks/results/``. ``ventral_stream_flow``
starts at what the decoder of ``ventral_stream`` draws, and learns from what the same bridges
predict out of fold.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.reconstruction_plan import (
    LowLevel,
    OtherRun,
    ReconstructionPlan,
    predict_best,
)
from neurohorizon.configs.reconstruction_rows import hashes_of
from neurohorizon.configs.run_bridges import open_finished
from neurohorizon.configs.run_reconstruction import reconstruct_run
from neurohorizon.evaluation.pictures.judge import open_judge
from neurohorizon.evaluation.pictures.summary import summarise
from neurohorizon.report.reconstruction_page import report_reconstruction
from neurohorizon.report.reconstruction_tables import format_differences, format_reconstruction
from neurohorizon.training.bridge.names import RowName
from neurohorizon.training.generator.run import Kind, PredictedPlan, StartPlan, train_generator
from neurohorizon.training.image_encoder.loop import LoopSettings
from neurohorizon.training.image_encoder.run import NONE, train_encoder, train_judge

RUNS, BRIDGES = Path("runs/bench-reconstruction"), Path("runs/bench-bridge")


@dataclass(frozen=True)
class Study:
    """A generator, what it is fed with, and what is compared.

    Parameters
    ----------
    title : str
    pictures : str
        Folder of the pictures, in ``data/``; of a drawn world, its folder.
    run : str
        A run of ``benchmarks/bridge.py``.
    row : str
        Whose predictions are drawn from.
    banks : tuple of str
        That the generator is told, in ``banks/``.
    settings : LoopSettings
        Of the generator.
    judge : LoopSettings
        Of the judge of a drawn world; of photographs, of a small encoder that is trained without
        labels to compare them.
    compared : tuple of str
        Rows that every other one is compared with, picture by picture.
    other_run, other_row : str, optional
        Bridges to the space of the second bank.
    drawn_world : bool
    kind : {"direct", "tiny"}
    start : str, optional
        The study whose direct decoder flows start at. They are told, for some of the pictures that
        have responses, what bridges predict out of fold.
    size_px : int
    num_seeds : int
    low_level : {"ridge", "network"}
        On held-out training pictures of the drawn world a decoder beside the regression raised
        PixCorr from .427 to .445; on a thousand photographs it is worth nothing.
    best_of : int
        Pictures that the best is chosen of, by the encoder of the first bank.
    encoder : path, optional
        Its checkpoint.
    """

    title: str
    pictures: str
    run: str
    row: RowName
    banks: tuple[str, ...]
    settings: LoopSettings
    judge: LoopSettings
    compared: tuple[str, ...]
    other_run: str | None = None
    other_row: RowName | None = None
    drawn_world: bool = True
    kind: Kind = "direct"
    start: str | None = None
    size_px: int = 32
    num_seeds: int = 1
    low_level: LowLevel = "ridge"
    best_of: int = 24
    encoder: Path | None = None


DIRECT = LoopSettings(
    steps=2000, batch_size=128, learning_rate=2e-3, weight_decay=0.01, precision="bfloat16"
)
JUDGE = LoopSettings(steps=1500, batch_size=64, learning_rate=2e-3, precision="bfloat16")
STUDIES = {
    "ventral_stream": Study(
        title="Drawn from simulated V1, V4 and IT: a direct decoder told of two spaces",
        pictures="ventral",
        run="ventral_stream",
        row="MLP BiMixCo",
        other_run="ventral_stream_layout",
        other_row="ridge",
        banks=("ventral_stream", "ventral_stream_looks"),
        settings=DIRECT,
        judge=JUDGE,
        encoder=Path("small.safetensors"),
        low_level="network",
        compared=("retrieved picture", "ventral_stream, from responses"),
    ),
    "ventral_stream_flow": Study(
        title="Drawn from simulated V1, V4 and IT: a flow that starts at the direct decoder",
        pictures="ventral",
        run="ventral_stream",
        row="MLP BiMixCo",
        other_run="ventral_stream_layout",
        other_row="ridge",
        banks=("ventral_stream", "ventral_stream_looks"),
        kind="tiny",
        start="ventral_stream",
        settings=replace(DIRECT, steps=6000, batch_size=64),
        judge=JUDGE,
        encoder=Path("small.safetensors"),
        num_seeds=3,
        compared=("retrieved picture", "its start"),
    ),
    "macaque_v4": Study(
        title="Drawn from macaque V4, six sessions of two animals: held-out photographs",
        pictures="macaque_v4_images",
        run="macaque_v4",
        row="encoding model",
        banks=("macaque_v4",),
        drawn_world=False,
        size_px=64,
        settings=replace(DIRECT, steps=1000, batch_size=64),
        judge=JUDGE,
        compared=("retrieved picture", "macaque_v4, from responses"),
    ),
}


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
    pictures, generator = Path("data") / study.pictures, RUNS / f"{name}.safetensors"
    with StageProgress() as progress:
        exclude = [] if study.drawn_world else [write_test_pictures(study, RUNS / f"{name}.txt")]
        if study.drawn_world:
            judge, networks = RUNS / "judge.safetensors", []
            train_judge(judge, num_pictures=30_000, settings=study.judge, progress=progress)
        else:
            judge, compares = None, RUNS / f"{name}_compares.safetensors"
            networks = [f"small={compares}"]
            train_encoder(
                pictures,
                compares,
                labels=NONE,
                exclude=exclude,
                settings=study.judge,
                progress=progress,
            )
        start, predicted = None, None
        if study.start is not None:
            start = StartPlan(RUNS / f"{study.start}.safetensors", noise=0.5)
            predicted = PredictedPlan(write_predictions(name, study, progress), share=0.6)
        train_generator(
            pictures,
            generator,
            banks=[Path("banks") / f"{bank}.npz" for bank in study.banks],
            kind=study.kind,
            size_px=study.size_px,
            start=start,
            predicted=predicted,
            exclude=exclude,
            settings=study.settings,
            progress=progress,
        )
        plan = ReconstructionPlan(
            generator,
            [pictures],
            row=study.row,
            other_runs=other_runs(study),
            prior="ridge" if predicted is None else "none",
            judge=judge,
            networks=networks,
            num_seeds=study.num_seeds,
            low_level=study.low_level,
            best_of=study.best_of,
            checkpoint=study.encoder,
        )
        done = reconstruct_run(BRIDGES / study.run, plan, progress=progress)
        report_reconstruction(done.result, done.seen, done.drawn, done.folder)
    lines, right = [], None
    if judge is not None:
        right = open_judge(judge).known_accuracy
        about = ", ".join(f"{what} {100 * share:.1f} %" for what, share in right.items())
        lines = [f"The judge is right about new pictures: {about}.", ""]
    lines += ["```text", format_reconstruction(done.result).rstrip(), "```", ""]
    for row in study.compared:
        lines += ["```text", format_differences(done.result, named=row).rstrip(), "```", ""]
    write_results(
        f"reconstruction_{name}",
        study.title,
        lines[:-1],
        {"judge": right, "result": summarise(done.result)},
    )


def other_runs(study: Study) -> list[OtherRun]:
    """Return the bridges to the second space, if there is one."""
    others = [] if study.other_run is None else [study.other_run]
    return [OtherRun(BRIDGES / other, study.other_row) for other in others]


def write_predictions(name: str, study: Study, progress: StageProgress) -> list[Path]:
    """Write what the bridges of a study predict of training pictures that they were not fitted to.

    They are those, by regression or by retrieval, that test pictures are drawn from.
    """
    paths = []
    for each in [OtherRun(BRIDGES / study.run, study.row), *other_runs(study)]:
        found, _ = predict_best(each.folder, each.row, progress=progress)
        for (recording, part), predicted in found.items():
            if part == "out_of_fold":
                paths.append(RUNS / f"{name}_{each.folder.name}_{recording}.npz")
                predicted.bank.save(paths[-1])
    return paths


def write_test_pictures(study: Study, path: Path) -> Path:
    """Write which pictures a study tests on, so that nothing is trained on them."""
    _, found = open_finished(BRIDGES / study.run)
    hashes = {one for each in found.sessions for one in hashes_of(each, "test")}
    path.write_text("\n".join(sorted(hashes)) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
