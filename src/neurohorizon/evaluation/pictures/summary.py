"""Tables of reconstruction: scores with intervals over pictures, paired differences, categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.bootstrap import NUM_DRAWS
from neurohorizon.evaluation.pictures.results import PictureMetric, ReconstructionResult
from neurohorizon.evaluation.retrieval.categories import CategoryScore, score_categories
from neurohorizon.evaluation.retrieval.summary import (
    Estimate,
    estimate_scores,
    plain_estimate,
)


def estimate(
    result: ReconstructionResult,
    row: str,
    metric: str,
    *,
    recordings: Sequence[str] | None = None,
    minus: str | None = None,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Estimate | None:
    """Return a row's score, or its paired difference to another row; None where there is none.

    Parameters
    ----------
    result : ReconstructionResult
    row, metric : str
    recordings : sequence of str, optional
        All that the row (and the other) is scored on by default; the score is the mean of theirs.
    minus : str, optional
        The other row: scores are subtracted picture by picture.
    num_draws, seed : int

    Notes
    -----
    As for retrieval: pictures are resampled within recordings, seeds within rows.
    """
    names = [case.recording for case in result.scored(row, metric)]
    if minus is not None:
        other = {case.recording for case in result.scored(minus, metric)}
        names = [name for name in names if name in other]
    if recordings is not None:
        names = [name for name in names if name in recordings]
    if not names:
        return None
    mine = [result.scores[row, name, metric] for name in names]
    theirs = None if minus is None else [result.scores[minus, name, metric] for name in names]
    return estimate_scores(mine, theirs, num_draws=num_draws, seed=seed)


def surely(step: Estimate, metric: PictureMetric) -> str:
    """Say whether a difference is "better" or "worse" for sure; "" if its interval includes 0."""
    if step.above or step.below:
        return "better" if step.above == (metric.better == "higher") else "worse"
    return ""


def control_of(result: ReconstructionResult, named: str | None = None) -> str:
    """Return the row that differences are taken to: the one named, or the first control.

    Raises
    ------
    DataError
        If there is none.
    """
    if named is not None:
        return result.row(named).name
    controls = result.of_role("control")
    if not controls:
        raise DataError("no row to take differences to: name one, there is no control")
    return controls[0]


def compute_categories(
    result: ReconstructionResult, row: str, metric: str, *, minus: str | None = None, seed: int = 0
) -> list[CategoryScore]:
    """Score every semantic category of which there are pictures enough, the highest first.

    Parameters
    ----------
    result : ReconstructionResult
    row, metric : str
    minus : str, optional
        Row to which differences are paired.
    seed : int
        Of the bootstrap.

    Notes
    -----
    Scores are means over seeds.
    """
    cases = [
        case
        for case in result.scored(row, metric)
        if minus is None or (minus, case.recording, metric) in result.scores
    ]
    if not cases:
        return []
    score, gap = (
        np.concatenate([result.scores[name, c.recording, metric].mean(axis=0) for c in cases])
        for name in (row, row if minus is None else minus)
    )
    return score_categories(
        np.concatenate([case.hashes for case in cases]),
        np.concatenate([case.category for case in cases]),
        score,
        None if minus is None else score - gap,
        seed=seed,
    )


def summarise(result: ReconstructionResult, *, named: str | None = None) -> dict[str, Any]:
    """Return all tables: each row's scores, by recording and category too, and differences.

    Differences are to the row `named`, by default to the first control.
    """
    control = control_of(result, named)
    return {
        "title": result.title,
        "differences_to": control,
        "metrics": [asdict(metric) for metric in result.metrics],
        "networks": {
            name: {"encoder": each.encoder, "weights": each.weights, "settings": each.settings}
            for name, each in result.networks.items()
        },
        "gates": {name: asdict(gate) for name, gate in result.gates.items()},
        "recordings": [
            {
                "recording": case.recording,
                "subject": case.subject,
                "training_pictures": case.num_training,
                "test_pictures": len(case),
                "notes": list(case.notes),
            }
            for case in result.cases
        ],
        "rows": [_row_entry(result, row.name, control) for row in result.rows],
        "categories": [
            {
                "row": row,
                "metric": metric.name,
                "category": found.category,
                "pictures": found.num_pictures,
                **plain_estimate(found.score),
                "difference": None if found.step is None else plain_estimate(found.step),
            }
            for row in result.of_role("generator")
            for metric in result.leading()
            for found in compute_categories(result, row, metric.name, minus=control)
        ],
        "reported": [{**asdict(row), "marked": "as reported"} for row in result.reported],
    }


def _row_entry(result: ReconstructionResult, name: str, control: str) -> dict[str, Any]:
    row = result.row(name)
    entry: dict[str, Any] = {**asdict(row), "recordings": {}}
    del entry["name"]
    entry = {"row": name, **entry}
    for metric in result.metrics:
        found = estimate(result, name, metric.name)
        if found is None:
            continue
        entry[metric.name] = plain_estimate(found)
        step = None if name == control else estimate(result, name, metric.name, minus=control)
        if step is not None:
            told = plain_estimate(step) | {"surely": surely(step, metric)}
            entry[f"{metric.name} minus {control}"] = told
        cases = result.scored(name, metric.name)
        for case in cases:
            of_case = entry["recordings"].setdefault(case.recording, {})
            alone = found
            if len(cases) > 1:
                alone = estimate(result, name, metric.name, recordings=[case.recording])
                assert alone is not None
            of_case[metric.name] = plain_estimate(alone)
    for (of_row, recording, what), score in result.distributions.items():
        if of_row == name:
            entry["recordings"].setdefault(recording, {})[what] = asdict(score)
    return entry
