"""What might be predicted of pictures that have no prediction: as far off as what is known."""

import numpy as np

from neurohorizon.training.generator.likely import FEWEST_PREDICTED, likely_predictions


def world(num=3000, num_known=600):
    """The first value is predicted well, the second by half, the third not at all."""
    draws = np.random.default_rng(0)
    true = draws.normal(size=(num, 3)).astype(np.float32)
    spread = np.array([0.1, 0.5, 0.0])
    predicted = true * [1.0, 0.5, 0.0] + spread * draws.normal(size=true.shape)
    known = np.zeros(num, dtype=bool)
    known[draws.permutation(num)[:num_known]] = True
    return true, predicted.astype(np.float32), known


def test_others_are_as_far_off_as_those_that_are_known():
    true, predicted, known = world()
    found = likely_predictions(true, predicted[known], known, seed=0)
    np.testing.assert_array_equal(found[known], predicted[known])
    others = ~known
    for column, slope in enumerate((1.0, 0.5, 0.0)):
        made, real = found[others, column], predicted[others, column]
        assert abs(np.polyfit(true[others, column], made, 1)[0] - slope) < 0.05
        assert abs(made.std() - real.std()) < 0.05
        off = np.std(made - slope * true[others, column])
        assert abs(off - np.std(real - slope * true[others, column])) < 0.03
    again = likely_predictions(true, predicted[known], known, seed=0)
    np.testing.assert_array_equal(again, found)
    assert not np.array_equal(likely_predictions(true, predicted[known], known, seed=1), found)


def test_errors_are_those_of_pictures_alike():
    """Half of the pictures are predicted without error, and so are others like them."""
    true, _, known = world()
    errors = np.random.default_rng(1).normal(size=true.shape) * (true[:, :1] < 0)
    found = likely_predictions(true, (true + errors).astype(np.float32)[known], known, seed=0)
    off = np.abs(found - true).mean(axis=1)
    sure, other = ~known & (true[:, 0] > 0.5), ~known & (true[:, 0] < -0.5)
    assert off[sure].mean() < 0.3 * off[other].mean()


def test_few_predictions_are_not_passed_on():
    true, predicted, known = world(num_known=FEWEST_PREDICTED - 1)
    found = likely_predictions(true, predicted[known], known, seed=0)
    np.testing.assert_array_equal(found[~known], true[~known])
    np.testing.assert_array_equal(found[known], predicted[known])
