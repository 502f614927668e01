"""A code that two recordings share is worth pictures to the one that has few; another is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from bridge_worlds import coded_samples, embeddings_of
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.retrieval.identification import count_better, two_way
from neurohorizon.evaluation.retrieval.summary import estimate_scores
from neurohorizon.models.bridge.new_input import INPUT_LAYER, with_new_input
from neurohorizon.training.bridge.alignment import align
from neurohorizon.training.bridge.closed_form import EncodingSettings, RidgeSettings
from neurohorizon.training.bridge.contrastive import ContrastiveSettings, make_bridge
from neurohorizon.training.bridge.picture_views import OWN_SHARE, fit_on_views, views_by
from neurohorizon.training.bridge.ridge_maps import PENALTIES, fit_ridge_map
from neurohorizon.training.bridge.rows import ROWS, FitWords
from neurohorizon.training.bridge.transfer import fit_on_trunk, fit_own, nested_order

EMBEDDINGS = embeddings_of(600)
#: Two codes of three dimensions each that have nothing in common.
AXES = np.linalg.qr(np.random.default_rng(5).normal(size=(12, 6)))[0]
MINE, OTHER = AXES[:, :3], AXES[:, 3:]
FEW = 15
NUM_DRAWS = 4
CLOSED = {"ridge": RidgeSettings(num_components=12), "encoding model": EncodingSettings(12)}
TRAINED = {
    name: replace(
        ROWS[name].start,
        max_steps=120,
        num_components=8,
        width=48,
        batch_size=64,
        learning_rate=1e-2,
        project=True,
        num_dimensions=8,
    )
    for name in ("linear InfoNCE", "MLP InfoNCE")
}


def part(samples, first, last):
    chosen = np.zeros(len(samples.embeddings), dtype=bool)
    chosen[first:last] = True
    return samples.of_pictures(chosen)


def score(bridge, test):
    better = count_better(bridge.similarity(test.values, test.embeddings), test.picture)
    return two_way(better, num_candidates=len(test.embeddings))


def carried(name, settings, code):
    """Return scores by draw of own pictures only, a new input layer, and shared pictures."""
    row = ROWS[name]
    target = coded_samples(EMBEDDINGS, MINE, seed=21)
    source = coded_samples(EMBEDDINGS, code, seed=22)
    words = FitWords(num_steps=120 if row.trained else None)
    bridge, _ = row.fit(part(source, 0, 400), settings, words)
    test = part(target, 450, 600)
    own, new, aligned = [], [], []
    for draw in range(NUM_DRAWS):
        first, last = 40 * draw, 40 * draw + FEW
        few = part(target, first, last)
        own.append(score(fit_own(row, few, settings, steps=60, seed=draw), test))
        if row.trained:
            on_source = fit_on_trunk(row, few, settings, trunk=bridge, steps=60, seed=draw)
        else:
            on_source = fit_on_views(row, few, settings, [bridge])
        new.append(score(on_source, test))
        mapped = align(bridge, few.values, part(source, first, last).values)
        aligned.append(score(mapped, test))
    return np.array(own), np.array(new), np.array(aligned)


@pytest.mark.parametrize("name", ["encoding model", "linear InfoNCE", "MLP InfoNCE"])
def test_a_shared_code_is_worth_pictures_and_another_is_not(name):
    settings = {**CLOSED, **TRAINED}[name]
    own, new, aligned = carried(name, settings, MINE)
    assert estimate_scores([new - own]).above
    assert estimate_scores([aligned - own]).above
    assert aligned.mean() > 0.9, "chance is 0.5"
    own, new, aligned = carried(name, settings, OTHER)
    assert not estimate_scores([new - own]).above
    assert not estimate_scores([aligned - own]).above


def test_a_ridge_regression_has_nothing_to_keep():
    own, new, _ = carried("ridge", CLOSED["ridge"], MINE)
    np.testing.assert_allclose(new, own, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "mlp", "temporal", "perceiver"])
def test_only_the_input_layer_is_new(kind):
    bins = 3 if kind == "temporal" else 0
    settings = ContrastiveSettings(tower=kind, num_components=6, width=16, project=True)

    def world(num_units):
        samples = coded_samples(EMBEDDINGS[:60], MINE, num_units=num_units, seed=num_units)
        values = samples.values[..., None].repeat(bins, axis=2) if bins else samples.values
        return replace(samples, values=values, areas=(0, 1) * (num_units // 2))

    source = make_bridge(world(16), settings)
    target = world(10)
    row = replace(ROWS["MLP InfoNCE"], start=settings)
    words = FitWords(num_steps=3, trunk=source)
    before = {name: value.clone() for name, value in source.state_dict().items()}
    bridge, _ = row.fit(target, settings, words)
    after = bridge.state_dict()
    fresh = tuple(f"neural.{name}" for name in INPUT_LAYER[kind])
    kept = [name for name in before if not name.startswith((*fresh, "scale.", "regression."))]
    assert any(name.startswith(fresh) for name in after)
    for name in kept:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    for name, value in source.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    start = with_new_input(source, target.values.shape[1:], target.areas)
    learned = [name for name, each in start.named_parameters() if each.requires_grad]
    assert learned
    assert all(name.startswith(fresh) for name in learned)
    assert bridge.scale.mean.shape == target.values.shape[1:]


def test_a_perceiver_of_other_areas_is_refused():
    samples = replace(coded_samples(EMBEDDINGS[:60], MINE, seed=1), areas=(0, 1) * 8)
    settings = ContrastiveSettings(tower="perceiver", num_components=6, width=16)
    source = make_bridge(samples, settings)
    with pytest.raises(ConfigError, match="other areas"):
        with_new_input(source, (16,), (0,) * 16)


def test_responses_of_the_source_itself_are_mapped_to_themselves():
    samples = coded_samples(EMBEDDINGS, MINE, seed=3)
    bridge, _ = ROWS["ridge"].fit(part(samples, 0, 400), CLOSED["ridge"], FitWords())
    both, test = part(samples, 0, 400), part(samples, 450, 600)
    mapped = align(bridge, both.values, both.values)
    np.testing.assert_allclose(
        mapped.similarity(test.values, test.embeddings),
        bridge.similarity(test.values, test.embeddings),
        atol=0.06,
    )


def test_a_ridge_map_is_scikit_learns_with_a_penalty_that_was_tried():
    generator = np.random.default_rng(0)
    inputs = 3 * generator.normal(size=(40, 5)) + 1
    targets = inputs @ generator.normal(size=(5, 3)) + generator.normal(size=(40, 3)) - 2
    found = fit_ridge_map(inputs, targets)
    scale = inputs.var(axis=0).mean()
    by_penalty = [
        Ridge(alpha=penalty * scale * len(inputs)).fit(inputs, targets) for penalty in PENALTIES
    ]
    assert any(np.allclose(each.predict(inputs), found(inputs)) for each in by_penalty)
    held = np.arange(len(inputs)) % 5 == 0
    left = Ridge(alpha=1e-9).fit(inputs[~held], targets[~held]).predict(inputs[held])
    assert np.abs(found.held_out[held] - left).mean() < 0.3


def test_views_are_a_prior_over_the_weights_of_units():
    """Their products are those of pictures under the covariance of the sources' weights."""
    bridges = [
        ROWS["encoding model"].fit(
            part(coded_samples(EMBEDDINGS, code, seed=seed), 0, 400),
            EncodingSettings(12),
            FitWords(),
        )[0]
        for code, seed in ((MINE, 1), (OTHER, 2))
    ]
    few = EMBEDDINGS[400:420]
    views = views_by(bridges, few)(few).astype(np.float64)
    views -= views.mean(axis=0)
    expected = np.zeros((20, 20))
    for bridge in bridges:
        places = bridge.space.read(few).numpy().astype(np.float64)
        places -= places.mean(axis=0)
        weight = bridge.image.to_space.weight.numpy().T.astype(np.float64)
        product = places @ (weight @ weight.T) @ places.T
        expected += (1 - OWN_SHARE) / 2 * product / (np.trace(product) / 20)
    own = bridges[0].space.read(few).numpy().astype(np.float64)
    own -= own.mean(axis=0)
    expected += OWN_SHARE * own @ own.T / bridges[0].space.num_components
    np.testing.assert_allclose(views @ views.T, expected, atol=1e-5)


def test_draws_hold_smaller_ones_whatever_else_is_there():
    names = [f"picture {number}" for number in range(50)]
    order = [names[place] for place in nested_order(names, seed=1)]
    some = [name for name in names if not name.endswith("3")]
    left = [some[place] for place in nested_order(some, seed=1)]
    assert left == [name for name in order if name in some]
    assert order != [names[place] for place in nested_order(names, seed=2)]
