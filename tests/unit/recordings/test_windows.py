"""Windows: geometry, history from kept states, and nothing from the future in the past."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.ops.traces import exponential_traces
from neurohorizon.recordings.splits import split_interleaved
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import TRACE_TIME_CONSTANTS_S, History, WindowReader
from worlds import poisson_recording, waving_recording


def test_a_horizon_that_is_no_whole_number_of_bins_is_refused_with_the_nearest_choices():
    with pytest.raises(ConfigError, match=r"0\.25 s is no whole number .*choose 0\.24 or 0\.26 s"):
        WindowSpec(horizon_s=0.25, bin_s=0.02)
    with pytest.raises(ConfigError, match=r"choose 0\.02 s"):
        WindowSpec(horizon_s=0.01, bin_s=0.02)
    with pytest.raises(ConfigError, match="bin_s is 0 s"):
        WindowSpec(bin_s=0.0)


@pytest.mark.parametrize("horizon_s", [0.02, 0.1, 0.24, 1.0, 1.48])
def test_groups_tile_every_horizon(horizon_s):
    spec = WindowSpec(horizon_s=horizon_s)
    assert spec.group_edges[0] == 0
    assert spec.group_edges[-1] == spec.num_bins
    assert (np.diff(spec.group_edges) > 0).all()
    counts = np.arange(spec.num_bins)[None]
    total = spec.group_rates(counts) * np.diff(spec.group_edges) * spec.bin_s
    assert np.isclose(total.sum(), counts.sum())


def test_history_from_kept_states_equals_filtering_everything():
    recording = poisson_recording(num_units=5, duration_s=40.0)
    at = np.sort(np.random.default_rng(0).uniform(0.5, 39.0, 30)).round(6)
    whole = exponential_traces(
        recording.spike_times,
        recording.spike_unit_index,
        num_units=5,
        at_s=at,
        time_constants_s=TRACE_TIME_CONSTANTS_S,
        start_s=0.0,
        start_rate_hz=recording.rate_hz,
    )
    for stride_s in (0.25, 1.0, 7.0):
        history = History(recording, stride_s=stride_s)
        shuffled = np.random.default_rng(1).permutation(len(at))
        read = history.at(at[shuffled], start_rate_hz=recording.rate_hz)
        np.testing.assert_allclose(read, whole[shuffled], rtol=2e-5, atol=1e-4)


def test_history_restarts_at_block_edges_of_an_interleaved_split():
    recording = poisson_recording(num_units=4, duration_s=300.0)
    split = split_interleaved(recording.domain, block_s=20.0, guard_s=1.5, seed=0)
    recording = replace(recording, split=split)
    start, end = split.test[0]
    rate = recording.rate_hz
    before = History(recording).at([start + 1.0], start_rate_hz=rate)
    keep = (recording.spike_times >= start) & (recording.spike_times < end)
    alone = replace(
        recording,
        spike_times=recording.spike_times[keep],
        spike_unit_index=recording.spike_unit_index[keep],
    )
    np.testing.assert_allclose(
        History(alone).at([start + 1.0], start_rate_hz=rate), before, rtol=1e-6
    )


def test_what_a_window_shows_of_the_past_does_not_depend_on_the_future():
    recording = waving_recording(duration_s=30.0)
    origins = np.array([10.0, 12.5, 20.0])
    kept = recording.spike_times < 20.0
    cut = replace(
        recording,
        spike_times=recording.spike_times[kept],
        spike_unit_index=recording.spike_unit_index[kept],
    )
    spec, rate = WindowSpec(), recording.rate_hz
    full = WindowReader(recording, spec).read(origins, start_rate_hz=rate)
    past = WindowReader(cut, spec).read(origins, start_rate_hz=rate)
    np.testing.assert_array_equal(full.traces_hz, past.traces_hz)
    np.testing.assert_array_equal(full.event_time_s, past.event_time_s)
    np.testing.assert_array_equal(full.event_unit_index, past.event_unit_index)
    assert full.counts[2].sum() > 0
    assert past.counts[2].sum() == 0


def test_parts_of_windows_are_those_windows():
    recording = waving_recording(duration_s=30.0)
    reader = WindowReader(recording, WindowSpec())
    origins = np.arange(5.0, 25.0, 1.7)
    whole = reader.read(origins, start_rate_hz=recording.rate_hz)
    part = whole.part(3, 7)
    alone = reader.read(origins[3:7], start_rate_hz=recording.rate_hz)
    for name in ("counts", "traces_hz", "event_time_s", "event_unit_index", "event_offsets"):
        np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))


@pytest.mark.parametrize("step_s", [0.5, 0.3])
def test_other_contexts_have_origins_on_the_same_grid(step_s):
    stretches = np.array([[0.0, 20.0], [30.0, 33.3]])
    every = {context: WindowSpec(context_s=context).origins(stretches, step_s=step_s)
             for context in (0.25, 0.5, 1.0)}  # fmt: skip
    np.testing.assert_allclose(every[0.25], every[0.5])
    assert every[0.5][0] == 0.5
    kept = np.isin(np.round(every[0.5], 6), np.round(every[1.0], 6))
    assert kept.sum() == len(every[1.0])
    # What is left out lacks the longer context.
    start = np.where(every[0.5] < 25, 0.0, 30.0)
    assert (every[0.5] - start)[~kept].max() < 1.0
    assert (every[1.0] >= np.where(every[1.0] < 25, 0.0, 30.0) + 1.0 - 1e-9).all()
