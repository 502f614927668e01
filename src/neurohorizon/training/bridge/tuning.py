"""Tune a row of the ladder on held-out training pictures, with the budget that every row has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.models.bridge.bridge import Bridge
from neurohorizon.models.bridge.masked import MaskedModel
from neurohorizon.recordings.schema import IntArray
from neurohorizon.training.bridge.contrastive import identification_score
from neurohorizon.training.bridge.rows import FitWords, Row, Settings
from neurohorizon.training.bridge.samples import Samples

Progress = Callable[[int, int], None]
FEWEST_HELD_OUT = 10


@dataclass(frozen=True)
class Tuned:
    """What tuning found of a row.

    Parameters
    ----------
    settings : Settings
        The best.
    steps : int
        After which training was best, the mean over folds; 0 of a closed form.
    tried : list of (Settings, float)
        All candidates with their scores: the mean of top 1 and top 5 out of 100 held-out
        pictures, averaged over folds.
    folds : list of Bridge
        The best settings, fitted without each fold: what is out of fold comes from these.
    """

    settings: Settings
    steps: int
    tried: list[tuple[Settings, float]]
    folds: list[Bridge]

    @property
    def score(self) -> float:
        """Of the best settings."""
        return max(score for _, score in self.tried)


def tune(
    row: Row,
    samples: Samples,
    *,
    budget: int,
    pretrained: MaskedModel | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Tuned:
    """Try settings of a row on every fold, and keep the best.

    Parameters
    ----------
    row : Row
    samples : Samples
        All training pictures.
    budget : int
        How many settings are tried: the same for every row of a table.
    pretrained : MaskedModel, optional
        What a pretrained row starts from.
    seed : int
    device : str
    progress : callable, optional
        Called with settings tried, and settings in all.

    Raises
    ------
    DataError
        If a fold holds out too few pictures to choose by.
    """
    splits = [
        (samples.without_fold(number), samples.of_fold(number))
        for number in range(samples.num_folds)
    ]
    require_folds([len(held.embeddings) for _, held in splits])
    tried: list[tuple[Settings, float]] = []
    best: tuple[float, Settings, int, list[Bridge]] | None = None
    for done, settings in enumerate(row.candidates(budget, seed=seed), start=1):
        bridges, steps, scores = [], [], []
        for fitted_to, held_out in splits:
            words = FitWords(held_out=held_out, pretrained=pretrained, seed=seed, device=device)
            bridge, step = row.fit(fitted_to, settings, words)
            bridges.append(bridge)
            steps.append(step)
            scores.append(identification_score(bridge, held_out))
        score = float(np.mean(scores))
        tried.append((settings, score))
        if best is None or score > best[0]:
            best = score, settings, round(float(np.mean(steps))), bridges
        if progress:
            progress(done, budget)
    assert best is not None
    return Tuned(settings=best[1], steps=best[2], tried=tried, folds=best[3])


def require_folds(held_out: Sequence[int] | IntArray) -> None:
    """Refuse folds that hold out too few pictures to choose settings by.

    Raises
    ------
    DataError
    """
    fewest = min(held_out, default=0)
    if fewest < FEWEST_HELD_OUT:
        raise DataError(
            f"a fold holds out {fewest} pictures, and settings are chosen by them: use fewer folds "
            f"or a larger share (at least {FEWEST_HELD_OUT} pictures)"
        )


def fit_tuned(
    row: Row,
    samples: Samples,
    tuned: Tuned,
    *,
    pretrained: MaskedModel | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Bridge:
    """Fit a row to all training pictures with the settings that tuning found.

    A training takes as many steps as it took without a fold, longer by as much as there is more
    to learn from.
    """
    share = np.mean([len(samples.without_fold(each)) for each in range(samples.num_folds)])
    steps = round(tuned.steps * len(samples) / max(float(share), 1.0))
    words = FitWords(
        num_steps=steps if row.trained else None, pretrained=pretrained, seed=seed, device=device
    )
    return row.fit(samples, tuned.settings, words)[0]
