"""Stretches of time behave like sets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurohorizon.ops.intervals import (
    as_intervals,
    contains,
    dilate,
    intersect,
    regular_origins,
    subtract,
    total_s,
)

stretches = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 10)).map(lambda p: (p[0], p[0] + p[1])),
    max_size=6,
).map(as_intervals)
probes = np.arange(0, 62, 0.5)


@given(stretches, stretches)
def test_intersection_and_difference_agree_with_membership(left, right):
    in_left, in_right = contains(left, probes), contains(right, probes)
    np.testing.assert_array_equal(contains(intersect(left, right), probes), in_left & in_right)
    np.testing.assert_array_equal(contains(subtract(left, right), probes), in_left & ~in_right)


@given(stretches, stretches)
def test_parts_add_up(left, right):
    parts = total_s(intersect(left, right)) + total_s(subtract(left, right))
    assert np.isclose(parts, total_s(left))


@given(stretches)
def test_windows_around_regular_origins_stay_inside(intervals):
    origins = regular_origins(intervals, step_s=0.25, before_s=0.5, after_s=1.0)
    inside = contains(intervals, origins - 0.5) & contains(intervals, origins + 1.0 - 1e-6)
    assert inside.all()
    for start, end in intervals:
        mine = origins[(origins >= start) & (origins < end)]
        assert len(mine) == max(int((end - start - 1.5) / 0.25) + 1, 0)


def test_dilation_joins_what_comes_to_touch_and_shrinking_drops_what_vanishes():
    assert dilate(np.array([[0.0, 1.0], [2.0, 3.0]]), 0.5).tolist() == [[-0.5, 3.5]]
    assert dilate(np.array([[0.0, 1.0], [2.0, 5.0]]), -0.6).tolist() == [[2.6, 4.4]]
