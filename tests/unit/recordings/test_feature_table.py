"""The table of reference features: the stretch it reads, and what it says."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.protocol import Protocol, prepare_case
from neurohorizon.recordings.feature_table import (
    feature_names,
    feature_statistics,
    reference_stretch,
    stretch_features,
    write_feature_table,
)
from neurohorizon.recordings.reference_features import NUM_REFERENCE_FEATURES
from neurohorizon.recordings.schema import Split, empty_intervals
from neurohorizon.recordings.splits import split_interleaved
from worlds import poisson_recording


def test_every_feature_has_a_name_of_its_own():
    assert len(set(feature_names())) == NUM_REFERENCE_FEATURES


@pytest.mark.parametrize("interleaved", [False, True])
def test_the_stretch_is_what_a_held_out_session_is_known_from(interleaved):
    recording = poisson_recording(duration_s=200.0)
    if interleaved:
        split = split_interleaved(recording.domain, block_s=10.0)
        recording = replace(recording, split=split)
    case = prepare_case(recording, Protocol(reference_s=40.0), held_out=True)
    np.testing.assert_array_equal(reference_stretch(recording, 40.0), case.reference.intervals)


def test_without_a_split_the_first_seconds_are_read():
    recording = replace(poisson_recording(duration_s=60.0), split=None)
    assert reference_stretch(recording, 20.0).tolist() == [[0.0, 20.0]]
    assert reference_stretch(recording, 90.0).tolist() == [[0.0, 60.0]]


def test_the_table_holds_one_row_a_unit():
    recording = replace(poisson_recording(num_units=3, duration_s=60.0), split=None)
    file = io.StringIO()
    assert write_feature_table([recording, recording], file, reference_s=30.0) == 6
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [row["unit"] for row in rows[:3]] == list(recording.units.id)
    _, unit = recording.between(0.0, 30.0)
    rates = np.bincount(unit, minlength=3) / 30.0
    np.testing.assert_allclose([float(row["rate_hz"]) for row in rows[:3]], rates, rtol=1e-5)
    shares = [float(rows[0][name]) for name in feature_names() if name.startswith("isi_share")]
    assert sum(shares) == pytest.approx(1.0, abs=1e-4)
    assert rows[0]["reference_s"] == "30.0"


def test_a_reference_too_short_or_absent_is_refused():
    recording = poisson_recording(duration_s=60.0)
    with pytest.raises(ConfigError, match="at least 10 s"):
        reference_stretch(recording, 5.0)
    everything = Split(empty_intervals(), empty_intervals(), recording.domain)
    with pytest.raises(DataError, match="nothing lies before the test domain"):
        reference_stretch(replace(recording, split=everything), 20.0)


def test_statistics_in_one_pass_are_those_of_all_units_together():
    recordings = [
        poisson_recording(
            seed=seed, num_units=3 + 5 * seed, rate_hz=2.0 + 4 * seed, name=f"s{seed}"
        )
        for seed in range(3)
    ]
    found = feature_statistics(iter(recordings), reference_s=20.0)
    every = np.concatenate([stretch_features(each, reference_s=20.0)[0] for each in recordings])
    log = np.array([column["log"] for column in found["features"]])
    values = np.where(log, np.log(np.maximum(every, 1e-3)), every)
    np.testing.assert_allclose(
        [column["mean"] for column in found["features"]], values.mean(axis=0)
    )
    deviation = np.array([column["deviation"] for column in found["features"]])
    varied = values.std(axis=0) > 1e-6
    np.testing.assert_allclose(deviation[varied], values.std(axis=0)[varied])
    assert (found["num_units"], list(found["recordings"])) == (24, ["s0", "s1", "s2"])
    assert found["recordings"]["s0"]["test"] == recordings[0].require_split().test.tolist()
    with pytest.raises(DataError, match="no units"):
        feature_statistics(iter(()), reference_s=20.0)
