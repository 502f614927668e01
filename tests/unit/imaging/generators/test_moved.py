"""Retrieved pictures, moved to where something was."""

import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.imaging.generators.moved import Move, find_moves

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


def move_retrieved(candidates, nearness, blob, **more):
    (move,) = find_moves(candidates, nearness, blob, **more)
    return move.show(candidates[move.row])


def test_the_nearest_picture_is_moved_to_where_something_was():
    candidates = np.stack([square(4, 4), disc(8, 8)])
    blob = (0.5 * square(16, 12) + 45).astype(np.uint8)
    found = move_retrieved(candidates, np.array([0.0, -1.0]), blob)
    np.testing.assert_array_equal(found, square(16, 12))
    # What is uncovered is as the edge.
    assert (found[0] == 90).all()


def test_what_is_far_nearer_wins_over_place():
    candidates = np.stack([square(4, 4), disc(8, 8)])
    blob = square(12, 12)
    found = move_retrieved(candidates, np.array([-50.0, 0.0]), blob)
    np.testing.assert_array_equal(found, disc(16, 16))
    # All are there, if they are asked for, each where it fits best.
    moves = find_moves(candidates, np.array([-50.0, 0.0]), blob, num_best=5)
    shown = [move.show(candidates[move.row]) for move in moves]
    np.testing.assert_array_equal(shown, [disc(16, 16), blob])


def test_without_a_word_of_where_the_nearest_picture_stays():
    candidates, nearness = np.stack([square(4, 4), disc(8, 8)]), np.array([0.0, -1.0])
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    np.testing.assert_array_equal(move_retrieved(candidates, nearness, grey), square(4, 4))
    still = move_retrieved(candidates, nearness, square(12, 12), worth=0.0)
    np.testing.assert_array_equal(still, square(4, 4))


def test_large_pictures_are_moved_as_small_ones_are():
    candidates, blob = np.stack([square(4, 4), disc(8, 8)]), square(16, 12)
    (small,) = find_moves(candidates, np.array([0.0, -1.0]), blob)
    assert small == Move(0, 12 / SIZE, 8 / SIZE)
    large = candidates.repeat(4, axis=1).repeat(4, axis=2)
    where = blob.repeat(4, axis=0).repeat(4, axis=1)
    assert find_moves(large, np.array([0.0, -1.0]), where) == [small]
    np.testing.assert_array_equal(small.show(large[0]), where)
    still = Move(0, 0.0, 0.0).show(large[1])
    np.testing.assert_array_equal(still, large[1])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="expected"):
        find_moves(square(1, 1)[None, :16], np.zeros(1), square(1, 1))
    with pytest.raises(ConfigError, match="one or more"):
        find_moves(np.zeros((0, SIZE, SIZE, 3), np.uint8), np.zeros(0), square(1, 1))
