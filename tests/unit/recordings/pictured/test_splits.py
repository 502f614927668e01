import numpy as np
import pytest

from bridge_worlds import picture_hashes
from neurohorizon.errors import ConfigError, DataError
from neurohorizon.recordings.pictured.splits import (
    alike_pictures,
    fold_pictures,
    group_pictures,
    split_pictures,
)

HASHES = np.array(picture_hashes(400))
ALONE = np.arange(400)


def test_what_is_alike_to_a_third_is_one_group():
    group = group_pictures(6, [(0, 3), (3, 5), (1, 2)])
    assert group.tolist() == [0, 1, 1, 0, 4, 0]


def test_a_pictures_part_follows_from_its_content_alone():
    part = split_pictures(HASHES, ALONE, kind="pictures", test_share=0.25, seed=3)
    fewer = split_pictures(HASHES[100:300], ALONE[:200], kind="pictures", test_share=0.25, seed=3)
    assert fewer.tolist() == part[100:300].tolist()
    assert 0.18 < np.mean(part == "test") < 0.32
    other = split_pictures(HASHES, ALONE, kind="pictures", test_share=0.25, seed=4)
    assert np.any(other != part)


@pytest.mark.parametrize("kind", ["stored", "pictures", "categories"])
def test_no_group_is_on_two_sides(kind):
    group = group_pictures(400, [(n, n + 200) for n in range(50)])
    category = np.array([f"c{n % 40}" for n in range(400)])
    stored = np.where(np.arange(400) < 60, "test", "train")
    part = split_pictures(
        HASHES, group, kind=kind, test_share=0.2, stored=stored, category=category
    )
    for number in np.unique(group):
        assert len({*part[group == number].tolist()} - {""}) == 1
    if kind == "stored":
        # A training picture that looks like one of the test is left out; test pictures stay.
        assert np.all(part[:60] == "test")
        assert np.sum(part == "") == 50
    if kind == "categories":
        # A group is of its first picture's category.
        own = np.setdiff1d(np.arange(400), np.arange(200, 250))
        tested = {*category[own][part[own] == "test"]}
        assert not tested & {*category[own][part[own] == "train"]}


@pytest.mark.parametrize("num_folds", [1, 4])
def test_folds_hold_out_every_group_whole(num_folds):
    group = group_pictures(400, [(n, n + 200) for n in range(50)])
    fold = fold_pictures(HASHES, group, kind="pictures", num_folds=num_folds, held_out_share=0.2)
    assert all(len({*fold[group == number]}) == 1 for number in np.unique(group))
    if num_folds == 1:
        assert {*fold.tolist()} == {-1, 0}
        assert 0.12 < np.mean(fold == 0) < 0.3
    else:
        assert {*fold.tolist()} == {0, 1, 2, 3}


def test_folds_are_independent_of_the_split():
    part = split_pictures(HASHES, ALONE, kind="pictures", test_share=0.5)
    fold = fold_pictures(HASHES, ALONE, kind="pictures", num_folds=2)
    assert 0.35 < np.mean(fold[part == "train"] == 0) < 0.65


def test_pictures_that_look_alike_are_found():
    generator = np.random.default_rng(0)
    looks = generator.normal(size=(50, 80)).astype(np.float32)
    looks[40] = looks[7] + 0.05 * generator.normal(size=80)
    looks[:, 5] = 1.0  # a feature that is the same for all
    assert alike_pictures(looks, least_correlation=0.9) == [(7, 40)]
    assert alike_pictures(looks, least_correlation=0.9, block=8) == [(7, 40)]


def test_what_cannot_be_split_is_told_in_a_line():
    with pytest.raises(ConfigError, match="a share of 0 for the test"):
        split_pictures(HASHES, ALONE, kind="pictures", test_share=0.0)
    with pytest.raises(DataError, match="400 of 400 pictures have no category"):
        split_pictures(HASHES, ALONE, kind="categories", test_share=0.2, category=np.full(400, ""))
    with pytest.raises(DataError, match="none of 400 pictures is in the part 'test'"):
        split_pictures(HASHES, ALONE, kind="stored", stored=np.full(400, "train"))
