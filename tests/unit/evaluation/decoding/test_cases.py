"""Bins hold what lies in the stretch and nothing else; targets come back where they were."""

from dataclasses import replace

import numpy as np
import pytest

from decoding_cases import wandering_case
from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.activity import Activity
from neurohorizon.evaluation.decoding.cases import Asked
from neurohorizon.evaluation.decoding.grid import at_times, bin_classes, bin_values, lagged
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec

STRETCHES = np.array([[3.0, 7.25], [20.0, 20.04], [30.0, 33.0]])


def test_counts_are_those_of_a_histogram():
    activity = wandering_case().activity
    recording = activity.recording
    for each, (start, end) in zip(activity.binned(STRETCHES, 0.1), STRETCHES, strict=True):
        edges = start + 0.1 * np.arange(len(each) + 1)
        if end - start < 0.1:
            edges[-1] = end
        for unit in range(3):
            times = recording.spike_times[recording.spike_unit_index == unit]
            assert each[:, unit].tolist() == np.histogram(times, edges)[0].tolist()


def test_nothing_outside_of_a_stretch_is_read():
    case = wandering_case(length_s=60.0)
    recording = case.activity.recording
    inside = (recording.spike_times >= 3.0) & (recording.spike_times < 7.25)
    cut = replace(
        recording,
        spike_times=recording.spike_times[inside],
        spike_unit_index=recording.spike_unit_index[inside],
    )
    for bin_s in (0.05, 1.0, 10.0):
        one, other = (Activity(r).binned(STRETCHES[:1], bin_s)[0] for r in (recording, cut))
        assert np.array_equal(one, other)


def test_signals_are_averaged_and_gaps_filled():
    activity = wandering_case(signal=True, length_s=60.0).activity
    series = activity.recording.signals["calcium"]
    (binned,) = activity.binned(np.array([[10.0, 12.0]]), 0.25)
    here = (series.timestamps >= 10.25) & (series.timestamps < 10.5)
    assert np.allclose(binned[1], series.values[here].mean(axis=0), rtol=1e-5)
    assert activity.shortest_bin_s == pytest.approx(0.1)
    (fine,) = activity.binned(np.array([[10.0, 12.0]]), 0.02)
    assert np.isfinite(fine).all()


def test_a_signal_that_is_not_there_is_named():
    with pytest.raises(DataError, match=r"no signal 'lfp'; signals here: none"):
        Activity(wandering_case(length_s=30.0).activity.recording, "lfp")


def test_parts_hold_known_values_inside_their_stretches():
    case = wandering_case()
    values, weights = case.values.copy(), case.weights.copy()
    values[100:110, 1], weights[200:220] = np.nan, 0.0
    case = replace(case, values=values, weights=weights)
    parts = [case.part(name) for name in ("train", "valid", "test")]
    assert sum(map(len, parts)) == len(case.times_s) - 30
    for part in parts:
        stretch = part.stretches[part.stretch]
        assert ((part.times_s >= stretch[:, 0]) & (part.times_s < stretch[:, 1])).all()


def test_without_validation_the_last_fifth_of_training_serves():
    case = replace(wandering_case(), valid=np.empty((0, 2)))
    data = case.fit_data()
    assert data.valid.duration_s == pytest.approx(0.2 * case.part("train").duration_s)
    assert data.valid.times_s[0] > data.train.times_s[-1]


def test_values_of_bins_and_back():
    case = wandering_case(columns=1)
    part = case.part("test")
    values, weights = bin_values(part, 0.05)
    assert sum(float(each.sum()) for each in weights) == pytest.approx(len(part))
    # One time stamp a bin, 3 ms after its start: the value there is the bin's.
    back = at_times(part, 0.05, values)
    assert np.abs(back - part.values).max() < 0.15
    first = np.flatnonzero(part.stretch == 0)
    assert values[0][0, 0] == pytest.approx(part.values[first[0], 0])


def test_classes_of_bins_are_what_most_time_stamps_say():
    task = Task(TaskSpec(name="c", kind="binary", series="c"), classes=("a", "b"))
    times = np.array([0.1, 0.2, 0.3, 1.2, 2.5])
    case = replace(
        wandering_case(length_s=60.0),
        task=task,
        times_s=times,
        values=np.array([1, 1, 0, 0, 1]),
        weights=np.ones(5),
        train=np.array([[0.0, 4.0]]),
    )
    classes, weights = bin_classes(case.part("train"), 1.0, 2)
    assert classes[0].tolist() == [1, 0, 1, -1]
    assert weights[0].tolist() == [3, 1, 1, 0]


def test_lagged_bins_never_come_from_elsewhere():
    binned = np.arange(8, dtype=np.float32).reshape(4, 2)
    wide = lagged(binned, 1)
    assert wide[0].tolist() == [0, 0, 0, 1, 2, 3]
    assert wide[3].tolist() == [4, 5, 6, 7, 0, 0]


def test_asked_drops_times_outside():
    asked = Asked.of([[0.0, 1.0], [1.0, 2.0]], [0.5, 1.0, 2.0])
    assert asked.times_s.tolist() == [0.5, 1.0]
    assert asked.stretch.tolist() == [0, 1]


def test_unsorted_times_and_wrong_shapes_are_refused():
    case = wandering_case(length_s=60.0)
    with pytest.raises(DataError, match="not sorted"):
        replace(case, times_s=case.times_s[::-1])
    with pytest.raises(DataError, match="1 dimensions, expected 2"):
        replace(case, values=case.values[:, 0])
