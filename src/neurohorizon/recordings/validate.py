"""What is wrong, or strange, with a recording: findings, never printed here.

An *error* makes results wrong or impossible, a *warning* makes them doubtful, a *note* says
what is missing. Thresholds stand at the top of this file, with their reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.blocks import blocks
from neurohorizon.ops.intervals import contains, intersect, total_s
from neurohorizon.ops.spike_trains import (
    coincidences,
    count_spikes,
    expected_shared,
    refractory_violations,
    silent_stretches,
    twin_pairs,
)
from neurohorizon.recordings.embeddings import ShownImages, shown_problem
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.splits import PARTS, assert_no_leakage
from neurohorizon.recordings.store import spike_problem

# Sorted units rarely exceed 1 % of intervals below 1.5 ms.
REFRACTORY_S, MOST_VIOLATIONS = 0.0015, 0.01
# Ten short intervals can be chance; fewer say nothing about a quiet unit.
LEAST_VIOLATIONS = 10
# Recordings of separate cells stay below 5 % beyond chance, doubled trains reach 40 to 70 %.
COINCIDENCE_S, MOST_SHARED = 0.0002, 0.2
# No single neuron keeps such a mean rate and most of a population's spikes.
IMPLAUSIBLE_HZ, MOST_OF_ALL = 60.0, 0.5
# Below this a score's error bar is wider than what models differ by.
LEAST_TEST_SPIKES = 2000
LONGEST_S = 2 * 86400.0
CONTEXT_S, HORIZON_S = 0.5, 1.0
NUM_NAMED = 5

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that validation found.

    Parameters
    ----------
    severity : {"error", "warning", "note"}
    what : str
        What is wrong, with the numbers.
    where : str
        File or recording, and unit or series where it is one.
    mend : str
        What to do about it; "" where nothing needs doing.
    """

    severity: Severity
    what: str
    where: str
    mend: str = ""

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{self.severity}: {self.where}: {self.what}" + (f"; {self.mend}" * bool(self.mend))


def validate_recording(recording: Recording) -> list[Finding]:
    """Say what is wrong with a recording.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    list of Finding
        Errors first. Where spikes cannot be used at all, nothing else is looked at.
    """
    findings = [*unusable(recording), *broken_embeddings(recording.embeddings, recording.id)]
    if not findings:
        of_units = (_units, _twins, _time) if len(recording.spike_times) else (_signals,)
        for check in (*of_units, _behaviour, _split, _metadata):
            findings += check(recording)
    order = ("error", "warning", "note")
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def unusable(recording: Recording) -> list[Finding]:
    """Say what makes every further number of a recording meaningless: errors alone."""
    return list(_broken(recording))


def _broken(recording: Recording) -> Iterator[Finding]:
    where, domain = recording.id, recording.domain
    if len(recording.spike_times) == 0 and not recording.signals:
        yield Finding("error", "empty recording: no spikes", where, "nothing can be forecast")
        return
    for name, signal in recording.signals.items():
        if len(signal.timestamps) == 0:
            yield Finding("error", "no values", f"{where}, signal {name}", "leave it out")
        elif np.any(np.diff(signal.timestamps) <= 0) or not np.isfinite(signal.timestamps).all():
            yield Finding(
                "error", "times are not increasing or not finite", f"{where}, signal {name}"
            )
    problem = spike_problem(recording)
    if problem:
        yield Finding("error", problem, where)
    if len(recording.spike_times) == 1:
        yield Finding("error", "only one spike", where, "nothing can be learned or scored")
    if len(domain) == 0 or total_s(domain) <= 0:
        yield Finding("error", "empty domain", where, "say when the recording ran")
    elif not np.isfinite(domain).all() or np.any(np.diff(domain.ravel()) < 0):
        yield Finding(
            "error", "domain stretches overlap, run backwards or are not finite", where, "sort them"
        )
    ids, repeats = np.unique(recording.units.id, return_counts=True)
    if len(ids) < recording.num_units:
        yield Finding(
            "error",
            f"unit ids are not unique: {_names(ids[repeats > 1])}",
            where,
            "give every unit its own id",
        )


def broken_embeddings(embeddings: Mapping[str, ShownImages], where: str) -> Iterator[Finding]:
    """Find embeddings of what was shown that do not fit together."""
    for name, shown in embeddings.items():
        problem = shown_problem(shown)
        if problem:
            yield Finding("error", problem, f"{where}, embeddings {name}", "attach them again")


def _units(recording: Recording) -> Iterator[Finding]:
    where, ids = recording.id, recording.units.id
    num_spikes = _num_spikes(recording)
    if len(ids) == 1:
        yield Finding(
            "warning", "only one unit", where, "a population forecast needs at least two units"
        )
    silent = ids[num_spikes == 0]
    if len(silent):
        yield Finding(
            "warning",
            f"{len(silent)} of {len(ids)} units have no spikes: {_names(silent)}",
            where,
            "they are forecast and scored, at no gain; leave them out",
        )
    share = refractory_violations(
        recording.spike_times,
        recording.spike_unit_index,
        num_units=len(ids),
        refractory_s=REFRACTORY_S,
    )
    bad = (np.nan_to_num(share) > MOST_VIOLATIONS) & (share * num_spikes >= LEAST_VIOLATIONS)
    if bad.any():
        worst = int(np.argmax(np.where(bad, share, -1)))
        chance = 1 - np.exp(-recording.rate_hz[worst] * REFRACTORY_S)
        yield Finding(
            "warning",
            f"{bad.sum()} of {len(ids)} units break the refractory period: more than "
            f"{MOST_VIOLATIONS:.0%} of their intervals are below {REFRACTORY_S * 1e3:g} ms "
            f"(worst {ids[worst]}: {share[worst]:.1%}; no refractoriness at its rate would "
            f"give {chance:.1%})",
            where,
            "multi-unit or doubled spikes: sort again, or read them as multi-unit activity",
        )
    for unit in np.flatnonzero(
        (recording.rate_hz > IMPLAUSIBLE_HZ) & (num_spikes > MOST_OF_ALL * num_spikes.sum())
    ):
        known = recording.units.quality[unit] == "unsorted"
        yield Finding(
            "note" if known else "warning",
            f"fires at {recording.rate_hz[unit]:.0f} Hz and holds "
            f"{num_spikes[unit] / num_spikes.sum():.0%} of all spikes: unsorted activity"
            + (", and marked so" if known else ""),
            f"{where}, unit {ids[unit]}",
            "pooled scores would be this unit's score: leave it out of them"
            + ("" if known else ' (quality "unsorted")'),
        )


def _signals(recording: Recording) -> Iterator[Finding]:
    ids = recording.units.id
    for name, signal in recording.signals.items():
        where = f"{recording.id}, signal {name}"
        # A sample tells a dead unit from a living one, however long the recording.
        step = max(1, len(signal.timestamps) // 20_000)
        values = np.asarray(signal.values[::step], dtype=np.float64)
        missing = np.isnan(values)
        if missing.any():
            yield Finding("note", f"{missing.mean():.1%} of its values are missing (NaN)", where)
        known = np.where(missing, -np.inf, values).max(axis=0, initial=-np.inf)
        lowest = np.where(missing, np.inf, values).min(axis=0, initial=np.inf)
        dead = ids[known <= lowest]
        if len(dead):
            yield Finding(
                "warning",
                f"{len(dead)} of {len(ids)} units never change: {_names(dead)}",
                where,
                "leave them out",
            )
        span = np.array([[signal.timestamps[0], signal.timestamps[-1]]])
        share = total_s(intersect(recording.domain, span)) / recording.duration_s
        if share < 0.5:
            yield Finding(
                "warning",
                f"it covers {share:.0%} of the recording ({_span(span)})",
                where,
                "signals and behaviour must share one clock in seconds",
            )


def _twins(recording: Recording) -> Iterator[Finding]:
    ids, num_spikes = recording.units.id, _num_spikes(recording)
    matched, num_shared = coincidences(
        recording.spike_times,
        recording.spike_unit_index,
        num_units=len(ids),
        window_s=COINCIDENCE_S,
    )
    pairs = twin_pairs(matched, num_spikes)
    if pairs:
        yield Finding(
            "warning",
            f"{len(pairs)} pairs of units are nearly the same train (at least half of both units' "
            f"spikes within {COINCIDENCE_S * 1e3:g} ms): "
            + _names(np.array([f"{ids[a]} = {ids[b]}" for a, b in pairs])),
            recording.id,
            "one cell on two electrodes or split in two: merge or leave one out, since each "
            "makes the other look predictable",
        )
    chance = expected_shared(num_spikes, duration_s=recording.duration_s, window_s=COINCIDENCE_S)
    share = num_shared / len(recording.spike_times)
    if (share - chance) / (1 - chance) > MOST_SHARED:
        yield Finding(
            "warning",
            f"{share:.0%} of all spikes fall within {COINCIDENCE_S * 1e3:g} ms of another unit's "
            f"({chance:.1%} expected by chance)",
            recording.id,
            "spikes recorded on several electrodes: compare with the baselines of this recording "
            "only, and read the gain of population terms with care",
        )


def _time(recording: Recording) -> Iterator[Finding]:
    where, times, domain = recording.id, recording.spike_times, recording.domain
    inside = sum(int(contains(domain, times[rows]).sum()) for rows in blocks(len(times)))
    outside = 1 - inside / len(times)
    if outside > 0.01:
        yield Finding(
            "warning",
            f"{outside:.1%} of the spikes lie outside the domain",
            where,
            "they are read as history and never forecast; correct the domain",
        )
    if recording.duration_s > LONGEST_S:
        yield Finding(
            "warning",
            f"lasts {recording.duration_s:.3g} s, {recording.duration_s / 86400:.0f} days",
            where,
            "times must be seconds, not samples or milliseconds",
        )
    elif recording.duration_s < CONTEXT_S + HORIZON_S:
        yield Finding(
            "warning",
            f"lasts {recording.duration_s:.3g} s, less than one window "
            f"({CONTEXT_S + HORIZON_S:g} s)",
            where,
            "times must be seconds",
        )
    silences = silent_stretches(times, domain)
    if len(silences):
        longest = silences[np.argmax(silences[:, 1] - silences[:, 0])]
        yield Finding(
            "warning",
            f"the whole population is silent in {len(silences)} stretches that stand out, the "
            f"longest from {longest[0]:.1f} to {longest[1]:.1f} s",
            where,
            "if recording was interrupted there, cut it out of the domain",
        )


def _behaviour(recording: Recording) -> Iterator[Finding]:
    domain = recording.domain
    for name, series in recording.series.items():
        where, times = f"{recording.id}, series {name}", series.timestamps
        if not np.isfinite(times).all() or np.any(np.diff(times) < 0):
            yield Finding(
                "error", "time stamps are not sorted or not finite", where, "sort or drop them"
            )
            continue
        span = np.array([[times[0], times[-1]]]) if len(times) else np.zeros((0, 2))
        share = total_s(intersect(domain, span)) / recording.duration_s
        if share < 0.5:
            yield Finding(
                "warning",
                f"its clock covers {share:.0%} of the recording "
                f"({_span(span)} against {_span(domain)})",
                where,
                "behaviour and spikes must share one clock in seconds",
            )
        missing = np.isnan(series.values).all(axis=1).mean() if len(times) else 0.0
        if missing > 0.5:
            yield Finding("warning", f"{missing:.0%} of its values are missing", where)
    for name, table in recording.tables.items():
        if len(table) and not np.any((table.end > domain[0, 0]) & (table.start < domain[-1, 1])):
            yield Finding(
                "warning",
                f"none of its {len(table)} intervals overlaps the recording ({_span(domain)})",
                f"{recording.id}, table {name}",
                "trials and spikes must share one clock in seconds",
            )


def _split(recording: Recording) -> Iterator[Finding]:
    split, where = recording.split, f"{recording.id}, split"
    if split is None:
        yield Finding("note", "no train, valid and test stretches", where, "prepare it again")
        return
    for part in PARTS:
        stretches = split.domain(part)
        if len(stretches) == 0:
            yield Finding("warning", f"the {part} domain is empty", where, "prepare it again")
        elif total_s(stretches) - total_s(intersect(stretches, recording.domain)) > 1e-3:
            yield Finding(
                "error", f"the {part} domain reaches outside the recording", where, "split again"
            )
    try:
        assert_no_leakage(split, context_s=0.0, horizon_s=0.0)
    except DataError as error:
        yield Finding("error", str(error), where)
        return
    try:
        assert_no_leakage(split, context_s=CONTEXT_S, horizon_s=HORIZON_S)
    except DataError as error:
        yield Finding("warning", str(error), where)
    if len(split.test) and len(recording.spike_times):
        num_test = int(np.sum([len(recording.between(*stretch)[0]) for stretch in split.test]))
        if num_test < LEAST_TEST_SPIKES:
            yield Finding(
                "note",
                f"{num_test} test spikes, fewer than {LEAST_TEST_SPIKES}",
                where,
                "show this recording, do not score it",
            )


def _metadata(recording: Recording) -> Iterator[Finding]:
    where, units = recording.id, recording.units
    if recording.subject == "unknown":
        yield Finding(
            "warning",
            "the subject is unknown",
            where,
            "recordings cannot be held out by animal; name it in the source file",
        )
    missing = [
        word
        for word, present in (
            ("area", bool(np.any(units.area != ""))),
            ("position", bool(np.isfinite(units.position_um).any())),
            ("species", "species" in recording.metadata),
        )
        if not present
    ]
    if missing:
        yield Finding("note", f"missing metadata: {', '.join(missing)}", where)
    if "left_out" in recording.metadata:
        yield Finding("note", f"left out when preparing: {recording.metadata['left_out']}", where)


def _num_spikes(recording: Recording) -> NDArray[np.int64]:
    return count_spikes(recording.spike_unit_index, num_units=recording.num_units)


def _names(values: NDArray[np.str_]) -> str:
    named = ", ".join(str(value) for value in values[:NUM_NAMED])
    return named + (f" and {len(values) - NUM_NAMED} more" if len(values) > NUM_NAMED else "")


def _span(stretches: FloatArray) -> str:
    return f"{stretches.min():.1f} to {stretches.max():.1f} s" if stretches.size else "nothing"
