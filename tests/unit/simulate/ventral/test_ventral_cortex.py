"""V1, V4 and IT: each carries what was planted in it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from neurohorizon.simulate.ventral import LOW_LEVEL_TARGETS, SEMANTIC_TARGETS
from neurohorizon.simulate.ventral.areas import V1
from neurohorizon.simulate.ventral.cortex import OTHER_SHARE, cortex_of, luminance_layout
from neurohorizon.simulate.ventral.electrodes import LAYOUTS, draw_electrodes
from neurohorizon.simulate.ventral.pictures import draw_scene, render, tabulate

AREAS = ("V1", "V4", "IT")
NUM_CATEGORIES, NUM_EXEMPLARS = 300, 6


@pytest.fixture(scope="module")
def cortex():
    return cortex_of("F", 0)


@pytest.fixture(scope="module")
def seen(cortex):
    """What was shown, and what was answered."""
    scenes = [
        draw_scene(0, "train", category, exemplar)
        for exemplar in range(NUM_EXEMPLARS)
        for category in range(NUM_CATEGORIES)
    ]
    truth, answers, layouts = tabulate(scenes), [], []
    for first in range(0, len(scenes), 400):
        rows = slice(first, first + 400)
        pictures = np.stack([render(scene) for scene in scenes[rows]])
        answers.append(cortex.answers(pictures, {name: truth[name][rows] for name in truth}))
        layouts.append(luminance_layout(pictures))
    truth["luminance_layout"] = np.concatenate(layouts)
    return truth, np.concatenate(answers)


def answers_to(cortex, scenes):
    return cortex.answers(np.stack([render(scene) for scene in scenes]), tabulate(scenes))


def read_out(answers, target, train):
    """Return how well a ridge regression tells a target: R2, or the share of right classes."""
    is_class = target.dtype.kind == "i"
    wanted = np.eye(target.max() + 1)[target] if is_class else target.reshape(len(target), -1)
    told = Ridge(100.0).fit(answers[train], wanted[train]).predict(answers[~train])
    told = told.reshape(-1, wanted.shape[1])
    if is_class:
        return np.mean(told.argmax(axis=1) == target[~train])
    right = wanted[~train]
    return 1 - ((told - right) ** 2).sum() / ((right - right.mean(axis=0)) ** 2).sum()


@pytest.fixture(scope="module")
def scores(cortex, seen):
    """Score of each target from each area, from as many electrodes as reliable."""
    truth, answers = seen
    train = truth["category"] < 0.75 * NUM_CATEGORIES  # categories are on one side
    rng = np.random.default_rng(0)
    noisy = answers + rng.standard_normal(answers.shape)
    chosen = {area: rng.permutation(cortex.electrodes.of(area))[:190] for area in AREAS}
    return {
        target: [read_out(noisy[:, chosen[area]], truth[target], train) for area in AREAS]
        for target in (*LOW_LEVEL_TARGETS, *SEMANTIC_TARGETS, "hue")
    }


class TestHierarchy:
    @pytest.mark.parametrize("target", LOW_LEVEL_TARGETS)
    def test_place_and_luminance_fade_from_v1_to_it(self, scores, target):
        v1, v4, it = scores[target]
        assert v1 > v4 + 0.1
        assert v4 > it

    @pytest.mark.parametrize("target", SEMANTIC_TARGETS)
    def test_shape_and_surface_come_up_from_v1_to_it(self, scores, target):
        v1, v4, it = scores[target]
        assert it > v4 + 0.2
        assert v4 > v1 + 0.1

    def test_colour_is_known_to_v4_and_it_before_v1(self, scores):
        v1, v4, it = scores["hue"]
        assert min(v4, it) > v1 + 0.1


def test_an_object_that_moves_is_the_same_to_it_alone(cortex):
    scenes = [
        replace(draw_scene(0, "train", category, 0), x=0.4, y=0.5, size=0.2, background=0)
        for category in range(60)
    ]
    here = answers_to(cortex, scenes)
    there = answers_to(cortex, [replace(scene, x=0.65, y=0.55, size=0.25) for scene in scenes])
    same = {
        area: np.corrcoef(here[:, where].ravel(), there[:, where].ravel())[0, 1]
        for area, where in ((area, cortex.electrodes.of(area)) for area in AREAS)
    }
    assert same["IT"] > 0.9
    assert same["V1"] < same["V4"] < same["IT"]
    assert same["V1"] < 0.7


def test_v1_answers_to_its_orientation_in_its_field():
    v1 = V1(512, seed=0)
    number = int(np.argmax((v1.channel == 0) & (v1.wavelength_px == 7)))
    pixel = np.arange(64) + 0.5
    x, y = np.meshgrid(pixel - 64 * v1.place[number, 0], pixel - 64 * v1.place[number, 1])

    def energy(angle, where=1.0):
        wave = np.cos(2 * np.pi / 7 * (np.cos(angle) * x + np.sin(angle) * y)) * where
        channels = np.stack([wave, 0 * wave, 0 * wave])[:, None].astype("f4")
        return v1.features(channels)[0, number, 0]

    preferred = energy(v1.orientation_rad[number])
    assert preferred > 3 * energy(v1.orientation_rad[number] + np.pi / 2)
    assert preferred > 10 * energy(v1.orientation_rad[number], np.hypot(x, y) > 20)


def test_answers_are_in_standard_units_and_one_by_one(cortex, seen):
    _, answers = seen
    assert np.abs(answers.mean(axis=0)).max() < 0.3
    assert np.abs(answers.std(axis=0) - 1).mean() < 0.1
    scenes = [draw_scene(0, "train", category, 0) for category in range(3)]
    np.testing.assert_allclose(answers_to(cortex, scenes), answers[:3], atol=1e-4)


def test_a_larger_picture_of_the_same_is_answered_alike(cortex):
    scenes = [draw_scene(0, "train", category, 0) for category in range(40)]
    large = np.stack([render(scene, 128) for scene in scenes])
    one, other = answers_to(cortex, scenes), cortex.answers(large, tabulate(scenes))
    for area, least in (("V1", 0.9), ("V4", 0.9), ("IT", 1.0)):
        where = cortex.electrodes.of(area)
        assert np.corrcoef(one[:, where].ravel(), other[:, where].ravel())[0, 1] > least - 1e-6


class TestWhatNothingExplains:
    def test_it_has_its_share_of_the_variance_and_is_each_picture_s_own(self, cortex, seen):
        _, answers = seen
        scenes = [draw_scene(0, "train", category, 0) for category in range(300)]
        mixed = cortex.add_other(answers[:300], scenes)
        np.testing.assert_array_equal(
            cortex.add_other(answers[:2], scenes[:2]), mixed[:2]
        )  # of the picture alone
        rest = mixed - np.sqrt(1 - OTHER_SHARE) * answers[:300]
        assert np.mean(rest**2) == pytest.approx(OTHER_SHARE, abs=0.05)
        assert abs(np.corrcoef(rest.ravel(), answers[:300].ravel())[0, 1]) < 0.05
        # Electrodes go together as they do in answers: it cannot be told apart by its shape.
        where = cortex.electrodes.of("IT")
        same, of_rest = (np.corrcoef(v[:, where].T).ravel() for v in (answers[:300], rest))
        assert np.corrcoef(same, of_rest)[0, 1] > 0.75


class TestElectrodes:
    @pytest.mark.parametrize("monkey", ["F", "N"])
    def test_areas_and_latencies(self, monkey):
        electrodes = draw_electrodes(monkey, 0)
        assert [(a, int((electrodes.area == a).sum())) for a, _ in LAYOUTS[monkey]] == list(
            LAYOUTS[monkey]
        )
        medians = [np.median(electrodes.latency_ms[electrodes.of(area)]) for area in AREAS]
        assert np.all(np.diff(medians) > 10)
        assert all(electrodes.latency_ms[electrodes.of(area)].std() > 2 for area in AREAS)

    @pytest.mark.parametrize("seed", range(5))
    def test_broken_ones_are_apart(self, seed):
        electrodes = draw_electrodes("F", seed)
        (copies,) = np.nonzero(electrodes.copy_of >= 0)
        source = electrodes.copy_of[copies]
        assert (electrodes.is_missing.sum(), electrodes.is_deaf.sum(), len(copies)) == (12, 12, 8)
        np.testing.assert_array_equal(electrodes.array[copies], electrodes.array[source])
        np.testing.assert_array_equal(electrodes.area[copies], electrodes.area[source])
        broken = electrodes.is_missing | electrodes.is_deaf
        assert not broken[source].any()
        assert not (electrodes.is_missing & electrodes.is_deaf).any()
        assert (electrodes.quality[broken] == 0).all()
        assert (electrodes.quality[~broken] > 0).all()
