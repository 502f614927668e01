"""A decoder beside the regression: worth something where responses tell more than lines do."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.training.generator.low_level import fit_low_level
from neurohorizon.training.generator.low_level_network import fit_low_level_network
from neurohorizon.training.image_encoder.loop import LoopSettings

QUICK = LoopSettings(steps=250, batch_size=32, learning_rate=3e-3)


def world(num=1600, seed=0):
    """Pictures of two halves, bright where two units agree: no sum of responses tells it."""
    generator = np.random.default_rng(seed)
    responses = generator.choice([-1.0, 1.0], size=(num, 4))
    pictures = np.full((num, 8, 8, 3), 60, np.uint8)
    pictures[responses[:, 0] * responses[:, 1] > 0, :, :4] = 200
    pictures[responses[:, 2] * responses[:, 3] > 0, :, 4:] = 200
    return responses + 0.1 * generator.normal(size=responses.shape), pictures


def error(drawn, pictures):
    return np.square(drawn.astype(float) - pictures).mean()


def test_the_decoder_draws_what_no_line_tells():
    responses, pictures = world()
    path = fit_low_level_network(responses[:1400], pictures[:1400], settings=QUICK)
    assert path.share > 0.9
    drawn = path.draw(responses[1400:])
    assert drawn.shape == (200, 8, 8, 3)
    assert drawn.dtype == np.uint8
    ridge = fit_low_level(responses[:1400], pictures[:1400]).draw(responses[1400:])
    assert error(drawn, pictures[1400:]) < 0.5 * error(ridge, pictures[1400:])
    again = fit_low_level_network(responses[:1400], pictures[:1400], settings=QUICK)
    assert (again.draw(responses[1400:]) == drawn).all()


def test_where_responses_tell_nothing_the_regression_stays():
    _, pictures = world(num=120)
    noise = np.random.default_rng(1).normal(size=(120, 30))
    path = fit_low_level_network(noise[:100], pictures[:100], areas=["V1"] * 30, settings=QUICK)
    assert path.share < 0.2
    mean = pictures[:100].mean(axis=0)
    assert error(path.draw(noise[100:]), mean) < 20**2


def test_missing_values_count_as_the_mean():
    responses, pictures = world(num=200)
    holes = responses.copy()
    holes[::3, 1] = np.nan
    drawn = fit_low_level_network(holes, pictures, settings=QUICK).draw(holes)
    assert np.isfinite(drawn).all()


def test_what_does_not_belong_together_is_refused():
    responses, pictures = world(num=10)
    with pytest.raises(DataError, match="9 responses and 10 pictures"):
        fit_low_level_network(responses[:9], pictures)
