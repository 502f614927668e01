"""Drawn pictures: what is in them can be told from them, and from nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.color import rgb2hsv
from skimage.measure import label, regionprops
from sklearn.ensemble import RandomForestClassifier

from neurohorizon.simulate.ventral.objects import (
    HUES,
    MOST_CATEGORIES,
    SHAPE_NAMES,
    TEXTURES,
    list_categories,
)
from neurohorizon.simulate.ventral.pictures import draw_scene, render, silhouette
from neurohorizon.simulate.ventral.surfaces import BACKGROUNDS


def scenes_of(categories, exemplars):
    return [draw_scene(0, "train", c, e) for e in exemplars for c in categories]


class TestCategories:
    def test_each_combination_is_one_category(self):
        categories = list_categories(3)
        assert len(categories) == MOST_CATEGORIES == 1872
        assert len({category.name for category in categories}) == 1872

    @pytest.mark.parametrize("seed", [0, 1])
    def test_few_categories_are_of_all_kinds(self, seed):
        few = list_categories(seed)[:156]
        for values, count in (
            ([c.shape for c in few], len(SHAPE_NAMES)),
            ([c.hue for c in few], len(HUES)),
            ([c.texture for c in few], len(TEXTURES)),
        ):
            found = np.bincount(values, minlength=count)
            assert found.min() >= 5
            assert found.max() <= 3 * found.min()

    def test_other_seeds_put_them_in_another_order(self):
        assert list_categories(0) != list_categories(1)


class TestScenes:
    def test_a_picture_is_the_same_again_and_unlike_any_other(self):
        scenes = [
            draw_scene(seed, part, category, exemplar)
            for seed in (0, 1)
            for part in ("train", "test")
            for category in (0, 1)
            for exemplar in (0, 1)
        ]
        pictures = [render(scene) for scene in scenes]
        np.testing.assert_array_equal(render(draw_scene(1, "test", 1, 1)), pictures[-1])
        assert len({picture.tobytes() for picture in pictures}) == len(scenes)

    def test_place_size_and_background_are_free_of_the_category(self):
        scenes = scenes_of(range(600), [0])
        for name in ("x", "y", "size", "orientation_rad", "background"):
            values = np.array([getattr(scene, name) for scene in scenes], dtype=float)
            for kind in ("shape", "hue", "texture"):
                group = np.array([getattr(scene, kind) for scene in scenes])
                means = np.array([values[group == each].mean() for each in np.unique(group)])
                count = len(scenes) / len(means)
                assert np.abs(means - values.mean()).max() < 3.5 * values.std() / count**0.5

    def test_a_larger_picture_shows_the_same(self):
        for category in range(12):
            scene = draw_scene(0, "train", category, 0)
            cover = [silhouette(scene, size).reshape(32, size // 32, 32, -1) for size in (64, 128)]
            small, large = (each.mean(axis=(1, 3)) for each in cover)
            assert np.abs(small - large).mean() < 0.005
            assert render(scene, 128).shape == (128, 128, 3)

    def test_an_object_is_hardly_cut_by_the_border(self):
        for scene in scenes_of(range(120), [0]):
            in_the_middle = silhouette(replace(scene, x=0.5, y=0.5)).sum()
            assert silhouette(scene).sum() > 0.93 * in_the_middle


class TestWhatIsToldApart:
    def test_shapes_by_the_nearest_outline_at_any_orientation(self):
        def outline(shape, turn):
            scene = replace(
                draw_scene(0, "train", 0, 0),
                shape=shape,
                x=0.5,
                y=0.5,
                size=0.26,
                orientation_rad=turn,
            )
            return silhouette(scene).ravel()

        turns = np.arange(60) * 2 * np.pi / 60
        known = np.array([[outline(s, turn) for turn in turns] for s in range(len(SHAPE_NAMES))])
        rng = np.random.default_rng(0)
        for shape in range(len(SHAPE_NAMES)):
            for turn in rng.uniform(0, 2 * np.pi, 5):
                distance = np.abs(known - outline(shape, turn)).sum(axis=2).min(axis=1)
                nearest, second = np.argsort(distance)[:2]
                assert nearest == shape
                assert distance[second] > 1.3 * distance[nearest]

    def test_shape_and_hue_from_the_picture_alone(self):
        scenes = scenes_of(range(720), [0, 1])
        told = [describe_object(render(scene)) for scene in scenes]
        form = np.array([each[0] for each in told])
        hue = np.array([each[1] for each in told])
        shape = np.array([scene.shape for scene in scenes])
        train = np.arange(len(scenes)) % 720 < 540  # categories of their own
        forest = RandomForestClassifier(200, random_state=0).fit(form[train], shape[train])
        assert forest.score(form[~train], shape[~train]) > 0.9
        step = 360 / len(HUES)
        nearest = np.round(hue / step).astype(int) % len(HUES)
        assert np.mean(nearest == [scene.hue for scene in scenes]) > 0.95

    def test_every_surface_and_background_looks_unlike_the_others(self):
        scene = replace(draw_scene(0, "train", 4, 0), size=0.33, x=0.5, y=0.5)
        surfaces = [render(replace(scene, texture=number)) for number in range(len(TEXTURES))]
        assert len({picture.tobytes() for picture in surfaces}) == len(TEXTURES)
        grounds = [render(replace(scene, background=number)) for number in range(len(BACKGROUNDS))]
        edge = [np.diff(each[0].astype(float), axis=0).std() for each in grounds]
        assert edge[0] == 0
        assert min(edge[1:]) > 0


def describe_object(picture):
    """Return numbers about the outline of what is saturated, and its hue in degrees."""
    hue, saturation, value = np.moveaxis(rgb2hsv(picture), -1, 0)
    regions = label(saturation * value > 0.33)
    largest = max(regionprops(regions), key=lambda region: region.area)
    mask = regions == largest.label
    angle = 2 * np.pi * hue[mask]
    weight = (saturation * value)[mask]
    mean_hue = np.angle((weight * np.exp(1j * angle)).sum(), deg=True) % 360
    moments = np.sign(largest.moments_hu) * np.log1p(1e6 * np.abs(largest.moments_hu))
    down, across = np.nonzero(mask)
    radius = np.hypot(down - down.mean(), across - across.mean())
    turn = np.arctan2(down - down.mean(), across - across.mean())
    radius /= radius.mean()
    waves = [np.abs(np.mean(radius**2 * np.exp(1j * k * turn))) for k in range(1, 7)]
    quantiles = np.quantile(radius, [0.02, 0.1, 0.5, 0.9, 1])
    form = [largest.solidity, largest.eccentricity, largest.euler_number, largest.extent]
    perimeter = largest.perimeter / np.sqrt(largest.area)
    return [*moments, *waves, *quantiles, *form, perimeter], mean_hue
