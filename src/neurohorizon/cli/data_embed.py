"""``neurohorizon data embed``: pictures to a bank of embeddings, and to recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress


def embed(
    path: Path,
    *,
    encoder: str,
    out: Path,
    checkpoint: str | None = None,
    readout: str | None = None,
    device: str | None = None,
    batch_size: int = 32,
    dataset: str | None = None,
    value_range: tuple[float, float] | None = None,
    attach: Path | None = None,
    table: str | None = None,
    column: str | None = None,
    name: str | None = None,
    replace: bool = False,
    grey: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Embed pictures with a frozen image encoder; what is embedded already is kept.

    With ``--attach``, recordings that were made while these pictures were shown get the
    embedding of each presentation.

    Parameters
    ----------
    path
        A folder or zip archive of pictures, or a file of frames (HDF5, NWB, .npy).
    encoder
        layout (needs no download), clip-vit-l14, clip-vit-h14, dinov2 or clip.
    out
        The bank, a ``.npz`` file; one of the same encoder grows.
    checkpoint
        Folder or hub id of the encoder's weights; those of its name by default.
    readout
        projected or cls: which embedding; that of the encoder by default.
    device
        cpu, cuda or mps; cpu by default.
    batch_size
        Pictures at a time.
    dataset
        Data set inside an HDF5 file.
    value_range
        Values of black and of white, for frames of floating-point numbers.
    attach
        A recording, or a folder of recordings, to attach the embeddings to.
    table
        Table of presentations in the recordings; by default the only one with the column.
    column
        Its column with the number of the picture, from 0; frame by default.
    name
        What the recordings shall call the embeddings; the bank's file name by default.
    replace
        Replace embeddings of that name that were made in another way.
    grey
        Take the colour away first: what is found without it is not found by it.
    """
    from neurohorizon.errors import ConfigError
    from neurohorizon.imaging.attach import COLUMN
    from neurohorizon.imaging.attach_files import attach_to_files, plan_attach
    from neurohorizon.imaging.bank import bank_path
    from neurohorizon.imaging.embedding import embed_pictures
    from neurohorizon.imaging.encoders import open_encoder
    from neurohorizon.imaging.grey import GreyEncoder
    from neurohorizon.imaging.pictures import open_pictures

    if attach is None and (table or column or name or replace):
        raise ConfigError("--table, --column, --name and --replace need --attach RECORDINGS")
    plan = None
    if attach is not None:
        # Before the pictures are embedded, which may take hours.
        plan = plan_attach(
            attach,
            name=name or bank_path(out).stem,
            table=table,
            column=column or COLUMN,
            replace=replace,
        )
    pictures = open_pictures(path, dataset=dataset, value_range=value_range)
    opened = open_encoder(
        encoder,
        checkpoint=checkpoint,
        readout=readout,
        device=device,
        batch_size=batch_size,
    )
    with StageProgress() as progress:
        seen = GreyEncoder(opened) if grey else opened
        bank = embed_pictures(pictures, seen, out, progress=progress)
    print(
        f"{bank_path(out)}: {len(bank)} pictures, {bank.embeddings.shape[1]} numbers each, "
        f"by {encoder}"
    )
    if plan is None:
        return
    for line in plan.left_out.values():
        print(line)
    with StageProgress() as progress:
        done = attach_to_files(plan, bank, pictures, progress=progress)
    for files, words in ((done.unchanged, "was there already"), (done.written, "attached")):
        for file, count in files.items():
            print(f"{file}: {plan.name} {words}: {count}")
