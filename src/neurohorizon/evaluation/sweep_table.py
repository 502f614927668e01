"""The table of a sweep: every member with its seeds, and its paired difference to the first.

Seeds of a member are averaged block by block before anything is paired, so an interval speaks
of the recordings. What seeds do is told beside it: their spread, and on how many of them the
difference has the sign that it has together. A member has *moved* where the interval excludes 0
and all of its seeds agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.bootstrap import Interval
from neurohorizon.evaluation.metrics import bits_per_spike
from neurohorizon.evaluation.model_row import TEACHER_FORCED
from neurohorizon.evaluation.run_results import SetName
from neurohorizon.evaluation.sweep_results import SetSums, SweepMember, SweepResults
from neurohorizon.evaluation.sweep_steps import Step, average, bits_of, level_of, step_between

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SweepRow:
    """A row of the table on one set of windows.

    Parameters
    ----------
    name : str
    member : SweepMember or None
        None for a row that was not trained: the strongest baseline, a part withheld, a cheat.
    seeds : list of int
    horizons_s : tuple of float
    level : Interval
        Bits per spike of all seeds together.
    by_seed : (S, H) float
    step : Step or None
        To the first member; None for itself, and where nothing can be paired.
    why_no_step : str
    """

    name: str
    member: SweepMember | None
    seeds: list[int]
    horizons_s: tuple[float, ...]
    level: Interval
    by_seed: FloatArray
    step: Step | None
    why_no_step: str = ""

    @property
    def spread(self) -> FloatArray:
        """Standard deviation over seeds, (H,); NaN with one seed."""
        if len(self.by_seed) < 2:
            return np.full(len(self.horizons_s), np.nan)
        return np.std(self.by_seed, axis=0, ddof=1)


def sweep_rows(results: SweepResults, of_set: SetName) -> list[SweepRow]:
    """Return the rows of a set.

    Members; those that feed counts back, told the true ones; the first one's parts withheld; the
    strongest baseline.
    """
    members = [member for member in results.finished if _sets_of(member, of_set)]
    if not members:
        return []
    first = members[0]
    reference = _sets_of(first, of_set)
    rows = [
        _row(member.name, member, _sets_of(member, of_set), None if member is first else reference)
        for member in members
    ]
    for member in members:
        sets = {
            seed: run.forced[of_set] for seed, run in member.seeds.items() if of_set in run.forced
        }
        if sets:
            rows.append(_row(f"{member.name}, {TEACHER_FORCED} (cheat)", None, sets, reference))
    withheld = {row for run in first.seeds.values() for row in run.withheld}
    for name in sorted(withheld):
        sets = {
            seed: run.withheld[name][of_set]
            for seed, run in first.seeds.items()
            if of_set in run.withheld.get(name, {})
        }
        if sets:
            rows.append(_row(f"{name}, not trained again", None, sets, reference))
    run = next(iter(first.seeds.values()))
    if of_set in run.strongest:
        sums, names = run.strongest[of_set]
        told = "strongest baseline" + (f" ({names[0]})" if len(set(names)) == 1 else "")
        baseline = dict.fromkeys(reference, sums)
        row = _row(told, None, baseline, reference)
        rows.append(replace(row, seeds=[], by_seed=row.by_seed[:1]))
    return rows


def gap(member: SweepMember) -> float:
    """Return what is lost in sessions never seen: held-out minus later, at the first horizon.

    Mean over seeds, in bits per spike; NaN if one of the sets was not scored.
    """
    both = [
        bits_of(run.sets["held-out"])[0] - bits_of(run.sets["later"])[0]
        for run in member.seeds.values()
        if {"held-out", "later"} <= set(run.sets)
    ]
    return float(np.mean(both)) if both else float("nan")


def table_records(results: SweepResults) -> list[dict[str, Any]]:
    """Return all numbers, flat: one record a set, row and horizon.

    ``p_holm`` is Wilcoxon's p corrected for the number of trained members (Holm 1979).
    """
    table = []
    for of_set in results.sets:
        rows = sweep_rows(results, of_set)
        for row in rows:
            for index, horizon_s in enumerate(row.horizons_s):
                table.append(
                    {
                        "set": of_set,
                        "member": row.name,
                        "trained": row.member is not None,
                        **_values(row.member, results),
                        "horizon_s": horizon_s,
                        "num_seeds": len(row.seeds),
                        "bits_per_spike": row.level.value[index],
                        "sd_over_seeds": row.spread[index],
                        "low": row.level.low[index],
                        "high": row.level.high[index],
                        **_step_record(row, index, rows),
                        "interval_over": row.level.over,
                        "num_parameters": row.member.num_parameters if row.member else "",
                        "training_s": round(row.member.seconds, 1) if row.member else "",
                    }
                )
    return table


def seed_records(results: SweepResults) -> list[dict[str, Any]]:
    """Return every run's own scores: one record a set, member, seed and horizon."""
    return [
        {
            "set": of_set,
            "member": member.name,
            "seed": seed,
            "horizon_s": horizon_s,
            "bits_per_spike": value,
        }
        for of_set in results.sets
        for member in results.finished
        for seed, sums in _sets_of(member, of_set).items()
        for horizon_s, value in zip(sums.horizons_s, bits_of(sums), strict=True)
    ]


def recording_bits(sums: SetSums, recordings: Sequence[str], horizon: int = 0) -> float:
    """Return bits per spike on some of the recordings together; NaN if none was scored."""
    found = [sums.recordings[name] for name in recordings if name in sums.recordings]
    if not found:
        return float("nan")
    gain = sum(each.gain[:, horizon].sum() for each in found)
    return float(bits_per_spike(gain, 0.0, sum(each.spikes[:, horizon].sum() for each in found)))


def _row(
    name: str,
    member: SweepMember | None,
    sets: Mapping[int, SetSums],
    first: Mapping[int, SetSums] | None,
) -> SweepRow:
    step = step_between(sets, first) if first is not None else None
    nothing = first is not None and step is None
    some = next(iter(sets.values()))
    return SweepRow(
        name=name,
        member=member,
        seeds=list(sets),
        horizons_s=some.horizons_s,
        level=level_of(average(list(sets.values()))),
        by_seed=np.stack([bits_of(sums) for sums in sets.values()]),
        step=step,
        why_no_step="scored on other recordings or horizons" if nothing else "",
    )


def _sets_of(member: SweepMember, of_set: SetName) -> dict[int, SetSums]:
    return {seed: run.sets[of_set] for seed, run in member.seeds.items() if of_set in run.sets}


def _values(member: SweepMember | None, results: SweepResults) -> dict[str, Any]:
    return {key: member.values.get(key) if member else "" for key in results.record["factors"]}


def _step_record(row: SweepRow, index: int, rows: Sequence[SweepRow]) -> dict[str, Any]:
    keys = ("difference", "difference_low", "difference_high", "moved", "seeds_agreeing")
    keys += ("wins", "recordings", "p_wilcoxon", "p_holm", "same_windows")
    step = row.step
    if step is None:
        return dict.fromkeys(keys, "")
    word = {1: "above", -1: "below", 0: ""}[int(step.moved[index])]
    values = (
        step.interval.value[index],
        step.interval.low[index],
        step.interval.high[index],
        word,
        int(step.agreeing[index]),
        int(step.wins[index]),
        step.num_recordings,
        step.p[index],
        holm(rows, row, row.horizons_s[index]),
        step.same_windows,
    )
    return dict(zip(keys, values, strict=True))


def holm(rows: Sequence[SweepRow], row: SweepRow, horizon_s: float) -> float:
    """Return a trained member's p at a horizon, corrected for all of them (Holm's method).

    References
    ----------
    Holm 1979, *A simple sequentially rejective multiple test procedure*, Scand. J. Statist. 6.
    """
    tested = {
        each.name: each.step.p[each.horizons_s.index(horizon_s)]
        for each in rows
        if each.member is not None and each.step is not None and horizon_s in each.horizons_s
    }
    ordered = sorted((p, name) for name, p in tested.items() if np.isfinite(p))
    largest = 0.0
    for place, (p, name) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * p))
        if name == row.name:
            return largest
    return float("nan")
