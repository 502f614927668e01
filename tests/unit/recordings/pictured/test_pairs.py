from dataclasses import replace

import numpy as np
import pytest

from bridge_worlds import write_world
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.pictured.pairs import PicturePairs, UnitChoice
from neurohorizon.recordings.responses_store import open_responses


@pytest.fixture
def recording(tmp_path):
    write_world(tmp_path, num_pictures=60, num_test=12, num_repeats=5)
    return open_responses(tmp_path / "recordings" / "one.h5")


def test_pairs_are_by_picture(recording):
    pairs = PicturePairs.of(recording)
    assert (len(pairs), len(pairs.hashes), pairs.num_units) == (48 + 60, 60, 16)
    row = 77
    assert (
        pairs.hashes[pairs.picture[row]] == recording.images.sha256[recording.responses.image[row]]
    )
    train, test = pairs.only("train"), pairs.only("test")
    assert (len(train), len(test), len(test.hashes)) == (48, 60, 12)
    assert not {*train.hashes} & {*test.hashes}
    assert test.trials_per_picture.tolist() == [5] * 12


@pytest.mark.parametrize("most", [None, 1, 3])
def test_means_over_trials(recording, most):
    test = PicturePairs.of(recording).only("test")
    values = test.values.copy()
    values[3, 2] = np.nan
    test = replace(test, values=values)
    mean = test.mean_over_trials(most=most, generator=np.random.default_rng(0))
    assert mean.values.shape == (12, 16)
    of_first = test.values[test.picture == 4]
    if most is None:
        assert np.allclose(mean.values[4], np.nanmean(of_first, axis=0), atol=1e-5)
        assert np.isfinite(mean.values).all(), "a missing trial is left out of the mean"
    if most == 1:
        assert any(np.array_equal(mean.values[4], row, equal_nan=True) for row in of_first)


def test_the_same_picture_shown_as_two_images_is_one(recording):
    hashes = recording.images.sha256.copy()
    hashes[59] = hashes[58]
    images = replace(recording.images, sha256=hashes)
    pairs = PicturePairs.of(replace(recording, images=images))
    assert len(pairs.hashes) == 59
    assert pairs.only("train").trials_per_picture.max() == 2


def test_units_are_chosen_and_silent_ones_left_out(recording):
    pairs = PicturePairs.of(recording)
    values = pairs.values.copy()
    values[:, 5] = np.nan
    units = replace(
        pairs.units,
        area=np.array(["V1"] * 8 + ["IT"] * 8),
        columns={"reliability": np.linspace(0, 1, 16)},
    )
    pairs = replace(pairs, values=values, units=units)
    chosen, notes = UnitChoice()(pairs)
    assert chosen.num_units == 15
    assert notes == ["1 of 16 units left out: no training picture has a value of theirs "
                     "(the first is unit_0005)"]  # fmt: skip
    chosen, notes = UnitChoice(areas=["V1"], least={"reliability": 0.3})(pairs)
    assert chosen.units.id.tolist() == ["unit_0006", "unit_0007"]
    assert "test responses" in notes[0]
    with pytest.raises(ConfigError, match="no units in MT: there are IT, V1"):
        UnitChoice(areas=["MT"])(pairs)
    with pytest.raises(ConfigError, match="units have no column snr: there are reliability"):
        UnitChoice(least={"snr": 1})(pairs)
    with pytest.raises(DataError, match="no unit is left"):
        UnitChoice(least={"reliability": 2})(pairs)
    with pytest.raises(DataError, match="no response to a training picture is a finite number"):
        UnitChoice()(replace(pairs, values=np.full_like(values, np.nan)))


def test_pictures_that_are_not_at_hand_are_told(recording):
    images = replace(recording.images, sha256=np.full(60, ""))
    with pytest.raises(DataError, match="60 of 60 pictures are not known by their content"):
        PicturePairs.of(replace(recording, images=images))
