"""Several spaces of embeddings at once: what a picture shows, say, and where it is how bright.

No one space tells all of a picture: what names its object forgets its place, and what knows its
colours by place cannot tell shapes apart. What is fed with both is fed with the embeddings of
several banks side by side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint

JOINED = "joined"


def join_spaces(banks: Sequence[EmbeddingBank]) -> Fingerprint:
    """Return what embeddings of these banks side by side are made by.

    Parameters
    ----------
    banks : sequence of EmbeddingBank
        True embeddings, or predicted ones, which count as what they predict.

    Raises
    ------
    DataError
        If two banks are in the same space.
    """
    spaces = [bank.fingerprint.space for bank in banks]
    if len(spaces) == 1:
        return spaces[0]
    for number, bank in enumerate(banks):
        if spaces[number] in spaces[:number]:
            raise DataError(
                f"{bank.where}: holds embeddings of the same encoder as another bank that is "
                "given beside it: give one of them"
            )
    parts = [
        [space.to_json(), bank.num_dimensions] for space, bank in zip(spaces, banks, strict=True)
    ]
    return Fingerprint(JOINED, settings={"parts": json.dumps(parts)})


def spaces_of(needs: Fingerprint) -> list[Fingerprint]:
    """Return the spaces that embeddings side by side are in; of one space, itself.

    Raises
    ------
    DataError
        If the fingerprint does not say it as it should.
    """
    return [space for space, _ in _parts(needs)]


def columns_of(part: Fingerprint, needs: Fingerprint) -> list[int] | None:
    """Return which columns of embeddings, made as `needs`, are those that `part` is made by.

    Returns
    -------
    list of int, or None
        None: all of them, in order.

    Raises
    ------
    DataError
        If not all of them are there.
    """
    if not part.difference(needs):
        return None
    start, at = 0, {}
    for space, num in _parts(needs):
        at[space.to_json()] = range(start, start + num)
        start += num
    wanted = spaces_of(part)
    missing = [space.encoder for space in wanted if space.to_json() not in at]
    if missing:
        raise DataError(f"embeddings of {', '.join(missing)} are wanted, and not among those given")
    return [column for space in wanted for column in at[space.to_json()]]


def select_joined(
    needs: Fingerprint, banks: Sequence[EmbeddingBank], hashes: Sequence[str], *, what: str
) -> NDArray[np.float32]:
    """Return the embeddings of some pictures, of all spaces that are wanted, side by side.

    Parameters
    ----------
    needs : Fingerprint
        Of :func:`join_spaces`, or of a single space.
    banks : sequence of EmbeddingBank
        In any order; those that are not wanted are not read.
    hashes : sequence of str
    what : str
        What wants them, for a message.

    Raises
    ------
    DataError
        If a space is wanted that no bank is in, or a picture is missing.
    """
    chosen = [bank_in(space, banks, what=what) for space in spaces_of(needs)]
    return np.concatenate([bank.select(hashes) for bank in chosen], axis=1)


def bank_in(space: Fingerprint, banks: Sequence[EmbeddingBank], *, what: str) -> EmbeddingBank:
    """Return the bank that is in a space.

    Raises
    ------
    DataError
        If none is: one line that says what differs first.
    """
    differences = [space.difference(bank.fingerprint.space) for bank in banks]
    for bank, difference in zip(banks, differences, strict=True):
        if not difference:
            return bank
    # The nearest miss: of the same encoder, if there is one.
    like = [bank.fingerprint.space.encoder == space.encoder for bank in banks]
    nearest = like.index(True) if any(like) else 0
    raise DataError(
        f"{banks[nearest].where}: {what} was made with other embeddings: {differences[nearest]}; "
        "give a bank of that encoder, or train another with this one"
    )


def _parts(needs: Fingerprint) -> list[tuple[Fingerprint, int]]:
    if needs.encoder != JOINED:
        return [(needs, 0)]
    try:
        parts = json.loads(str(needs.settings["parts"]))
        return [(Fingerprint.from_json(text), int(num)) for text, num in parts]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a fingerprint of joined spaces ({error})") from error
