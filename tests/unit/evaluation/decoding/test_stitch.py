"""Stitching equals a loop over windows, in any order, in any number of parts."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.cases import Asked
from neurohorizon.evaluation.decoding.stitch import Stitched

STRETCHES = np.array([[0.0, 5.0], [5.0, 9.0], [12.0, 15.0]])
TIMES = np.arange(0.01, 16.0, 0.07)


def windows(num_outputs: int) -> list[tuple[np.ndarray, np.ndarray, tuple[float, float]]]:
    """Return windows of one second, every 0.3 s, inside the stretches, with random outputs."""
    asked, generator = Asked.of(STRETCHES, TIMES), np.random.default_rng(0)
    found = []
    for start, end in STRETCHES:
        for low in np.append(np.arange(start, end - 1.0, 0.3), end - 1.0):
            index = np.flatnonzero((asked.times_s >= low) & (asked.times_s < low + 1.0))
            outputs = generator.normal(size=(len(index), num_outputs)).astype(np.float32)
            found.append((index, outputs, (low, low + 1.0)))
    return found


@pytest.mark.parametrize("categorical", [False, True])
def test_each_time_once_as_a_loop_would(categorical):
    asked = Asked.of(STRETCHES, TIMES)
    stitched = Stitched(asked, 3, categorical=categorical)
    for index, outputs, window_s in windows(3):
        stitched.add(index, outputs, window_s=window_s)
    expected = []
    for place in range(len(asked)):
        said = []
        for index, outputs, _ in windows(3):
            for output in outputs[index == place].astype(np.float64):
                odds = np.exp(output)
                said.append(odds / odds.sum() if categorical else output)
        expected.append(np.mean(said, axis=0))
    assert stitched.num_missing == 0
    assert np.allclose(stitched.decoded(), expected, atol=1e-12)
    if categorical:
        assert np.allclose(stitched.decoded().sum(axis=1), 1.0)


def test_order_and_parts_have_no_effect():
    asked = Asked.of(STRETCHES, TIMES)
    whole = Stitched(asked, 2)
    parts = [Stitched(asked, 2) for _ in range(3)]
    every = windows(2)
    for index, outputs, _ in every:
        whole.add(index, outputs)
    for number in np.random.default_rng(3).permutation(len(every)):
        parts[number % 3].add(*every[number][:2])
    parts[0].merge(parts[1:])
    assert np.array_equal(whole.counts, parts[0].counts)
    assert np.allclose(whole.decoded(), parts[0].decoded(), rtol=1e-12)


def test_float32_times_of_windows_find_their_time_stamps():
    asked = Asked.of(STRETCHES, TIMES + 0.0333333333)
    relative = (asked.times_s[40:52] - asked.times_s[40]).astype(np.float32)
    found = Stitched(asked, 1).index_of(asked.times_s[40] + relative.astype(np.float64))
    assert found.tolist() == list(range(40, 52))
    with pytest.raises(DataError, match=r"is no time stamp to decode at"):
        Stitched(asked, 1).index_of([asked.times_s[40] + 0.02])


def test_windows_never_reach_out_of_a_stretch():
    asked = Asked.of(STRETCHES, TIMES)
    index = np.flatnonzero((asked.times_s >= 4.5) & (asked.times_s < 5.0))
    with pytest.raises(DataError, match=r"from 4.500 to 5.500 s reaches out of the stretch"):
        Stitched(asked, 1).add(index, np.zeros((len(index), 1)), window_s=(4.5, 5.5))


def test_times_that_no_window_covers_are_named_or_filled():
    asked = Asked.of(STRETCHES, TIMES)
    stitched = Stitched(asked, 1, where="one, position")
    stitched.add([0, 1], [[1.0], [2.0]])
    with pytest.raises(DataError, match=r"one, position: no window covers"):
        stitched.decoded()
    assert stitched.decoded(fill=[7.0])[:3, 0].tolist() == [1.0, 2.0, 7.0]


def test_what_is_not_finite_is_refused():
    with pytest.raises(DataError, match="not finite"):
        Stitched(Asked.of(STRETCHES, TIMES), 1).add([0], [[np.inf]])
