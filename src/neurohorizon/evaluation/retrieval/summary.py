"""Tables of retrieval: scores with intervals over pictures, and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurohorizon.evaluation.bootstrap import NUM_DRAWS
from neurohorizon.evaluation.retrieval.identification import median_rank
from neurohorizon.evaluation.retrieval.results import (
    DIRECTIONS,
    Direction,
    Metric,
    RetrievalResult,
    metrics_for,
)
from neurohorizon.recordings.schema import FloatArray


@dataclass(frozen=True)
class Estimate:
    """A score with a 95 % interval.

    Parameters
    ----------
    value, low, high : float
    seeds_sd : float
        Standard deviation over seeds of the score; NaN with one.
    num_pictures : int
        That were resampled.
    """

    value: float
    low: float
    high: float
    seeds_sd: float
    num_pictures: int

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0


def estimate(
    result: RetrievalResult,
    row: str,
    metric: Metric,
    *,
    direction: Direction = "picture",
    recordings: Sequence[str] | None = None,
    minus: str | None = None,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Estimate:
    """Return a row's score, or its paired difference to another row.

    Parameters
    ----------
    result : RetrievalResult
    row : str
    metric : Metric
    direction : {"picture", "response"}
    recordings : sequence of str, optional
        All that the row is scored on by default; the score is the mean of theirs.
    minus : str, optional
        The other row: scores are subtracted picture by picture.
    num_draws, seed : int

    Notes
    -----
    Pictures are resampled within each recording, and seeds within each row, together: what makes
    a picture easy cancels in a difference, and what one seed did by luck does not count as skill.
    """
    names = recordings
    if names is None:
        names = [case.recording for case in result.scored(row, direction)]
        if minus is not None:
            other = {case.recording for case in result.scored(minus, direction)}
            names = [name for name in names if name in other]
    mine = [result.scores(row, name, metric, direction) for name in names]
    theirs = None
    if minus is not None:
        theirs = [result.scores(minus, name, metric, direction) for name in names]
    return estimate_scores(mine, theirs, num_draws=num_draws, seed=seed)


def estimate_scores(
    mine: Sequence[FloatArray],
    theirs: Sequence[FloatArray] | None = None,
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Estimate:
    """Return the mean over recordings of scores, or of their difference to others.

    Parameters
    ----------
    mine, theirs : sequence of (S, Q) array
        By recording: the score of each seed and query.
    num_draws, seed : int
    """
    generator = np.random.default_rng(seed)
    values, drawn, by_seed, num = [], np.zeros(num_draws), [], 0
    for number, scores in enumerate(mine):
        num_queries = scores.shape[1]
        times = generator.multinomial(
            num_queries, np.full(num_queries, 1 / num_queries), size=num_draws
        )
        other = None if theirs is None else theirs[number]
        values.append(scores.mean() - (0.0 if other is None else other.mean()))
        drawn += _resampled(scores, times, generator)
        if other is not None:
            drawn -= _resampled(other, times, generator)
        by_seed.append(scores.mean(axis=1))
        num += num_queries
    fewest = min(len(each) for each in by_seed)
    over_seeds = np.mean([each[:fewest] for each in by_seed], axis=0)
    low, high = np.percentile(drawn / len(mine), [2.5, 97.5])
    return Estimate(
        value=float(np.mean(values)),
        low=float(low),
        high=float(high),
        seeds_sd=float(over_seeds.std(ddof=1)) if fewest > 1 else float("nan"),
        num_pictures=num,
    )


def _resampled(
    scores_SQ: FloatArray, times: np.ndarray, generator: np.random.Generator
) -> FloatArray:
    """Return the mean score of every draw of pictures and seeds."""
    num_seeds, num_queries = scores_SQ.shape
    by_seed = times @ scores_SQ.T / num_queries
    if num_seeds == 1:
        return by_seed[:, 0]
    shares = generator.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=len(times))
    return (by_seed * shares).sum(axis=1) / num_seeds


def common_metrics(result: RetrievalResult) -> list[Metric]:
    """Return the metrics that all recordings allow."""
    return metrics_for(min(len(case) for case in result.cases))


def strongest(
    result: RetrievalResult,
    metric: Metric,
    rows: Sequence[str],
    *,
    direction: Direction = "picture",
) -> str:
    """Return the row with the highest score."""
    return max(
        rows, key=lambda row: estimate(result, row, metric, direction=direction, num_draws=1).value
    )


def summarise(result: RetrievalResult, *, named: str | None = None) -> dict[str, Any]:
    """Return all tables: each row's scores, by recording too, and differences to a named row."""
    metrics = common_metrics(result)
    rows = []
    for row in result.rows:
        for direction in DIRECTIONS:
            cases = result.scored(row.name, direction)
            if not cases:
                continue
            entry: dict[str, Any] = {
                "row": row.name,
                "role": row.role,
                "looked_for": direction,
                "recordings": {},
            }
            for metric in metrics:
                entry[metric.name] = plain_estimate(
                    estimate(result, row.name, metric, direction=direction)
                )
                if named is not None and row.name != named and result.scored(named, direction):
                    entry[f"{metric.name} minus {named}"] = plain_estimate(
                        estimate(result, row.name, metric, direction=direction, minus=named)
                    )
            for case in cases:
                of_case: dict[str, Any] = {
                    metric.name: plain_estimate(
                        estimate(
                            result,
                            row.name,
                            metric,
                            direction=direction,
                            recordings=[case.recording],
                        )
                    )
                    for metric in metrics
                }
                better = result.better[row.name, case.recording, direction]
                of_case["median rank"] = float(np.median([median_rank(seed) for seed in better]))
                of_case["pictures"] = len(case)
                entry["recordings"][case.recording] = of_case
            rows.append(entry)
    return {
        "title": result.title,
        "chance": {
            metric.name: [metric.chance(len(case)) for case in result.cases] for metric in metrics
        },
        "recordings": [
            {
                "recording": case.recording,
                "subject": case.subject,
                "units": case.num_units,
                "training_pictures": case.num_training,
                "test_pictures": len(case),
                "notes": list(case.notes),
            }
            for case in result.cases
        ],
        "rows": rows,
    }


def plain_estimate(found: Estimate) -> dict[str, float | None]:
    """Return an estimate as it is written."""
    return {
        name: None if np.isnan(value) else round(value, 5)
        for name, value in (
            ("value", found.value),
            ("low", found.low),
            ("high", found.high),
            ("seeds_sd", found.seeds_sd),
        )
    }
