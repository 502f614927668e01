"""Every row learns the made-up world, and stays within its rules."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from bridge_worlds import answers, embeddings_of, samples
from neurohorizon.errors import DataError
from neurohorizon.evaluation.retrieval.identification import count_better, identified
from neurohorizon.training.bridge.closed_form import (
    EncodingSettings,
    RidgeSettings,
    fit_encoding,
    fit_ridge,
)
from neurohorizon.training.bridge.contrastive import (
    ContrastiveSettings,
    fit_contrastive,
    identification_score,
    make_bridge,
)
from neurohorizon.training.bridge.rows import ROWS, FitWords
from neurohorizon.training.bridge.samples import Samples
from neurohorizon.training.bridge.tuning import fit_tuned, tune

SHORT = {
    "max_steps": 120,
    "num_components": 8,
    "width": 64,
    "batch_size": 64,
    "learning_rate": 1e-2,
}


def new_pictures(num=80, **world):
    """Return pictures and responses that no fit has seen."""
    embeddings = embeddings_of(400)[-num:]
    return embeddings, answers(embeddings, seed=77, **world)


def score(bridge, **world):
    embeddings, values = new_pictures(**world)
    better = count_better(bridge.similarity(values, embeddings), np.arange(len(values)))
    return identified(better, num_candidates=len(values)).mean()


@pytest.mark.parametrize(
    "name",
    [name for name, row in ROWS.items() if name != "temporal attention" and not row.pretrained],
)
def test_every_row_finds_new_pictures(name):
    row = ROWS[name]
    settings = row.start
    if isinstance(settings, ContrastiveSettings):
        settings = replace(settings, **SHORT)
        if settings.tower == "perceiver":
            settings = replace(settings, width=32, learning_rate=3e-3, dropout=0.0)
    else:
        settings = replace(settings, num_components=8)
    asked = 400 if name == "Perceiver" else 120
    bridge, steps = row.fit(samples(), settings, FitWords(num_steps=asked if row.trained else None))
    assert score(bridge) > 0.25, "chance is 1 in 80"
    assert steps == (asked if row.trained else 0)
    assert not bridge.training


def test_temporal_attention_learns_which_bins_tell():
    pairs = samples(bins=6, noise=2.0)
    settings = replace(ROWS["temporal attention"].start, **SHORT)
    bridge = fit_contrastive(pairs, settings, num_steps=250).model
    assert score(bridge, bins=6, noise=2.0) > 0.25
    fixed = bridge.neural.by_unit.softmax(dim=-1).mean(dim=(0, 1))
    assert fixed[2:5].sum() > fixed[[0, 1, 5]].sum()


def test_ridge_is_scikit_learns():
    pairs = samples()
    bridge = fit_ridge(pairs, RidgeSettings(num_components=6, penalty=0.3))
    inputs = bridge.scale.read(pairs.values).numpy()
    targets = bridge.space.read(pairs.embeddings).numpy()
    theirs = Ridge(alpha=0.3 * len(pairs), fit_intercept=False).fit(inputs, targets)
    new = new_pictures()[1]
    mine = bridge.read_responses(new).numpy()
    assert np.allclose(mine, theirs.predict(bridge.scale.read(new).numpy()), atol=1e-4)


def test_an_encoding_model_is_the_likelihood_ratio_of_normal_responses():
    from scipy.stats import multivariate_normal

    pairs = samples()
    bridge = fit_encoding(pairs, EncodingSettings(num_components=12, shrinkage=0.3, root=False))
    embeddings, values = new_pictures(num=12)
    read = bridge.scale.read(values).numpy().astype(np.float64)
    whiten = bridge.neural.to_space.weight.numpy().astype(np.float64).T
    covariance = np.linalg.inv(whiten @ whiten.T)
    places = bridge.read_pictures(embeddings).numpy().astype(np.float64)
    predicted = places @ np.linalg.inv(whiten)
    everywhere = np.linalg.inv(whiten @ bridge.marginal.numpy() @ whiten.T)
    expected = np.array(
        [
            [
                multivariate_normal(mean, covariance).logpdf(response)
                - multivariate_normal(np.zeros(16), everywhere).logpdf(response)
                for mean in predicted
            ]
            for response in read
        ]
    )
    found = bridge.similarity(values, embeddings)
    # Equal up to one constant: the determinants.
    assert np.allclose(found - found[0, 0], expected - expected[0, 0], atol=1e-2)


def test_an_encoding_model_predicts_the_mean_of_the_posterior():
    pairs = samples()
    bridge = fit_encoding(pairs, EncodingSettings(num_components=12, root=False))
    _, values = new_pictures(num=5)
    read = bridge.scale.read(values).numpy().astype(np.float64)
    whiten = bridge.neural.to_space.weight.numpy().astype(np.float64).T
    weight = bridge.image.to_space.weight.numpy().astype(np.float64)
    prior = np.diag(bridge.space.read(pairs.embeddings).numpy().var(axis=0))
    # Conditioning one normal variable on another one, in the units of the responses.
    unwhiten = np.linalg.inv(whiten).T
    both = prior @ (unwhiten @ weight).T
    of_responses = unwhiten @ (weight @ prior @ weight.T + np.eye(16)) @ unwhiten.T
    expected = read @ np.linalg.solve(of_responses, both.T)
    found = bridge.space.read(bridge.predict(values)).numpy()
    assert np.allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("name", ["ridge", "encoding model", "linear InfoNCE", "MLP SoftCLIP"])
def test_every_row_predicts_embeddings(name):
    row = ROWS[name]
    settings = replace(row.start, num_components=8)
    if isinstance(settings, ContrastiveSettings):
        settings = replace(settings, **SHORT, project=True)
    bridge, _ = row.fit(samples(), settings, FitWords(num_steps=120 if row.trained else None))
    embeddings, values = new_pictures()
    predicted = bridge.predict(values)
    left = np.sum((predicted - embeddings) ** 2)
    assert left < 0.8 * np.sum((embeddings - embeddings.mean(axis=0)) ** 2)


def test_the_second_head_is_a_regression_from_the_hidden_layer():
    pairs = samples()
    quiet = {"noise": 0.0, "unit_dropout": 0.0, "dropout": 0.0}
    settings = replace(ROWS["MLP InfoNCE"].start, **{**SHORT, **quiet})
    bridge = fit_contrastive(pairs, settings, num_steps=20).model
    hidden = bridge.neural.hidden(bridge.scale.read(pairs.values)).numpy()
    places = bridge.space.read(pairs.paired).numpy()
    theirs = Ridge(alpha=1e-4 * np.mean(np.sum(hidden**2, axis=0))).fit(hidden, places)
    found = bridge.regression(torch.from_numpy(hidden)).numpy()
    assert np.allclose(found, theirs.predict(hidden), atol=1e-3)


def test_an_encoding_model_learns_noise_that_units_share():
    world = {"noise": 2.0}
    pairs = samples(400, **world)
    plain = fit_encoding(pairs, EncodingSettings(shrinkage=1.0, root=False))
    shared = fit_encoding(pairs, EncodingSettings(shrinkage=0.02, root=False))
    assert score(shared, **world) > score(plain, **world) + 0.1


def test_trials_of_a_picture_are_never_on_two_sides_of_the_errors_folds():
    pairs = samples(60)
    doubled = replace(
        pairs,
        values=np.concatenate([pairs.values, pairs.values]),
        picture=np.concatenate([pairs.picture, pairs.picture]),
    )
    settings = EncodingSettings(num_components=12, root=False)
    one, two = fit_encoding(pairs, settings), fit_encoding(doubled, settings)
    # Told twice, the errors are as large as told once: no picture was learned from itself.
    assert torch.allclose(one.marginal, two.marginal, atol=0.05)


@pytest.mark.parametrize("loss", ["info_nce", "soft_clip", "bimixco"])
def test_one_batch_is_learned_by_heart(loss):
    pairs = samples(24)
    settings = replace(
        ContrastiveSettings(tower="mlp", loss=loss, project=True),
        **SHORT,
        noise=0.0,
        unit_dropout=0.0,
        dropout=0.0,
        ema_decay=0.9,
    )
    bridge = fit_contrastive(pairs, settings, num_steps=400).model
    better = count_better(bridge.similarity(pairs.values, pairs.embeddings), np.arange(24))
    assert better.max() == 0


def test_an_untrained_network_is_at_chance():
    torch.manual_seed(0)
    scores = [
        score(make_bridge(samples(), ContrastiveSettings(tower="mlp", num_components=8)).eval())
        for _ in range(20)
    ]
    assert np.mean(scores) < 0.05


def test_a_seed_gives_the_same_bridge_and_another_seed_another():
    settings = replace(ContrastiveSettings(tower="mlp"), **SHORT)
    embeddings, values = new_pictures()
    one, same, other = (
        fit_contrastive(samples(), settings, num_steps=10, seed=seed).model.similarity(
            values, embeddings
        )
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


def test_training_stops_on_held_out_pictures_and_keeps_the_best():
    pairs = samples(120, noise=3.0)
    settings = replace(
        ContrastiveSettings(tower="mlp"), **{**SHORT, "max_steps": 2000}, patience=3, dropout=0.0
    )
    held_out = pairs.of_fold(0)
    trained = fit_contrastive(pairs.without_fold(0), settings, held_out=held_out)
    assert trained.steps < trained.curve[-1][0] < 2000
    best = max(score for _, _, score in trained.curve)
    assert identification_score(trained.model, held_out) == pytest.approx(best)


def test_units_in_another_order_make_no_difference_to_closed_forms():
    pairs, order = samples(), np.random.default_rng(0).permutation(16)
    embeddings, values = new_pictures()
    moved = replace(pairs, values=pairs.values[:, order])
    for fit, settings in ((fit_ridge, RidgeSettings()), (fit_encoding, EncodingSettings())):
        one = fit(pairs, settings).similarity(values, embeddings)
        other = fit(moved, settings).similarity(values[:, order], embeddings)
        assert np.allclose(one, other, atol=1e-3 * np.abs(one).max())


@pytest.mark.parametrize("name", ["whitened ridge", "linear InfoNCE"])
def test_tuning_tries_as_much_of_every_row_and_keeps_the_best(name):
    row = ROWS[name]
    if row.trained:
        row = replace(row, start=replace(row.start, **SHORT))
    pairs = samples(num_folds=2)
    told = []
    tuned = tune(row, pairs, budget=3, progress=lambda *done: told.append(done))
    assert len(tuned.tried) == 3
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert tuned.score == dict(tuned.tried)[tuned.settings]
    assert len(tuned.folds) == 2
    assert score(fit_tuned(row, pairs, tuned)) > 0.25
    # A smaller budget tries a part of the same.
    assert row.candidates(2) == row.candidates(3)[:2]


def test_folds_too_small_to_choose_by_are_told():
    with pytest.raises(DataError, match="a fold holds out 5 pictures"):
        tune(ROWS["ridge"], samples(20, num_folds=4), budget=1)


def test_a_fold_is_held_out_whole():
    pairs = Samples(
        values=np.arange(12, dtype=np.float32).reshape(6, 2),
        embeddings=np.eye(3, dtype=np.float32),
        picture=np.array([0, 0, 1, 2, 2, 1]),
        fold=np.array([0, 1, -1]),
    )
    rest, held = pairs.without_fold(0), pairs.of_fold(0)
    assert held.values[:, 0].tolist() == [0, 2]
    assert rest.values[:, 0].tolist() == [4, 6, 8, 10]
    assert rest.picture.tolist() == [0, 1, 1, 0]
    assert np.array_equal(rest.paired, np.eye(3)[[1, 2, 2, 1]])
