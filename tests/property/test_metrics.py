"""Metrics and scores on arbitrary data: relations that hold whatever the numbers are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neurohorizon.evaluation.bootstrap import bootstrap
from neurohorizon.evaluation.metrics import (
    bits_per_spike,
    d2_from_counts,
    mtm_from_counts,
    nlb_from_counts,
    own_mean_log_likelihood,
)
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.evaluation.scores import Scores
from worlds import poisson_recording

SHAPE = (8, 5)
COUNTS = arrays.arrays(np.int64, SHAPE, elements=st.integers(0, 6)).filter(lambda k: k.sum() > 0)
EXPECTED = arrays.arrays(np.float64, SHAPE, elements=st.floats(1e-3, 20.0))
PROTOCOL = Protocol(reference_s=20.0, fewest_spikes=1, block_s=3.0)
CASE = prepare_case(poisson_recording(num_units=3), PROTOCOL, held_out=False)
WINDOWS = list(CASE.chunks(1))


@given(counts=COUNTS, expected=EXPECTED)
def test_nothing_beats_the_counts_themselves(counts, expected):
    assert nlb_from_counts(expected, counts) <= nlb_from_counts(counts, counts) + 1e-6
    assert d2_from_counts(expected, counts) <= 1 + 1e-9 or np.isnan(
        d2_from_counts(expected, counts)
    )


@given(counts=COUNTS)
def test_the_own_mean_scores_zero_and_no_constant_beats_it(counts):
    own = np.broadcast_to(counts.mean(axis=0), counts.shape)
    assert abs(nlb_from_counts(own, counts)) < 1e-6
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert nlb_from_counts(own * factor, counts) <= 1e-6


@given(counts=COUNTS, expected=EXPECTED, order=st.permutations(range(SHAPE[1])))
def test_the_order_of_units_and_windows_does_not_matter(counts, expected, order):
    for metric in (nlb_from_counts, mtm_from_counts, d2_from_counts):
        value = metric(expected, counts)
        same = (metric(expected[::-1][:, order], counts[::-1][:, order]), metric(expected, counts))
        assert np.allclose(value, same, equal_nan=True)


@given(counts=COUNTS, expected=EXPECTED)
def test_pooled_bits_lie_between_those_of_the_units(counts, expected):
    log_likelihood = (counts * np.log(expected) - expected).sum(axis=0)
    spikes = counts.sum(axis=0)
    null = own_mean_log_likelihood(spikes, len(counts))
    active = spikes > 0
    per_unit = bits_per_spike(log_likelihood[active], null[active], spikes[active])
    pooled = bits_per_spike(log_likelihood[active].sum(), null[active].sum(), spikes[active].sum())
    assert per_unit.min() - 1e-9 <= pooled <= per_unit.max() + 1e-9


@settings(max_examples=30)
@given(
    part=st.lists(st.integers(0, 2), min_size=len(WINDOWS), max_size=len(WINDOWS)),
    order=st.permutations(range(3)),
)
def test_however_windows_are_dealt_and_merged_the_sums_are_the_same(part, order):
    parts = [Scores.empty("row", CASE) for _ in range(3)]
    whole = Scores.empty("row", CASE)
    for index, windows in zip(part, WINDOWS, strict=True):
        expected = 0.05 + 0.01 * windows.counts + 0.01 * (windows.origins_s[0] % 3)
        parts[index].add(windows, expected)
        whole.add(windows, expected)
    merged = parts[order[0]]
    merged.merge(parts[order[1]])
    merged.merge(parts[order[2]])
    for name, values in whole.to_arrays().items():
        other = merged.to_arrays()[name]
        if name == "origin_ticks":
            values, other = np.sort(values), np.sort(other)
        assert np.allclose(values, other, atol=1e-9), name


@settings(max_examples=30)
@given(
    gain=arrays.arrays(np.float64, (12, 2), elements=st.floats(-50, 50)),
    spikes=arrays.arrays(np.int64, (12, 2), elements=st.integers(1, 99)),
)
def test_an_interval_is_ordered_and_turns_with_its_sign(gain, spikes):
    interval = bootstrap([gain], [spikes], num_draws=200)
    assert np.all(interval.low <= interval.high)
    turned = bootstrap([-gain], [spikes], num_draws=200)
    assert np.allclose(turned.low, -interval.high)
    assert not np.any(interval.above & interval.below)
