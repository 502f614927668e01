"""``neurohorizon demo bridge``: from nothing to pictures drawn from simulated responses."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from neurohorizon.cli._progress import StageProgress
from neurohorizon.cli.demo import say_end

#: Pictures that are drawn for the judge alone, at most.
MOST_JUDGED = 12_000
#: Of so many retrieved and moved pictures, the one that agrees most with the response is shown.
BEST_OF = 24
Steps = Annotated[int, Parameter(validator=validators.Number(gte=1))]


def bridge(
    *overrides: str,
    out: Path = Path("runs/demo-bridge"),
    num_categories: int = 240,
    images_per_category: int = 48,
    test_images: int = 100,
    noise: float = 0.25,
    encoder_steps: Steps = 1400,
    judge_steps: Steps = 1000,
    decoder_steps: Steps = 1000,
    batch_size: int = 64,
    precision: Literal["float32", "bfloat16"] | None = None,
    seed: int = 0,
) -> None:
    """Simulate a monkey that looks at pictures, draw them from its responses, and report.

    Bridges lead from responses of V1, V4 and IT to what pictures show, and to where what is how
    bright. A decoder that never saw a response draws from both. The page has what it drew of
    each test picture beside what was seen and what was retrieved, scores of all rows, and what
    the decoder draws of true embeddings. The same command goes on where it was interrupted.

    Parameters
    ----------
    overrides
        key=value on top of the recipe `demo-bridge`, such as training.budget=8; those of `model`
        are of the bridges to what pictures show.
    out
        Folder of everything: pictures and responses, networks, bridges, the page.
    num_categories
        Combinations of shape, hue and surface.
    images_per_category
        Train pictures of each category, shown once each.
    test_images
        Test pictures, of the first categories.
    noise
        Scale of all trial noise; at 1.25 bridges find as much as is published of real monkeys.
    encoder_steps
        Batches that the encoder, which says what pictures show, learns from.
    judge_steps
        Batches that the judge of what is drawn learns from.
    decoder_steps
        Batches that the decoder learns from.
    batch_size
        Pictures in a batch; in one of the decoder twice as many.
    precision
        Of networks; by default bfloat16 where the processor multiplies such numbers itself.
    seed
        Of the world and of what is trained.
    """
    from neurohorizon.configs.load import load_bridges
    from neurohorizon.configs.reconstruction_plan import OtherRun, ReconstructionPlan
    from neurohorizon.configs.run_bridges import align_run
    from neurohorizon.configs.run_reconstruction import reconstruct_run
    from neurohorizon.imaging.device import quick_precision
    from neurohorizon.imaging.embedding import embed_pictures
    from neurohorizon.imaging.encoders import open_encoder
    from neurohorizon.imaging.pictures import open_pictures
    from neurohorizon.report.reconstruction_page import report_reconstruction
    from neurohorizon.report.reconstruction_tables import format_reconstruction
    from neurohorizon.simulate.ventral.plan import VentralPlan
    from neurohorizon.simulate.ventral.write import PICTURES, write_ventral_stream
    from neurohorizon.training.generator.run import train_generator
    from neurohorizon.training.image_encoder.loop import LoopSettings
    from neurohorizon.training.image_encoder.run import train_encoder, train_judge

    started = time.monotonic()
    command_line = ["neurohorizon", *sys.argv[1:]]
    world, recordings = out / "world", out / "recordings"
    encoder, judge = out / "encoder.safetensors", out / "judge.safetensors"
    decoder = out / "decoder.safetensors"
    what, where = out / "banks" / "what.npz", out / "banks" / "where.npz"
    # All settings are checked before anything is done.
    plan = VentralPlan(
        num_categories=num_categories,
        images_per_category=images_per_category,
        num_test=test_images,
        noise=noise,
        seed=seed,
    )
    precision = precision or quick_precision()
    learning = LoopSettings(batch_size=batch_size, seed=seed, precision=precision)
    data = f"data.recordings={recordings}"
    to_what = load_bridges(
        "demo-bridge",
        [*overrides, data, f"data.bank={what}", f"data.looks_bank={where}"],
        folder=out / what.stem,
    )
    # To light and edges closed forms lead as well as networks.
    shared = [each for each in overrides if not each.startswith("model.")]
    to_where = load_bridges(
        "demo-bridge",
        [*shared, data, f"data.bank={where}", "model.rows=[ridge,encoding model]"],
        folder=out / where.stem,
    )
    with _step(f"1/7 simulate a monkey that looks at drawn pictures, into {world}") as progress:
        write_ventral_stream(plan, world, progress=progress)
        _prepare(world, recordings, progress)
    with _step("2/7 train an encoder on what train pictures show") as progress:
        train_encoder(
            world, encoder, settings=replace(learning, steps=encoder_steps), progress=progress
        )
    with _step("3/7 embed all pictures: what they show, and where what is how bright") as progress:
        for opened, bank in (
            (open_encoder("small", checkpoint=encoder), what),
            (open_encoder("layout"), where),
        ):
            embed_pictures(open_pictures(world / PICTURES), opened, bank, progress=progress)
    with _step("4/7 fit bridges from responses to both") as progress:
        for loaded in (to_what, to_where):
            align_run(loaded, resume=True, command_line=command_line, progress=progress)
    with _step("5/7 train a judge of drawn pictures, on pictures of its own") as progress:
        train_judge(
            judge,
            num_pictures=min(MOST_JUDGED, judge_steps * batch_size),
            settings=replace(learning, steps=judge_steps),
            progress=progress,
        )
    with _step("6/7 train a decoder to draw train pictures from their embeddings") as progress:
        train_generator(
            world,
            decoder,
            banks=[what, where],
            kind="direct",
            settings=replace(
                learning, steps=decoder_steps, batch_size=2 * batch_size, weight_decay=0.01
            ),
            progress=progress,
        )
    with _step("7/7 draw test pictures from the responses to them, score, report") as progress:
        asked = ReconstructionPlan(
            decoder,
            [world],
            other_runs=[OtherRun(to_where.config.run.folder)],
            judge=judge,
            num_seeds=1,
            best_of=BEST_OF,
            checkpoint=encoder,
        )
        done = reconstruct_run(to_what.config.run.folder, asked, progress=progress)
        page = report_reconstruction(done.result, done.seen, done.drawn, done.folder)
    print(format_reconstruction(done.result))
    say_end(page, started)


def _prepare(world: Path, recordings: Path, progress: StageProgress) -> None:
    """Make a recording of what was simulated."""
    from neurohorizon.errors import DataError
    from neurohorizon.sources.catalogue import find_source
    from neurohorizon.sources.prepare import prepare
    from neurohorizon.sources.settings import read_settings

    source = find_source("tvsd")
    _, settings = read_settings(source, [f"images={world}"])
    made = prepare(
        source,
        world,
        recordings,
        settings=settings,
        progress=lambda done, total, name: progress("preparing", done, total, name),
    )
    for line in made.failed.values():
        raise DataError(line)


@contextmanager
def _step(line: str) -> Iterator[StageProgress]:
    """Say what is done now, with bars of its own."""
    with StageProgress() as progress:
        progress.say(line)
        yield progress
