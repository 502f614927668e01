"""Who a unit is, solved on a reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from decoding_worlds import calcium_recording, moving_recording
from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import contains, intersect, total_s
from neurohorizon.recordings.decoding.identity import (
    identity_features,
    num_identity_features,
    skewed_identity_features,
)
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.references import draw_references, fold_references
from neurohorizon.recordings.decoding.tasks import TaskSpec
from neurohorizon.recordings.decoding.windows import DecodeReader
from neurohorizon.recordings.schema import Recording, Table, Units
from neurohorizon.recordings.splits import split_interleaved

SPECS = [
    TaskSpec(name="velocity", series="velocity", rate_hz=20),
    TaskSpec(name="kind", kind="multinomial", table="trials", column="kind"),
]
REFERENCE = np.array([[10.0, 90.0], [100.0, 180.0]])


def planted() -> Recording:
    """Unit 0 follows the first column 0.2 s ahead, 1 a place, 2 class b; 3 and 4 nothing."""
    source = moving_recording(duration_s=200.0, seed=2)
    rng = np.random.default_rng(0)
    series = source.series["velocity"]
    step_s, clock = 0.02, series.timestamps
    z = (series.values - series.values.mean(axis=0)) / series.values.std(axis=0)
    start = np.arange(0.0, 198.0, 2.0)
    kind = np.array(["a", "b", "c"])[rng.integers(0, 3, len(start))]
    in_b = contains(np.column_stack([start, start + 1.5])[kind == "b"], clock)
    rates = np.full((len(clock), 5), 12.0)
    rates[:, 0] *= np.exp(0.9 * np.roll(z[:, 0], -10) - 0.4)
    rates[:, 1] *= 3.0 * np.exp(-0.5 * np.sum((z - [0.5, -0.5]) ** 2, axis=1) / 0.5**2)
    rates[:, 2] *= np.where(in_b, 2.0, 0.7)
    row, unit = np.nonzero(rng.random(rates.shape) < rates * step_s)
    times = np.round(clock[row] + step_s * (rng.random(len(row)) - 0.5), 6)
    order = np.argsort(times, kind="stable")
    return replace(
        source,
        spike_times=times[order],
        spike_unit_index=unit[order],
        units=Units.numbered(5),
        tables={"trials": Table(start, start + 1.5, {"kind": kind})},
    )


RECORDING = planted()
TASKS = meet_tasks(SPECS, [RECORDING])
READER = DecodeReader(RECORDING, TASKS, length_s=1.0)
FEATURES = identity_features(READER, REFERENCE)
LAGGED = FEATURES[:, 33:47].reshape(5, 7, 2)
PLACES = FEATURES[:, 47:57].reshape(5, 2, 5)
GRID = FEATURES[:, 57:93].reshape(5, 6, 6)
SKILL = FEATURES[:, 93]
KINDS = FEATURES[:, 94:109].reshape(5, 3, 5)
KIND_SKILL = FEATURES[:, 109]


def test_the_numbers_are_as_many_as_they_say() -> None:
    assert FEATURES.shape == (5, num_identity_features(TASKS))
    assert FEATURES.shape == (5, 33 + 31 + 36 + 10 + 2)
    assert len(skewed_identity_features(TASKS)) == FEATURES.shape[1]
    assert np.isfinite(FEATURES).all()
    assert FEATURES.dtype == np.float32


def test_tuning_is_found_where_it_was_planted() -> None:
    # Of unit 0, activity 0.2 s before the target goes with its first column.
    assert np.argmax(np.abs(LAGGED[0, :, 0])) == 1
    assert LAGGED[0, 1, 0] > 0.4
    rises = PLACES[0, 0]
    assert rises[4] - rises[0] > 0.5
    assert np.unravel_index(np.argmax(GRID[1]), (6, 6)) == (3, 2)
    assert GRID[1].max() > 0.5
    np.testing.assert_allclose(KINDS[2, :, 2], [-0.2, 0.6, -0.2], atol=0.3)
    assert SKILL[:2].min() > 0.05
    assert KIND_SKILL[2] > 0.1
    # What nothing drives is left at zero, or nearly.
    assert SKILL[2:].max() < 0.01
    assert np.abs(GRID[3:]).max() < 0.35
    assert KIND_SKILL[[0, 1, 3, 4]].max() < 0.05


def test_nothing_outside_of_the_reference_is_read() -> None:
    inside = contains(REFERENCE, RECORDING.spike_times)
    rng = np.random.default_rng(1)
    unit = np.where(inside, RECORDING.spike_unit_index, rng.integers(0, 5, len(inside)))
    kept = inside | (rng.random(len(inside)) < 0.5)
    other = replace(RECORDING, spike_times=RECORDING.spike_times[kept], spike_unit_index=unit[kept])
    found = identity_features(DecodeReader(other, TASKS, length_s=1.0), REFERENCE)
    np.testing.assert_array_equal(found, FEATURES)


def test_units_change_places_and_features_with_them() -> None:
    order = np.array([3, 0, 4, 2, 1])
    moved = DecodeReader(RECORDING.select_units(order), TASKS, length_s=1.0)
    np.testing.assert_allclose(identity_features(moved, REFERENCE), FEATURES[order], atol=1e-5)


def test_what_a_recording_lacks_is_zero() -> None:
    bare = replace(RECORDING, tables={})
    found = identity_features(DecodeReader(bare, TASKS, length_s=1.0), REFERENCE)
    assert not found[:, 94:110].any()
    np.testing.assert_array_equal(found[:, :94], FEATURES[:, :94])
    silent = RECORDING.select_units(np.arange(5))
    silent = replace(
        silent,
        spike_times=silent.spike_times[silent.spike_unit_index > 0],
        spike_unit_index=silent.spike_unit_index[silent.spike_unit_index > 0],
    )
    found = identity_features(DecodeReader(silent, TASKS, length_s=1.0), REFERENCE)
    assert np.isfinite(found).all()
    assert not found[0, 33:110].any()
    with pytest.raises(DataError, match="too short to tell units apart"):
        identity_features(READER, np.array([[500.0, 600.0]]))


def test_signals_have_features_of_their_own() -> None:
    recording = calcium_recording(duration_s=120.0)
    signal = recording.signals["traces"]
    values = signal.values.copy()
    running = recording.series["running"].values[:, 0]
    values[:, 1] += 8 * running
    recording = replace(recording, signals={"traces": replace(signal, values=values)})
    tasks = meet_tasks([TaskSpec(name="running", series="running")], [recording])
    reader = DecodeReader(recording, tasks, length_s=1.0)
    found = identity_features(reader, np.array([[0.0, 100.0]]))
    assert found.shape == (5, num_identity_features(tasks, is_signal=True))
    lagged, skill = found[:, 8:15], found[:, 20]
    assert lagged[1, 3] > 0.9
    assert skill[1] > 0.8
    assert skill[[0, 2, 3, 4]].max() < 0.05


def test_references_and_their_windows_never_touch() -> None:
    split = split_interleaved(np.array([[0.0, 400.0]]), block_s=10.0, guard_s=0.0)
    recording = replace(RECORDING, domain=np.array([[0.0, 400.0]]), split=split)
    lengths = (120.0, 30.0, 1000.0)
    references = draw_references(recording, split.train, lengths_s=lengths, seed=0)
    expected = (120.0, 30.0, total_s(split.train) / 2)
    for reference, length_s in zip(references, expected, strict=True):
        np.testing.assert_allclose(total_s(reference.stretches), length_s)
    references += fold_references(split.train, seed=0)
    for reference in references:
        assert total_s(intersect(reference.stretches, reference.free)) == 0
        whole = total_s(reference.stretches) + total_s(reference.free)
        np.testing.assert_allclose(whole, total_s(split.train))
    with pytest.raises(DataError, match="too short for a reference"):
        draw_references(recording, np.array([[0.0, 15.0]]), lengths_s=lengths, seed=0)
