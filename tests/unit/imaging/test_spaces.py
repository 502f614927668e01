"""Spaces of embeddings side by side."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.imaging.bank import EmbeddingBank
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.spaces import columns_of, join_spaces, select_joined, spaces_of

SHOWN, LOOKS = Fingerprint("shown", "ab" * 32), Fingerprint("looks", settings={"cells": 8})
TOLD = Fingerprint("responses", "cd" * 32, settings={"space": SHOWN.to_json()})


def bank(made, num_dimensions, first=0.0):
    values = first + np.arange(3 * num_dimensions, dtype=np.float32).reshape(3, -1)
    return EmbeddingBank(values, ["aa", "bb", "cc"], ["a", "b", "c"], made, where=made.encoder)


def test_columns_stand_in_the_order_of_the_banks_they_were_joined_of():
    shown, looks = bank(SHOWN, 2), bank(LOOKS, 3, 100.0)
    needs = join_spaces([shown, looks])
    assert spaces_of(needs) == [SHOWN, LOOKS]
    assert needs == Fingerprint.from_json(needs.to_json())
    # Whatever order they are given in, and with predictions in place of true embeddings.
    predicted = bank(TOLD, 2, 50.0)
    found = select_joined(needs, [looks, predicted], ["cc", "aa"], what="this")
    np.testing.assert_array_equal(found, [[54, 55, 106, 107, 108], [50, 51, 100, 101, 102]])
    assert join_spaces([predicted, looks]) == needs
    assert columns_of(LOOKS, needs) == [2, 3, 4]
    assert columns_of(join_spaces([looks, shown]), needs) == [2, 3, 4, 0, 1]
    assert columns_of(needs, needs) is None
    assert join_spaces([shown]) == SHOWN
    assert columns_of(SHOWN, SHOWN) is None


def test_what_does_not_fit_is_refused():
    shown, looks = bank(SHOWN, 2), bank(LOOKS, 3)
    needs = join_spaces([shown, looks])
    with pytest.raises(DataError, match="shown: holds embeddings of the same encoder as another"):
        join_spaces([looks, shown, shown])
    with pytest.raises(DataError, match="looks: this was made with other embeddings: encoder sh"):
        select_joined(needs, [looks], ["aa"], what="this")
    other = bank(Fingerprint("looks", settings={"cells": 4}), 3)
    with pytest.raises(DataError, match="setting cells: 8 against 4"):
        select_joined(needs, [shown, other], ["aa"], what="this")
    with pytest.raises(DataError, match="embeddings of looks are wanted, and not among those"):
        columns_of(LOOKS, SHOWN)
    with pytest.raises(DataError, match="not a fingerprint of joined spaces"):
        spaces_of(Fingerprint("joined"))
