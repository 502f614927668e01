"""From a recording with many pictures to one with few: rows that learn from the few.

A target has responses to k pictures. A row is fitted to them alone (:func:`fit_own`), or into the
frozen rest of a bridge that was fitted to another recording, the source (:func:`fit_on_trunk`;
closed forms: :mod:`~neurohorizon.training.bridge.picture_views`). Where both saw the same pictures,
the target's responses can be mapped to the source's
(:mod:`~neurohorizon.training.bridge.alignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.retrieval.identification import count_better, two_way
from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.inputs import TargetSpace
from neurohorizon.recordings.pictured.splits import chance_of
from neurohorizon.recordings.schema import IntArray
from neurohorizon.training.bridge.closed_form import EncodingSettings, RidgeSettings
from neurohorizon.training.bridge.contrastive import ContrastiveSettings
from neurohorizon.training.bridge.rows import FitWords, Row, Settings
from neurohorizon.training.bridge.samples import Samples
from neurohorizon.training.bridge.tuning import FEWEST_HELD_OUT

ClosedFormSettings = RidgeSettings | EncodingSettings
NUM_FOLDS = 5
#: Penalties that are tried of a closed form, as multiples of the one that tuning found.
PENALTY_FACTORS = (1.0, 0.1, 0.3, 3.0, 10.0, 30.0)


class Compares(Protocol):
    """What says how similar responses are to pictures, as a bridge does."""

    def similarity(
        self, values: NDArray[np.floating], embeddings: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Return the similarity of every response to every picture, (K, I)."""
        ...


def nested_order(hashes: Sequence[str], *, seed: int) -> IntArray:
    """Return pictures in an order whose first k are a draw of k, (I,): draws hold smaller ones.

    A picture's place follows from its content, so recordings that share pictures draw alike.
    """
    return np.argsort([chance_of(one, seed) for one in hashes], kind="stable")


def fit_own(
    row: Row, samples: Samples, settings: Settings, *, steps: int, seed: int, device: str = "cpu"
) -> Bridge:
    """Fit a row to few pictures, with settings that were tuned elsewhere.

    Parameters
    ----------
    row : Row
    samples : Samples
        Of the target; a fifth of its pictures is held out in turn to choose the penalty of a
        closed form, and one of them to stop a training, where it has 10 pictures.
    settings : Settings
    steps : int
        Of a training on fewer pictures.
    seed : int
    device : str
    """
    samples = _with_folds(samples)
    if isinstance(settings, ContrastiveSettings):
        return _train(row, samples, settings, FitWords(num_steps=steps, seed=seed, device=device))
    return row.fit(samples, _with_penalty(row, samples, settings), FitWords())[0]


def fit_on_trunk(
    row: Row,
    samples: Samples,
    settings: Settings,
    *,
    trunk: Bridge,
    steps: int,
    seed: int,
    device: str = "cpu",
) -> Bridge:
    """Train a new input layer for the target's units into the frozen rest of a source's bridge."""
    words = FitWords(num_steps=steps, trunk=trunk, seed=seed, device=device)
    return _train(row, _with_folds(samples), settings, words)


def _train(row: Row, samples: Samples, settings: Settings, words: FitWords) -> Bridge:
    """Train for the steps of the words, or as long as a held-out fifth says."""
    held_out, rest = samples.of_fold(0), samples.without_fold(0)
    if len(held_out.embeddings) >= FEWEST_HELD_OUT:
        _, best = row.fit(rest, settings, replace(words, held_out=held_out, num_steps=None))
        words = replace(words, num_steps=round(best * len(samples) / len(rest)))
    return row.fit(samples, settings, words)[0]


def _with_folds(samples: Samples) -> Samples:
    num_pictures = len(samples.embeddings)
    return replace(samples, fold=np.arange(num_pictures) % NUM_FOLDS)


def _with_penalty(row: Row, samples: Samples, settings: ClosedFormSettings) -> ClosedFormSettings:
    """Choose the penalty by two-way identification of held-out pictures; ties keep the first."""
    penalties = [settings.penalty * factor for factor in PENALTY_FACTORS]
    scores = np.zeros(len(penalties))
    for number in range(samples.num_folds):
        rest, held, plain = _in_space(samples, number, settings)
        for place, penalty in enumerate(penalties):
            bridge, _ = row.fit(rest, replace(plain, penalty=penalty), FitWords())
            better = count_better(bridge.similarity(held.values, held.embeddings), held.picture)
            scores[place] += two_way(better, num_candidates=len(held.embeddings)).sum()
    return replace(settings, penalty=penalties[int(np.argmax(scores))])


def _in_space(
    samples: Samples, number: int, settings: ClosedFormSettings
) -> tuple[Samples, Samples, ClosedFormSettings]:
    """Return both sides of a fold with pictures in their space, and settings that leave it so.

    The space does not depend on the penalty: found once, it need not be found for each.
    """
    rest, held = samples.without_fold(number), samples.of_fold(number)
    num_components = min(settings.num_components, *rest.embeddings.shape)
    whitening = 0.0 if isinstance(settings, EncodingSettings) else settings.whitening
    space = TargetSpace(rest.embeddings.shape[1], num_components, whitening=whitening)
    space.fit(rest.embeddings)
    rest, held = (
        replace(each, embeddings=space.read(each.embeddings).numpy()) for each in (rest, held)
    )
    if not isinstance(settings, EncodingSettings):
        settings = replace(settings, whitening=0.0)
    return rest, held, settings
