"""Does an embedding's nearest neighbour show the same? The small encoder, beside the hand-made one.

    neurohorizon simulate ventral-stream --out data/ventral
    python benchmarks/image_encoder.py --world data/ventral     # 15 minutes on one core

Trains a judge on pictures that are drawn for it alone, and the small encoder on the world's train
pictures, with labels and contrastively (files under ``runs/bench-image-encoder``, kept), and
writes ``benchmarks/results/image_encoder.md`` and ``.json``: how often the judge is right, time,
parameters, and how often nearest neighbours show the same shape, hue and surface, by the truth and
by the judge, against chance.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from writing import write_results

from neurohorizon.cli._progress import StageProgress
from neurohorizon.evaluation.pictures.judge import Judge, open_judge
from neurohorizon.evaluation.pictures.neighbours import agreement, nearest_neighbours
from neurohorizon.imaging.encoders import ImageEncoder, open_encoder
from neurohorizon.imaging.small import SmallEncoder
from neurohorizon.models.pictures.files import save_encoder
from neurohorizon.models.pictures.small import SmallNetwork
from neurohorizon.recordings.pictures import decode_picture
from neurohorizon.simulate.ventral.truth import load_ventral_truth
from neurohorizon.simulate.ventral.write import PICTURES
from neurohorizon.training.image_encoder.judge import WORDS, draw_pictures
from neurohorizon.training.image_encoder.loop import LoopSettings, Precision
from neurohorizon.training.image_encoder.run import train_encoder, train_judge

RUNS = Path("runs/bench-image-encoder")
FRESH_SEED, NUM_FRESH, FRESH_CATEGORIES = 80_000_001, 2400, 600
TRAIN_A_CATEGORY = 2
Codes = Mapping[str, NDArray[np.int64]]


def main() -> None:
    """Train, embed, compare, and write."""
    parser = argparse.ArgumentParser(description="Train, embed, compare, and write the tables.")
    parser.add_argument("--world", type=Path, default=Path("data/ventral"), help="a drawn world")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--contrastive-steps", type=int, default=800)
    parser.add_argument("--judge-steps", type=int, default=2500)
    parser.add_argument("--judge-pictures", type=int, default=30_000)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument(
        "--only", choices=("judge", "labels", "contrastive"), help="train this, and write nothing"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    precision: Precision = arguments.precision
    settings = {"batch_size": 64, "learning_rate": 2e-3, "precision": precision}
    trainings: dict[str, Callable[..., Any]] = {
        "judge": lambda file, progress: train_judge(
            file,
            num_pictures=arguments.judge_pictures,
            settings=LoopSettings(steps=arguments.judge_steps, **settings),
            progress=progress,
        ),
        "labels": lambda file, progress: train_encoder(
            arguments.world,
            file,
            settings=LoopSettings(steps=arguments.steps, **settings),
            progress=progress,
        ),
        "contrastive": lambda file, progress: train_encoder(
            arguments.world,
            file,
            labels="none",
            settings=LoopSettings(
                steps=arguments.contrastive_steps, **{**settings, "batch_size": 128}
            ),
            progress=progress,
        ),
    }
    wanted = [arguments.only] if arguments.only else list(trainings)
    RUNS.mkdir(parents=True, exist_ok=True)
    with StageProgress() as progress:
        seconds = {
            name: timed(RUNS / f"{name}.safetensors", partial(trainings[name], progress=progress))
            for name in wanted
        }
    if not arguments.only:
        write(arguments.world, open_judge(RUNS / "judge.safetensors"), seconds)


def timed(file: Path, work: Callable[[Path], Any]) -> dict[str, float]:
    """Return the seconds that a training took; kept beside its file, which it skips next time."""
    kept = file.with_suffix(".seconds.json")
    if file.exists() and kept.exists():
        work(file)  # refuses a file of other settings
        return json.loads(kept.read_text())
    wall, core = time.perf_counter(), time.process_time()
    work(file)
    seconds = {"wall": time.perf_counter() - wall, "core": time.process_time() - core}
    kept.write_text(json.dumps(seconds))
    return seconds


def write(world: Path, judge: Judge, seconds: Mapping[str, Mapping[str, float]]) -> None:
    """Embed fresh pictures and the world's, compare neighbours, and write the tables."""
    fresh = draw_pictures(NUM_FRESH, seed=FRESH_SEED, num_categories=FRESH_CATEGORIES)
    test, test_code = world_pictures(world, "test", every=1)
    train, train_code = world_pictures(world, "train", every=6)
    judged = {name: codes_of(judge, each) for name, each in (("test", test), ("train", train))}
    judged["fresh"] = codes_of(judge, list(fresh.pixels))
    right = {
        "fresh pictures (its own test)": judge.known_accuracy,
        f"{NUM_FRESH:,} other fresh pictures": shares_equal(judged["fresh"], fresh.code),
        f"the {len(test)} test pictures of the world": shares_equal(judged["test"], test_code),
        f"{len(train):,} train pictures of the world": shares_equal(judged["train"], train_code),
    }
    rows = []
    for name, encoder, trained in encoders():
        start = time.process_time()
        embedded = encoder.encode(list(fresh.pixels))
        speed = len(embedded) / (time.process_time() - start)
        nearest = nearest_neighbours(embedded)
        candidates = encoder.encode(train)
        found = nearest_neighbours(encoder.encode(test), candidates)
        rows.append(
            {
                "embedding": name,
                "dimensions": encoder.num_dimensions,
                "parameters": num_parameters(encoder),
                "training_seconds": seconds.get(trained),
                "pictures_per_core_second": speed,
                "fresh": {
                    "truth": shares(fresh.code, nearest),
                    "judge": shares(judged["fresh"], nearest),
                },
                "test_among_train": {
                    "truth": shares(test_code, found, train_code),
                    "judge": shares(judged["test"], found, judged["train"]),
                },
            }
        )
    judge_row = {
        "parameters": sum(each.numel() for each in judge.network.parameters()),
        "training_seconds": seconds["judge"],
        "accuracy": right,
    }
    lines = [
        "## The judge",
        "",
        f"{judge_row['parameters']:,} parameters, {took(seconds['judge'])}. Asked for: 90 % of "
        "shapes. Right about",
        "",
        "| pictures | " + " | ".join(WORDS) + " |",
        "|---" * (len(WORDS) + 1) + "|",
        *(
            f"| {name} | " + " | ".join(f"{each[word]:.1%}" for word in WORDS) + " |"
            for name, each in right.items()
        ),
        "",
        "## Nearest neighbours",
        "",
        "Share of pictures whose nearest neighbour (cosine, centred) shows the same, by the truth "
        "/ by the judge; in brackets the standard error of the former.",
    ]
    for key, about in (
        (
            "fresh",
            f"Among {NUM_FRESH:,} fresh pictures, four each of {FRESH_CATEGORIES} categories",
        ),
        (
            "test_among_train",
            f"Of the {len(test)} test pictures, among {len(train):,} train pictures (which the "
            "small encoders were trained on)",
        ),
    ):
        lines += ["", f"### {about}", "", *table(rows, key)]
    lines += [
        "",
        "What the judge often gets wrong (first table) its word on neighbours is worth as little.",
        "",
        "Seconds are of one thread, wall / core time: other work ran beside. `untrained` is the "
        "small network before training, with the weights that it starts from.",
    ]
    write_results(
        "image_encoder",
        "Do neighbours show the same? Image embeddings of the drawn world",
        lines,
        {"judge": judge_row, "rows": rows},
    )


def encoders() -> list[tuple[str, ImageEncoder, str]]:
    """Return name, encoder, and which training it came from."""
    untrained = RUNS / "untrained.safetensors"
    torch.manual_seed(0)
    save_encoder(SmallNetwork(), untrained)
    opened: list[tuple[str, ImageEncoder, str]] = [("layout", open_encoder("layout"), "")]
    for name, file in (
        ("untrained", untrained),
        ("small (contrastive)", RUNS / "contrastive.safetensors"),
        ("small (labels)", RUNS / "labels.safetensors"),
    ):
        for readout in ("projected", "pooled"):
            encoder = open_encoder("small", checkpoint=file, readout=readout, batch_size=256)
            opened.append((f"{name}, {readout}", encoder, file.stem))
    return opened


def world_pictures(
    world: Path, part: str, *, every: int
) -> tuple[list[NDArray[np.uint8]], dict[str, NDArray[np.int64]]]:
    """Return every so many pictures of a part of a world, and what they show."""
    image = load_ventral_truth(world)["image"]
    rows = np.flatnonzero(image["part"] == part)[::every]
    paths = [world / PICTURES / each for each in image["path"][rows]]
    pictures = [
        decode_picture(lambda path=path: path.open("rb"), where=str(path)) for path in paths
    ]
    return pictures, {name: image[name][rows] for name in WORDS}


def codes_of(judge: Judge, pictures: list[NDArray[np.uint8]]) -> dict[str, NDArray[np.int64]]:
    """Return what the judge sees."""
    return {name: each.code for name, each in judge(pictures).items()}


def shares_equal(mine: Codes, theirs: Codes) -> dict[str, float]:
    """Return how often two tell the same."""
    return {name: float((mine[name] == theirs[name]).mean()) for name in WORDS}


def shares(
    code: Codes, nearest: NDArray[np.int64], among: Codes | None = None
) -> dict[str, dict[str, float]]:
    """Return how often neighbours show the same, in every respect."""
    return {
        name: vars(agreement(code[name], nearest, None if among is None else among[name]))
        for name in WORDS
    }


def num_parameters(encoder: ImageEncoder) -> int:
    """Return the number of trained weights."""
    if not isinstance(encoder, SmallEncoder):
        return 0
    return sum(each.numel() for each in encoder.network.parameters())


def took(seconds: Mapping[str, float]) -> str:
    """Say how long a training took."""
    return f"{seconds['wall']:.0f} / {seconds['core']:.0f} s"


def table(rows: list[dict[str, Any]], key: str) -> list[str]:
    """Format rows as a Markdown table."""
    lines = [
        "| embedding | numbers | parameters | training | " + " | ".join(WORDS) + " |",
        "|---" * (4 + len(WORDS)) + "|",
    ]
    for row in rows:
        cells = []
        for name in WORDS:
            truth, judge = row[key]["truth"][name], row[key]["judge"][name]
            cells.append(
                f"{truth['share']:.1%} / {judge['share']:.1%} ({truth['standard_error']:.1%})"
            )
        time_it_took = took(row["training_seconds"]) if row["training_seconds"] else "none"
        about = f"{row['dimensions']:,} | {row['parameters']:,} | {time_it_took}"
        lines.append(f"| {row['embedding']} | {about} | " + " | ".join(cells) + " |")
    chance = " | ".join(f"{rows[0][key]['truth'][name]['chance']:.1%}" for name in WORDS)
    return [*lines, f"| chance | | | | {chance} |"]


if __name__ == "__main__":
    # One core is what is told of; libraries that were loaded with more keep to it, too.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
