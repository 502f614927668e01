"""From pictures to a bank of their embeddings, going on where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import SUFFIX, EmbeddingBank, bank_path
from neurohorizon.imaging.encoders import ImageEncoder
from neurohorizon.imaging.pictures import Picture, Pictures

Progress = Callable[[str, int, int], None]
"""Called with (what is done, pictures done, pictures in all)."""
BATCHES_A_PART = 8


def embed_pictures(
    pictures: Pictures,
    encoder: ImageEncoder,
    out: Path | str,
    progress: Progress | None = None,
) -> EmbeddingBank:
    """Embed pictures and write the bank.

    Parameters
    ----------
    pictures : Pictures
        Read `encoder.batch_size` at a time.
    encoder : ImageEncoder
    out : path
        Where the bank shall be; ``.npz`` is added. A bank of the same encoder that is there
        grows: its pictures are not embedded again, and none is dropped.
    progress : callable, optional
        Called with ("embed", pictures done, pictures in all) after every batch.

    Returns
    -------
    EmbeddingBank
        A picture that occurs twice is one row, under its first name.

    Raises
    ------
    DataError
        If a picture cannot be decoded, or what is at `out` was made in another way.

    Notes
    -----
    Every 8 batches a part is written to the folder ``<out>.npz.parts``, which vanishes when
    the bank is whole. Given again after a kill, the same call decodes every picture (its hash
    tells whether its embedding is there) but encodes only those that are missing, in the same
    batches as an undisturbed run, and writes the same bytes.
    """
    path = bank_path(out)
    parts = _Parts(path.with_name(f"{path.name}.parts"), encoder)
    total = len(pictures)
    before = EmbeddingBank.load(path) if path.exists() else None
    if before is not None:
        _check_maker(before, encoder, f"{path} is there already")
    known = _rows([*([before] if before else []), *parts.read()])
    names: dict[str, str] = {}
    waiting: dict[str, Picture] = {}
    unsaved: dict[str, NDArray[np.float32]] = {}

    def encode_waiting() -> None:
        rows = _encode(encoder, list(waiting.values()))
        unsaved.update(zip(waiting, rows, strict=True))
        waiting.clear()
        if len(unsaved) >= BATCHES_A_PART * encoder.batch_size:
            parts.write(unsaved, names)
            known.update(unsaved)
            unsaved.clear()

    seen = 0
    for batch in pictures.batches(encoder.batch_size):
        for picture in batch:
            seen += 1
            if picture.hash in names:
                continue
            names[picture.hash] = picture.name
            if picture.hash not in known:
                waiting[picture.hash] = picture
            # A batch of new pictures only: so it is the same one after an interruption.
            if len(waiting) == encoder.batch_size:
                encode_waiting()
        if progress:
            progress("embed", seen - len(waiting), total)
    if waiting:
        encode_waiting()
        if progress:
            progress("embed", total, total)
    known.update(unsaved)
    bank = _assemble(before, names, known, encoder, path)
    if before is None or len(bank) > len(before):
        bank.save(path)
    parts.remove()
    return bank


class _Parts:
    """The embeddings of an unfinished bank: small banks in a folder."""

    def __init__(self, folder: Path, encoder: ImageEncoder) -> None:
        self.folder = folder
        self.encoder = encoder

    def read(self) -> list[EmbeddingBank]:
        """Return the parts that an interrupted run left."""
        # Hidden is half of a part, of a run that was killed while it wrote.
        files = [path for path in self._files() if not path.name.startswith(".")]
        parts = [EmbeddingBank.load(path) for path in files]
        for part in parts:
            _check_maker(part, self.encoder, f"{self.folder} holds an unfinished bank")
        return parts

    def write(self, rows: dict[str, NDArray[np.float32]], names: dict[str, str]) -> None:
        part = _make_bank(list(rows), names, rows, self.encoder)
        part.save(self.folder / f"{part.hashes[0][:16]}{SUFFIX}")

    def remove(self) -> None:
        for path in self._files():
            path.unlink(missing_ok=True)
        with suppress(OSError):  # not made, or somebody put something else there
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))


def _check_maker(found: EmbeddingBank, encoder: ImageEncoder, what: str) -> None:
    difference = found.fingerprint.difference(encoder.fingerprint)
    if difference:
        raise DataError(
            f"{what}, and was made in another way: {difference}; choose another place or remove it"
        )


def _rows(banks: Iterable[EmbeddingBank]) -> dict[str, NDArray[np.float32]]:
    return {
        one: row for bank in banks for one, row in zip(bank.hashes, bank.embeddings, strict=True)
    }


def _encode(encoder: ImageEncoder, batch: list[Picture]) -> NDArray[np.float32]:
    rows = encoder.encode([picture.pixels for picture in batch])
    assert rows.dtype == np.float32
    assert rows.shape == (len(batch), encoder.num_dimensions)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        name = batch[int(bad.argmax())].name
        raise DataError(
            f"{name}: {encoder.fingerprint.encoder} gives it an embedding that is not finite: "
            "are the weights damaged?"
        )
    return rows


def _assemble(
    before: EmbeddingBank | None,
    names: dict[str, str],
    known: dict[str, NDArray[np.float32]],
    encoder: ImageEncoder,
    path: Path,
) -> EmbeddingBank:
    """Return the bank: what was there comes first, then the pictures in their order."""
    bank = _make_bank(list(names), names, known, encoder, where=str(path))
    if before is None:
        return bank
    old = dict(zip(before.hashes, before.names, strict=True))
    hashes = [*old, *(one for one in names if one not in old)]
    return _make_bank(hashes, names | old, known, encoder, where=str(path))


def _make_bank(
    hashes: list[str],
    names: dict[str, str],
    rows: dict[str, NDArray[np.float32]],
    encoder: ImageEncoder,
    where: str = "the bank",
) -> EmbeddingBank:
    seen = set(encoder.saw(hashes))
    return EmbeddingBank(
        embeddings=np.array([rows[one] for one in hashes], dtype=np.float32),
        hashes=hashes,
        names=[names[one] for one in hashes],
        seen=np.array([one in seen for one in hashes], dtype=bool),
        fingerprint=encoder.fingerprint,
        where=where,
    )
