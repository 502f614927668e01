"""Neighbours and how often they agree, on cases that are known."""

import numpy as np
import pytest

from neurohorizon.evaluation.pictures.neighbours import agreement, nearest_neighbours


def test_nearest_is_by_direction_from_the_mean_and_never_oneself():
    spokes = np.array([[1.0, 0], [2, 0.1], [0, 1], [0.1, 3], [-1, -1], [-2.1, -3]])
    offset = np.array([50.0, -70.0])  # cosines without centring would all be 1
    around = spokes - spokes.mean(axis=0)
    assert nearest_neighbours(around + offset).tolist() == [1, 0, 3, 2, 5, 4]
    assert nearest_neighbours(3 * around[::2] + offset, around + offset).tolist()[0] in (0, 1)
    assert nearest_neighbours(around, around).tolist() == list(range(6))


def test_many_are_compared_in_pieces_as_at_once():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(2500, 5))
    centred = embeddings - embeddings.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    np.testing.assert_array_equal(nearest_neighbours(embeddings), similarity.argmax(axis=1))


def test_chance_is_what_random_neighbours_reach():
    rng = np.random.default_rng(1)
    code = rng.choice(4, size=4000, p=[0.55, 0.25, 0.15, 0.05])
    found = agreement(code, nearest_neighbours(rng.normal(size=(4000, 3))))
    assert found.share == pytest.approx(found.chance, abs=4 * found.standard_error)
    others = rng.integers(4, size=3000)
    found = agreement(code, rng.integers(3000, size=4000), others)
    assert found.share == pytest.approx(found.chance, abs=4 * found.standard_error)
    assert found.chance == pytest.approx(0.25, abs=0.03)


def test_codes_that_no_candidate_has():
    found = agreement(np.array([5, 0]), np.array([0, 1]), np.array([0, 0]))
    assert (found.share, found.chance) == (0.5, 0.5)
