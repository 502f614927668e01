"""Cases: what is scored, what may be read, and nulls that know nothing of it."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.null import NullModel, session_null
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.ops.intervals import intersect, total_s
from neurohorizon.recordings.splits import split_interleaved
from worlds import poisson_recording

PROTOCOL = Protocol(reference_s=20.0, fewest_spikes=100)


def test_the_null_is_of_the_unscored_part_alone():
    recording = poisson_recording()
    case = prepare_case(recording, PROTOCOL, held_out=False)
    assert total_s(intersect(case.null.intervals, case.scored)) == 0
    inside = (recording.spike_times >= case.scored[0, 0]) & (
        recording.spike_times < case.scored[0, 1]
    )
    changed = replace(
        recording,
        spike_times=recording.spike_times[~inside],
        spike_unit_index=recording.spike_unit_index[~inside],
    )
    same = prepare_case(changed, PROTOCOL, held_out=False)
    assert np.array_equal(same.null.rate_hz, case.null.rate_hz)
    assert np.array_equal(same.reference.rate_hz, case.reference.rate_hz)


def test_a_null_from_the_scored_window_is_refused():
    recording = poisson_recording()
    case = prepare_case(recording, PROTOCOL, held_out=False)
    cheat = NullModel(
        rate_hz=recording.rate_hz,
        intervals=recording.domain,
        silent=np.zeros(recording.num_units, dtype=bool),
    )
    with pytest.raises(DataError, match=r"poisson: the null was computed from .* s of what is"):
        cheat.require_unscored(case.origins_s, horizon_s=1.0, recording=recording.id)
    case.null.require_unscored(case.origins_s, horizon_s=1.0, recording=recording.id)


def test_a_unit_silent_in_the_null_is_counted_and_costs_no_infinity():
    recording = poisson_recording(num_units=5)
    case = prepare_case(recording, PROTOCOL, held_out=False)
    early = (recording.spike_unit_index == 2) & (recording.spike_times < case.scored[0, 0])
    silent = replace(
        recording,
        spike_times=recording.spike_times[~early],
        spike_unit_index=recording.spike_unit_index[~early],
    )
    null = session_null(silent, case.scored)
    assert null.num_silent == 1
    assert null.silent.tolist() == [False, False, True, False, False]
    assert 0 < null.rate_hz[2] < 0.2


def test_a_session_scored_as_a_whole_has_no_null():
    recording = poisson_recording()
    with pytest.raises(DataError, match="too little for a null"):
        session_null(recording, recording.domain)


def test_references_end_where_they_should():
    recording = poisson_recording(duration_s=120.0)
    split = recording.require_split()
    held_out = prepare_case(recording, PROTOCOL, held_out=True)
    trained_on = prepare_case(recording, PROTOCOL, held_out=False)
    assert held_out.reference.intervals[-1, 1] == split.test[0, 0]
    assert trained_on.reference.intervals[-1, 1] == split.train[-1, 1]
    for case in (held_out, trained_on):
        assert np.isclose(case.reference.duration_s, 20.0)
    everything = replace(PROTOCOL, reference_s=None)
    case = prepare_case(recording, everything, held_out=False)
    assert np.isclose(case.reference.duration_s, total_s(split.train))


def test_in_interleaved_splits_nothing_scored_is_read():
    recording = poisson_recording(duration_s=200.0)
    recording = replace(recording, split=split_interleaved(recording.domain))
    everything = replace(PROTOCOL, reference_s=None)
    for held_out in (True, False):
        case = prepare_case(recording, everything, held_out=held_out)
        assert total_s(intersect(case.reference.intervals, case.scored)) == 0
        assert total_s(intersect(case.null.intervals, case.scored)) == 0


def test_the_validation_part_knows_nothing_of_the_test_part():
    recording = poisson_recording(duration_s=120.0)
    case = prepare_case(recording, PROTOCOL, held_out=False, part="valid")
    test = recording.require_split().test
    for intervals in (case.reference.intervals, case.null.intervals, case.scored):
        assert total_s(intersect(intervals, test)) == 0


def test_unsorted_units_are_left_out_and_named():
    recording = poisson_recording(num_units=4)
    quality = np.array(["good", "unsorted", "", "mua"])
    recording = replace(recording, units=replace(recording.units, quality=quality))
    case = prepare_case(recording, PROTOCOL, held_out=False)
    assert case.scored_units.tolist() == [True, False, True, True]
    assert case.left_out_units() == {"unit_0001": "quality 'unsorted'"}
    none_left = replace(recording, units=replace(recording.units, quality=quality[[1] * 4]))
    with pytest.raises(DataError, match="none of 4 units is scored"):
        prepare_case(none_left, PROTOCOL, held_out=False)


def test_few_spikes_are_shown_not_scored():
    recording = poisson_recording()
    assert prepare_case(recording, PROTOCOL, held_out=False).why_not_scored == ""
    strict = replace(PROTOCOL, fewest_spikes=10**6)
    case = prepare_case(recording, strict, held_out=False)
    assert case.why_not_scored == f"{case.num_spikes} test spikes, fewer than 1000000"


def test_spikes_of_overlapping_windows_are_counted_once():
    recording = poisson_recording()
    case = prepare_case(recording, PROTOCOL, held_out=False)
    first, last = case.origins_s[0], case.origins_s[-1] + 1.0
    assert case.num_spikes == len(recording.between(first, last)[0])


def test_chunks_hold_every_origin_once():
    case = prepare_case(poisson_recording(), PROTOCOL, held_out=False)
    origins = np.concatenate([windows.origins_s for windows in case.chunks(size=7)])
    assert np.array_equal(origins, case.origins_s)
    assert np.array_equal(case.thin(3).origins_s, case.origins_s[::3])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizons_s": (0.1, 2.0)}, "rising horizons of at most 1 s"),
        ({"horizons_s": (0.5, 0.1)}, "rising horizons"),
        ({"horizons_s": (0.25,)}, r"choose 0\.24 or 0\.26 s"),
        ({"horizons_s": ()}, "rising horizons"),
        ({"reference_s": 0.0}, "reference_s is 0.0 s"),
        ({"origin_step_s": float("nan")}, "origin_step_s is nan s"),
    ],
)
def test_a_protocol_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Protocol(**settings)


def test_a_part_without_a_window_is_refused():
    recording = poisson_recording()
    split = replace(recording.require_split(), test=np.array([[50.0, 51.0]]))
    with pytest.raises(DataError, match=r"the test domain \(1 s\) holds no window of 1\.5 s"):
        prepare_case(replace(recording, split=split), PROTOCOL, held_out=False)
    with pytest.raises(DataError, match="no train/valid/test split"):
        prepare_case(replace(recording, split=None), PROTOCOL, held_out=False)
