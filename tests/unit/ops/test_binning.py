"""Counting spikes: exact on edges, equal to brute force, indifferent to window order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurohorizon.ops.binning import count_in_windows, spikes_in_windows


def brute_force(ticks, unit, *, num_units, start_ticks, bin_ticks, num_bins):
    counts = np.zeros((len(start_ticks), num_units, num_bins), dtype=int)
    for window, start in enumerate(start_ticks):
        for tick, owner in zip(ticks, unit, strict=True):
            if start <= tick < start + bin_ticks * num_bins:
                counts[window, owner, (tick - start) // bin_ticks] += 1
    return counts


@given(
    ticks=st.lists(st.integers(0, 3_000_000), max_size=60),
    starts=st.lists(st.integers(0, 2_500_000), min_size=1, max_size=5),
    bin_ticks=st.sampled_from([10_000, 20_000, 33_333]),
    seed=st.integers(0, 100),
)
def test_counts_equal_brute_force_on_the_microsecond_clock(ticks, starts, bin_ticks, seed):
    ticks = np.sort(np.array(ticks, dtype=np.int64))
    unit = np.random.default_rng(seed).integers(0, 3, len(ticks))
    counted = count_in_windows(
        ticks / 1e6,
        unit,
        num_units=3,
        starts_s=np.array(starts) / 1e6,
        bin_s=bin_ticks / 1e6,
        num_bins=7,
    )
    expected = brute_force(
        ticks, unit, num_units=3, start_ticks=starts, bin_ticks=bin_ticks, num_bins=7
    )
    np.testing.assert_array_equal(counted, expected)


@pytest.mark.parametrize("sample_hz", [30_000, 24_414.0625, 25_000])
def test_spikes_of_a_recording_clock_on_bin_edges_land_in_the_bin_that_starts_there(sample_hz):
    edges = np.arange(500) * 0.02
    counts = count_in_windows(
        edges, np.zeros(500, int), num_units=1, starts_s=[0.0], bin_s=0.02, num_bins=500
    )
    assert (counts == 1).all()
    samples = np.arange(int(sample_hz)) / sample_hz
    counts = count_in_windows(
        samples, np.zeros(len(samples), int), num_units=1, starts_s=[0.0], bin_s=0.02, num_bins=50
    )
    assert counts.sum() == len(samples), "every sample of a second lies in one of its bins"
    assert counts.max() - counts.min() <= 1


def test_windows_may_overlap_and_come_in_any_order():
    times = np.array([0.1, 0.2, 0.3])
    spike, offsets, ticks = spikes_in_windows(times, [0.2, 0.0], 0.15)
    found = [spike[low:high].tolist() for low, high in pairwise(offsets)]
    assert found == [[1, 2], [0]]
    assert ticks.tolist() == [0, 100_000, 100_000]


def test_each_window_can_have_its_own_length():
    spike, offsets, _ = spikes_in_windows(np.array([0.1, 0.2, 0.3]), [0.0, 0.0], [0.15, 0.35])
    assert np.diff(offsets).tolist() == [1, 3]
    assert spike.tolist() == [0, 0, 1, 2]
