import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.identification import (
    count_better,
    hubness_corrected,
    identified,
    median_rank,
    two_way,
)

GENERATOR = np.random.default_rng(0)


def test_identification_equals_drawing_galleries():
    similarity = GENERATOR.normal(size=(30, 30)) + 1.5 * np.eye(30)
    right = np.arange(30)
    better = count_better(similarity, right)
    for first in (1, 5):
        hits = []
        for _ in range(2000):
            others = GENERATOR.permutation(30)
            drawn = []
            for query in range(30):
                gallery = [c for c in others if c != query][:9]
                drawn.append((similarity[query, gallery] > similarity[query, query]).sum() < first)
            hits.append(np.mean(drawn))
        exact = identified(better, num_candidates=30, gallery=10, first=first).mean()
        assert exact == pytest.approx(np.mean(hits), abs=0.01)


def test_all_candidates_make_it_a_count():
    better = np.array([0.0, 1.0, 4.0, 29.0])
    assert identified(better, num_candidates=30).tolist() == [1, 0, 0, 0]
    assert identified(better, num_candidates=30, first=5).tolist() == [1, 1, 1, 0]
    assert two_way(better, num_candidates=30).tolist() == pytest.approx([1, 28 / 29, 25 / 29, 0])
    assert median_rank(better) == 3.5


@pytest.mark.parametrize("first", [1, 5])
def test_a_constant_similarity_is_chance_two_way_and_no_better_than_it(first):
    better = count_better(np.zeros((40, 40)), np.arange(40))
    assert two_way(better, num_candidates=40).mean() == pytest.approx(0.5)
    assert identified(better, num_candidates=40, gallery=20, first=first).mean() <= first / 20


def test_random_similarities_are_at_chance():
    better = count_better(GENERATOR.normal(size=(2000, 200)), GENERATOR.integers(200, size=2000))
    found = identified(better, num_candidates=200, gallery=100, first=5).mean()
    assert found == pytest.approx(0.05, abs=0.01)


def test_rows_and_columns_are_two_questions():
    similarity = np.array([[0.9, 0.8, 0.1], [0.95, 0.7, 0.2], [0.3, 0.1, 0.5]])
    right = np.arange(3)
    assert count_better(similarity, right).tolist() == [0, 1, 0]
    assert count_better(similarity.T, right).tolist() == [1, 1, 0]


def test_hubs_are_corrected_by_what_training_says_of_them():
    truth = GENERATOR.normal(size=(60, 25))
    pictures = truth + 0.1 * GENERATOR.normal(size=truth.shape)
    hub = np.zeros(60)
    hub[:5] = 30.0  # resemble everything
    training = GENERATOR.normal(size=(200, 25)) @ pictures.T + hub
    similarity = truth @ pictures.T + hub
    raw = identified(count_better(similarity, np.arange(60)), num_candidates=60).mean()
    corrected = hubness_corrected(similarity, training)
    better = count_better(corrected, np.arange(60))
    assert raw < 0.2
    assert identified(better, num_candidates=60).mean() > 0.9
    # One query alone is corrected in the same way: nothing is learned from the others.
    assert np.array_equal(hubness_corrected(similarity[:1], training), corrected[:1])


def test_what_makes_no_sense_is_refused():
    with pytest.raises(DataError, match="a gallery of 50 pictures out of 20"):
        identified(np.zeros(20), num_candidates=20, gallery=50)
    with pytest.raises(DataError, match="not finite"):
        count_better(np.full((3, 3), np.nan), np.arange(3))
