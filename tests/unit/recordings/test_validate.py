from dataclasses import replace

import h5py
import numpy as np
import pytest

from neurohorizon.recordings.schema import Recording, Series, Split, Table, Units
from neurohorizon.recordings.splits import split_in_time
from neurohorizon.recordings.store import write_recording
from neurohorizon.recordings.survey import survey_file
from neurohorizon.recordings.validate import Finding, validate_recording

SECONDS = 300.0


def make_recording(num_units=8, rate_hz=6.0, seed=0, **change):
    """Steady units with a refractory period: nothing to find but what is not known."""
    rng = np.random.default_rng(seed)
    trains = []
    for _ in range(num_units):
        intervals = 0.003 + rng.exponential(1 / rate_hz, int(SECONDS * rate_hz * 1.5))
        times = np.cumsum(intervals)
        trains.append(times[times < SECONDS])
    units = np.repeat(np.arange(num_units), [len(train) for train in trains])
    times = np.concatenate(trains)
    order = np.argsort(times)
    domain = np.array([[0.0, SECONDS]])
    clean = Recording(
        id="session",
        subject="mouse",
        source="tests",
        spike_times=times[order],
        spike_unit_index=units[order],
        units=replace(
            Units.numbered(num_units),
            area=np.full(num_units, "V1"),
            position_um=np.zeros((num_units, 3)),
        ),
        domain=domain,
        split=split_in_time(domain),
        metadata={"species": "mouse"},
    )
    return replace(clean, **change)


def with_spikes(recording, times, units):
    order = np.argsort(times, kind="stable")
    return replace(recording, spike_times=times[order], spike_unit_index=units[order])


def found(recording, severity, words):
    findings = validate_recording(recording)
    matching = [f for f in findings if f.severity == severity and words in f.what]
    assert matching, f"no {severity} with {words!r} in {[str(f) for f in findings]}"
    assert "\n" not in str(matching[0])
    return matching[0]


def test_clean_recording_has_no_findings():
    assert validate_recording(make_recording()) == []


def test_errors_come_first():
    recording = make_recording(subject="unknown")
    split = replace(recording.split, test=recording.split.train)
    severities = [f.severity for f in validate_recording(replace(recording, split=split))]
    assert severities == sorted(severities, key=("error", "warning", "note").index)
    assert severities[0] == "error"


class TestBroken:
    @pytest.mark.parametrize(
        ("times", "units", "words"),
        [
            ([2.0, 1.0], [0, 1], "not sorted"),
            ([1.0, np.nan], [0, 1], "not finite"),
            ([-1.0, 1.0], [0, 1], "before 0"),
            ([1.0, 2.0], [0, 8], "run from 0 to 8, expected 0 to 7"),
            ([1.0, 2.0], [-1, 1], "run from -1 to 1"),
            ([], [], "empty recording"),
            ([1.0], [0], "only one spike"),
        ],
    )
    def test_spikes(self, times, units, words):
        recording = make_recording(
            spike_times=np.array(times), spike_unit_index=np.array(units, dtype=int)
        )
        found(recording, "error", words)

    def test_one_unit(self):
        found(make_recording(num_units=1), "warning", "only one unit")

    @pytest.mark.parametrize(
        ("domain", "words"),
        [
            (np.empty((0, 2)), "empty domain"),
            (np.array([[0.0, 200.0], [100.0, 300.0]]), "overlap"),
            (np.array([[0.0, np.inf]]), "not finite"),
        ],
    )
    def test_domain(self, domain, words):
        found(make_recording(domain=domain, split=None), "error", words)

    def test_repeated_unit_id(self):
        recording = make_recording()
        units = replace(recording.units, id=np.array(["a", "a", *recording.units.id[2:]]))
        found(replace(recording, units=units), "error", "not unique: a")


class TestUnits:
    def test_silent_units(self):
        recording = make_recording()
        kept = recording.spike_unit_index != 3
        silent = replace(
            recording,
            spike_times=recording.spike_times[kept],
            spike_unit_index=recording.spike_unit_index[kept],
        )
        found(silent, "warning", "1 of 8 units have no spikes: unit_0003")

    def test_refractory_violations(self):
        recording = make_recording()
        own = recording.spike_times[recording.spike_unit_index == 2][::20]
        doubled = with_spikes(
            recording,
            np.concatenate([recording.spike_times, own + 0.001]),
            np.concatenate([recording.spike_unit_index, np.full(len(own), 2)]),
        )
        finding = found(doubled, "warning", "break the refractory period")
        assert "worst unit_0002" in finding.what

    @pytest.mark.parametrize(("quality", "severity"), [("", "warning"), ("unsorted", "note")])
    def test_unsorted_activity(self, quality, severity):
        recording = make_recording()
        rng = np.random.default_rng(1)
        many = rng.uniform(0, SECONDS, 40_000)
        units = replace(recording.units, quality=np.array([quality, *[""] * 7]))
        noisy = with_spikes(
            replace(recording, units=units),
            np.concatenate([recording.spike_times, many]),
            np.concatenate([recording.spike_unit_index, np.zeros(len(many), int)]),
        )
        finding = found(noisy, severity, "unsorted activity")
        assert "unit unit_0000" in finding.where

    def test_twins(self):
        recording = make_recording()
        own = recording.spike_times[recording.spike_unit_index == 0]
        kept = recording.spike_unit_index != 5
        twins = with_spikes(
            recording,
            np.concatenate([recording.spike_times[kept], own + 0.0001]),
            np.concatenate([recording.spike_unit_index[kept], np.full(len(own), 5)]),
        )
        found(twins, "warning", "unit_0000 = unit_0005")

    def test_spikes_on_several_electrodes(self):
        """No two units are twins, but every spike is seen by some other unit."""
        recording = make_recording()
        rng = np.random.default_rng(0)
        copies = rng.random(len(recording.spike_times)) < 0.3
        other = (recording.spike_unit_index + rng.integers(1, 8, len(copies))) % 8
        shared = with_spikes(
            recording,
            np.concatenate([recording.spike_times, recording.spike_times[copies] + 0.0001]),
            np.concatenate([recording.spike_unit_index, other[copies]]),
        )
        found(shared, "warning", "of all spikes fall within 0.2 ms of another unit's")
        assert not any("nearly the same" in f.what for f in validate_recording(shared))

    def test_fast_dense_recording_is_not_blamed_for_chance(self):
        dense = make_recording(num_units=60, rate_hz=40.0)
        assert validate_recording(dense) == []


class TestTime:
    def test_spikes_outside_the_domain(self):
        recording = make_recording(domain=np.array([[0.0, 200.0]]), split=None)
        found(recording, "warning", "of the spikes lie outside the domain")

    def test_times_that_are_not_seconds(self):
        recording = make_recording(split=None, domain=np.array([[0.0, 300e3]]))
        milliseconds = replace(recording, spike_times=recording.spike_times * 1e3)
        found(milliseconds, "warning", "lasts 3e+05 s, 3 days")

    def test_silent_stretch(self):
        recording = make_recording()
        kept = (recording.spike_times < 100) | (recording.spike_times > 130)
        gap = replace(
            recording,
            spike_times=recording.spike_times[kept],
            spike_unit_index=recording.spike_unit_index[kept],
        )
        found(gap, "warning", "silent in 1 stretches that stand out, the longest from 100.0 to 130")


class TestBehaviour:
    def series(self, times, values=None):
        values = np.zeros((len(times), 2)) if values is None else values
        return make_recording(series={"position": Series(times, values)})

    def test_one_clock_is_fine(self):
        assert validate_recording(self.series(np.arange(0, SECONDS, 0.1))) == []

    def test_another_clock(self):
        finding = found(self.series(np.arange(1000, 1300, 0.1)), "warning", "covers 0%")
        assert "1000.0 to 1299.9 s against 0.0 to 300.0 s" in finding.what
        assert finding.where == "session, series position"

    def test_milliseconds(self):
        found(self.series(np.arange(0, SECONDS, 0.1) * 1e-3), "warning", "covers 0%")

    def test_unsorted_clock(self):
        found(self.series(np.array([2.0, 1.0])), "error", "not sorted")

    def test_lost_tracker(self):
        times = np.arange(0, SECONDS, 0.1)
        lost = np.where(times[:, None] > 100, np.nan, np.ones((1, 2)))
        found(self.series(times, lost), "warning", "67% of its values are missing")

    def test_trials_on_another_clock(self):
        trials = Table(np.array([1000.0]), np.array([1001.0]))
        finding = found(make_recording(tables={"trials": trials}), "warning", "none of its 1")
        assert finding.where == "session, table trials"


class TestSplit:
    def split(self, **change):
        recording = make_recording()
        return replace(recording, split=replace(recording.split, **change))

    def test_none(self):
        found(make_recording(split=None), "note", "no train, valid and test")

    def test_empty_part(self):
        found(self.split(test=np.empty((0, 2))), "warning", "the test domain is empty")

    def test_overlap(self):
        found(self.split(valid=np.array([[100.0, 110.0]])), "error", "train and valid overlap")

    def test_too_close(self):
        end = self.split().split.train[-1, 1]
        close = self.split(valid=np.array([[end + 0.5, end + 20]]))
        found(close, "warning", "train and valid are 0.5 s apart")

    def test_outside(self):
        found(self.split(test=np.array([[250.0, 400.0]])), "error", "reaches outside")

    def test_few_test_spikes(self):
        recording = make_recording(rate_hz=1.0)
        found(recording, "note", "test spikes, fewer than 2000")


class TestMetadata:
    def test_unknown_subject(self):
        found(make_recording(subject="unknown"), "warning", "subject is unknown")

    def test_missing(self):
        recording = make_recording(units=Units.numbered(8), metadata={})
        found(recording, "note", "missing metadata: area, position, species")

    def test_left_out(self):
        recording = make_recording(metadata={"species": "mouse", "left_out": "lfp"})
        found(recording, "note", "left out when preparing: lfp")


class TestFile:
    def test_good_file(self, tmp_path):
        assert (
            list(survey_file(write_recording(make_recording(), tmp_path / "a.h5")).findings) == []
        )

    def test_damaged_spikes_are_told_like_any_other(self, tmp_path):
        path = write_recording(make_recording(), tmp_path / "a.h5")
        with h5py.File(path, "r+") as file:
            file["spikes/timestamps"][5] = np.nan
        (finding,) = list(survey_file(path).findings)
        assert finding.severity == "error"
        assert "1 spike times are not finite (the first is spike 5)" in finding.what

    def test_truncated(self, tmp_path):
        path = write_recording(make_recording(), tmp_path / "a.h5")
        path.write_bytes(path.read_bytes()[:5000])
        (finding,) = list(survey_file(path).findings)
        assert finding == Finding(
            "error", "truncated HDF5 file; copy or download it again", str(path)
        )

    def test_missing_and_foreign(self, tmp_path):
        assert "no such file" in next(iter(survey_file(tmp_path / "none.h5").findings)).what
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["weather"] = np.zeros(3)
        assert "no spikes" in next(iter(survey_file(tmp_path / "a.h5").findings)).what


def test_split_dataclass_of_another_file_may_be_partly_empty():
    part = Split(train=np.array([[0.0, 100.0]]), valid=np.empty((0, 2)), test=np.empty((0, 2)))
    whats = [f.what for f in validate_recording(make_recording(split=part))]
    assert whats == ["the valid domain is empty", "the test domain is empty"]
