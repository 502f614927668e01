"""Windows read from a file: torch_brain's spikes, brute force's counts, whatever the window."""

from dataclasses import replace
from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_brain.data import Data

from neurohorizon.ops.binning import search_times
from neurohorizon.recordings.schema import Recording, Units
from neurohorizon.recordings.store import open_recording, write_recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import History, WindowReader

CLOCK_HZ = 30_000
NUM_UNITS, DURATION_S = 12, 60
SPEC = WindowSpec()
# Geometry of a window in samples of the clock.
CONTEXT, HORIZON, BIN = 15_000, 30_000, 600


def make_recording(samples, unit_index, *, num_units=NUM_UNITS, duration_s=float(DURATION_S)):
    order = np.argsort(samples, kind="stable")
    return Recording(
        id="clocked",
        subject="tests",
        source="tests",
        spike_times=np.asarray(samples)[order] / CLOCK_HZ,
        spike_unit_index=np.asarray(unit_index, dtype=np.int64)[order],
        units=Units.numbered(num_units),
        domain=np.array([[0.0, duration_s]]),
    )


def draw_spikes(seed=0):
    """Waves of spikes on the clock, many of them at one sample, with silences between."""
    rng = np.random.default_rng(seed)
    per_second = rng.poisson(np.where(np.arange(DURATION_S) % 5 == 4, 0.0, 250.0))
    second = np.repeat(np.arange(DURATION_S), per_second)
    samples = second * CLOCK_HZ + rng.integers(0, CLOCK_HZ // BIN, len(second)) * BIN
    off_edges = rng.random(len(samples)) < 0.7
    samples[off_edges] += rng.integers(0, BIN, off_edges.sum())
    return samples, rng.integers(0, NUM_UNITS, len(samples))


@pytest.fixture(scope="module", params=["ours", "aligned to nothing"])
def path(request, tmp_path_factory):
    """Return a recording's file as we write it, and as another program may lay it out."""
    recording = make_recording(*draw_spikes())
    path = tmp_path_factory.mktemp("recording") / "clocked.h5"
    if request.param == "ours":
        write_recording(recording, path)
        assert open_recording(path).spike_times.flags.aligned
        return path
    written = write_recording(recording, path.with_name("ours.h5"))
    with h5py.File(written, "r") as source, h5py.File(path, "w") as file:
        file["odd"] = np.zeros(5, np.uint8)
        for key, value in source.attrs.items():
            file.attrs[key] = value
        for name in source:
            source.copy(name, file)
    assert not open_recording(path).spike_times.flags.aligned
    return path


def draw_windows(num_windows, seed):
    """Starts and ends in seconds: on samples, between them, anywhere; over both ends of time."""
    rng = np.random.default_rng(seed)
    start = rng.integers(-CLOCK_HZ, (DURATION_S + 1) * CLOCK_HZ, num_windows).astype(float)
    length = rng.choice([1.0, 599, 600, 15_000, 30_000, 31_234], num_windows)
    kind = rng.integers(0, 4, num_windows)
    start += np.select([kind == 1, kind == 2], [0.5, rng.random(num_windows)], 0.0)
    length += np.where(kind == 2, rng.random(num_windows), 0.0)
    on_bins = kind == 3
    start[on_bins] = np.round(start[on_bins] / BIN) * BIN
    return start / CLOCK_HZ, (start + length) / CLOCK_HZ


def test_spikes_between_two_times_are_torch_brains_in_ten_thousand_windows(path):
    recording = open_recording(path)
    assert isinstance(recording.spike_times, np.memmap)
    with h5py.File(path, "r") as file:
        eager = Data.from_hdf5(file, lazy=False)
    num_spikes = num_on_edges = 0
    for start, end in zip(*draw_windows(10_000, seed=1), strict=True):
        theirs = eager.slice(start, end, reset_origin=False).spikes
        times, unit_index = recording.between(start, end)
        np.testing.assert_array_equal(times, theirs.timestamps)
        np.testing.assert_array_equal(unit_index, theirs.unit_index)
        num_spikes += len(times)
        num_on_edges += len(times) > 0 and times[0] == start
    assert num_spikes > 500_000
    assert num_on_edges > 300


def test_spikes_between_two_times_are_those_of_a_fresh_lazy_slice(path):
    recording = open_recording(path)
    starts, ends = draw_windows(250, seed=2)
    inside = (starts >= 0) & (ends <= DURATION_S)
    assert inside.sum() >= 200
    with h5py.File(path, "r") as file:
        for start, end in zip(starts[inside][:200], ends[inside][:200], strict=True):
            # From a fresh object: what was sliced once remembers spikes it should not have.
            theirs = Data.from_hdf5(file, lazy=True).slice(start, end, reset_origin=False).spikes
            times, unit_index = recording.between(start, end)
            np.testing.assert_array_equal(times, theirs.timestamps)
            np.testing.assert_array_equal(unit_index, theirs.unit_index)


def test_ten_thousand_windows_hold_torch_brains_context_and_brute_forces_counts(path):
    recording = open_recording(path)
    samples, _ = draw_spikes()
    samples = 2 * np.sort(samples, kind="stable")
    rng = np.random.default_rng(3)
    # Half of the origins on a sample, the others between two; in half samples.
    origins = rng.integers(0, 2 * (DURATION_S + 1) * CLOCK_HZ, 10_000)
    with h5py.File(path, "r") as file:
        eager = Data.from_hdf5(file, lazy=False)
    reader = WindowReader(recording, SPEC, _NoHistory(recording))
    num_events = num_counted = 0
    for batch in np.split(origins, 40):
        windows = reader.read(batch / (2 * CLOCK_HZ), start_rate_hz=recording.rate_hz)
        for row, origin in enumerate(batch):
            low, high = windows.event_offsets[row : row + 2]
            start, now = (origin - 2 * CONTEXT) / (2 * CLOCK_HZ), origin / (2 * CLOCK_HZ)
            theirs = eager.slice(start, now, reset_origin=False).spikes
            np.testing.assert_array_equal(windows.event_unit_index[low:high], theirs.unit_index)
            # Origin and spike are each rounded to a microsecond.
            np.testing.assert_allclose(
                windows.event_time_s[low:high], theirs.timestamps - now, rtol=0, atol=1.1e-6
            )
            ahead = samples - origin
            chosen = (ahead >= 0) & (ahead < 2 * HORIZON)
            counts = np.zeros((NUM_UNITS, SPEC.num_bins), dtype=int)
            units = recording.spike_unit_index[chosen]
            np.add.at(counts, (units, ahead[chosen] // (2 * BIN)), 1)
            np.testing.assert_array_equal(windows.counts[row], counts)
            num_events, num_counted = num_events + high - low, num_counted + counts.sum()
    assert num_events > 500_000
    assert num_counted > 1_000_000


class _NoHistory(History):
    """Traces are compared elsewhere; leaving them out here saves most of the time."""

    def __init__(self, recording):
        self.recording = recording

    def at(self, times_s, *, start_rate_hz, inside_s=None):
        return np.empty((len(times_s), 0, 0))


ticks_of_spikes = st.lists(st.integers(0, 8_000_000), max_size=80)


@given(
    ticks=ticks_of_spikes,
    origins=st.lists(st.integers(0, 8_000_000), min_size=1, max_size=6),
    bin_s=st.sampled_from([0.01, 0.02, 0.05]),
    seed=st.integers(0, 99),
)
def test_windows_on_the_microsecond_clock_equal_brute_force(ticks, origins, bin_s, seed):
    recording, ticks, unit = on_microseconds(ticks, seed)
    spec = WindowSpec(context_s=0.3, horizon_s=0.5, bin_s=bin_s)
    reader = WindowReader(recording, spec)
    windows = reader.read(np.array(origins) / 1e6, start_rate_hz=np.ones(3))
    for row, origin in enumerate(origins):
        events = [(tick - origin, u) for tick, u in zip(ticks, unit, strict=True)]
        context = [event for event in events if -300_000 <= event[0] < 0]
        low, high = windows.event_offsets[row : row + 2]
        assert windows.event_unit_index[low:high].tolist() == [u for _, u in context]
        np.testing.assert_allclose(
            windows.event_time_s[low:high], [t / 1e6 for t, _ in context], rtol=1e-6
        )
        counts = np.zeros((3, spec.num_bins), dtype=int)
        for ahead, u in events:
            if 0 <= ahead < 500_000:
                counts[u, ahead // round(bin_s * 1e6)] += 1
        np.testing.assert_array_equal(windows.counts[row], counts)


@given(
    ticks=ticks_of_spikes,
    origins=st.lists(st.integers(0, 8_000_000), min_size=2, max_size=8),
    seed=st.integers(0, 99),
)
def test_a_window_does_not_depend_on_the_windows_read_with_it(ticks, origins, seed):
    recording, _, _ = on_microseconds(ticks, seed)
    reader = WindowReader(recording, SPEC)
    together = reader.read(np.array(origins) / 1e6, start_rate_hz=np.full(3, 2.0))
    for row, origin in enumerate(origins):
        alone = reader.read([origin / 1e6], start_rate_hz=np.full(3, 2.0))
        part = together.part(row, row + 1)
        for name in ("counts", "traces_hz", "event_time_s", "event_unit_index", "event_offsets"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(part, name))


@settings(max_examples=60)
@given(
    ticks=ticks_of_spikes,
    at=st.lists(st.integers(0, 9_000_000), min_size=1, max_size=6),
    cut=st.none() | st.integers(500_000, 8_500_000),
    stride_s=st.sampled_from([0.1, 0.73, 1.0, 5.0, 20.0]),
    seed=st.integers(0, 99),
)
def test_history_is_the_sum_over_all_spikes_since_its_start(ticks, at, cut, stride_s, seed):
    recording, ticks, unit = on_microseconds(ticks, seed)
    at = [*at, *ticks[:2], 9_000_000]
    edges = [0, 9_000_000] if cut is None else [0, cut, 9_000_000]
    segments = np.array(list(pairwise(edges))) / 1e6
    constants, rate = (0.03, 0.3, 20.0), np.array([0.0, 1.5, 40.0])
    history = History(
        recording, time_constants_s=constants, segments=segments, stride_s=stride_s
    ).at(np.array(at) / 1e6, start_rate_hz=rate)
    for row, tick in enumerate(at):
        start = max(edge for edge in edges[:-1] if edge <= tick)
        since = np.array([(tick - t) / 1e6 for t in ticks if start <= t < tick])
        owner = np.array([u for t, u in zip(ticks, unit, strict=True) if start <= t < tick])
        for column, constant in enumerate(constants):
            decayed = np.exp(-since / constant) / constant
            direct = rate * np.exp(-(tick - start) / 1e6 / constant)
            direct += [decayed[owner == u].sum() for u in range(3)]
            np.testing.assert_allclose(
                history[row, :, column], direct, rtol=1e-5, atol=1e-5 / constant
            )


def on_microseconds(ticks, seed):
    ticks = np.sort(np.array(ticks, dtype=np.int64))
    unit = np.random.default_rng(seed).integers(0, 3, len(ticks))
    recording = make_recording([], [], num_units=3, duration_s=9.0)
    return replace(recording, spike_times=ticks / 1e6, spike_unit_index=unit), ticks, unit


@given(
    times=st.lists(st.floats(-5, 5), max_size=40),
    at=st.lists(st.floats(-6, 6) | st.integers(-5, 5).map(float), max_size=10),
    side=st.sampled_from(["left", "right"]),
)
def test_searching_bytes_that_are_not_aligned_finds_the_same(times, at, side):
    times = np.sort(np.array([*times, -1.0, 2.0, 2.0]))
    shifted = np.frombuffer(b"odd" + times.tobytes(), dtype=np.float64, offset=3)
    assert not shifted.flags.aligned
    expected = np.searchsorted(times, np.array(at), side=side)
    for values in (times, shifted):
        np.testing.assert_array_equal(search_times(values, at, side=side), expected)
