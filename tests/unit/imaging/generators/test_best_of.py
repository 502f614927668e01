"""The best of several pictures, by what their own embeddings say."""

import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.imaging.fingerprint import Fingerprint
from neurohorizon.imaging.generators.best_of import Ranking


class MeanColour:
    """Embeds a picture as its mean colour."""

    batch_size = 8
    fingerprint = Fingerprint("mean colour")
    num_dimensions = 3

    def encode(self, pictures):
        return np.array([each.mean(axis=(0, 1)) for each in pictures], np.float32)

    def saw(self, hashes):
        return []


def flat(*colour):
    return np.full((4, 4, 3), colour, np.uint8)


GREY = np.full(3, 100.0)
RANKING = Ranking(MeanColour(), 3)


def test_agreement_is_the_cosine_of_what_is_not_common_to_all():
    pictures = [flat(130, 100, 100), flat(100, 140, 100), flat(130, 140, 100), flat(100, 100, 100)]
    wanted = np.array([103.0, 104.0, 100.0])
    found = RANKING.agreement(pictures, wanted, GREY)
    np.testing.assert_allclose(found, [0.6, 0.8, 1.0, 0.0], atol=1e-6)


def test_the_best_is_chosen_and_of_equals_the_first():
    red, green = flat(200, 100, 100), flat(100, 200, 100)
    wanted = np.array([[150.0, 100, 100], [90, 160, 90], [100, 130, 100]])
    chosen = RANKING.choose([[green, red], [green, red], [red, green, green]], wanted, GREY)
    np.testing.assert_array_equal(chosen, [1, 0, 1])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="one list, not empty, for each"):
        RANKING.choose([[flat(1, 1, 1)], []], np.ones((2, 3)), GREY)
    with pytest.raises(ConfigError, match="candidates for 1 pictures, 2 embeddings"):
        RANKING.choose([[flat(1, 1, 1)]], np.ones((2, 3)), GREY)
    with pytest.raises(DataError, match="mean colour"):
        RANKING.choose([[flat(1, 1, 1)]], np.ones((1, 4)), np.ones(4))
