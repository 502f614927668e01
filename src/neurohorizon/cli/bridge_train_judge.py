"""``neurohorizon bridge train-judge``: a network that says what drawn pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from neurohorizon.cli._progress import StageProgress


def train_judge(
    *,
    out: Path,
    pictures: int = 30_000,
    steps: int = 2500,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    precision: Literal["float32", "bfloat16"] = "float32",
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train a judge that says which shape, hue and surface a drawn picture shows.

    It learns from pictures that are drawn for it alone, and is tested on others. Encoders and
    generators of the drawn world are judged by it: its network, its pictures and its seed are
    none of theirs. A file that was made with the same settings is kept.

    Parameters
    ----------
    out
        The judge, a .safetensors file.
    pictures
        How many to draw.
    steps
        Batches to learn from.
    batch_size
        Pictures in a batch.
    learning_rate
        The highest of AdamW.
    precision
        float32 or bfloat16, twice as fast on CPUs with AMX and on GPUs.
    seed
        Same seed, same judge, on the same machine.
    device
        cpu, cuda or mps.
    """
    from neurohorizon.evaluation.pictures.judge import open_judge
    from neurohorizon.training.image_encoder.loop import LoopSettings
    from neurohorizon.training.image_encoder.run import train_judge as train

    settings = LoopSettings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        precision=precision,
        device=device,
    )
    with StageProgress() as progress:
        done, _ = train(out, num_pictures=pictures, settings=settings, progress=progress)
    right = open_judge(out).known_accuracy
    told = ", ".join(f"{name} {share:.1%}" for name, share in right.items())
    print(
        f"{out}: {'is trained already; ' if done.skipped else ''}right about new pictures: {told}"
    )
