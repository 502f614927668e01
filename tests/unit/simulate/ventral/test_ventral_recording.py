"""How answers are recorded: noise, days, broken electrodes, statistics, time courses."""

import h5py
import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.simulate.ventral.electrodes import draw_electrodes
from neurohorizon.simulate.ventral.recording import (
    ARRAY_SHARE,
    GLOBAL_SHARE,
    normalise,
    record,
)
from neurohorizon.simulate.ventral.statistics import latencies, reliability, signal_to_noise
from neurohorizon.simulate.ventral.trials import (
    WINDOWS_MS,
    sample_times_ms,
    time_courses,
    trial_table,
    write_activity,
)

ELECTRODES = draw_electrodes("F", 0)
COPIES = np.flatnonzero(ELECTRODES.copy_of >= 0)
WHOLE = ~(ELECTRODES.is_missing | ELECTRODES.is_deaf)


def answers(num_train, num_test, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, 1024), dtype=np.float32) for n in (num_train, num_test)]


def recorded(num_train=40, num_test=60, *, num_repeats=8, noise=1.0, seed=0):
    train, test = answers(num_train, num_test)
    return record(train, test, ELECTRODES, num_repeats=num_repeats, noise=noise, seed=seed)


class TestNoise:
    def test_repeats_agree_as_quality_and_noise_say(self):
        answer = answers(40, 60)[1]
        for noise in (0.5, 2.0):
            pairs, oracle = reliability(recorded(noise=noise).repeats)
            signal = (ELECTRODES.quality * answer.std(axis=0)) ** 2
            own = WHOLE.copy()
            own[COPIES] = False
            expected = signal / (signal + noise**2)
            assert np.abs(pairs.mean(axis=0) - expected)[own].mean() < 0.06
            assert np.corrcoef(pairs.mean(axis=0)[own], expected[own])[0, 1] > 0.9
            assert (oracle[0] > pairs.mean(axis=0))[own].mean() > 0.95

    def test_it_is_shared_within_an_array_and_less_between(self):
        scaled = recorded(0, 300, num_repeats=4, noise=50.0)  # answers are nothing beside it
        values = scaled.repeats.reshape(-1, 1024)[:300]
        use = np.flatnonzero(WHOLE & (ELECTRODES.copy_of < 0))
        correlation = np.corrcoef(values[:, use].T)
        same = ELECTRODES.array[use][:, None] == ELECTRODES.array[use]
        off = ~np.eye(len(use), dtype=bool)
        assert correlation[same & off].mean() == pytest.approx(ARRAY_SHARE + GLOBAL_SHARE, abs=0.04)
        assert correlation[~same].mean() == pytest.approx(GLOBAL_SHARE, abs=0.03)

    def test_without_noise_a_day_s_repeats_are_equal(self):
        found = recorded(noise=0.0)
        whole = WHOLE & (ELECTRODES.copy_of < 0)
        first, second = found.repeats[:2, :, whole]
        assert found.repeat_day[:2].tolist() == [0, 0]
        np.testing.assert_array_equal(first, second)
        train, repeats = normalise(found)
        assert np.isfinite(train[:, whole]).all()
        assert np.isfinite(repeats[:, :, whole]).all()
        snr = signal_to_noise(found, 0.0)[:, whole]
        assert np.median(snr) > 10


class TestDays:
    def test_gain_and_offset_drift_and_are_taken_out_by_test_pictures(self):
        found = recorded(4000, 200, num_repeats=12, noise=0.5)
        assert found.num_days == 4
        assert found.repeat_day.tolist() == np.repeat(range(4), 3).tolist()
        assert set(np.bincount(found.train_day)) == {1000}
        assert (np.abs(np.log(found.scale[0] / found.scale[3])) > 0.05).mean() > 0.7
        whole = np.flatnonzero(WHOLE)
        means = [found.train[found.train_day == day][:, whole].mean(axis=0) for day in range(4)]
        spread = np.std(means, axis=0) / found.train[:, whole].std(axis=0)
        train, repeats = normalise(found)
        after = [train[found.train_day == day][:, whole].mean(axis=0) for day in range(4)]
        assert np.median(np.std(after, axis=0)) < 0.25 * np.median(spread)
        for day in range(4):
            shown = repeats[found.repeat_day == day][:, :, whole].reshape(-1, len(whole))
            np.testing.assert_allclose(shown.mean(axis=0), 0, atol=1e-4)
            np.testing.assert_allclose(shown.std(axis=0), 1, atol=1e-4)

    def test_no_more_days_than_repeats(self):
        assert recorded(num_repeats=2).num_days == 2


class TestBrokenElectrodes:
    def test_missing_deaf_and_copied(self):
        train, repeats = normalise(recorded(400, 60))
        for values in (train, repeats.reshape(-1, 1024)):
            assert np.isnan(values[:, ELECTRODES.is_missing]).all()
            assert np.isfinite(values[:, ~ELECTRODES.is_missing]).all()
            for copy in COPIES:
                pair = values[:, [copy, ELECTRODES.copy_of[copy]]]
                assert np.corrcoef(pair.T)[0, 1] > 0.99
        pairs, oracle = reliability(repeats)
        assert np.abs(pairs[:, ELECTRODES.is_deaf].mean(axis=0)).max() < 0.15
        assert np.isnan(pairs[:, ELECTRODES.is_missing]).all()
        assert oracle.shape == (1, 1024)

    def test_latencies_are_estimated_by_day(self):
        found = latencies(ELECTRODES, num_days=4, seed=0)
        assert np.isnan(found[:, ~WHOLE]).all()
        assert np.abs(found - ELECTRODES.latency_ms)[:, WHOLE].max() < 12
        assert np.std(found[:, WHOLE], axis=0).mean() > 0.5


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    found = recorded(20, 10, num_repeats=4, noise=0.5)
    path = tmp_path_factory.mktemp("trials") / "trials.h5"
    channel = np.random.default_rng(3).permutation(1024)
    with h5py.File(path, "w") as file:
        write_activity(
            file,
            found,
            ELECTRODES,
            channel=channel,
            step_ms=5.0,
            noise=0.5,
            seed=0,
            progress=lambda done, total: None,
        )
    with h5py.File(path) as file:
        return found, file["ALLMUA"][:][:, :, channel], file["ALLMAT"][:], file["tb"][:]


class TestTimeCourses:
    def test_their_mean_over_the_window_is_what_was_recorded(self, written):
        found, activity, table, time_ms = written
        assert table.shape == (6, 60)
        assert np.all(np.diff(table[5]) >= 0)
        for trial in range(60):
            _, train, test, repeat, _, day = table[:, trial].astype(int)
            values = found.train[train - 1] if train else found.repeats[repeat - 1, test - 1]
            expected_day = found.train_day[train - 1] if train else found.repeat_day[repeat - 1]
            assert day == expected_day + 1
            for area, (low, high) in WINDOWS_MS.items():
                inside = (time_ms[:, 0] >= low) & (time_ms[:, 0] < high)
                where = ELECTRODES.of(area)
                mean = activity[inside, trial][:, where].mean(axis=0)
                np.testing.assert_allclose(mean, values[where], rtol=2e-4, atol=2e-4)

    def test_every_picture_is_shown_as_often_as_it_should(self, written):
        found, _, table, _ = written
        assert sorted(table[1][table[1] > 0]) == list(range(1, 21))
        assert np.bincount(table[2].astype(int))[1:].tolist() == [4] * 10
        again = trial_table(found, seed=0)[0]
        np.testing.assert_array_equal(again.T, table)

    def test_areas_answer_one_after_the_other(self, written):
        found, activity, table, time_ms = written
        day = table[5].astype(int) - 1
        mean = ((activity - found.offset[day]) / found.scale[day]).mean(axis=1)
        onset = []
        for area in ("V1", "V4", "IT"):
            where = ELECTRODES.of(area)[WHOLE[ELECTRODES.of(area)]]
            course = mean[:, where].mean(axis=1)
            assert np.abs(course[time_ms[:, 0] < 0]).max() < 0.1 * course.max()
            onset.append(time_ms[np.argmax(course > 0.5 * course.max()), 0])
        assert onset == sorted(onset)
        assert len(set(onset)) == 3

    def test_a_copy_goes_with_its_source_at_all_times(self, written):
        _, activity, _, _ = written
        for copy in COPIES:
            pair = activity[:, :, [copy, ELECTRODES.copy_of[copy]]].reshape(-1, 2)
            assert np.corrcoef(pair.T)[0, 1] > 0.99
            assert pair[:, 0].std() == pytest.approx(pair[:, 1].std(), rel=0.05)

    def test_noise_is_as_strong_at_all_times(self, written):
        found, activity, table, _ = written
        deaf = np.flatnonzero(ELECTRODES.is_deaf)
        day = table[5].astype(int) - 1
        noise = (activity[:, :, deaf] - found.offset[day][:, deaf]) / found.scale[day][:, deaf]
        by_time = noise.std(axis=(1, 2))
        assert by_time.max() < 1.25 * by_time.min()
        assert by_time.mean() > 0.5  # more than that of means over a window

    @pytest.mark.parametrize("step_ms", [1.0, 5.0, 12.5, 25.0])
    def test_answers_have_mean_1_over_the_window(self, step_ms):
        time_ms = sample_times_ms(step_ms)
        course = time_courses(ELECTRODES, time_ms)
        for area, (low, high) in WINDOWS_MS.items():
            inside = (time_ms >= low) & (time_ms < high)
            mean = course[inside][:, ELECTRODES.of(area)].mean(axis=0)
            np.testing.assert_allclose(mean, 1, rtol=1e-5)
        assert not course[time_ms < 0].any()

    def test_samples_that_do_not_fit_are_refused(self):
        with pytest.raises(ConfigError, match=r"samples of 7 ms do not fit.*1, 5, 12\.5, 25 do"):
            sample_times_ms(7.0)
