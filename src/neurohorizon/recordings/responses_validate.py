"""What is wrong, or strange, with responses to pictures: findings, never printed here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neurohorizon.recordings.responses import ResponseRecording, response_problem
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.validate import Finding, broken_embeddings

# Electrodes of one array share noise and stay below 0.9; one signal on two plugs reaches 1.
NEARLY_SAME, LEAST_ROWS = 0.98, 30
MOST_ROWS = 1000  # enough to tell two electrodes apart, and little to hold in memory
# Onset of the visual response, earliest first.
LATENCY_ORDER = ("V1", "V4", "IT")
NUM_NAMED = 5
BLOCK_BYTES = 4 * 2**20  # several arrays of this size are held at once


@dataclass(frozen=True)
class _Summary:
    """What one pass over the values tells.

    Parameters
    ----------
    num_missing : (N,) int
        NaN or infinite values of each unit.
    num_incomplete : int
        Presentations with at least one of them.
    low, high : (N,) float
        Smallest and largest value of each unit, NaN where it has none.
    sample : (rows, N) float
        Evenly spaced presentations, bins averaged.
    """

    num_missing: NDArray[np.int64]
    num_incomplete: int
    low: FloatArray
    high: FloatArray
    sample: FloatArray


def validate_responses(recording: ResponseRecording) -> list[Finding]:
    """Say what is wrong with responses.

    Parameters
    ----------
    recording : ResponseRecording
        Values on disk are read once, a few rows at a time. Missing values (NaN) are counted
        and left out of every other check.

    Returns
    -------
    list of Finding
        Errors first. Where the parts do not fit together, nothing else is looked at.
    """
    findings = list(_broken(recording))
    if not findings:
        summary = _summarise(recording)
        findings += _values(recording, summary)
        for check in (_images, _latency, _metadata):
            findings += check(recording)
    order = ("error", "warning", "note")
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def _broken(recording: ResponseRecording) -> Iterator[Finding]:
    problem = response_problem(recording)
    if problem:
        yield Finding("error", problem, recording.id, "convert it again")
    yield from broken_embeddings(recording.embeddings, recording.id)
    ids, counts = np.unique(recording.units.id, return_counts=True)
    if len(ids) < recording.num_units:
        yield Finding(
            "error",
            f"unit ids are not unique: {_names(ids[counts > 1])}",
            recording.id,
            "give every unit its own id",
        )


def _summarise(recording: ResponseRecording) -> _Summary:
    responses, num_units = recording.responses, recording.num_units
    num_missing, num_incomplete = np.zeros(num_units, dtype=np.int64), 0
    low, high = np.full(num_units, np.inf), np.full(num_units, -np.inf)
    sample, step = [], max(1, -(-len(responses) // MOST_ROWS))
    for rows, block in responses.blocks(num_bytes=BLOCK_BYTES):
        values = block.reshape(len(block), num_units, -1)
        missing = ~np.isfinite(values)
        num_missing += missing.sum(axis=(0, 2))
        num_incomplete += int(missing.any(axis=(1, 2)).sum())
        low = np.minimum(low, np.where(missing, np.inf, values).min(axis=(0, 2)))
        high = np.maximum(high, np.where(missing, -np.inf, values).max(axis=(0, 2)))
        first = -rows.start % step
        sample.append(values[first::step].mean(axis=2, dtype=np.float64))
    none = low > high
    low[none] = high[none] = np.nan
    return _Summary(num_missing, num_incomplete, low, high, np.concatenate(sample))


def _values(recording: ResponseRecording, summary: _Summary) -> Iterator[Finding]:
    where, ids = recording.id, recording.units.id
    num_missing = int(summary.num_missing.sum())
    if num_missing:
        share = num_missing / np.prod(recording.responses.values.shape)
        yield Finding(
            "warning",
            f"{num_missing} values ({share:.2%}) are missing (NaN), in "
            f"{np.count_nonzero(summary.num_missing)} units and {summary.num_incomplete} "
            "presentations",
            where,
            "they are left out of these checks; mask them in whatever reads the responses",
        )
    empty = np.isnan(summary.low)
    dead = ~empty & (summary.low == summary.high)
    for mask, words in (
        (empty, "have no values at all"),
        (dead & (summary.low == 0), "are silent (always 0)"),
        (dead & (summary.low != 0), "never change"),
    ):
        if mask.any():
            yield Finding(
                "warning",
                f"{mask.sum()} of {len(ids)} units {words}: {_names(ids[mask])}",
                where,
                "dead electrodes: leave them out",
            )
    pairs = _same_pairs(summary.sample, np.flatnonzero(~empty & ~dead))
    if len(pairs):
        named = np.char.add(np.char.add(ids[pairs[:, 0]], " = "), ids[pairs[:, 1]])
        yield Finding(
            "warning",
            f"{len(pairs)} pairs of units are nearly the same (correlation above {NEARLY_SAME}): "
            + _names(named),
            where,
            "one signal on two channels: leave one of each out",
        )


def _same_pairs(sample: FloatArray, units: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return pairs of units whose responses to the same presentations are nearly equal."""
    values = sample[:, units]
    known = np.isfinite(values)
    count = known.T.astype(np.float64) @ known
    centre = np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    zeroed = np.where(known, values - centre, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Of each pair, over the presentations that both units have.
        power = (zeroed**2).T @ known
        correlation = (zeroed.T @ zeroed) / np.sqrt(power * power.T)
    same = np.triu((correlation > NEARLY_SAME) & (count >= LEAST_ROWS), k=1)
    return units[np.argwhere(same)]


def _images(recording: ResponseRecording) -> Iterator[Finding]:
    where, images, responses = recording.id, recording.images, recording.responses
    shown = np.unique(responses.image)
    absent = int(np.count_nonzero(images.sha256[shown] == ""))
    if absent:
        yield Finding(
            "note",
            f"{absent} of {len(shown)} images that were shown have no picture at hand",
            where,
            "give the folder of pictures to look for shared ones, and to embed them",
        )
    rows = {part: np.unique(responses.image[responses.part == part]) for part in ("train", "test")}
    both = np.intersect1d(rows["train"], rows["test"])
    hashes = {part: set(images.sha256[index].tolist()) - {""} for part, index in rows.items()}
    shared = hashes["train"] & hashes["test"]
    by_hash = np.isin(images.sha256[rows["test"]], list(shared))
    either = by_hash | np.isin(rows["test"], both)
    if either.any():
        yield Finding(
            "warning",
            f"{either.sum()} of {len(rows['test'])} test images were shown in training too: "
            + _names(images.name[rows["test"]][either]),
            where,
            "a model that has seen them is not tested by them: leave them out of training",
        )
    known = images.sha256[shown][images.sha256[shown] != ""]
    num_twice = len(known) - len(np.unique(known))
    if num_twice:
        yield Finding(
            "note",
            f"{num_twice} of {len(known)} images are pictures that another row holds too",
            where,
            "split them by content hash, never by row",
        )
    for part, index in rows.items():
        if len(index) == 0:
            yield Finding("warning", f"no {part} images", where)


def _latency(recording: ResponseRecording) -> Iterator[Finding]:
    latency_s, area = recording.units.columns.get("latency_s"), recording.units.area
    if latency_s is None:
        return
    median_s = {
        name: float(np.median(known))
        for name in LATENCY_ORDER
        if len(known := latency_s[(area == name) & np.isfinite(latency_s)])
    }
    if any(late <= early for early, late in pairwise(median_s.values())):
        found = ", ".join(f"{name} {1e3 * value:.0f} ms" for name, value in median_s.items())
        yield Finding(
            "warning",
            f"median latency is not {' < '.join(median_s)}: {found}",
            where=recording.id,
            mend="areas may be swapped: check which electrodes belong to which",
        )


def _metadata(recording: ResponseRecording) -> Iterator[Finding]:
    where = recording.id
    if recording.subject == "unknown":
        yield Finding(
            "warning",
            "the subject is unknown",
            where,
            "recordings cannot be held out by animal; name it",
        )
    missing = [
        word
        for word, present in (
            ("area", bool(np.any(recording.units.area != ""))),
            ("species", "species" in recording.metadata),
        )
        if not present
    ]
    if missing:
        yield Finding("note", f"missing metadata: {', '.join(missing)}", where)


def _names(values: NDArray[np.str_]) -> str:
    named = ", ".join(str(value) for value in values[:NUM_NAMED])
    return named + (f" and {len(values) - NUM_NAMED} more" if len(values) > NUM_NAMED else "")
