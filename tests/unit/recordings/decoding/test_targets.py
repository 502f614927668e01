"""What a recording says of a task."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from decoding_worlds import TRIAL_S, moving_recording, with_split
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.ops.intervals import contains
from neurohorizon.recordings.decoding.meeting import meet_tasks
from neurohorizon.recordings.decoding.targets import (
    as_words,
    heading_sectors,
    read_targets,
    restore,
    standardise,
)
from neurohorizon.recordings.decoding.tasks import Task, TaskSpec
from neurohorizon.recordings.schema import Recording, Series, Split, Table

RECORDING = moving_recording()
VELOCITY = TaskSpec(name="velocity", series="velocity")


def read(spec: TaskSpec, recording: Recording = RECORDING) -> tuple[Task, np.ndarray, np.ndarray]:
    task = meet_tasks([spec], [recording])[0]
    targets = read_targets(recording, task)
    assert targets is not None
    return task, targets.times_s, targets.values


def test_a_series_as_it_is_on_the_scale_of_training() -> None:
    task, times, values = read(VELOCITY)
    series = RECORDING.series["velocity"]
    np.testing.assert_array_equal(times, series.timestamps)
    np.testing.assert_array_equal(values, series.values)
    training = series.values[contains(RECORDING.require_split().train, series.timestamps)]
    np.testing.assert_allclose(task.mean, training.mean(axis=0))
    np.testing.assert_allclose(task.scale, training.std(axis=0))
    standardised = standardise(task, values)
    assert standardised.dtype == np.float32
    np.testing.assert_allclose(restore(task, standardised), values, atol=1e-6)
    plain = read(replace(VELOCITY, standardise=False))[0]
    assert (plain.mean, plain.scale) == ((0.0, 0.0), (1.0, 1.0))


def test_the_velocity_of_a_position_is_the_velocity() -> None:
    _, times, values = read(TaskSpec(name="v", series="position", transform="velocity"))
    truth = RECORDING.series["velocity"].values
    inner = np.min(np.abs(times[:, None] - RECORDING.require_split().train.ravel()), axis=1) > 0.1
    inner[[0, -1]] = False
    error = values[inner] - (truth[inner] + np.roll(truth, -1, axis=0)[inner]) / 2
    assert np.abs(error).max() < 0.01
    _, _, speed = read(TaskSpec(name="s", series="position", transform="speed"))
    np.testing.assert_allclose(speed[:, 0], np.linalg.norm(values, axis=1))
    task, _, one = read(TaskSpec(name="x", series="velocity", columns=(1,)))
    np.testing.assert_array_equal(one[:, 0], truth[:, 1])
    assert task.num_outputs == 1


def test_what_training_is_told_is_of_training_time_alone() -> None:
    """Other values outside of training change no target, scale or axis inside it."""
    train = RECORDING.require_split().train
    series = RECORDING.series["position"]
    outside = ~contains(train, series.timestamps)
    values = np.where(outside[:, None], 1000.0 * series.values[::-1], series.values)
    other = replace(RECORDING, series={"position": replace(series, values=values)})
    for spec in (
        TaskSpec(name="v", series="position", transform="velocity", smooth_s=0.3, rate_hz=10),
        TaskSpec(
            name="h",
            kind="multinomial",
            series="position",
            transform="heading",
            num_classes=4,
            smooth_s=0.2,
        ),
    ):
        task, changed = (meet_tasks([spec], [each])[0] for each in (RECORDING, other))
        # A transform rounds, by the last digits, with everything that it is given.
        np.testing.assert_allclose(task.mean, changed.mean, rtol=1e-6)
        np.testing.assert_allclose(task.scale, changed.scale, rtol=1e-9)
        np.testing.assert_allclose(task.axis_rad, changed.axis_rad, rtol=1e-9)
        here, there = (read_targets(each, task) for each in (RECORDING, other))
        assert here is not None
        assert there is not None
        kept, changed_kept = here.inside(train), there.inside(train)
        np.testing.assert_array_equal(here.times_s[kept], there.times_s[changed_kept])
        np.testing.assert_allclose(here.values[kept], there.values[changed_kept], atol=1e-9)


def test_headings_have_the_axis_of_the_training_data() -> None:
    turn = np.deg2rad(35)
    clock = np.arange(0, 120.0, 0.02)
    along = 5.0 * np.sign(np.sin(2 * np.pi * clock / 8))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    still = (clock > 50) & (clock < 60)
    moves = np.column_stack([along, 0.3 * np.sin(clock)]) * ~still[:, None]
    position = np.cumsum(moves @ rotation.T, axis=0) * 0.02
    recording = replace(RECORDING, series={"position": Series(clock, position)})
    spec = TaskSpec(
        name="heading",
        kind="multinomial",
        series="position",
        transform="heading",
        num_classes=2,
        slowest=1.0,
    )
    task, times, values = read(spec, recording)
    assert task.classes == ("35 deg", "215 deg")
    assert not ((times > 50.1) & (times < 59.9)).any()
    right = values == (along[np.searchsorted(clock, times)] < 0)
    assert right.mean() > 0.98
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task
    velocity = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, -0.9]], dtype=float)
    assert heading_sectors(velocity, axis_rad=0.0, number=4).tolist() == [0, 1, 2, 3, 0]


def test_missing_samples_are_dropped_and_not_bridged() -> None:
    series = RECORDING.series["position"]
    values = series.values.copy()
    values[100:102] = np.nan  # 40 ms: the slope goes across
    values[500:600, 0] = np.nan  # 2 s: it does not
    values[601:] += 50.0
    recording = with_split(
        replace(RECORDING, series={"position": replace(series, values=values)}),
        Split(np.array([[0.0, 120.0]]), np.empty((0, 2)), np.empty((0, 2))),
    )
    spec = TaskSpec(name="v", series="position", transform="velocity", smooth_s=0.05)
    _, times, velocity = read(spec, recording)
    assert len(times) == len(values) - 102
    near = np.abs(times - series.timestamps[101]) < 0.1
    truth = RECORDING.series["velocity"].values
    expected = truth[np.searchsorted(series.timestamps, times[near])]
    assert np.abs(velocity[near] - expected).max() < 0.25
    before, after = times < series.timestamps[500], times > series.timestamps[601]
    assert np.abs(velocity[before]).max() < 3
    assert np.abs(velocity[after][30:]).max() < 3
    sampled = read(replace(spec, rate_hz=20), recording)[1]
    assert not ((sampled > series.timestamps[500]) & (sampled < series.timestamps[599])).any()


def test_a_sample_by_itself_has_no_velocity_and_spoils_no_other() -> None:
    series = RECORDING.series["position"]
    values = series.values.copy()
    values[90:100] = values[101:120] = np.nan
    recording = replace(RECORDING, series={"position": replace(series, values=values)})
    for rate_hz in (0.0, 10.0):
        spec = TaskSpec(name="v", series="position", transform="velocity", rate_hz=rate_hz)
        _, times, velocity = read(spec, recording)
        assert np.isfinite(velocity).all()
        assert not ((times > series.timestamps[91]) & (times < series.timestamps[118])).any()
        assert times[-1] > 119


def test_a_table_has_one_value_an_interval() -> None:
    start = RECORDING.tables["trials"].start
    spec = TaskSpec(name="side", kind="binary", table="trials", column="side", at="start")
    task, times, values = read(spec)
    assert task.classes == ("left", "right")
    np.testing.assert_array_equal(times, start)
    np.testing.assert_array_equal(values, np.arange(len(start)) % 3 != 0)
    middle = read(replace(spec, at="middle"))[1]
    np.testing.assert_allclose(middle, start + TRIAL_S * 0.375)
    np.testing.assert_allclose(read(replace(spec, at=0.25))[1], start + 0.25)
    # Intervals that are over by then have no such moment.
    with pytest.raises(DataError, match="all are missing"):
        read(replace(spec, at=1.9))
    order = TaskSpec(name="step", kind="ordinal", table="trials", column="step")
    assert read(order)[0].classes == ("0", "1", "2", "3")
    reward = read(TaskSpec(name="reward", table="trials", column="reward"))
    assert reward[0].num_outputs == 1


def test_missing_classes_are_dropped_and_numbers_sorted_by_value() -> None:
    assert as_words(np.array([10.0, 9, np.nan, 0.5])).tolist() == ["10", "9", "", "0.5"]
    assert as_words(np.array(["b ", "NaN", ""])).tolist() == ["b", "", ""]
    number = len(RECORDING.tables["trials"])
    column = np.array([10.0, 9.0, np.nan, 0.5])[np.arange(number) % 4]
    trials = replace(RECORDING.tables["trials"], columns={"kind": column})
    recording = replace(RECORDING, tables={"trials": trials})
    spec = TaskSpec(name="kind", kind="multinomial", table="trials", column="kind")
    task, times, _ = read(spec, recording)
    assert task.classes == ("0.5", "9", "10")
    assert len(times) == np.isfinite(column).sum()


def test_weights_and_the_intervals_that_count() -> None:
    trials = RECORDING.tables["trials"]
    first = Table(trials.start[:10], trials.end[:10])
    recording = replace(RECORDING, tables={"trials": trials, "first": first})
    spec = replace(VELOCITY, evaluate="trials", interval_weights={"first": 5.0, "trials": 2.0})
    task = meet_tasks([spec], [recording])[0]
    targets = read_targets(recording, task)
    assert targets is not None
    assert np.all(targets.times_s % TRIAL_S < TRIAL_S * 0.75)
    assert len(targets) == len(trials) * TRIAL_S * 0.75 / 0.02
    early = targets.times_s < trials.end[9]
    assert set(targets.weights[early].tolist()) == {10.0}
    assert set(targets.weights[~early].tolist()) == {2.0}


def test_a_recording_may_lack_a_task() -> None:
    bare = replace(moving_recording(name="bare", seed=1), series={}, tables={})
    tasks = meet_tasks([VELOCITY], [RECORDING, bare])
    assert read_targets(bare, tasks[0]) is None
    gone = replace(RECORDING, domain=np.array([[500.0, 600.0]]))
    assert read_targets(gone, tasks[0]) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"series": "velocty"}, "did you mean velocity"),
        ({"series": "", "table": "trial", "column": "side"}, "did you mean trials"),
        ({"series": "", "table": "trials", "column": "sides"}, "did you mean side"),
        ({"evaluate": "reaches"}, "no training recording has the table reaches"),
        ({"interval_weights": {"reaches": 2.0}}, "interval_weights.reaches"),
        ({"slowest": 3.0}, "slowest is of headings"),
        ({"num_classes": 3}, "the task is continuous"),
        ({"transform": "heading"}, "a heading is multinomial"),
        ({"transform": "heading", "kind": "multinomial"}, "sectors: 2 or more"),
        ({"kind": "multinomial", "smooth_s": 0.1}, "cannot be smoothed"),
        ({"series": "", "table": "trials", "column": "side", "rate_hz": 5.0}, "is of series"),
        ({"smooth_s": -1.0}, "expected 0 or more"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        meet_tasks([replace(VELOCITY, **changes)], [RECORDING])


def test_values_that_nothing_can_be_learned_of_are_refused() -> None:
    series = RECORDING.series["velocity"]

    def with_values(values: np.ndarray, name: str = "moving") -> Recording:
        return replace(RECORDING, id=name, series={"velocity": replace(series, values=values)})

    still = np.column_stack([series.values[:, 0], np.full(len(series.values), 7.0)])
    with pytest.raises(DataError, match=r"is constant \(7, column 1\).*moving"):
        meet_tasks([VELOCITY], [with_values(still)])
    with pytest.raises(DataError, match="all are missing"):
        meet_tasks([VELOCITY], [with_values(np.full((len(series.values), 2), np.nan))])
    one = with_values(series.values[:, :1], "other")
    with pytest.raises(DataError, match="2 columns in moving and 1 in other"):
        meet_tasks([VELOCITY], [RECORDING, one])
    task = meet_tasks([VELOCITY], [RECORDING])[0]
    with pytest.raises(DataError, match="other: the series velocity has 1 columns"):
        read_targets(one, task)
    with pytest.raises(DataError, match="which has 2"):
        meet_tasks([replace(VELOCITY, columns=(2,))], [RECORDING])
    with pytest.raises(ConfigError, match="two tasks have this name"):
        meet_tasks([VELOCITY, VELOCITY], [RECORDING])


def test_classes_are_checked() -> None:
    side = TaskSpec(name="side", kind="multinomial", table="trials", column="side")
    with pytest.raises(DataError, match=r"2 classes \(left, right\), expected 3"):
        meet_tasks([replace(side, num_classes=3)], [RECORDING])
    with pytest.raises(DataError, match="classes in an order are numbers"):
        meet_tasks([replace(side, kind="ordinal")], [RECORDING])
    step = TaskSpec(name="step", kind="multinomial", table="trials", column="step")
    assert len(meet_tasks([replace(step, num_classes=6)], [RECORDING])[0].classes) == 6
    task = meet_tasks([side], [RECORDING])[0]
    trials = RECORDING.tables["trials"]
    words = np.where(np.arange(len(trials)) % 2, "left", "rigth")
    other = replace(RECORDING, id="o", tables={"trials": replace(trials, columns={"side": words})})
    with pytest.raises(DataError, match=r"o: .* the class 'rigth'.*did you mean right"):
        read_targets(other, task)
    always = np.full(len(trials), "left")
    other = replace(other, tables={"trials": replace(trials, columns={"side": always})})
    with pytest.raises(DataError, match="always left"):
        meet_tasks([side], [other])
