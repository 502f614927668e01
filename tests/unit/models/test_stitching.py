"""Stitching equals a loop over windows, in any order, in any number of parts."""

import numpy as np
import pytest

from neurohorizon.errors import DataError
from neurohorizon.models.stitching import Stitched
from neurohorizon.recordings.decoding.placement import cover_stretches
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.recordings.decoding.windows import DecodeReader
from worlds import waving_recording

STRETCHES = np.array([[0.5, 5.0], [5.1, 9.3], [12.0, 15.0]])


def windows(num_outputs: int) -> tuple[int, list[tuple[np.ndarray, np.ndarray]]]:
    """Return how many time stamps there are, and what windows of one second say of which."""
    recording = waving_recording(duration_s=20.0)
    task = Task(TaskSpec(name="position", series="position", rate_hz=20.0), (0.0,), (1.0,))
    reader = DecodeReader(recording, [task], length_s=1.0)
    cover = cover_stretches(STRETCHES, length_s=1.0, stride_s=0.3)
    generator = np.random.default_rng(0)
    found = []
    for index in range(len(cover)):
        one = cover.part(slice(index, index + 1))
        rows = reader.read(one.starts_s, asked_s=one.asked_s).query_row
        found.append((rows, generator.normal(size=(len(rows), num_outputs)).astype(np.float32)))
    return len(reader.targets["position"].times_s), found


@pytest.mark.parametrize("categorical", [False, True])
def test_each_time_once_as_a_loop_would(categorical):
    num_times, every = windows(3)
    stitched = Stitched(num_times, 3, categorical=categorical)
    said: dict[int, list[np.ndarray]] = {}
    for rows, outputs in every:
        stitched.add(rows, outputs)
        for row, output in zip(rows.tolist(), outputs.astype(np.float64), strict=True):
            odds = np.exp(output)
            said.setdefault(row, []).append(odds / odds.sum() if categorical else output)
    rows = np.array(sorted(said))
    assert max(map(len, said.values())) >= 4
    expected = [np.mean(said[row], axis=0) for row in rows]
    assert np.allclose(stitched.averaged(rows), expected, atol=1e-12)
    if categorical:
        assert np.allclose(stitched.averaged(rows).sum(axis=1), 1.0)


def test_windows_never_speak_of_another_stretch():
    recording = waving_recording(duration_s=20.0)
    task = Task(TaskSpec(name="position", series="position", rate_hz=20.0), (0.0,), (1.0,))
    reader = DecodeReader(recording, [task], length_s=1.0)
    times = reader.targets["position"].times_s
    cover = cover_stretches(STRETCHES, length_s=1.0)
    for index in range(len(cover)):
        one = cover.part(slice(index, index + 1))
        at = times[reader.read(one.starts_s, asked_s=one.asked_s).query_row]
        middle = one.starts_s[0] + 0.5
        (home,) = STRETCHES[(STRETCHES[:, 0] <= middle) & (middle < STRETCHES[:, 1])]
        assert ((at >= home[0]) & (at < home[1])).all()


def test_order_and_parts_have_no_effect():
    num_times, every = windows(2)
    whole = Stitched(num_times, 2)
    parts = [Stitched(num_times, 2) for _ in range(3)]
    for rows, outputs in every:
        whole.add(rows, outputs)
    for number in np.random.default_rng(3).permutation(len(every)):
        parts[number % 3].add(*every[number])
    parts[0].merge(parts[1:])
    assert np.array_equal(whole.counts, parts[0].counts)
    rows = np.flatnonzero(whole.counts)
    assert np.allclose(whole.averaged(rows), parts[0].averaged(rows), rtol=1e-12)


def test_what_no_window_covers_and_what_is_not_finite_is_refused():
    stitched = Stitched(5, 1, where="one, task position")
    stitched.add(np.array([0, 1]), [[1.0], [2.0]])
    with pytest.raises(DataError, match="one, task position: no window covers 2 of 3 time stamps"):
        stitched.averaged(np.array([1, 2, 3]))
    with pytest.raises(DataError, match="not finite"):
        stitched.add(np.array([0]), [[np.inf]])
