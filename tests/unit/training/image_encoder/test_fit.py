"""Fitting encoders and judges: losses start where chance is, and few pictures are learned."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.pictures.judge import Judge
from neurohorizon.evaluation.pictures.neighbours import agreement, nearest_neighbours
from neurohorizon.models.pictures.small import SmallNetwork
from neurohorizon.training.image_encoder.augment import Augmentation
from neurohorizon.training.image_encoder.fit import (
    LabelColumn,
    fit_contrastively,
    fit_to_labels,
)
from neurohorizon.training.image_encoder.judge import WORDS, draw_pictures, fit_judge
from neurohorizon.training.image_encoder.loop import LoopSettings

NONE = Augmentation()
QUICK = LoopSettings(steps=60, batch_size=24, learning_rate=1e-2, seed=1)


@pytest.fixture(scope="module")
def drawn():
    return draw_pictures(48, seed=5, size_px=32)


@pytest.fixture(scope="module")
def pixels(drawn):
    return torch.from_numpy(drawn.pixels).permute(0, 3, 1, 2)


def network():
    torch.manual_seed(3)
    return SmallNetwork(size_px=32, widths=(8, 16, 24, 32), num_dimensions=16)


def labels(drawn, *names):
    return {name: LabelColumn(WORDS[name], drawn.code[name]) for name in names}


def embed(fitted, pixels):
    with torch.inference_mode():
        return fitted(pixels.float() / 255).numpy()


def test_losses_start_where_chance_is(drawn, pixels):
    start = LoopSettings(steps=1, batch_size=48, learning_rate=0.0)
    fitted = fit_to_labels(pixels, labels(drawn, "shape", "hue"), settings=start)
    assert fitted.curve[0][1] == pytest.approx(2 * math.log(12), rel=0.15)
    fitted = fit_contrastively(pixels, settings=start)
    assert fitted.curve[0][1] == pytest.approx(math.log(48), rel=0.15)
    _, curve = fit_judge(drawn, settings=start)
    assert curve[0][1] == pytest.approx(2 * math.log(12) + math.log(13), rel=0.15)


def test_labels_of_few_pictures_are_learned_and_their_neighbours_share_them(drawn, pixels):
    fitted = fit_to_labels(
        pixels, labels(drawn, "hue"), settings=QUICK, augmentation=NONE, network=network()
    )
    assert fitted.curve[-1][1] < 0.3
    found = agreement(drawn.code["hue"], nearest_neighbours(embed(fitted.network, pixels)))
    assert found.share > 0.9
    assert not any(each.requires_grad for each in fitted.network.parameters())


def test_contrastive_training_brings_views_of_a_picture_together(pixels):
    augmentation = Augmentation(least_area=0.6, flip=True, light=0.2)
    generator = torch.Generator().manual_seed(9)
    views = [augmentation(pixels.float() / 255, generator) for _ in range(2)]

    def found(encoder):
        with torch.inference_mode():
            one, other = (encoder(each).numpy() for each in views)
        return float((nearest_neighbours(one, other) == np.arange(len(one))).mean())

    fitted = fit_contrastively(pixels, settings=QUICK, augmentation=augmentation, network=network())
    assert found(fitted.network) > found(network().eval()) + 0.15


def test_a_seed_makes_the_encoder_and_the_global_one_does_not(drawn, pixels):
    short = LoopSettings(steps=3, batch_size=8, seed=7)
    fits = []
    for seed in (7, 7, 8):
        torch.manual_seed(len(fits))
        settings = replace(short, seed=seed)
        fits.append(fit_to_labels(pixels, labels(drawn, "shape"), settings=settings).network)
    one, again, other = (fit.projection.weight for fit in fits)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_what_is_unknown_teaches_nothing(drawn, pixels):
    short = LoopSettings(steps=3, batch_size=8)
    given = labels(drawn, "shape")
    unknown = LabelColumn(("a", "b"), np.full(48, -1))
    unknown.code[:2] = [0, 1]
    with_known = fit_to_labels(pixels[2:], {"shape": rest(given["shape"])}, settings=short)
    both = {"shape": rest(given["shape"]), "more": LabelColumn(("a", "b"), np.full(46, -1))}
    with pytest.raises(ConfigError, match="label more: the same for every picture"):
        fit_to_labels(pixels[2:], both, settings=short)
    fitted = fit_to_labels(pixels, {"more": unknown}, settings=short)
    for network_ in (fitted.network, with_known.network):
        assert all(bool(each.isfinite().all()) for each in network_.parameters())


def rest(column):
    return LabelColumn(column.words, column.code[2:])


def test_a_judge_learns_few_pictures(drawn):
    hue_alone, curve = fit_judge(drawn, settings=QUICK, augmentation=NONE, words=("hue",))
    assert curve[-1][1] < 0.5
    judged = Judge(hue_alone)(list(drawn.pixels))
    assert list(judged) == ["hue"]
    assert judged["hue"].accuracy(drawn.code["hue"]) > 0.9
    np.testing.assert_allclose(judged["hue"].probability.sum(axis=1), 1, rtol=1e-5)
    assert len(Judge(hue_alone)([])["hue"].code) == 0


def test_pictures_of_one_seed_are_in_no_other_world():
    one, other = draw_pictures(24, seed=1), draw_pictures(24, seed=2)
    assert not {each.tobytes() for each in one.pixels} & {each.tobytes() for each in other.pixels}
    np.testing.assert_array_equal(draw_pictures(24, seed=1).pixels, one.pixels)
    several = draw_pictures(24, seed=1, num_categories=6)
    np.testing.assert_array_equal(several.code["shape"][:6], several.code["shape"][6:12])


def test_what_cannot_be_learned_is_refused(drawn, pixels):
    with pytest.raises(ConfigError, match="1 pictures to train on: expected 2 or more"):
        fit_contrastively(pixels[:1], settings=QUICK)
    with pytest.raises(ConfigError, match="two views of a picture would be the same"):
        fit_contrastively(pixels, settings=QUICK, augmentation=NONE)
    with pytest.raises(ConfigError, match="no labels"):
        fit_to_labels(pixels, {}, settings=QUICK)
    with pytest.raises(ConfigError, match="1 pictures: expected 2 or more"):
        draw_pictures(1, seed=0)
    for name, value in (
        ("steps", 0),
        ("batch_size", 1),
        ("seed", -1),
        ("learning_rate", float("nan")),
        ("precision", "float16"),
    ):
        with pytest.raises(ConfigError, match=f"{name} is {value}"):
            LoopSettings(**{name: value})
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used here"):
        LoopSettings(device="abacus")
