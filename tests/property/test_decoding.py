"""Windows of decoders: whatever the stretches, all is covered and nothing else is asked."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding_worlds import moving_recording
from neurohorizon.ops.intervals import as_intervals
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.placement import cover_stretches, start_rooms
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.decoding.windows import DecodeReader

RECORDING = moving_recording(duration_s=40.0)
TASKS = meet_tasks(
    [
        TaskSpec(name="velocity", series="velocity"),
        TaskSpec(name="side", kind="binary", table="trials", column="side", at="end"),
    ],
    [RECORDING],
)
STRETCHES = st.lists(
    st.tuples(st.floats(0.0, 38.0), st.floats(0.05, 12.0)).map(
        lambda one: (one[0], min(one[0] + one[1], 40.0))
    ),
    min_size=1,
    max_size=5,
).map(lambda rows: as_intervals(rows))


@given(STRETCHES, st.floats(0.05, 4.0), st.floats(0.1, 1.0))
@settings(max_examples=80, deadline=None)
def test_every_time_stamp_of_the_stretches_is_asked_for(
    stretches: np.ndarray, length_s: float, stride: float
) -> None:
    reader = DecodeReader(RECORDING, TASKS, length_s=length_s)
    length_s = reader.length_s
    cover = cover_stretches(stretches, length_s=length_s, stride_s=max(stride * length_s, 1e-3))
    windows = reader.read(cover.starts_s, asked_s=cover.asked_s)
    owner = np.searchsorted(stretches[:, 0], cover.asked_s[:, 0], side="right") - 1
    window = np.repeat(np.arange(len(windows)), np.diff(windows.query_offsets))
    for position, task in enumerate(TASKS):
        mine = windows.query_task == position
        stamps = reader.targets[task.name]
        np.testing.assert_array_equal(np.unique(windows.query_row[mine]), stamps.inside(stretches))
        # A window never asks in a stretch other than its own.
        at = stamps.times_s[windows.query_row[mine]]
        own = stretches[owner[window[mine]]]
        assert np.all((at >= own[:, 0]) & (at < own[:, 1]))


@given(STRETCHES, st.floats(0.05, 4.0))
@settings(max_examples=80, deadline=None)
def test_windows_that_start_in_a_room_stay_in_their_stretch(
    stretches: np.ndarray, length_s: float
) -> None:
    reader = DecodeReader(RECORDING, TASKS, length_s=length_s)
    rooms = start_rooms(reader, stretches, with_queries=False)
    fits = stretches[:, 1] - stretches[:, 0] > reader.length_s + 4e-6
    assert len(rooms) >= fits.sum()
    windows = reader.read(rooms.ravel() / 1e6)
    for index in range(len(windows)):
        low, high = windows.token_offsets[index : index + 2]
        times = windows.starts_s[index] + windows.token_time_s[low:high].astype(np.float64)
        own = np.searchsorted(stretches[:, 0], windows.starts_s[index], side="right") - 1
        assert np.all(times >= stretches[own, 0] - 1e-6)
        assert np.all(times < stretches[own, 1] + 1e-6)
