"""Banks of image embeddings: vectors by the hash of their picture, and what made them.

A bank is one ``.npz`` file without pickles:

===============  ================  ======================================================
array            shape             meaning
===============  ================  ======================================================
``embeddings``   (I, D) float32    one row a picture, no picture twice
``hashes``       (I,) text         SHA-256 of each picture's pixels (``picture_hash``)
``names``        (I,) text         what each picture was called; for people only
``seen``         (I,) bool         whether the encoder is known to be trained on the picture
``fingerprint``  () text           JSON: encoder, weights, settings, versions
``content``      () text           SHA-256 of all of the above, checked when it is read
===============  ================  ======================================================
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.ops.files import NPZ_DAMAGE, atomic_path

SUFFIX = ".npz"
_CODEC = ("utf-8", "surrogateescape")  # names of files may be any bytes
_ARRAYS = ("embeddings", "hashes", "names", "seen", "fingerprint", "content")


@dataclass(frozen=True, eq=False)
class EmbeddingBank:
    """Embeddings of distinct pictures.

    Parameters
    ----------
    embeddings : (I, D) array of float32
    hashes : sequence of str
        SHA-256 of each picture, all different.
    names : sequence of str
        What each picture was called.
    fingerprint : Fingerprint
        What made the embeddings.
    seen : (I,) array of bool
        Pictures that the encoder is known to be trained on; none unless told.
    where : str
        What to call the bank in a message: its path, if it has one.

    Raises
    ------
    DataError
        If the parts do not fit together, an embedding is not finite, or a picture repeats.
    """

    embeddings: NDArray[np.float32]
    hashes: Sequence[str]
    names: Sequence[str]
    fingerprint: Fingerprint
    seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    where: str = field(default="the bank")

    def __post_init__(self) -> None:
        embeddings = self.embeddings
        count = len(self.hashes)
        if embeddings.ndim != 2 or embeddings.dtype != np.float32 or len(embeddings) != count:
            raise DataError(
                f"{self.where}: embeddings are {embeddings.dtype} of shape {embeddings.shape}, "
                f"expected float32 of shape ({count}, dimensions)"
            )
        if len(self.names) != count:
            raise DataError(f"{self.where}: {len(self.names)} names for {count} embeddings")
        if not self.seen.size:
            object.__setattr__(self, "seen", np.zeros(count, dtype=bool))
        if self.seen.shape != (count,) or self.seen.dtype != bool:
            raise DataError(f"{self.where}: {len(self.seen)} marks of seen for {count} embeddings")
        bad = ~np.isfinite(embeddings).all(axis=1)
        if bad.any():
            name = self.names[int(bad.argmax())]
            raise DataError(f"{self.where}: the embedding of {name} is not finite; embed it again")
        if len(self._rows) != count:
            raise DataError(f"{self.where}: a picture has two rows; expected each once")

    def __len__(self) -> int:
        return len(self.hashes)

    def __contains__(self, picture_hash: object) -> bool:
        return picture_hash in self._rows

    @property
    def num_dimensions(self) -> int:
        """Length of an embedding."""
        return self.embeddings.shape[1]

    def select(self, hashes: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of some pictures, in the order asked for.

        Parameters
        ----------
        hashes : sequence of str
            May repeat, as a stimulus does.

        Returns
        -------
        (N, D) array of float32

        Raises
        ------
        DataError
            If a picture is not in the bank.
        """
        missing = sorted(set(hashes) - self._rows.keys())
        if missing:
            raise DataError(
                f"{self.where}: has no embedding of {len(missing)} of the {len(set(hashes))} "
                f"pictures asked for, the first with hash {missing[0][:12]}: embed their folder "
                "too (`neurohorizon data embed`)"
            )
        return self.embeddings[[self._rows[one] for one in hashes]]

    def check_unseen(self, hashes: Sequence[str]) -> None:
        """Refuse pictures for a test that the encoder was trained on.

        Raises
        ------
        DataError
        """
        known = [one for one in hashes if self.seen[self._rows[one]]]
        if known:
            raise DataError(
                f"{self.where}: its encoder was trained on {len(known)} of the {len(hashes)} test "
                f"pictures, the first with hash {known[0][:12]}: train one without them "
                "(`neurohorizon bridge train-encoder`), or test on others (data.split)"
            )

    def check_comparable(self, other: EmbeddingBank) -> None:
        """Refuse another bank whose embeddings were made in another way.

        Raises
        ------
        DataError
            One line that says what differs first.
        """
        difference = self.fingerprint.difference(other.fingerprint)
        if difference:
            raise DataError(
                f"{self.where} and {other.where} cannot be compared: {difference}; embed both "
                "with one encoder in one environment"
            )

    def join(self, other: EmbeddingBank) -> EmbeddingBank:
        """Return a bank with the pictures of both; those of this one come first.

        Raises
        ------
        DataError
            If the fingerprints differ, or the two disagree about a picture.
        """
        self.check_comparable(other)
        common = [one for one in other.hashes if one in self]
        mine, theirs = self.select(common), other.select(common)
        # Rounding differs between sizes of batches and devices, nothing more than that.
        scale = np.abs(mine).max(initial=0.0)
        if not np.allclose(mine, theirs, rtol=0, atol=1e-2 * scale):
            raise DataError(
                f"{self.where} and {other.where} hold different embeddings of the same picture, "
                "though made in the same way: one is damaged, embed both again"
            )
        new = [row for row, one in enumerate(other.hashes) if one not in self]
        return EmbeddingBank(
            embeddings=np.concatenate([self.embeddings, other.embeddings[new]]),
            hashes=[*self.hashes, *(other.hashes[row] for row in new)],
            names=[*self.names, *(other.names[row] for row in new)],
            seen=np.concatenate([self.seen, other.seen[new]]),
            fingerprint=self.fingerprint,
        )

    def save(self, path: Path | str) -> Path:
        """Write the bank; a reader never meets half of it.

        Parameters
        ----------
        path : path
            ``.npz`` is added if it is not there. The same bank makes the same bytes.

        Returns
        -------
        Path
            The file.
        """
        path = bank_path(path)
        with atomic_path(path) as temporary:
            np.savez(
                temporary,
                embeddings=self.embeddings,
                hashes=np.array(self.hashes, dtype=np.str_),
                names=np.array(self.names, dtype=np.str_),
                seen=self.seen,
                fingerprint=np.array(self.fingerprint.to_json()),
                content=np.array(self._content_hash()),
            )
        return path

    @classmethod
    def load(cls, path: Path | str) -> EmbeddingBank:
        """Read a bank and verify its content.

        Raises
        ------
        DataError
            If there is none, or it is damaged, or something else.
        """
        path = bank_path(path)
        if not path.is_file():
            raise DataError(f"{path}: no bank there; make one with `neurohorizon data embed`")
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: not a bank, or only a part of one; embed again")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except NPZ_DAMAGE as error:
            raise DataError(f"{path}: not a readable bank ({error}); embed again") from error
        missing = [name for name in _ARRAYS if name not in arrays]
        if missing:
            raise DataError(f"{path}: not a bank of embeddings: it has no array {missing[0]!r}")
        try:
            fingerprint = Fingerprint.from_json(str(arrays["fingerprint"]))
        except DataError as error:
            raise DataError(f"{path}: {error}; embed again") from error
        bank = cls(
            embeddings=arrays["embeddings"],
            hashes=arrays["hashes"].tolist(),
            names=arrays["names"].tolist(),
            seen=arrays["seen"],
            fingerprint=fingerprint,
            where=str(path),
        )
        if bank._content_hash() != str(arrays["content"]):
            raise DataError(f"{path}: its content is not what was written; embed again")
        return bank

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {one: row for row, one in enumerate(self.hashes)}

    def _content_hash(self) -> str:
        digest = hashlib.sha256(self.fingerprint.to_json().encode())
        for words in (self.hashes, self.names):
            digest.update("".join(f"\n{len(word)} {word}" for word in words).encode(*_CODEC))
        digest.update(self.seen.tobytes())
        digest.update(str(self.embeddings.shape).encode())
        digest.update(np.ascontiguousarray(self.embeddings).data)
        return digest.hexdigest()


def bank_path(path: Path | str) -> Path:
    """Return where a bank lies: the path given, with ``.npz`` at its end."""
    path = Path(path)
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
