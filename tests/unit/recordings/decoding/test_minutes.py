"""Which minutes of a new session are read, and that nothing else of it is."""

from dataclasses import replace

import numpy as np
import pytest

from decoding_worlds import calcium_recording, moving_recording, with_split
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.intervals import contains, intersect, total_s
from neurohorizon.recordings.decoding.minutes import minutes_of, readable_stretches
from neurohorizon.recordings.splits import split_in_time


def test_of_blocks_that_take_turns_they_are_the_first_of_both_parts_in_their_proportion():
    recording = moving_recording(duration_s=240.0)
    split = recording.require_split()
    share = total_s(split.valid) / (total_s(split.train) + total_s(split.valid))
    for minutes in (1.0, 2.5):
        given = minutes_of(recording, minutes)
        assert total_s(given.stretches) == pytest.approx(60 * minutes)
        assert total_s(given.held) == pytest.approx(60 * minutes * share)
        for part, whole in ((given.learn, split.train), (given.held, split.valid)):
            before = whole[whole[:, 0] < part[-1, 1]]
            np.testing.assert_allclose(part[:-1], before[:-1])
            np.testing.assert_allclose(part[-1, 0], before[-1, 0])
    fewer, more = (minutes_of(recording, minutes).stretches for minutes in (1.0, 2.0))
    assert total_s(intersect(fewer, more)) == pytest.approx(60.0), "more minutes contain fewer"


def test_of_parts_in_time_they_are_the_last_before_the_test_part():
    recording = moving_recording(duration_s=300.0)
    recording = with_split(recording, split_in_time(recording.domain, guard_s=1.0))
    split = recording.require_split()
    given = minutes_of(recording, 2.0)
    assert given.held[-1, 1] == pytest.approx(split.valid[-1, 1])
    assert given.held[-1, 1] < split.test[0, 0]
    assert total_s(given.held) == pytest.approx(0.2 * 120.0)
    assert total_s(given.learn) == pytest.approx(0.8 * 120.0)
    assert len(intersect(given.stretches, split.test)) == 0
    unsplit = minutes_of(replace(recording, split=None), 1.0)
    assert unsplit.stretches.tolist() == [[240.0, 300.0]]
    after = replace(split, train=split.test, test=split.train)
    assert total_s(readable_stretches(with_split(recording, after))) == 0.0


@pytest.mark.parametrize("make", [moving_recording, calcium_recording])
def test_nothing_else_of_the_recording_is_left(make):
    recording = make(duration_s=120.0)
    given = minutes_of(recording, 1.0)
    cut = given.cut(recording)
    assert cut.duration_s == pytest.approx(60.0)
    assert contains(given.stretches, cut.spike_times).all()
    for kept, whole in ((cut.series, recording.series), (cut.signals, recording.signals)):
        for name, series in kept.items():
            inside = contains(given.stretches, whole[name].timestamps)
            np.testing.assert_array_equal(series.timestamps, whole[name].timestamps[inside])
            np.testing.assert_array_equal(series.values, whole[name].values[inside])
    for table in cut.tables.values():
        assert 0 < len(table) < len(recording.tables["trials"])
        assert all(len(column) == len(table) for column in table.columns.values())
    assert len(cut.require_split().test) == 0
    assert len(given.split(recording).require_split().test)


def test_minutes_that_cannot_be_had_are_refused():
    recording = moving_recording(duration_s=120.0)
    with pytest.raises(ConfigError, match=r"at least 0\.5"):
        minutes_of(recording, 0.1)
    with pytest.raises(ConfigError, match="at least"):
        minutes_of(recording, float("nan"))
    with pytest.raises(DataError, match=r"moving: 5 minutes .* beside its test part: give fewer"):
        minutes_of(recording, 5.0)
    with pytest.raises(DataError, match="2 are recorded"):
        minutes_of(replace(recording, split=None), 3.0)
    with pytest.raises(DataError, match=r"as long as a window \(30 s\): give more"):
        minutes_of(recording, 1.0, shortest_s=30.0)
