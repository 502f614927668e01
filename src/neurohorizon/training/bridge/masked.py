"""Masked pretraining: learn to say hidden responses; pictures' embeddings play no part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurohorizon.evaluation.filling import (
    Explained,
    LinearFilling,
    estimate_explained,
    explained_variance,
)
from neurohorizon.models.bridge.masked import MaskedModel, MaskedSpec
from neurohorizon.models.bridge.masks import MaskKind, draw_masks
from neurohorizon.recordings.schema import IntArray
from neurohorizon.training.bridge.draws import PictureDraws
from neurohorizon.training.bridge.loop import Progress, descend, weight_groups
from neurohorizon.training.bridge.samples import Samples

SCORED_FOLD, STOPPING_FOLD = 0, 1
#: Masks of each response that is scored; and responses by which trainings are stopped, at most.
SCORED_MASKS, NUM_STOPPING = 4, 500
PENALTIES = tuple(float(each) for each in np.logspace(-2, 1, 7))
#: More places than this make a covariance that is too large to invert.
MOST_LINEAR = 4096
CHUNK = 256
#: Responses that a random sum is of, at most.
MIXED = 256


@dataclass(frozen=True)
class MaskedSettings:
    """Of masked pretraining.

    Parameters
    ----------
    kind : str
        Of masks, as of :func:`~neurohorizon.models.bridge.masks.draw_masks`.
    share : float
        Of the places that are hidden.
    root : bool
        Take the square root of the responses.
    width, num_layers, num_latents, dropout
        Of the model.
    mixtures : float
        Share of a batch that is random sums of training responses, of which no two are the same:
        they vary together as responses do, so that with few pictures what is linear is learned
        from as many examples as there are steps.
    category_weight : float
        Of telling the picture's category, beside squared errors of about 1; 0 leaves it out.
    learning_rate, weight_decay : float
    batch_size : int
        Responses to different pictures.
    max_steps, patience, ema_decay, check_every
        As of contrastive bridges.
    """

    kind: MaskKind = "random"
    share: float = 0.25
    root: bool = False
    width: int = 128
    num_layers: int = 2
    num_latents: int = 2
    dropout: float = 0.1
    mixtures: float = 0.5
    category_weight: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    batch_size: int = 128
    max_steps: int = 3000
    patience: int = 20
    ema_decay: float = 0.995
    check_every: int = 20


@dataclass(frozen=True)
class FillingScore:
    """How well hidden responses to pictures that were not learned from are said.

    Parameters
    ----------
    model : Explained
        Explained variance of the model's.
    untrained : float
        Of the model before the first step.
    linear : Explained or None
        Of ridge regressions of each electrode on those that can be read; None with too many
        places.
    difference : Explained or None
        Of the model less the linear one's, paired.
    penalty : float or None
        Of the ridge regressions: the best on the pictures by which the training was stopped.
    num_pictures, num_places : int
        Scored.
    accuracy, commonest : float or None
        Share of responses whose category is told right by the model, its masks on, and by naming
        the commonest one; None without categories.
    """

    model: Explained
    untrained: float
    linear: Explained | None
    difference: Explained | None
    penalty: float | None
    num_pictures: int
    num_places: int
    accuracy: float | None
    commonest: float | None


@dataclass(frozen=True)
class Pretrained:
    """A model that was pretrained.

    Parameters
    ----------
    model : MaskedModel
        On the CPU, in evaluation mode.
    steps : int
        After which the weights were kept.
    curve : list of (step, loss, score)
        Mean loss since the last check, and the explained variance by which training is stopped.
    score : FillingScore
    """

    model: MaskedModel
    steps: int
    curve: list[tuple[int, float, float]]
    score: FillingScore


@dataclass(frozen=True, eq=False)
class Masked:
    """Responses with their masks.

    Parameters
    ----------
    responses : (K, T) Tensor
        Standardised.
    there, hidden : (K, T) bool Tensor
    picture : (K,) int
    category : (K,) int Tensor
        -1 where unknown.
    """

    responses: Tensor
    there: Tensor
    hidden: Tensor
    picture: IntArray
    category: Tensor

    @property
    def targets(self) -> Tensor:
        """What is hidden, (P,)."""
        return self.responses[self.hidden]


def pretrain(
    samples: Samples,
    settings: MaskedSettings,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Pretrained:
    """Learn to say hidden responses.

    Parameters
    ----------
    samples : Samples
        Training pictures in three folds or more: the first is scored, the second stops the
        training, and the rest is learned from.
    settings : MaskedSettings
    seed : int
    device : str
    progress : callable, optional
        Called with steps done, and steps at most.

    Raises
    ------
    ConfigError
        If the recording does not allow such masks.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    learned = samples.of_pictures((samples.fold != SCORED_FOLD) & (samples.fold != STOPPING_FOLD))
    categories = known_categories(learned) if settings.category_weight else ()
    model = make_model(learned, settings, num_categories=len(categories))
    mask = partial(
        draw_masks,
        areas=model.spec.areas,
        num_bins=model.spec.num_bins,
        kind=settings.kind,
        share=settings.share,
    )
    every = _masked(model, learned, categories)

    def held_out(fold: int, num_masks: int, most: int | None = None) -> Masked:
        found = _masked(model, samples.of_fold(fold), categories)
        rows = np.arange(len(found.picture))
        if most is not None:
            rows = np.random.default_rng(fold).permutation(rows)[:most]
        rows = np.repeat(rows, num_masks)
        found = _take(found, torch.from_numpy(rows))
        return replace(
            found,
            hidden=mask(found.there, generator=torch.Generator().manual_seed(fold)),
            picture=found.picture[rows],
        )

    stopping, scored = held_out(STOPPING_FOLD, 1, NUM_STOPPING), held_out(SCORED_FOLD, SCORED_MASKS)
    untrained = explained_variance(predict(model, scored)[0], scored.targets.numpy())
    draws = PictureDraws(learned, settings.batch_size, generator)
    model.to(device)

    def loss() -> Tensor:
        row, _ = draws()
        batch = mix_some(_take(every, row), every.responses, settings.mixtures, generator)
        hidden = mask(batch.there, generator=generator)
        return masked_loss(model, replace(batch, hidden=hidden), settings.category_weight)

    def score(averaged: MaskedModel) -> float:
        return explained_variance(predict(averaged, stopping)[0], stopping.targets.numpy())

    trained = descend(
        model,
        torch.optim.AdamW(weight_groups(model.parameters(), settings.weight_decay)),
        loss,
        pace=settings,
        num_steps=settings.max_steps,
        score=score,
        progress=progress,
    )
    told = _score(trained.model, every.responses.numpy(), stopping, scored, untrained)
    return Pretrained(trained.model, trained.steps, trained.curve, told)


def make_model(
    samples: Samples, settings: MaskedSettings, *, num_categories: int = 0
) -> MaskedModel:
    """Make an untrained model whose inputs are scaled by the samples."""
    shape = samples.values.shape[1:]
    spec = MaskedSpec(
        shape=shape,
        areas=samples.areas or (0,) * shape[0],
        root=settings.root,
        width=settings.width,
        num_layers=settings.num_layers,
        num_latents=settings.num_latents,
        dropout=settings.dropout,
        num_categories=num_categories,
    )
    model = MaskedModel(spec)
    model.scale.fit(samples.values)
    return model


def known_categories(samples: Samples) -> tuple[str, ...]:
    """Return the names of the pictures' categories, in order."""
    assert samples.category is not None
    return tuple(sorted(set(samples.category.tolist()) - {""}))


def mix_some(
    batch: Masked, responses_KT: Tensor, share: float, generator: torch.Generator
) -> Masked:
    """Put random sums of responses, which show no picture, in the place of a share of a batch.

    Weights are normal and independent, so a sum has the responses' mean, which is 0, and their
    covariance.
    """
    num = round(share * len(batch.responses))
    among = torch.randperm(len(responses_KT), generator=generator)[:MIXED]
    weights = torch.randn(num, len(among), generator=generator) * len(among) ** -0.5
    responses, category = batch.responses.clone(), batch.category.clone()
    responses[:num], category[:num] = weights @ responses_KT[among], -1
    return replace(batch, responses=responses, category=category)


def masked_loss(model: MaskedModel, batch: Masked, category_weight: float = 0.0) -> Tensor:
    """Return the mean squared error of what is hidden, and of categories the cross-entropy."""
    device = model.scale.mean.device
    hidden = batch.hidden.to(device)
    responses = batch.responses.to(device)
    said_P, logits_KC = model(responses, hidden, batch.there.to(device))
    loss = (said_P - responses[hidden]).square().sum() / hidden.sum().clamp(min=1)
    if logits_KC is None or not category_weight:
        return loss
    category = batch.category.to(device)
    known = (category >= 0).sum().clamp(min=1)
    entropy = functional.cross_entropy(logits_KC, category, ignore_index=-1, reduction="sum")
    return loss + category_weight * entropy / known


@torch.no_grad()
def predict(model: MaskedModel, masked: Masked) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what a model says of hidden places, (P,), and logits of categories, (K, C)."""
    device = model.scale.mean.device
    was_training = model.training
    model.eval()
    said, logits = [], []
    for first in range(0, len(masked.responses), CHUNK):
        rows = slice(first, first + CHUNK)
        said_P, logits_KC = model(
            masked.responses[rows].to(device),
            masked.hidden[rows].to(device),
            masked.there[rows].to(device),
        )
        said.append(said_P.cpu())
        if logits_KC is not None:
            logits.append(logits_KC.cpu())
    model.train(was_training)
    told = torch.cat(logits).numpy() if logits else np.empty((0, 0), dtype=np.float32)
    return torch.cat(said).numpy(), told


def _masked(model: MaskedModel, samples: Samples, categories: tuple[str, ...]) -> Masked:
    """Return standardised responses of which nothing is hidden yet."""
    responses = model.scale.read(samples.values).flatten(1)
    there = torch.from_numpy(np.isfinite(samples.values)).flatten(1)
    number = {name: place for place, name in enumerate(categories)}
    words = np.full(len(samples.embeddings), "") if samples.category is None else samples.category
    category = np.array([number.get(word, -1) for word in words.tolist()])[samples.picture]
    return Masked(
        responses, there, torch.zeros_like(there), samples.picture, torch.from_numpy(category)
    )


def _take(masked: Masked, rows: Tensor) -> Masked:
    return replace(
        masked,
        responses=masked.responses[rows],
        there=masked.there[rows],
        hidden=masked.hidden[rows],
        category=masked.category[rows],
    )


def _score(
    model: MaskedModel,
    learned_KT: NDArray[np.float32],
    stopping: Masked,
    scored: Masked,
    untrained: float,
) -> FillingScore:
    """Score a model, and linear ones whose penalty the stopping pictures choose."""
    picture_P = np.repeat(scored.picture, scored.hidden.sum(dim=1).numpy())
    targets = scored.targets.numpy()
    said, logits = predict(model, scored)
    linear = difference = penalty = None
    if learned_KT.shape[1] <= MOST_LINEAR:
        penalty = max(PENALTIES, key=lambda each: _filled(learned_KT, each, stopping)[1])
        filled, _ = _filled(learned_KT, penalty, scored)
        linear = estimate_explained(filled, targets, picture_P)
        difference = estimate_explained(said, targets, picture_P, minus_P=filled)
    accuracy = commonest = None
    if model.classifier is not None:
        known = scored.category.numpy() >= 0
        right = scored.category.numpy()[known]
        accuracy = float(np.mean(logits[known].argmax(axis=1) == right))
        commonest = float(np.bincount(right).max() / len(right))
    return FillingScore(
        model=estimate_explained(said, targets, picture_P),
        untrained=untrained,
        linear=linear,
        difference=difference,
        penalty=penalty,
        num_pictures=len(np.unique(scored.picture)),
        num_places=len(targets),
        accuracy=accuracy,
        commonest=commonest,
    )


def _filled(
    learned_KT: NDArray[np.float32], penalty: float, masked: Masked
) -> tuple[NDArray[np.float64], float]:
    """Fill in linearly, and say how much variance that explains."""
    filled = LinearFilling(learned_KT, penalty).fill(
        masked.responses.numpy(), masked.hidden.numpy()
    )
    return filled, explained_variance(filled, masked.targets.numpy())
