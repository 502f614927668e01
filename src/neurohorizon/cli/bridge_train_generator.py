"""``neurohorizon bridge train-generator``: a network that draws pictures from embeddings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from neurohorizon.cli._progress import StageProgress


def train_generator(
    pictures: Path,
    /,
    *,
    bank: tuple[Path, ...],
    out: Path,
    kind: Literal["tiny", "direct"] = "tiny",
    size: int = 32,
    predicted: tuple[Path, ...] = (),
    predicted_share: float | None = None,
    start: Path | None = None,
    start_noise: float | None = None,
    exclude: list[Path] | None = None,
    noise: float = 0.2,
    unknown: float | None = None,
    steps: int = 4000,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    precision: Literal["float32", "bfloat16"] = "float32",
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train a network that draws pictures from embeddings; no download.

    Either a small flow, which turns noise or a blurry picture into one that the embedding tells
    of, or a direct decoder, which draws the mean of all that it may be. Pictures are joined with
    the bank by their content. Of a world that `neurohorizon simulate ventral-stream` drew only
    train pictures are learned from; of other pictures leave out those that bridges are tested on,
    with `--exclude`. An interrupted training is gone on with by the same command; a file that was
    made from the same pictures and bank with the same settings is kept.

    Parameters
    ----------
    pictures
        A folder or zip archive of pictures, a file of frames, or the folder of a drawn world.
    bank
        Their embeddings, of `neurohorizon data embed`. Given several times, with banks of other
        encoders, it is told all of them side by side. Pictures that one lacks are left out.
    out
        The generator, a .safetensors file.
    kind
        tiny: a flow. direct: a direct decoder.
    size
        Width and height of what it draws, in pixels: 32 or 64.
    predicted
        What responses predict, out of fold, of `neurohorizon bridge embed`: told in place of the
        true embeddings of that space for a share of the pictures, so that it learns how far
        predictions may be trusted. May be given several times.
    predicted_share
        How often it is told a prediction where there is one: 0.7 by default.
    start
        A direct decoder (`--kind direct`) at whose pictures flows start; at noise without it. It
        reads some of the banks, or all, and travels in the flow's file.
    start_noise
        Standard deviation of the noise on the pictures that flows start at, where pictures have
        one of about 1: 0.7 by default.
    exclude
        Pictures to leave out: a folder or zip archive of them, a bank, or a .txt file with a
        name or a hash a line. May be given several times.
    noise
        Largest standard deviation of the noise that is added to embeddings, in their own, so that
        predicted ones will do.
    unknown
        Share of the pictures whose embedding a flow is not told, for guidance: 0.1 by default.
    steps
        Batches to learn from.
    batch_size
        Pictures in a batch.
    learning_rate
        The highest of AdamW.
    precision
        float32 or bfloat16, faster on CPUs with AVX512-BF16 or AMX and on GPUs.
    seed
        Same seed, same generator, on the same machine.
    device
        cpu, cuda or mps.
    """
    from neurohorizon.errors import ConfigError
    from neurohorizon.training.generator.fit import Blur
    from neurohorizon.training.generator.run import PredictedPlan, StartPlan
    from neurohorizon.training.generator.run import train_generator as train
    from neurohorizon.training.image_encoder.loop import LoopSettings

    settings = LoopSettings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.01,
        seed=seed,
        precision=precision,
        device=device,
    )
    if start is None and start_noise is not None:
        raise ConfigError(
            "--start-noise without --start: name the direct decoder that draws what flows start at"
        )
    if not predicted and predicted_share is not None:
        raise ConfigError("--predicted-share without --predicted: name what responses predict")
    if kind == "direct" and unknown is not None:
        raise ConfigError("a direct decoder is not guided: leave --unknown out")
    blur = Blur(noise=noise) if unknown is None else Blur(noise=noise, unknown=unknown)
    plan = None if start is None else StartPlan(start)
    if plan is not None and start_noise is not None:
        plan = replace(plan, noise=start_noise)
    foretold = PredictedPlan(predicted) if predicted else None
    if foretold is not None and predicted_share is not None:
        foretold = replace(foretold, share=predicted_share)
    with StageProgress() as progress:
        done = train(
            pictures,
            out,
            banks=bank,
            kind=kind,
            size_px=size,
            predicted=foretold,
            start=plan,
            blur=blur,
            exclude=exclude or (),
            settings=settings,
            progress=progress,
        )
    if done.skipped:
        print(f"{done.path}: is trained already")
        return
    foretold_words = f", {done.num_predicted} with a prediction" if predicted else ""
    print(
        f"{done.path}: trained on {done.num_pictures} pictures, {done.num_left_out} left out, "
        f"{done.num_unknown} without embedding{foretold_words}; loss {done.loss[0]:.3f} at first, "
        f"{done.loss[1]:.3f} in the end"
    )
