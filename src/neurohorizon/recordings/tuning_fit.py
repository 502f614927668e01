"""Solving the tuning of a reference, see :mod:`neurohorizon.recordings.tuning`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from neurohorizon.ops.regression import FoldedMoments
from neurohorizon.recordings.conditions import ConditionReader
from neurohorizon.recordings.schema import FloatArray, IntArray
from neurohorizon.recordings.tuning import (
    LONGEST_DELAY_S,
    NUM_DELAYS,
    BehaviorTuning,
    ImageTuning,
    Tuning,
    behavior_features,
    delay_basis,
    onsets_before,
)
from neurohorizon.recordings.window_spec import WindowSpec

NUM_FOLDS = 4
RIDGES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
NUM_COMPONENTS = 16

_LOWEST_RATE_HZ = 0.1
_ROWS_AT_ONCE = 2000
_FEWEST_SHOWN = 10
_CENTRE_ORIGINS = 2000
_ONSET_RIDGE = 1.0


def fit_tuning(
    reader: ConditionReader,
    *,
    origins_s: FloatArray,
    relative_rate: Callable[[slice], FloatArray],
    bin_start_s: Sequence[FloatArray],
    counts: Sequence[IntArray],
    rate_hz: FloatArray,
    spec: WindowSpec,
) -> Tuning:
    """Solve both tunings on a reference.

    Parameters
    ----------
    reader : ConditionReader
    origins_s : (T,) array
        Origins inside the reference, in seconds.
    relative_rate : callable
        Given a slice of the origins, returns (t, N, G): the rate after each origin by horizon
        group over the reference rate, minus one.
    bin_start_s, counts : sequence of (b,) and (b, N) array
        Starts of the bins of each stretch, in seconds, and the spikes in them.
    rate_hz : (N,) array
        Reference rates.
    spec : WindowSpec
    """
    behavior = images = None
    if reader.spec.behavior:
        behavior = _fit_behavior(reader, origins_s, relative_rate, rate_hz, spec)
    if reader.spec.images:
        images = _fit_images(reader, origins_s, bin_start_s, counts, rate_hz, spec)
    return Tuning(behavior, images, num_units=len(rate_hz), num_groups=spec.num_groups)


def _fit_behavior(
    reader: ConditionReader,
    origins_s: FloatArray,
    relative_rate: Callable[[slice], FloatArray],
    rate_hz: FloatArray,
    spec: WindowSpec,
) -> BehaviorTuning | None:
    conditions = reader.read(origins_s, horizon_s=spec.horizon_s)
    centre, scale = [], []
    for values in conditions.behavior:
        known = np.isfinite(values).any(axis=(0, 1))
        # A series that is missing here, or stands still, tells nothing.
        mean = np.nanmean(values, axis=(0, 1)) if known.all() and known.size else np.empty(0)
        centre.append(mean.astype(np.float64))
        spread = np.nanstd(values, axis=(0, 1)) if len(mean) else np.empty(0)
        scale.append(np.where(spread > 1e-9, spread, 1.0).astype(np.float64))
    slot_times = reader.spec.slot_times_s
    num_units, num_groups = len(rate_hz), spec.num_groups
    empty = np.zeros(0)
    bare = BehaviorTuning(
        slot_times, tuple(centre), tuple(scale), empty, empty, np.zeros((0, 0, 0)), empty
    )
    features = behavior_features(bare.standardised(conditions), slot_times)
    if features.shape[1] == 0 or not np.isfinite(features).any():
        return None
    feature_centre = np.nan_to_num(np.nanmean(features, axis=0))
    spread = np.nan_to_num(np.nanstd(features, axis=0))
    feature_scale = np.where(spread > 1e-9, spread, 1.0)
    features = np.nan_to_num((features - feature_centre) / feature_scale)
    width_s = np.diff(spec.group_edges) * spec.bin_s
    target_scale = np.sqrt(np.maximum(rate_hz, _LOWEST_RATE_HZ)[:, None] * width_s)
    moments = FoldedMoments(features.shape[1], num_units * num_groups, num_folds=NUM_FOLDS)
    for fold, rows in _folded(len(features)):
        targets = (relative_rate(rows) * target_scale).reshape(rows.stop - rows.start, -1)
        moments.add(fold, features[rows], targets)
    weights, skill = moments.solve(RIDGES, group=np.repeat(np.arange(num_units), num_groups))
    return BehaviorTuning(
        slot_times_s=slot_times,
        centre=tuple(centre),
        scale=tuple(scale),
        feature_centre=feature_centre,
        feature_scale=feature_scale,
        weights=weights.reshape(-1, num_units, num_groups) / target_scale,
        skill=skill,
    )


def _fit_images(
    reader: ConditionReader,
    origins_s: FloatArray,
    bin_start_s: Sequence[FloatArray],
    counts: Sequence[IntArray],
    rate_hz: FloatArray,
    spec: WindowSpec,
) -> ImageTuning | None:
    shown = reader.shown
    if shown is None or not counts:
        return None
    first, last = bin_start_s[0][0], bin_start_s[-1][-1]
    inside = (shown.start >= first) & (shown.start < last) & (shown.row >= 0)
    if inside.sum() < _FEWEST_SHOWN:
        return None
    vectors = np.asarray(shown.vectors)[shown.row[inside]].astype(np.float64)
    mean, components = _principal_components(vectors)
    num_features = (1 + components.shape[1]) * NUM_DELAYS
    noise_scale = np.sqrt(np.maximum(rate_hz, _LOWEST_RATE_HZ) * spec.bin_s)
    moments = FoldedMoments(num_features, len(rate_hz), num_folds=NUM_FOLDS)
    time = np.concatenate(bin_start_s) + spec.bin_s / 2
    binned = np.concatenate(counts)
    onset = shown.start[shown.row >= 0]
    embedded = np.asarray(shown.vectors)[shown.row[shown.row >= 0]] - mean
    embedded = np.column_stack([np.ones(len(onset)), embedded @ components])
    centre = np.zeros(num_features)
    # Twice over the bins: their mean must be known before products of what is left.
    for _, rows in _folded(len(time)):
        centre += _encoding(time[rows], onset, embedded).sum(axis=0) / len(time)
    for fold, rows in _folded(len(time)):
        targets = (binned[rows] / (rate_hz * spec.bin_s) - 1.0) * noise_scale
        moments.add(fold, _encoding(time[rows], onset, embedded) - centre, targets)
    weights, skill = moments.solve(RIDGES, group=np.arange(len(rate_hz)))
    edges_s = spec.group_edges * spec.bin_s
    tuning = ImageTuning(
        mean=mean,
        components=components,
        group_middle_s=(edges_s[1:] + edges_s[:-1]) / 2,
        expected=np.zeros((spec.num_groups, 1 + NUM_DELAYS, NUM_DELAYS)),
        centre=np.zeros((spec.num_groups, num_features)),
        weights=weights / noise_scale,
        skill=skill,
    )
    every = max(len(origins_s) // _CENTRE_ORIGINS, 1)
    known, all_of_them = (
        reader.read(origins_s[::every], horizon_s=spec.horizon_s, known_schedule=schedule)
        for schedule in (None, True)
    )
    unknown = tuning.features(all_of_them) - tuning.features(known)
    # The one comes first, so its delays are the first columns.
    expected = _expected_onsets(onsets_before(known), unknown[:, :, :NUM_DELAYS])
    tuning = replace(tuning, expected=expected)
    return replace(tuning, centre=tuning.features(known).mean(axis=0))


def _expected_onsets(before: FloatArray, after: FloatArray) -> FloatArray:
    """Regress what comes after origins (T, G, P) on what came before (T, 1 + P): (G, 1 + P, P)."""
    gram = before.T @ before + _ONSET_RIDGE * np.eye(before.shape[1])
    flat = np.linalg.solve(gram, before.T @ after.reshape(len(after), -1))
    by_group = flat.reshape(before.shape[1], *after.shape[1:]).transpose(1, 0, 2)
    return np.asarray(by_group, dtype=np.float64)


def _principal_components(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean and the leading directions, scaled by the first one's deviation."""
    mean = vectors.mean(axis=0)
    _, singular, directions = np.linalg.svd(vectors - mean, full_matrices=False)
    kept = min(NUM_COMPONENTS, int(np.sum(singular > 1e-9 * max(singular[0], 1e-12))))
    deviation = singular[0] / np.sqrt(len(vectors)) if kept else 1.0
    return mean, directions[:kept].T / max(deviation, 1e-12)


def _encoding(time_s: FloatArray, onset_s: FloatArray, embedded: FloatArray) -> FloatArray:
    """Return the features of the encoding model at given times, (b, F)."""
    low = np.searchsorted(onset_s, time_s - LONGEST_DELAY_S)
    high = np.searchsorted(onset_s, time_s)
    features = np.zeros((len(time_s), embedded.shape[1], NUM_DELAYS))
    for back in range(int((high - low).max(initial=0))):
        row = high - 1 - back
        read = row >= low
        basis = delay_basis(time_s[read] - onset_s[row[read]])
        features[read] += embedded[row[read]][:, :, None] * basis[:, None, :]
    return features.reshape(len(time_s), -1)


def _folded(num_rows: int) -> list[tuple[int, slice]]:
    """Divide rows into contiguous folds, and those into parts that fit into memory."""
    edges = np.linspace(0, num_rows, NUM_FOLDS + 1).astype(int)
    return [
        (fold, slice(first, min(first + _ROWS_AT_ONCE, int(edges[fold + 1]))))
        for fold in range(NUM_FOLDS)
        for first in range(int(edges[fold]), int(edges[fold + 1]), _ROWS_AT_ONCE)
    ]
