"""Conditions: what is read is what was before the origin, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.recordings.conditions import (
    MOST_PICTURES,
    ConditionReader,
    ConditionSpec,
    require_conditions,
    slot_means,
)
from neurohorizon.recordings.embeddings import ShownImages
from neurohorizon.recordings.schema import Series
from worlds import poisson_recording

SPEC = ConditionSpec(behavior=("speed",), images="pictures", span_s=0.4, step_s=0.1)


def shown(start, row, *, length_s=0.2, num_pictures=5):
    vectors = np.eye(num_pictures, 3, dtype=np.float32)
    vectors[3:] = 0.5
    start = np.asarray(start, dtype=float)
    return ShownImages(
        table="presentations",
        start=start,
        end=start + length_s,
        row=np.asarray(row),
        vectors=vectors,
        hashes=np.array([f"{i:064x}" for i in range(num_pictures)]),
        fingerprint="{}",
    )


def make_recording(*, series=None, images=None):
    recording = poisson_recording(duration_s=60.0)
    return replace(
        recording,
        series={} if series is None else {"speed": series},
        embeddings={} if images is None else {"pictures": images},
    )


class TestSlots:
    def test_means_of_what_lies_in_each_slot(self):
        times = np.arange(0, 10, 0.02)
        series = Series(times, np.column_stack([times, -times]), unit="s")
        means = slot_means(series, np.array([5.0, 7.13]), SPEC)
        assert means.shape == (2, 4, 2)
        for origin, rows in zip((5.0, 7.13), means, strict=True):
            for slot, (value, negative) in enumerate(rows):
                low = origin - 0.4 + 0.1 * slot
                inside = times[(times >= low - 1e-9) & (times < low + 0.1 - 1e-9)]
                assert value == pytest.approx(inside.mean(), abs=1e-5)
                assert negative == -value

    def test_a_sample_at_the_origin_is_not_of_the_past(self):
        series = Series(np.array([4.9, 5.0]), np.array([[1.0], [9.0]]), unit="")
        assert slot_means(series, np.array([5.0]), SPEC)[0, -1, 0] == 1.0

    def test_with_a_delay_nothing_younger_is_read(self):
        times = np.arange(0, 10, 0.02)
        series = Series(times, times[:, None], unit="s")
        origin, spec = np.array([5.0]), replace(SPEC, delay_s=0.25)
        late = slot_means(series, origin, spec)
        np.testing.assert_array_equal(late, slot_means(series, origin - 0.25, SPEC))
        changed = Series(times, np.where(times < 4.75 - 1e-9, times, 99.0)[:, None], unit="s")
        np.testing.assert_array_equal(slot_means(changed, origin, spec), late)
        with pytest.raises(ConfigError, match="a delay of -1 s"):
            replace(SPEC, delay_s=-1.0)

    def test_a_slow_series_holds_its_last_value_for_a_while(self):
        series = Series(np.arange(0.0, 10.0), np.arange(10.0)[:, None], unit="")
        means = slot_means(series, np.array([5.95, 11.25, 14.0]), SPEC)[:, :, 0]
        np.testing.assert_array_equal(means[0], 5.0)
        assert means[1, 0] == 9.0
        assert np.isnan(means[1, -1])
        assert np.isnan(means[2]).all()

    def test_missing_samples_are_left_out_of_the_mean(self):
        values = np.array([1.0, np.nan, 3.0, np.nan, np.nan])[:, None]
        series = Series(np.array([4.61, 4.62, 4.63, 4.71, 4.81]), values, unit="")
        means = slot_means(series, np.array([5.0]), SPEC)[0, :, 0]
        assert means[0] == 2.0
        # Not recorded, and what came before is not known either.
        assert np.isnan(means[1:]).all()


class TestPictures:
    def test_those_that_were_on_in_the_span(self):
        recording = make_recording(images=shown([1.0, 4.5, 4.7, 5.0, 5.3], [0, 1, 2, 3, 4]))
        read = ConditionReader(recording, SPEC).read(np.array([5.0, 1.1]), horizon_s=0.5)
        # The first ended 0.1 s before the span; the fourth came on at the origin.
        assert read.picture_row.tolist() == [1, 2, 0]
        np.testing.assert_allclose(read.picture_time_s, [-0.5, -0.3, -0.1], atol=1e-6)
        assert read.picture_offsets.tolist() == [0, 2, 3]
        assert read.pictures_known.all()

    def test_a_known_schedule_is_read_up_to_the_horizon(self):
        recording = make_recording(images=shown([4.9, 5.0, 5.3, 5.5], [1, 2, 3, 4]))
        spec = replace(SPEC, known_schedule=True)
        read = ConditionReader(recording, spec).read(np.array([5.0]), horizon_s=0.5)
        assert read.picture_row.tolist() == [1, 2, 3]

    def test_blank_presentations_show_nothing(self):
        recording = make_recording(images=shown([4.8, 4.9], [-1, 2]))
        read = ConditionReader(recording, SPEC).read(np.array([5.0]), horizon_s=0.5)
        assert read.picture_row.tolist() == [2]

    def test_a_long_picture_is_still_on(self):
        recording = make_recording(images=shown([1.0, 4.9], [0, 1], length_s=10.0))
        read = ConditionReader(recording, SPEC).read(np.array([5.0]), horizon_s=0.5)
        assert read.picture_row.tolist() == [0, 1]

    def test_the_latest_of_very_many_are_kept(self):
        starts = np.arange(0, 5, 0.001)
        recording = make_recording(images=shown(starts, np.zeros(5000, int), length_s=0.001))
        read = ConditionReader(recording, SPEC).read(np.array([5.0]), horizon_s=0.5)
        assert len(read.picture_row) == MOST_PICTURES
        assert read.picture_time_s[-1] == pytest.approx(-0.001, abs=1e-4)


def test_nothing_after_the_origin_is_read():
    """Change all that follows an origin: what is read at it stays as it was."""
    generator = np.random.default_rng(0)
    times = np.sort(generator.uniform(0, 60, 3000))
    values = generator.standard_normal((3000, 2))
    start = np.arange(0.5, 59, 0.37)
    row = generator.integers(0, 5, len(start))
    origin = 31.234
    later, unseen = times >= origin, start >= origin
    one = make_recording(series=Series(times, values, unit=""), images=shown(start, row))
    other = make_recording(
        series=Series(times, np.where(later[:, None], 99.0, values), unit=""),
        images=shown(start, np.where(unseen, 4, row)),
    )
    reads = [ConditionReader(each, SPEC).read(np.array([origin]), horizon_s=1.0)
             for each in (one, other)]  # fmt: skip
    np.testing.assert_array_equal(reads[0].behavior[0], reads[1].behavior[0])
    np.testing.assert_array_equal(reads[0].picture_row, reads[1].picture_row)
    assert np.isfinite(reads[0].behavior[0]).all()
    assert len(reads[0].picture_row)


def test_what_a_recording_lacks_is_missing_and_no_error():
    read = ConditionReader(make_recording(), SPEC).read(np.array([5.0, 6.0]), horizon_s=1.0)
    assert read.behavior[0].shape == (2, 4, 0)
    assert not read.pictures_known.any()
    assert len(read.picture_row) == 0


def test_windows_are_taken_in_any_order():
    times = np.arange(0, 60, 0.05)
    recording = make_recording(
        series=Series(times, times[:, None], unit=""), images=shown([4.9, 8.8, 8.9], [1, 2, 0])
    )
    reader, origins = ConditionReader(recording, SPEC), np.array([5.0, 7.0, 9.0])
    read = reader.read(origins, horizon_s=1.0)
    order = np.array([2, 0, 2, 1])
    taken, again = read.take(order), reader.read(origins[order], horizon_s=1.0)
    np.testing.assert_array_equal(taken.behavior[0], again.behavior[0])
    np.testing.assert_array_equal(taken.picture_row, again.picture_row)
    np.testing.assert_array_equal(taken.picture_offsets, again.picture_offsets)
    part = read.take(slice(1, 3))
    assert part.picture_row.tolist() == [2, 0]


def test_a_modality_can_be_missing_or_another_windows():
    times = np.arange(0, 60, 0.05)
    recording = make_recording(
        series=Series(times, times[:, None], unit=""), images=shown([4.9, 8.9], [1, 2])
    )
    read = ConditionReader(recording, SPEC).read(np.array([5.0, 9.0]), horizon_s=1.0)
    blind = read.without("images")
    assert not blind.pictures_known.any()
    assert len(blind.picture_row) == 0
    np.testing.assert_array_equal(blind.behavior[0], read.behavior[0])
    still = read.without("behavior")
    assert np.isnan(still.behavior[0]).all()
    assert len(still.picture_row) == 2
    swapped = read.mixed(read.take(np.array([1, 0])), "images")
    assert swapped.picture_row.tolist() == [2, 1]
    np.testing.assert_array_equal(swapped.behavior[0], read.behavior[0])


class TestSizes:
    def test_of_what_recordings_have(self):
        times = np.arange(0, 60, 0.1)
        one = make_recording(series=Series(times, np.zeros((600, 2)), unit=""))
        other = make_recording(images=shown([1.0], [0]))
        assert require_conditions(SPEC, {"a": one, "b": other}) == ((2,), 3)

    def test_what_none_has_is_an_error(self):
        times = np.arange(0, 60, 0.1)
        one = make_recording(series=Series(times, np.zeros((600, 2)), unit=""))
        with pytest.raises(ConfigError, match=r"images: no .* the embeddings pictures: .* none"):
            require_conditions(SPEC, {"a": one})
        with pytest.raises(ConfigError, match=r"has the series gaze: they have speed"):
            require_conditions(ConditionSpec(behavior=("gaze",)), {"a": one})

    def test_columns_that_differ_are_an_error(self):
        times = np.arange(0, 60, 0.1)
        recordings = {
            name: make_recording(series=Series(times, np.zeros((600, columns)), unit=""))
            for name, columns in (("a", 2), ("b", 3))
        }
        with pytest.raises(ConfigError, match="speed has 2 columns in a and 3 in b"):
            require_conditions(ConditionSpec(behavior=("speed",)), recordings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_s": 0.3}, r"no whole number of slots of 0.3 s: choose 0.9 s"),
        ({"step_s": 2.0}, "expected slots of 0.005 s or more"),
        ({"behavior": ("a", "a")}, "named twice"),
        ({"known_schedule": True}, "needs images"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        ConditionSpec(**settings)
