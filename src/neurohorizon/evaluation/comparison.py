"""Several runs in one table: their models on the same windows, with paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.protocol import Protocol
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.run_results import RunResults, SetName


def compare_runs(runs: Mapping[str, RunResults]) -> dict[SetName, EvaluationResult]:
    """Join the models of several runs, each under its run's name, with the first's baselines.

    Parameters
    ----------
    runs : mapping of str to RunResults
        Two at least.

    Returns
    -------
    dict of {"held-out", "later"} to EvaluationResult
        Sets that all runs have; rows are the models in order, then the first run's ladder.

    Raises
    ------
    DataError
        If a run was scored by another protocol or on other recordings or windows than the
        first, or no set is common to all.
    """
    names = list(runs)
    if len(names) < 2:
        raise DataError("nothing to compare: give two runs at least")
    alone = [name for name in names if not runs[name].first.has_model]
    if alone:
        raise DataError(
            f"{alone[0]}: holds baselines alone, no model: compare trained runs, whose tables have "
            "the same baselines"
        )
    first = names[0]
    common: list[SetName] = [
        each for each in runs[first].sets if all(each in runs[n].sets for n in names)
    ]
    if not common:
        told = "; ".join(f"{name} has {', '.join(runs[name].sets)}" for name in names)
        raise DataError(f"no set was scored in all runs ({told}): evaluate the missing ones")
    joined: dict[SetName, EvaluationResult] = {}
    for each in common:
        ladder = runs[first].sets[each].rows
        _require_free(names, ladder)
        result = _only_model(runs[first], each, first)
        for name in names[1:]:
            other = _only_model(runs[name], each, name)
            _require_same(result, other, first=first, other=name, what=each)
            result = result.join(other)
        baselines = [row for row in ladder.rows if row.role != "model"]
        joined[each] = result.join(
            replace(
                ladder,
                rows=baselines,
                scores={key: each for key, each in ladder.scores.items() if _is_of(key, baselines)},
            )
        )
    return joined


def _only_model(run: RunResults, of_set: SetName, name: str) -> EvaluationResult:
    """Return a run's model alone, called by another name."""
    result, model = run.sets[of_set].rows, run.sets[of_set].lead
    row = next(row for row in result.rows if row.name == model)
    return replace(
        result,
        rows=[replace(row, name=name)],
        scores={
            (name, case.recording): replace(result.scores[model, case.recording], forecaster=name)
            for case in result.cases
        },
    )


def _is_of(key: tuple[str, str], rows: list) -> bool:
    return key[0] in {row.name for row in rows}


def _require_free(names: list[str], ladder: EvaluationResult) -> None:
    taken = {row.name for row in ladder.rows if row.role != "model"} & set(names)
    if taken:
        raise DataError(f"a run is called {min(taken)!r} like a baseline: rename its folder")


def _require_same(
    one: EvaluationResult, another: EvaluationResult, *, first: str, other: str, what: str
) -> None:
    """Refuse results that cannot be paired, and say what differs."""
    where = f"{first} and {other} cannot be compared on {what}"
    difference = _protocol_difference(one.protocol, another.protocol)
    if difference:
        raise DataError(f"{where}: {difference}: evaluate both alike")
    here, there = ({case.recording for case in result.cases} for result in (one, another))
    if here != there:
        named = sorted(here ^ there)
        more = f" and {len(named) - 1} more" * (len(named) > 1)
        side = first if named[0] in here else other
        raise DataError(
            f"{where}: only {side} was scored on {named[0]}{more}: compare runs that hold out the "
            "same recordings"
        )
    for case in one.cases:
        mine = one.scores[one.rows[0].name, case.recording]
        theirs = another.scores[another.rows[0].name, case.recording]
        for told, key in (("windows", "origin_ticks"), ("units", "unit_index")):
            if not np.array_equal(getattr(mine, key), getattr(theirs, key)):
                raise DataError(f"{where}: {case.recording} was scored on other {told}")
        if not np.array_equal(mine.spikes, theirs.spikes):
            raise DataError(f"{where}: {case.recording} holds other spikes in one of them")
        if not np.array_equal(mine.null_counts, theirs.null_counts):
            raise DataError(f"{where}: {case.recording} has another null in one of them")


def _protocol_difference(one: Protocol, another: Protocol) -> str:
    here, there = asdict(one.comparable), asdict(another.comparable)
    here |= here.pop("spec")
    there |= there.pop("spec")
    return next(
        (
            f"{key} is {here[key]} in the first and {there[key]} in the other"
            for key in here
            if here[key] != there[key]
        ),
        "",
    )
