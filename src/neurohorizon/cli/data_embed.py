"""``neurohorizon data embed``: pictures to a bank of embeddings."""

from __future__ import annotations

from pathlib import Path

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
) -> None:
    """Embed pictures with a frozen image encoder; what is embedded already is kept.

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
    """
    from neurohorizon.imaging.bank import bank_path
    from neurohorizon.imaging.embedding import embed_pictures
    from neurohorizon.imaging.encoders import open_encoder
    from neurohorizon.imaging.pictures import open_pictures

    pictures = open_pictures(path, dataset=dataset, value_range=value_range)
    opened = open_encoder(
        encoder,
        checkpoint=checkpoint,
        readout=readout,
        device=device,
        batch_size=batch_size,
    )
    with StageProgress() as progress:
        bank = embed_pictures(pictures, opened, out, progress=progress)
    print(
        f"{bank_path(out)}: {len(bank)} pictures, {bank.embeddings.shape[1]} numbers each, "
        f"by {encoder}"
    )
