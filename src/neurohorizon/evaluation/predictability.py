"""How predictable is a recording? What the ladder alone says, without a network."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from neurohorizon.evaluation.bootstrap import Interval
from neurohorizon.evaluation.results import EvaluationResult
from neurohorizon.evaluation.summary import difference, pooled, strongest_by_horizon, wins

#: Rows that read nothing but the unit's own spikes, and rows that read the population too.
OWN_ROWS = ("reference rate", "last window", "shrinkage", "traces")
POPULATION_ROWS = ("traces + adapter", "ridge", "reduced rank", "stack")
ORACLE_ROW = "oracle mean"
#: From this share of the strongest baseline's bits on, drift of the rates is worth a word.
MUCH_DRIFT = 0.25


@dataclass(frozen=True)
class Predictability:
    """What can be predicted at one horizon, and from what.

    Parameters
    ----------
    horizon_s : float
    row, own, population : str
        The strongest baseline, the strongest of those that read the unit's own spikes
        alone, and of those that read the population; the last two "" if there is none.
    level, low, high : float
        Bits per spike of the strongest, with its interval.
    own_level : float
        NaN without such a row.
    step : (3,) tuple of float
        Paired difference of population and own row: value, low, high; NaN without them.
    wins : int
        Recordings on which the population row is above the own row.
    """

    horizon_s: float
    row: str
    own: str
    population: str
    level: float
    low: float
    high: float
    own_level: float
    step: tuple[float, float, float]
    wins: int


def predictability(result: EvaluationResult) -> list[Predictability]:
    """Say at each horizon how much of the spikes the baselines foretell, and from what.

    Returns
    -------
    list of Predictability
        One a horizon; none if nothing was scored or there is no baseline.
    """
    found = []
    for index, row in enumerate(strongest_by_horizon(result)):
        own, population = (
            _strongest_among(result, names, index) for names in (OWN_ROWS, POPULATION_ROWS)
        )
        level = pooled(result, row)
        nan = float("nan")
        step, won = (nan, nan, nan), 0
        if own and population:
            step = _at(difference(result, population, own), index)
            won = int(wins(result, population, own)[index])
        found.append(
            Predictability(
                result.protocol.horizons_s[index],
                row,
                own,
                population,
                *_at(level, index),
                own_level=_at(pooled(result, own), index)[0] if own else nan,
                step=step,
                wins=won,
            )
        )
    return found


def describe_predictability(result: EvaluationResult) -> str:
    """Say how predictable the recordings are: a verdict, a colon, and what it rests on."""
    found = predictability(result)
    if not found:
        return "Nothing was scored: no recording has enough spikes, or there is no baseline."
    first, last = found[0], found[-1]
    ahead = _ahead(first)
    if first.low > 0:
        verdict = f"{first.level:.3f} bits per spike of the {ahead} can be predicted"
    elif np.isfinite(first.low):
        verdict = f"Nothing of the {ahead} can surely be predicted"
    else:
        verdict = f"Nothing is sure of the {ahead}"
    told = f"the strongest baseline ({first.row}) reaches {first.level:.3f} bits/spike"
    if np.isfinite(first.low):
        told += f" [{first.low:.3f}, {first.high:.3f}]"
    else:
        told += ", and too few minutes were scored for an interval"
    if last is not first:
        told += f", and over the {_ahead(last)} {last.level:.3f}"
        told += f" ({last.row})" * (last.row != first.row)
    parts = [f"{verdict}: {told}.", _from_what(first), _drift(result, first)]
    return " ".join(part for part in parts if part)


def _from_what(found: Predictability) -> str:
    """Say what each unit's own spikes foretell, and what the population adds."""
    if not (found.own and found.population):
        return ""
    value, low, high = found.step
    own = f"Each unit's own spikes alone give {found.own_level:.3f} ({found.own})"
    if not np.isfinite(low):
        return f"{own}; the population ({found.population}) changes that by {value:+.4f}."
    change = f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"
    if low > 0:
        return f"{own}; the population ({found.population}) adds {change}."
    if high < 0:
        return f"{own}; the population ({found.population}) adds nothing: {change}."
    return f"{own}; that the population ({found.population}) adds to it is not sure: {change}."


def _drift(result: EvaluationResult, found: Predictability) -> str:
    """Say what knowing the scored time's own mean rates is worth, where that is much."""
    if ORACLE_ROW not in result.names("cheat"):
        return ""
    worth = float(pooled(result, ORACLE_ROW).value[0])
    if worth < MUCH_DRIFT * found.level:
        return ""
    return (
        "Mean rates that drift may be a good part of it: those of the scored time alone would give "
        f"{worth:.3f} ({ORACLE_ROW}, a cheat)."
    )


def _strongest_among(result: EvaluationResult, names: Collection[str], horizon: int) -> str:
    present = [name for name in result.names("baseline") if name in names]
    values = [pooled(result, name).value[horizon] for name in present]
    return present[int(np.nanargmax(values))] if present else ""


def _at(interval: Interval, index: int) -> tuple[float, float, float]:
    return (float(interval.value[index]), float(interval.low[index]), float(interval.high[index]))


def _ahead(found: Predictability) -> str:
    return f"next {found.horizon_s * 1000:g} ms"
