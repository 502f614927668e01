"""``neurohorizon bridge train-encoder``: a small image encoder from pictures at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from neurohorizon.cli._progress import StageProgress


def train_encoder(
    pictures: Path,
    /,
    *,
    out: Path,
    labels: str | None = None,
    columns: str | None = None,
    exclude: list[Path] | None = None,
    steps: int = 2000,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    least_area: float | None = None,
    turn_deg: float = 0.0,
    precision: Literal["float32", "bfloat16"] = "float32",
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Train a small image encoder on pictures at hand, with labels or without; no download.

    The encoder, `--encoder small` of `neurohorizon data embed`, learns either to tell the labels
    of pictures or, without labels, which two views show the same picture. Of a world that
    `neurohorizon simulate ventral-stream` drew only train pictures are learned from: those that
    its truth calls test are left out, by their content. Of other pictures leave out those that
    bridges are tested on, with `--exclude` or a column `part` in the table of labels. A file that
    was made from the same pictures with the same settings is kept.

    Parameters
    ----------
    pictures
        A folder or zip archive of pictures, a file of frames, or the folder of a drawn world.
    out
        The encoder, a .safetensors file.
    labels
        A CSV file with a column `name` (path below the folder), a column for each label, and
        perhaps a column `part` that says test where a picture must not be trained on; or the
        folder of a drawn world; or none: contrastively. Of a drawn world its truth by default.
    columns
        Labels to learn, as in shape,hue: all of a CSV file by default; shape, hue and texture of
        a drawn world.
    exclude
        Pictures to leave out: a folder or zip archive of them, a bank, or a .txt file with a
        name or a hash a line. May be given several times.
    steps
        Batches to learn from.
    batch_size
        Pictures in a batch.
    learning_rate
        The highest of AdamW.
    least_area
        Smallest share of a picture that is cut out for a view: 0.85 with labels, 0.4 without.
    turn_deg
        Turn views by at most so much, where up and down mean nothing.
    precision
        float32 or bfloat16, twice as fast on CPUs with AMX and on GPUs.
    seed
        Same seed, same encoder, on the same machine.
    device
        cpu, cuda or mps.
    """
    from neurohorizon.training.image_encoder.loop import LoopSettings
    from neurohorizon.training.image_encoder.run import train_encoder as train

    settings = LoopSettings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        precision=precision,
        device=device,
    )
    with StageProgress() as progress:
        done = train(
            pictures,
            out,
            labels=labels,
            columns=columns.split(",") if columns else (),
            exclude=exclude or (),
            least_area=least_area,
            turn_deg=turn_deg,
            settings=settings,
            progress=progress,
        )
    how = ", ".join(done.labels) if done.labels else "contrastive"
    if done.skipped:
        print(f"{done.path}: is trained already ({how})")
    else:
        print(
            f"{done.path}: trained on {done.num_pictures} pictures ({how}), {done.num_left_out} "
            f"left out; loss {done.loss[0]:.2f} at first, {done.loss[1]:.2f} in the end"
        )
    print(f"next: neurohorizon data embed PICTURES --encoder small --checkpoint {done.path} ...")
