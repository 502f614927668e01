"""Records come back as they were, and nothing but a clear error comes of damage."""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.ops.records import load_records, save_records


@dataclass
class Thing:
    name: str
    number: int
    values: np.ndarray


@dataclass
class Other:
    name: str
    something: float


def test_records_come_back(tmp_path):
    path = tmp_path / "r.npz"
    save_records([Thing("a", 3, np.arange(4.0)), Thing("b", 5, np.zeros((0, 2)))], path)
    first, second = load_records(Thing, path)
    assert (first.name, first.number, second.name) == ("a", 3, "b")
    assert type(first.name) is str
    np.testing.assert_array_equal(first.values, np.arange(4.0))
    assert second.values.shape == (0, 2)
    save_records([], path)
    assert load_records(Thing, path) == []


def test_any_damage_is_one_clear_error(tmp_path):
    path = tmp_path / "r.npz"
    generator = np.random.default_rng(0)
    save_records([Thing("a", 3, generator.integers(0, 9, 2000))], path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            damaged[place] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        # Damage to what nobody reads, such as a date, may pass.
        with suppress(DataError):
            load_records(Thing, path)
            refused -= 1
        refused += 1
    assert refused > 200
    path.write_bytes(whole)
    for kind, place in ((Other, path), (Thing, tmp_path / "nothing.npz")):
        with pytest.raises(DataError, match=r"missing or damaged.*: evaluate again"):
            load_records(kind, place)
