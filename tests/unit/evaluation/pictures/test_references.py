import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.references import (
    blend,
    mean_picture,
    random_training,
    same_category,
)
from neurohorizon.evaluation.pictures.reported import TVSD

RNG = np.random.default_rng(0)


def test_the_mean_is_over_pictures_of_any_size():
    pictures = RNG.integers(256, size=(5, 8, 8, 3), dtype=np.uint8)
    found = mean_picture(iter(pictures), size_px=8)
    assert np.abs(found - pictures.mean(axis=0)).max() <= 0.5
    flat = [np.full((size, size + 2, 3), size, np.uint8) for size in (10, 30)]
    assert np.unique(mean_picture(flat, size_px=16)).tolist() == [20]
    with pytest.raises(DataError, match="no training pictures"):
        mean_picture([], size_px=8)


def test_random_pictures_are_drawn_once_before_twice():
    assert sorted(random_training(7, 7, seed=1)) == list(range(7))
    assert np.bincount(random_training(25, 10, seed=2), minlength=10).max() == 3
    assert len(random_training(3, 1000)) == 3
    assert (random_training(9, 50, seed=1) != random_training(9, 50, seed=2)).any()
    with pytest.raises(DataError, match="no training pictures"):
        random_training(3, 0)


def test_the_category_is_all_that_is_shared():
    training = np.array(["dog", "cat", "dog", "", "boat", "cat"])
    test = np.array(["cat", "dog", "cat", "boat"] * 20)
    found = same_category(test, training, seed=0)
    assert (training[found] == test).all()
    assert set(found[test == "cat"]) == {1, 5}
    with pytest.raises(DataError, match="2 of 4 test pictures share no category"):
        same_category(["cat", "", "whale", "dog"], training)


def test_a_blend_is_between_both():
    one, other = RNG.integers(256, size=(2, 6, 6, 3), dtype=np.uint8)
    mixed = 0.75 * one.astype(float) + 0.25 * other
    assert np.abs(blend(one, other) - mixed).max() <= 0.5
    assert (blend(one, other, share=1.0) == one).all()
    small = np.full((3, 2, 3), 100, np.uint8)
    assert np.unique(blend(np.zeros((6, 8, 3), np.uint8), small, share=0.5)).tolist() == [50]


def test_published_rows_say_where_they_are_from():
    for row in TVSD:
        assert "arXiv" in row.source or "NeurIPS" in row.source
        assert row.values or row.about
        assert all(low <= high for low, high in row.values.values())
