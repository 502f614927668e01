"""Embeddings by word: of units and of recordings, grown as new ones come.

Shapes: R rows (row 0 stands for what is unknown), D width.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurohorizon.errors import DataError

_WORDS = "words"


class Vocabulary(nn.Module):
    """A table with one row a word.

    Parameters
    ----------
    width : int
    scale : float
        Standard deviation of a new row.
    what : str
        What the words name, for messages.

    Notes
    -----
    Row 0 is zero, for words that are not known; it is never learned.

    The weight stays one and the same parameter when the vocabulary grows: an optimiser that
    holds it goes on with it. :class:`neurohorizon.training.row_optimizer.RowAdamW` appends
    moments for the new rows; torch's own optimisers do not, and have to be made again. A
    gradient that waits is dropped. Grow before a model is wrapped for several processes.

    The words travel in the state beside the weight, as bytes of JSON in a tensor, so that a
    row is never taken for another word's: an empty vocabulary takes over those of a state, in
    its order; one that has words takes the rows of a state with the same words in any order,
    and refuses any other.

    Examples
    --------
    >>> vocabulary = Vocabulary(8)
    >>> vocabulary.extend(["a/unit_0", "a/unit_1"])
    True
    >>> vocabulary.rows(["a/unit_1", "new"], unknown="zero").tolist()
    [2, 0]
    """

    def __init__(self, width: int, *, scale: float = 0.02, what: str = "words") -> None:
        super().__init__()
        self.scale = scale
        self.what = what
        self.weight = nn.Parameter(torch.zeros(1, width))
        self._row: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many words are known."""
        return len(self._row)

    def __contains__(self, word: object) -> bool:
        return word in self._row

    @property
    def words(self) -> tuple[str, ...]:
        """The words in the order of their rows, from row 1 on."""
        return tuple(self._row)

    def extend(self, words: Iterable[str]) -> bool:
        """Add the words that are not known, with random rows; those known keep theirs.

        Returns
        -------
        bool
            Whether rows were added. The parameter is the same one, larger (see Notes of the
            class for what that means to an optimiser).

        Raises
        ------
        DataError
            If a word is no text, or empty.
        """
        if isinstance(words, str):
            raise DataError(f"{self.what}: expected a list of words, got the one text {words!r}")
        new = dict.fromkeys(words)
        for word in new:
            if not isinstance(word, str) or not word:
                raise DataError(f"{self.what}: expected a name that is not empty, got {word!r}")
        new = [word for word in new if word not in self._row]
        if not new:
            return False
        rows = torch.empty(len(new), self.weight.shape[1]).normal_(std=self.scale)
        self._replace(torch.cat([self.weight.detach(), rows.to(self.weight)]))
        for word in new:
            self._row[word] = len(self._row) + 1
        return True

    def rows(self, words: Sequence[str], *, unknown: Literal["error", "zero"] = "error") -> Tensor:
        """Return the row of each word, int64.

        Parameters
        ----------
        words : sequence of str
        unknown : {"error", "zero"}
            What becomes of a word that is not known: a refusal, or row 0.

        Raises
        ------
        DataError
            If a word is not known and that is an error.
        """
        if unknown == "error":
            missing = [word for word in words if word not in self._row]
            if missing:
                more = f" and {len(missing) - 1} more" * (len(missing) > 1)
                raise DataError(
                    f"{self.what}: {missing[0]!r}{more} of {len(words)} not among the "
                    f"{len(self)} that the model knows: extend the vocabulary and train the new "
                    "rows, or use an identity that needs none"
                )
        return torch.tensor([self._row.get(word, 0) for word in words], dtype=torch.int64)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the embeddings of rows; row 0 is zero and gets no gradient."""
        return functional.embedding(rows, self.weight, padding_idx=0)

    def extra_repr(self) -> str:
        """Say how many words there are, and how wide a row is."""
        return f"{len(self)} {self.what}, width={self.weight.shape[1]}"

    def _replace(self, values_RD: Tensor) -> None:
        self.weight.grad = None
        self.weight.data = values_RD

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + _WORDS] = encode_words(self.words)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # What is read is never changed: a state may be loaded into several models.
        own = {prefix + "weight", prefix + _WORDS}
        unexpected_keys += [key for key in state_dict if key.startswith(prefix) and key not in own]
        absent = [key for key in ("weight", _WORDS) if prefix + key not in state_dict]
        if absent:
            missing_keys += [prefix + key for key in absent]
            return
        weight_RD = state_dict[prefix + "weight"]
        words = decode_words(state_dict[prefix + _WORDS])
        if weight_RD.shape != (len(words) + 1, self.weight.shape[1]):
            error_msgs.append(
                f"{prefix}weight: {len(words)} {self.what} need rows of shape "
                f"{(len(words) + 1, self.weight.shape[1])}, got {tuple(weight_RD.shape)}"
            )
            return
        if not self._row:
            self._row = {word: index + 1 for index, word in enumerate(words)}
        elif self._row.keys() != set(words):
            differing = sorted(self._row.keys() ^ set(words))
            error_msgs.append(
                f"{prefix}words: the state has {len(words)} {self.what}, the model {len(self)}, "
                f"and {differing[0]!r} is in one alone: load it into an empty vocabulary, then "
                "extend that"
            )
            return
        place = {word: index + 1 for index, word in enumerate(words)}
        order = torch.tensor([0, *(place[word] for word in self._row)])
        values_RD = weight_RD.detach().to(self.weight)[order.to(self.weight.device)]
        if values_RD.shape == self.weight.shape:
            with torch.no_grad():
                self.weight.copy_(values_RD)
        else:
            self._replace(values_RD)


def encode_words(words: Sequence[str]) -> Tensor:
    """Return words as the bytes of JSON, uint8."""
    return torch.frombuffer(bytearray(json.dumps(list(words)).encode()), dtype=torch.uint8)


def decode_words(encoded: Tensor) -> list[str]:
    """Return the words that `encode_words` was given."""
    return json.loads(bytes(encoded.cpu().tolist()).decode())
