"""Sorting on disk gives what sorting in memory gives, whatever arrives in whatever order."""

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neurohorizon.errors import DataError
from neurohorizon.recordings.spike_spool import SpikeSpool

TIMES = st.floats(-10, 1e5, allow_nan=False) | st.sampled_from([0.0, 1.0, 2.0, np.nan, np.inf])
BLOCKS = st.lists(arrays.arrays(np.float64, st.integers(0, 40), elements=TIMES), max_size=8)


@given(blocks=BLOCKS, most=st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_equals_a_stable_sort_of_all(blocks, most):
    spool = SpikeSpool(most_in_memory=most)
    came_times = np.concatenate([np.empty(0), *blocks])
    came_units = np.arange(len(came_times)) % 7
    low = 0
    for block in blocks:
        spool.add(block, came_units[low : low + len(block)])
        low += len(block)
    times, units = spool.sorted()
    order = np.argsort(came_times, kind="stable")
    np.testing.assert_array_equal(times, came_times[order])
    np.testing.assert_array_equal(units, came_units[order])
    assert isinstance(times, np.memmap) == (len(came_times) > most)


def test_the_files_have_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = SpikeSpool(most_in_memory=10)
    spool.add(np.arange(100.0)[::-1], np.arange(100))
    assert spool.sorted()[1].tolist() == list(range(100))[::-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no way to ask for room")
def test_a_full_disk_is_told(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = SpikeSpool(most_in_memory=10)
    spool.add(np.arange(100.0), np.arange(100))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"no room for 0 MiB of spikes to sort .*set TMPDIR"):
        spool.sorted()
