"""Retrieved pictures, moved to where something was."""

import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.generators.moved import move_retrieved

SIZE = 32


def square(row, column, colour=(220, 40, 40)):
    """A picture of a square whose corner is there."""
    picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
    picture[row : row + 8, column : column + 8] = colour
    return picture


def disc(row, column):
    picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
    at = np.arange(SIZE)
    inside = (at[:, None] - row) ** 2 + (at - column) ** 2 < 20
    picture[inside] = (200, 60, 60)
    return picture


def test_the_nearest_picture_is_moved_to_where_something_was():
    candidates = np.stack([square(4, 4), disc(8, 8)])
    blob = (0.5 * square(16, 12) + 45).astype(np.uint8)
    moved = move_retrieved(candidates, np.array([0.0, -1.0]), blob)
    (found,) = moved.pictures_NSS3
    np.testing.assert_array_equal(found, square(16, 12))
    np.testing.assert_array_equal(moved.rows_N, [0])
    np.testing.assert_array_equal(moved.moves_N2, [[12, 8]])
    # What is uncovered is as the edge.
    assert (found[0] == 90).all()


def test_what_is_far_nearer_wins_over_place():
    candidates = np.stack([square(4, 4), disc(8, 8)])
    blob = square(12, 12)
    moved = move_retrieved(candidates, np.array([-50.0, 0.0]), blob, num_best=5)
    # All are there, each where it fits best.
    np.testing.assert_array_equal(moved.pictures_NSS3, [disc(16, 16), blob])
    np.testing.assert_array_equal(moved.rows_N, [1, 0])


def test_without_a_word_of_where_the_nearest_picture_stays():
    candidates, nearness = np.stack([square(4, 4), disc(8, 8)]), np.array([0.0, -1.0])
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    for moved in (
        move_retrieved(candidates, nearness, grey),
        move_retrieved(candidates, nearness, grey, worth=0.0),
    ):
        np.testing.assert_array_equal(moved.pictures_NSS3, [square(4, 4)])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="expected"):
        move_retrieved(square(1, 1)[None, :16], np.zeros(1), square(1, 1))
    with pytest.raises(ConfigError, match="one or more"):
        move_retrieved(np.zeros((0, SIZE, SIZE, 3), np.uint8), np.zeros(0), square(1, 1))
