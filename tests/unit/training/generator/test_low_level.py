"""The low-level path: pictures that responses tell linearly are drawn; others are the mean."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.training.generator.low_level import fit_low_level


def world(num=300, units=12, seed=0):
    """Pictures of three patterns, and units that mix how much of each there is."""
    generator = np.random.default_rng(seed)
    patterns = generator.normal(size=(3, 8 * 8 * 3))
    amount = generator.normal(size=(num, 3))
    pixels = np.clip(128 + 15 * amount @ patterns, 0, 255).round().astype(np.uint8)
    responses = amount @ generator.normal(size=(3, units)) + 4
    return responses, pixels.reshape(num, 8, 8, 3)


def test_what_responses_tell_is_drawn():
    responses, pictures = world()
    drawn = fit_low_level(responses[:200], pictures[:200]).draw(responses[200:])
    assert drawn.shape == (100, 8, 8, 3)
    assert drawn.dtype == np.uint8
    assert np.abs(drawn.astype(int) - pictures[200:]).mean() < 4
    # Whatever the units of a response and its shape, and the same each time.
    bins = (7 * responses - 3).reshape(300, 6, 2)
    again = fit_low_level(bins[:200], pictures[:200]).draw(bins[200:])
    assert np.abs(again.astype(int) - drawn).max() <= 1


def test_responses_that_tell_nothing_are_the_mean_picture():
    _, pictures = world()
    noise = np.random.default_rng(1).normal(size=(300, 12))
    drawn = fit_low_level(noise[:200], pictures[:200]).draw(noise[200:])
    assert np.abs(drawn - pictures[:200].mean(axis=0)).mean() < 5


def test_missing_values_and_silent_units_count_as_the_mean():
    responses, pictures = world()
    holes = responses.copy()
    holes[::7, 2] = np.nan
    holes[:, 5] = np.nan
    path = fit_low_level(holes[:200], pictures[:200])
    drawn = path.draw(holes[200:])
    assert np.abs(drawn.astype(int) - pictures[200:]).mean() < 12
    nothing = path.draw(np.full((1, 12), np.nan))
    assert np.abs(nothing - pictures[:200].mean(axis=0)).max() < 1.5


def test_units_of_an_area_that_tells_less_count_less():
    responses, pictures = world(num=400)
    noise = np.random.default_rng(2).normal(scale=3, size=(400, 60))
    both, areas = np.hstack([responses, noise]), ["V1"] * 12 + ["IT"] * 60
    plain = fit_low_level(both[:200], pictures[:200])
    path = fit_low_level(both[:200], pictures[:200], areas=areas)
    assert plain.area_weights == {}
    assert path.area_weights["V1"] / path.area_weights["IT"] >= 2

    def error(drawn):
        return np.square(drawn.astype(float) - pictures[200:]).mean()

    assert error(path.draw(both[200:])) < error(plain.draw(both[200:]))
    # It is the same whether a weight is in the fit or in the responses.
    scale = np.array([path.area_weights[each] for each in areas])
    read = path.standardise(both) / scale
    assert np.allclose(read.std(axis=0)[:12], plain.standardise(both).std(axis=0)[:12])
    alone = fit_low_level(both[:200], pictures[:200], areas=["V1"] * 72)
    assert (alone.draw(both) == plain.draw(both)).all()
    with pytest.raises(DataError, match="3 areas of 72 units"):
        fit_low_level(both, pictures, areas=["V1", "V4", "IT"])


def test_what_does_not_belong_together_is_refused():
    responses, pictures = world(num=10)
    with pytest.raises(DataError, match="9 responses and 10 pictures"):
        fit_low_level(responses[:9], pictures)
