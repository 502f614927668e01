"""Score forecasters on cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from neurohorizon.errors import DataError
from neurohorizon.evaluation.protocol import CountForecast, Forecaster, SessionCase
from neurohorizon.evaluation.results import CaseInfo, EvaluationResult, Row
from neurohorizon.evaluation.scores import Scores

Progress = Callable[[str, int, int], None]


def evaluate(
    forecasters: Sequence[Forecaster],
    cases: Sequence[SessionCase],
    *,
    title: str = "",
    progress: Progress | None = None,
) -> EvaluationResult:
    """Score forecasters on cases, all on the same windows against the same null.

    Parameters
    ----------
    forecasters : sequence of Forecaster
        In the order of the table's rows; names must differ.
    cases : sequence of SessionCase
        Of one protocol.
    title : str
        What the cases have in common ("held-out sessions", ...).
    progress : callable, optional
        Called with what is being done, origins done, and origins in all.

    Returns
    -------
    EvaluationResult

    Raises
    ------
    DataError
        If there is nothing to do, names are not unique, protocols differ, a null was
        computed from what is scored, or a forecast is not a forecast.

    Notes
    -----
    Windows are read a few hundred origins at a time and every forecast is reduced to sums
    at once, so memory does not grow with the length of the recordings.
    """
    names = [forecaster.name for forecaster in forecasters]
    ids = [case.recording.id for case in cases]
    for what, values in (("forecaster", names), ("recording", ids)):
        if not values:
            raise DataError(f"evaluation: no {what} to score: expected one at least")
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise DataError(f"evaluation: {what} {twice[0]!r} is there twice: names must differ")
    protocol = cases[0].protocol
    if any(case.protocol != protocol for case in cases):
        raise DataError("evaluation: the cases have different protocols: expected one for all")

    done, total = 0, sum(len(case.origins_s) for case in cases)
    scores: dict[tuple[str, str], Scores] = {}
    seconds = dict.fromkeys(names, 0.0)
    for case in cases:
        recording = case.recording.id
        case.null.require_unscored(
            case.origins_s, horizon_s=protocol.spec.horizon_s, recording=recording
        )
        of_case = [Scores.empty(name, case) for name in names]
        for windows in case.chunks():
            if progress is not None:
                progress(f"scoring {recording}", done, total)
            for forecaster, sums in zip(forecasters, of_case, strict=True):
                started = time.perf_counter()
                told = forecaster.forecast(case, windows)
                seconds[forecaster.name] += time.perf_counter() - started
                if isinstance(told, CountForecast):
                    sums.add(windows, told.expected_counts, told.log_prob, told.totals)
                else:
                    sums.add(windows, told)
            done += len(windows)
        scores |= {(sums.forecaster, recording): sums for sums in of_case}
    if progress is not None:
        progress("scoring", total, total)
    rows = [
        Row(
            name=forecaster.name,
            role=getattr(forecaster, "role", "model"),
            seconds=seconds[forecaster.name],
        )
        for forecaster in forecasters
    ]
    return EvaluationResult(
        title=title,
        protocol=protocol,
        rows=rows,
        cases=[CaseInfo.of(case) for case in cases],
        scores=scores,
    )
