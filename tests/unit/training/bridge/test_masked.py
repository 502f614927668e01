"""Masked pretraining: what is learned, what is scored, and how a bridge goes on from it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from bridge_worlds import samples
from neurohorizon.errors import ConfigError
from neurohorizon.training.bridge.contrastive import fit_contrastive, identification_score
from neurohorizon.training.bridge.masked import (
    Masked,
    MaskedSettings,
    make_model,
    masked_loss,
    mix_some,
    predict,
    pretrain,
)
from neurohorizon.training.bridge.rows import ROWS

SMALL = MaskedSettings(
    width=32,
    num_layers=1,
    dropout=0.0,
    batch_size=64,
    max_steps=300,
    learning_rate=5e-3,
    ema_decay=0.98,
)
AREAS = (0,) * 10 + (1,) * 6


def world(num=600, **more):
    made = samples(num, num_folds=10, **more)
    return replace(made, areas=AREAS, category=np.array(["ab"[n % 2] for n in range(num)]))


@cache
def pretrained():
    return pretrain(world(), SMALL)


def test_hidden_responses_are_said_about_as_well_as_linear_regression_says_them():
    result = pretrained()
    score = result.score
    assert abs(score.untrained) < 0.1
    assert score.linear.value > 0.5
    assert score.model.value > 0.8 * score.linear.value
    assert score.model.low < score.model.value < score.model.high
    assert score.difference.value == pytest.approx(score.model.value - score.linear.value)
    assert score.num_pictures == 60
    assert score.num_places == 60 * 4 * round(0.25 * 16)
    assert max(each for *_, each in result.curve) == pytest.approx(
        next(each for step, _, each in result.curve if step == result.steps)
    )


def test_the_same_seed_gives_the_same_model():
    short = replace(SMALL, max_steps=20)
    one, same, other = (pretrain(world(100), short, seed=seed).model for seed in (1, 1, 2))
    assert all(
        torch.equal(one.state_dict()[name], each) for name, each in same.state_dict().items()
    )
    assert not torch.equal(one.answer, other.answer)


def test_held_out_pictures_teach_nothing():
    given = world(100)
    moved = given.values.copy()
    moved[given.fold < 2] += 100.0
    short = replace(SMALL, max_steps=20)
    one = pretrain(given, short).model
    other = pretrain(replace(given, values=moved), short).model
    assert torch.equal(one.answer, other.answer)
    assert torch.equal(one.scale.mean, other.scale.mean)


def test_the_loss_is_of_hidden_places_and_no_others():
    given = world(50)
    model = make_model(given, SMALL, num_categories=2).eval()
    responses = torch.randn(50, 16)
    there = torch.rand(50, 16) < 0.9
    hidden = there & (torch.rand(50, 16) < 0.3)
    category = torch.tensor([0, 1, -1, 1, 0] * 10)
    batch = Masked(responses, there, hidden, given.picture, category)
    said, logits = predict(model, batch)
    error = np.mean((said - responses[hidden].numpy()) ** 2)
    assert masked_loss(model, batch).item() == pytest.approx(error, rel=1e-5)
    missing = replace(batch, responses=responses.masked_fill(~there, 50.0))
    assert torch.equal(masked_loss(model, missing), masked_loss(model, batch))
    target = replace(batch, responses=responses.masked_fill(hidden, 3.0))
    expected = np.mean((said - 3.0) ** 2)
    assert masked_loss(model, target).item() == pytest.approx(expected, rel=1e-5)
    known = category.numpy() >= 0
    shifted = logits[known] - logits[known].max(axis=1, keepdims=True)
    chance = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    entropy = -np.mean(np.log(chance[np.arange(known.sum()), category.numpy()[known]]))
    assert masked_loss(model, batch, 0.5).item() == pytest.approx(error + 0.5 * entropy, rel=1e-5)
    nothing = replace(batch, hidden=torch.zeros_like(hidden))
    loss = masked_loss(model, nothing)
    assert loss.item() == 0
    loss.backward()


def test_mixtures_vary_together_as_responses_do_and_show_no_picture():
    given = world(400)
    model = make_model(given, SMALL)
    responses = model.scale.read(given.values)
    there = torch.rand(400, 16) < 0.9
    batch = Masked(responses, there, ~there, given.picture, torch.zeros(400, dtype=torch.long))
    some, more = (
        [mix_some(batch, responses, share, torch.Generator().manual_seed(n)) for n in range(20)]
        for share in (0.25, 1.0)
    )
    for each in some:
        assert torch.equal(each.responses[100:], batch.responses[100:])
        assert each.category.tolist() == [-1] * 100 + [0] * 300
        assert torch.equal(each.there, there)
    sums = torch.cat([each.responses for each in more])
    assert len(sums.unique(dim=0)) == 8000
    assert sums.mean(dim=0).abs().max() < 0.06
    assert (sums.T.cov() - responses.T.cov()).abs().max() < 0.08
    none = mix_some(batch, responses, 0.0, torch.Generator())
    assert torch.equal(none.responses, batch.responses)
    assert torch.equal(batch.category, torch.zeros(400, dtype=torch.long))


def test_missing_values_are_no_matter():
    given = world(200)
    values = given.values.copy()
    values[np.random.default_rng(0).random(values.shape) < 0.2] = np.nan
    values[:, 3] = np.nan
    result = pretrain(replace(given, values=values), replace(SMALL, max_steps=100))
    assert result.score.model.value > 0.1
    assert all(torch.isfinite(each).all() for each in result.model.parameters())


@pytest.mark.parametrize("kind", ["region_balanced", "whole_region", "within_region", "mixed"])
def test_other_masks_are_learned_from(kind):
    result = pretrain(world(200), replace(SMALL, kind=kind, max_steps=60))
    assert result.score.model.value > 0.05


def test_time_courses_are_learned_from_by_bins():
    given = replace(samples(200, num_folds=10, bins=4), areas=AREAS)
    result = pretrain(given, replace(SMALL, kind="temporal", share=0.5, max_steps=60))
    assert result.score.model.value > 0.02
    assert result.score.num_places == 20 * 4 * 16 * 2
    with pytest.raises(ConfigError, match="no time bins"):
        pretrain(world(200), replace(SMALL, kind="temporal"))


def test_categories_are_told_besides():
    given = world(200)
    told = np.where(given.embeddings[:, 0] > 3, "bright", "dark")
    settings = replace(SMALL, category_weight=0.5, max_steps=120)
    score = pretrain(replace(given, category=told), settings).score
    assert score.accuracy > score.commonest + 0.1
    assert pretrained().score.accuracy is None


def test_a_trunk_is_kept_tuned_or_tuned_part_by_part():
    model, given = pretrained().model, samples()
    row = ROWS["Perceiver, pretrained, gradual"].of_sizes(model)
    start = replace(row.start, thaw_every=4, batch_size=64, ema_decay=0.0)
    given = replace(given, areas=AREAS)

    def moved(trunk, num_steps):
        """Return which parts of the trunk, from the bottom, training moved."""
        bridge = fit_contrastive(
            given, replace(start, trunk=trunk), num_steps=num_steps, pretrained=model
        ).model
        assert torch.equal(bridge.scale.mean, model.scale.mean)
        assert not bridge.training
        pairs = zip(bridge.neural.trunk.parts(), model.parts(), strict=True)
        return [
            any(
                not torch.equal(one, other)
                for one, other in zip(mine.parameters(), theirs.parameters(), strict=True)
            )
            for mine, theirs in pairs
        ]

    assert moved("frozen", 12) == [False, False]
    assert moved("gradual", 4) == [False, False]
    assert moved("gradual", 8) == [False, True]
    assert moved("gradual", 12) == [True, True]
    assert moved("tuned", 1) == [True, True]


def test_drawn_settings_leave_a_pretrained_trunk_as_it_is():
    model = pretrained().model
    for name, row in ROWS.items():
        if row.pretrained:
            for settings in row.of_sizes(model).candidates(12):
                assert (settings.width, settings.num_layers, settings.root) == (32, 1, False)
                assert settings.trunk == row.start.trunk
            assert name.startswith("Perceiver, pretrained")


def test_rows_that_differ_in_where_they_start_try_the_same_settings():
    model = make_model(world(50), MaskedSettings())
    untrained = ROWS["Perceiver"].candidates(6)
    for row in (each.of_sizes(model) for each in ROWS.values() if each.pretrained):
        tried = row.candidates(6)
        shares = {each.trunk_share for each in tried[1:]}
        assert len(shares) == (1 if row.start.trunk == "frozen" else 5)
        for mine, theirs in zip(tried, untrained, strict=True):
            same = replace(mine, trunk="untrained", trunk_share=theirs.trunk_share)
            assert replace(same, root=theirs.root) == theirs


def test_a_frozen_trunk_is_worth_more_for_its_pretraining():
    # Of a few electrodes an untrained trunk hands on everything, and there is nothing to learn.
    areas, narrow = (0,) * 24 + (1,) * 24, replace(SMALL, width=16)
    given = replace(samples(600, num_units=48), areas=areas)
    many = replace(samples(480, num_folds=10, num_units=48), areas=areas)
    few = replace(given.of_pictures(np.arange(600) < 120), responses=given.values)
    new = given.of_pictures(np.arange(600) >= 480)
    unseen = pretrain(many, narrow).model
    by_chance = make_model(many, narrow)
    row = ROWS["Perceiver, pretrained, frozen"].of_sizes(unseen)
    settings = replace(row.start, num_components=8, learning_rate=5e-3, dropout=0.0, noise=0.1)
    learned, random = (
        identification_score(
            fit_contrastive(few, settings, num_steps=120, pretrained=each).model, new
        )
        for each in (unseen, by_chance)
    )
    assert learned > 0.15, "chance is 0.03"
    assert learned > random + 0.05
