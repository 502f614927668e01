"""Scores of pictures by their category, with intervals over pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.bootstrap import NUM_DRAWS
from neurohorizon.evaluation.retrieval.summary import Estimate
from neurohorizon.recordings.schema import FloatArray

#: With fewer pictures a category is not scored.
FEWEST_PICTURES = 5


@dataclass(frozen=True)
class CategoryScore:
    """Scores of the pictures of one category.

    Parameters
    ----------
    category : str
    num_pictures : int
        Distinct ones.
    score : Estimate
        Of the row that is looked at.
    step : Estimate or None
        Its paired difference to the other row.
    """

    category: str
    num_pictures: int
    score: Estimate
    step: Estimate | None


def score_categories(
    hashes: NDArray[np.str_],
    category: NDArray[np.str_],
    score: FloatArray,
    gap: FloatArray | None = None,
    *,
    seed: int = 0,
) -> list[CategoryScore]:
    """Score every category of which there are pictures enough, the highest first.

    Parameters
    ----------
    hashes, category : (n,) str
        Of the picture of each score; "" for a picture without a category.
    score : (n,) float
    gap : (n,) float, optional
        Difference to another row, likewise.
    seed : int
        Of the bootstrap.

    Notes
    -----
    Pictures are resampled: one that several recordings have been shown is drawn with all its
    responses.
    """
    found = []
    for number, name in enumerate(sorted(set(category.tolist()) - {""})):
        of = category == name
        pictures, inverse = np.unique(hashes[of], return_inverse=True)
        if len(pictures) < FEWEST_PICTURES:
            continue
        generator = np.random.default_rng([seed, number])
        num = len(pictures)
        times = generator.multinomial(num, np.full(num, 1 / num), size=NUM_DRAWS)[:, inverse]
        found.append(
            CategoryScore(
                name,
                num,
                _resampled(score[of], times, num),
                None if gap is None else _resampled(gap[of], times, num),
            )
        )
    return sorted(found, key=lambda each: (-each.score.value, each.category))


def _resampled(values: FloatArray, times: NDArray[Any], num: int) -> Estimate:
    drawn = times @ values / times.sum(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high), float("nan"), num)
