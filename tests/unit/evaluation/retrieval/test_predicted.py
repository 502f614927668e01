import numpy as np
import pytest
from sklearn.metrics import r2_score

from neurohorizon.evaluation.retrieval.predicted import score_predictions

GENERATOR = np.random.default_rng(0)
SHOWN = GENERATOR.normal(size=(150, 6)) + 3
CENTRE = np.full(6, 3.0)


def test_the_truth_scores_full_and_chance_as_chance():
    perfect = score_predictions(SHOWN, SHOWN, centre=CENTRE)
    assert perfect.right.value == pytest.approx(1)
    assert perfect.explained == pytest.approx(1)
    assert (perfect.two_way.value, perfect.top.value, perfect.gallery) == (1, 1, 100)
    shuffled = score_predictions(np.roll(SHOWN, 1, axis=0), SHOWN, centre=CENTRE)
    assert shuffled.two_way.value == pytest.approx(0.5, abs=4 * shuffled.two_way.error)
    assert shuffled.top.value < 0.05


def test_numbers_are_those_of_the_definitions():
    predicted = SHOWN + GENERATOR.normal(size=SHOWN.shape)
    score = score_predictions(predicted, SHOWN, centre=SHOWN.mean(axis=0))
    expected = r2_score(SHOWN, predicted, multioutput="variance_weighted")
    assert score.explained == pytest.approx(expected)
    centred = [each - SHOWN.mean(axis=0) for each in (predicted, SHOWN)]
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*centred, strict=True)]
    assert score.right.value == pytest.approx(np.mean(cosine))
    assert score.right.error == pytest.approx(np.std(cosine, ddof=1) / np.sqrt(150))
    assert score.other.value == pytest.approx(0, abs=0.05)
    few = score_predictions(predicted[:20], SHOWN[:20], centre=CENTRE)
    assert (few.num_pictures, few.gallery) == (20, 20)
