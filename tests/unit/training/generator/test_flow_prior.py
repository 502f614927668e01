"""The flow of a prior: it draws what could be true, not the mean; the same from the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.pictures.vector_flow import VectorFlow
from neurohorizon.training.generator.flow_prior import SETTINGS, fit_flow_prior

QUICK = replace(SETTINGS, steps=300, batch_size=128)


@pytest.fixture(scope="module")
def world():
    """One dimension that is told, and one of which the response leaves open its sign."""
    generator = np.random.default_rng(0)
    told = generator.normal(size=2000)
    sign = generator.choice([-1.0, 1.0], size=2000)
    true = np.stack([3 * told + 1, 2 * sign + 0.2 * generator.normal(size=2000)], axis=1)
    predicted = np.stack([told, generator.normal(size=2000)], axis=1)
    return predicted, true, fit_flow_prior(predicted[:1800], true[:1800], settings=QUICK)


def test_what_is_told_is_kept_and_what_is_open_is_drawn(world):
    predicted, true, prior = world
    drawn = prior(predicted[1800:], range(200))
    assert np.corrcoef(drawn[:, 0], true[1800:, 0])[0, 1] > 0.98
    # Either sign, and not their mean.
    assert 0.3 < np.mean(drawn[:, 1] > 0) < 0.7
    assert np.mean(np.abs(drawn[:, 1]) > 1) > 0.85
    np.testing.assert_allclose(drawn.std(axis=0), true.std(axis=0), rtol=0.2)


def test_a_draw_is_of_its_prediction_and_seed_alone(world):
    predicted, _, prior = world
    every = prior(predicted[:10], range(10))
    np.testing.assert_allclose(prior(predicted[4:5], [4]), every[4:5], atol=1e-4)
    assert np.abs(prior(predicted[:10], range(10, 20))[:, 1] - every[:, 1]).max() > 1


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match="expected the same, of 20 pictures or more"):
        fit_flow_prior(np.ones((30, 2)), np.ones((31, 2)))
    with pytest.raises(ConfigError, match="expected 1 or more of each"):
        VectorFlow(0)
