"""Views of pictures: what they change, and what they leave."""

import pytest
import torch

from neurohorizon.errors import ConfigError
from neurohorizon.training.image_encoder.augment import Augmentation

ALL = Augmentation(
    least_area=0.3, flip=True, turn_deg=180, light=0.4, colour=0.3, soft=0.5, noise=0.1
)


def pictures(num=16):
    return torch.rand(num, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(least_area=0.3),
        Augmentation(flip=True),
        Augmentation(turn_deg=90),
        Augmentation(light=0.5),
        Augmentation(colour=0.5),
        Augmentation(soft=0.5),
        Augmentation(noise=0.2),
        ALL,
    ],
)
def test_views_have_shape_and_range_of_pictures_and_differ_from_them(augmentation):
    shown = pictures()
    before = shown.clone()
    views = augmentation(shown, seeded())
    assert torch.equal(shown, before)
    assert views.shape == shown.shape
    assert views.min() >= 0
    assert views.max() <= 1
    assert (views - shown).abs().max() > 0.05
    assert torch.equal(views, augmentation(shown, seeded()))
    assert not torch.equal(views, augmentation(shown, seeded(1)))


def test_nothing_asked_for_is_nothing_done():
    assert torch.equal(Augmentation()(pictures(), seeded()), pictures())


def test_a_flip_mirrors_half_of_the_views_and_no_more():
    shown = pictures(64)
    views = Augmentation(flip=True)(shown, seeded())
    same = (views - shown).abs().amax(dim=(1, 2, 3)) < 1e-4
    mirrored = (views - shown.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert bool((same ^ mirrored).all())
    assert 16 < int(mirrored.sum()) < 48


def test_a_turn_keeps_distances_from_the_centre():
    shown = torch.zeros(8, 3, 33, 33)
    shown[:, :, 16, 26] = 1.0
    views = Augmentation(turn_deg=180)(shown, seeded())
    y, x = torch.meshgrid(torch.arange(33.0), torch.arange(33.0), indexing="ij")
    mass = views[:, 0].clamp(min=0)
    radius = ((y - 16) ** 2 + (x - 16) ** 2).sqrt()
    mean = (mass * radius).sum(dim=(1, 2)) / mass.sum(dim=(1, 2))
    torch.testing.assert_close(mean, torch.full((8,), 10.0), atol=0.3, rtol=0)


def test_moving_leaves_a_plain_picture_and_light_leaves_its_hue():
    plain = torch.tensor([0.6, 0.3, 0.2]).reshape(1, 3, 1, 1).expand(8, 3, 32, 32)
    moved = Augmentation(least_area=0.2, flip=True, turn_deg=180, soft=1.0)(plain, seeded())
    torch.testing.assert_close(moved, plain.contiguous(), atol=1e-5, rtol=0)
    lit = Augmentation(light=0.3)(plain, seeded())[:, :, 0, 0]
    assert bool((lit[:, 0] > lit[:, 1]).all() and (lit[:, 1] > lit[:, 2]).all())
    grey = torch.full((8, 3, 32, 32), 0.5)
    coloured = Augmentation(colour=1.0)(grey, seeded())
    torch.testing.assert_close(coloured, grey, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("least_area", 0.0), ("least_area", 1.1), ("turn_deg", 200.0), ("light", -0.1), ("soft", 2)],
)
def test_settings_out_of_bounds(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}: expected"):
        Augmentation(**{name: value})
