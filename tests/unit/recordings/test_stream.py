"""A stream of spikes: a day of it neither drifts nor grows."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.stream import SpikeStream
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from worlds import poisson_recording, waving_recording

SPEC = WindowSpec()
DAY_S = 86_400.0


@pytest.fixture(scope="module")
def reference():
    return compute_reference(waving_recording(num_units=6), np.array([[0.0, 60.0]]), spec=SPEC)


def make_stream(reference, start_s=0.0):
    return SpikeStream(
        SPEC,
        start_rate_hz=reference.rate_hz,
        start_s=start_s,
        dynamics=reference.adapter.dynamics,
    )


def assert_same(window, expected, *, rtol):
    scale = np.abs(expected.states).max()
    np.testing.assert_allclose(window.traces_hz, expected.traces_hz, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(window.states, expected.states, rtol=rtol, atol=rtol * scale)
    np.testing.assert_allclose(window.event_time_s, expected.event_time_s, atol=1e-7)
    np.testing.assert_array_equal(window.event_unit_index, expected.event_unit_index)
    np.testing.assert_array_equal(window.event_offsets, expected.event_offsets)


@pytest.mark.parametrize("clock_s", [0.0, 1.7e9])
def test_after_hours_a_window_is_what_a_reader_reads(reference, clock_s):
    recording = poisson_recording(num_units=6, duration_s=4000.0, rate_hz=2.0)
    recording = replace(
        recording,
        spike_times=recording.spike_times + clock_s,
        domain=recording.domain + clock_s,
        split=None,
    )
    origins = clock_s + np.array([3.0, 3599.97, 4000.0])
    reader = WindowReader(recording, SPEC)
    expected = reader.read(
        origins, start_rate_hz=reference.rate_hz, dynamics=reference.adapter.dynamics
    )
    stream = make_stream(reference, start_s=clock_s)
    for index, origin in enumerate(origins):
        while stream.now_s < origin:
            end = min(stream.now_s + 7.3, origin)
            stream.update(*recording.between(stream.now_s, end), until_s=end)
        # The reader keeps its states in single precision.
        assert_same(stream.read(), expected.part(index, index + 1), rtol=1e-5)


def test_after_a_day_only_the_last_minutes_are_left(reference):
    generator = np.random.default_rng(0)
    day, late = make_stream(reference), make_stream(reference, start_s=DAY_S - 1800.0)
    held = []
    for start in np.arange(0.0, DAY_S, 60.0):
        count = generator.poisson(6 * 60.0)
        times = np.sort(generator.uniform(start, start + 60.0, count))
        units = generator.integers(0, 6, count)
        for stream in (day, late) if start >= late.now_s else (day,):
            stream.update(times, units, until_s=start + 60.0)
        held.append(sum(value.nbytes for value in vars(day).values() if hasattr(value, "nbytes")))
    assert day.now_s == late.now_s == DAY_S
    assert_same(day.read(), late.read(), rtol=1e-11)
    assert max(held[-100:]) < 1.5 * max(held[:100])


def test_a_chunk_of_many_spikes_is_read_in_parts(reference):
    generator = np.random.default_rng(0)
    times = np.sort(generator.uniform(0.0, 100.0, 50_000)).round(3)  # many at the same time
    units = generator.integers(0, 6, len(times))
    whole, pieces = make_stream(reference), make_stream(reference)
    whole.update(times, units, until_s=100.0)
    for part in np.array_split(np.arange(len(times)), 997):
        pieces.update(times[part], units[part])
    assert_same(whole.read(100.0), pieces.read(100.0), rtol=1e-11)
