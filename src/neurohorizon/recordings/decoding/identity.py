r"""Who a unit is, for decoders without a gradient: numbers solved on a reference stretch.

Beside how the unit fires (the 33 reference features or, of a signal, 8 numbers) stands what it
says of each task, in closed form. Activity around the task's time stamps inside the reference is
regressed on the targets there, unit by unit, with a ridge penalty that is chosen by
cross-validation inside the reference; a unit that no penalty helps is left at zero. What a model
is given are not the weights but the forecasts at fixed places:

====================  ============================================================================
of a task             numbers a unit
====================  ============================================================================
continuous, D columns  D x 7 correlations with the activity at seven lags; D x 5 relative rates
                      along each column, from -2 to 2 training deviations; 36 on a grid of the
                      first two columns where there are two; share of variance explained
categorical, C words  C x 5 relative rates of the classes at five lags; share of variance explained
====================  ============================================================================

and last the logarithms of the seconds and of the spikes that were read. Where the recording lacks
a task, or the reference holds too few of its time stamps, its numbers are 0.

Shapes: T time stamps, N units, L lags, D columns, C classes, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.ops.binning import count_in_windows, search_times
from neurohorizon.ops.intervals import as_intervals, contains, dilate, intersect, total_s
from neurohorizon.ops.regression import FoldedMoments
from neurohorizon.ops.statistics import safe_correlation
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.decoding.windows import DecodeReader
from neurohorizon.recordings.reference import compact_spikes
from neurohorizon.recordings.reference_features import (
    NUM_REFERENCE_FEATURES,
    reference_features,
    skewed_reference_features,
)
from neurohorizon.recordings.schema import FloatArray, IntArray

#: Activity around a time stamp is counted in bins of this width, at these distances from it.
BIN_S = 0.1
LAGS_S = (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4)
CLASS_LAGS_S = (-0.4, -0.2, 0.0, 0.2, 0.4)
#: Places along a column, in training deviations, and on a grid of two.
PLACES = (-2.0, -1.0, 0.0, 1.0, 2.0)
GRID = (-1.75, -1.05, -0.35, 0.35, 1.05, 1.75)
#: Standard deviations of the bumps that stand there.
PLACE_WIDTH, GRID_WIDTH = 0.7, 0.5
RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
NUM_FOLDS = 4
NUM_SIGNAL_FEATURES = 8
_SIGNAL_LAGS = (1, 2, 4, 8, 16, 32)
_FEWEST_STAMPS = 12
# More time stamps than this add hardly anything to a reference of some minutes.
_MOST_STAMPS = 4000
_LOWEST_COUNT = 0.02
_MARGIN_S = max(LAGS_S) + BIN_S / 2


def num_identity_features(tasks: Sequence[Task], *, is_signal: bool = False) -> int:
    """Return how many numbers stand for a unit."""
    firing = NUM_SIGNAL_FEATURES if is_signal else NUM_REFERENCE_FEATURES
    return firing + sum(_num_of(task) for task in tasks) + 2


def skewed_identity_features(
    tasks: Sequence[Task], *, is_signal: bool = False
) -> NDArray[np.bool_]:
    """Tell which of the features are logged before standardisation, (F,)."""
    log = np.zeros(num_identity_features(tasks, is_signal=is_signal), dtype=bool)
    if not is_signal:
        log[:NUM_REFERENCE_FEATURES] = skewed_reference_features()
    return log


def identity_features(reader: DecodeReader, stretches: FloatArray) -> NDArray[np.float32]:
    """Compute the features of every unit of a recording from a reference.

    Parameters
    ----------
    reader : DecodeReader
    stretches : (K, 2) array
        The reference, in seconds. Nothing outside of it is read.

    Returns
    -------
    (N, F) float32
        Raw values, finite for every unit.

    Raises
    ------
    DataError
        If the reference lies outside of the recording.
    """
    recording = reader.recording
    stretches = intersect(as_intervals(stretches), recording.domain)
    duration_s = total_s(stretches)
    if duration_s < 1.0:
        raise DataError(
            f"{recording.id}: a reference of {duration_s:.3g} s inside the recording is too short "
            "to tell units apart: a minute or more says most"
        )
    if reader.signal is None:
        times, unit = compact_spikes(recording, stretches)
        firing = reference_features(
            times, unit, num_units=reader.num_units, start_s=0.0, end_s=duration_s
        )
        spikes = np.bincount(unit, minlength=reader.num_units)
    else:
        samples = np.concatenate([reader.samples_between(*stretch)[1] for stretch in stretches])
        firing = signal_features(samples)
        spikes = np.isfinite(samples).sum(axis=0)
    parts = [firing]
    for task in reader.tasks:
        parts.append(_of_task(reader, task, stretches))
    amounts = np.column_stack(
        [
            np.full(reader.num_units, np.log(duration_s / 120.0)),
            np.log((spikes + 1.0) / 100.0) / 3.0,
        ]
    )
    return np.concatenate([*parts, amounts], axis=1).astype(np.float32)


def signal_features(samples: NDArray[np.floating]) -> FloatArray:
    """Describe standardised signals (T, N): skewness, share above 2, autocorrelation at 6 lags."""
    values = np.nan_to_num(samples.astype(np.float64))
    deviation = np.maximum(values.std(axis=0), 1e-6)
    z = (values - values.mean(axis=0)) / deviation
    columns = [np.clip(np.mean(z**3, axis=0), -10, 10), np.mean(z > 2, axis=0)]
    for lag in _SIGNAL_LAGS:
        pairs = z[lag:] * z[:-lag] if len(z) > lag else np.zeros_like(z[:1])
        columns.append(pairs.mean(axis=0))
    return np.column_stack(columns)


def _num_of(task: Task) -> int:
    if task.spec.is_categorical:
        return len(task.classes) * len(CLASS_LAGS_S) + 1
    columns = task.num_outputs
    grid = len(GRID) ** 2 if columns > 1 else 0
    return columns * (len(LAGS_S) + len(PLACES)) + grid + 1


def _of_task(reader: DecodeReader, task: Task, stretches: FloatArray) -> FloatArray:
    nothing = np.zeros((reader.num_units, _num_of(task)))
    stamps = reader.targets.get(task.name)
    if stamps is None:
        return nothing
    # Neither a bin nor, of a slow signal, the sample before it may lie outside.
    margin_s = _MARGIN_S + reader.sample_step_s
    inside = np.flatnonzero(contains(dilate(stretches, -margin_s), stamps.times_s))
    inside = inside[:: max(int(np.ceil(len(inside) / _MOST_STAMPS)), 1)]
    if len(inside) < _FEWEST_STAMPS:
        return nothing
    targets: NDArray[Any] = reader.standardised[task.name][inside]
    if task.spec.is_categorical:
        activity = _activity(reader, stamps.times_s[inside], CLASS_LAGS_S)
        return _of_classes(activity, targets, len(task.classes))
    activity = _activity(reader, stamps.times_s[inside], LAGS_S)
    # Where nothing is standardised, the training scale is not known to be 1.
    spread = np.maximum(targets.std(axis=0), 1e-9)
    if not task.spec.standardise:
        targets = (targets - targets.mean(axis=0)) / spread
    return _of_numbers(activity, targets.astype(np.float64))


def _of_numbers(activity: FloatArray, targets: FloatArray) -> FloatArray:
    """Describe what activity (T, L, N) has to do with targets (T, D), (N, features)."""
    num_lags = activity.shape[1]
    lagged = [safe_correlation(activity[:, lag], targets) for lag in range(num_lags)]
    middle = activity[:, num_lags // 2 - 1 : num_lags // 2 + 2].sum(axis=1)
    basis = _places(targets)
    predicted, skill = _ridge(basis, middle, _probes(targets.shape[1]))
    return np.concatenate([*lagged, predicted.T, skill[:, None]], axis=1)


def _of_classes(activity: FloatArray, classes: IntArray, num_classes: int) -> FloatArray:
    num_stamps, num_lags, num_units = activity.shape
    one_hot = np.zeros((num_stamps, num_classes))
    one_hot[np.arange(num_stamps), classes] = 1.0
    flat = activity.reshape(num_stamps, -1)
    unit = np.tile(np.arange(num_units), num_lags)
    predicted, skill = _ridge(one_hot, flat, np.eye(num_classes), group=unit)
    # A class that the reference lacks is not known to differ from the mean.
    predicted[one_hot.sum(axis=0) == 0] = 0.0
    by_unit = predicted.reshape(num_classes * num_lags, num_units).T
    return np.concatenate([by_unit, skill[:, None]], axis=1)


def _ridge(
    inputs: FloatArray, counts: FloatArray, probes: FloatArray, group: IntArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Regress counts (T, M) on inputs, and forecast them over their mean, minus one, at probes.

    Returns
    -------
    (P, M) array
        In relative rates, -1 to 5.
    (K,) array
        Share of each group's variance that is explained in folds left out.
    """
    groups = np.arange(counts.shape[1]) if group is None else group
    centre, mean = inputs.mean(axis=0), counts.mean(axis=0)
    scale = np.sqrt(np.maximum(np.abs(mean), _LOWEST_COUNT))
    moments = FoldedMoments(inputs.shape[1], counts.shape[1], num_folds=NUM_FOLDS)
    edges = np.linspace(0, len(inputs), NUM_FOLDS + 1).astype(int)
    for fold in range(NUM_FOLDS):
        rows = slice(edges[fold], edges[fold + 1])
        moments.add(fold, inputs[rows] - centre, (counts[rows] - mean) / scale)
    weights, skill = moments.solve(RIDGES, group=groups)
    relative = (probes - centre) @ weights / scale
    return np.clip(relative, -1.0, 5.0), np.clip(skill, 0.0, 1.0)


def _places(targets: FloatArray) -> FloatArray:
    """Describe where targets are by smooth bumps, along each column and on a grid of two."""
    bumps = [np.exp(-0.5 * ((targets[:, :, None] - np.array(PLACES)) / PLACE_WIDTH) ** 2)]
    parts = [each.reshape(len(targets), -1) for each in bumps]
    if targets.shape[1] > 1:
        first, second = (
            np.exp(-0.5 * ((targets[:, column, None] - np.array(GRID)) / GRID_WIDTH) ** 2)
            for column in (0, 1)
        )
        parts.append((first[:, :, None] * second[:, None, :]).reshape(len(targets), -1))
    return np.concatenate(parts, axis=1)


def _probes(num_columns: int) -> FloatArray:
    """Return the bumps at the fixed places, the other columns at their mean."""
    at = np.zeros((num_columns, len(PLACES), num_columns))
    for column in range(num_columns):
        at[column, :, column] = PLACES
    at = at.reshape(-1, num_columns)
    if num_columns > 1:
        grid = np.zeros((len(GRID) ** 2, num_columns))
        grid[:, 0], grid[:, 1] = np.repeat(GRID, len(GRID)), np.tile(GRID, len(GRID))
        at = np.concatenate([at, grid])
    return _places(at)


def _activity(reader: DecodeReader, times: FloatArray, lags_s: tuple[float, ...]) -> FloatArray:
    """Count spikes, or average signals, in a bin around each time plus lag, (T, L, N)."""
    activity = np.empty((len(times), len(lags_s), reader.num_units))
    for index, lag_s in enumerate(lags_s):
        starts = times + (lag_s - BIN_S / 2)
        if reader.signal is None:
            activity[:, index] = count_in_windows(
                reader.recording.spike_times,
                reader.recording.spike_unit_index,
                num_units=reader.num_units,
                starts_s=starts,
                bin_s=BIN_S,
                num_bins=1,
            )[:, :, 0]
        else:
            activity[:, index] = _signal_means(reader, starts)
    return activity


def _signal_means(reader: DecodeReader, starts: FloatArray) -> FloatArray:
    """Average signals over a bin, or take the sample before where it holds none."""
    first, last = float(starts.min()), float(starts.max()) + BIN_S
    times, samples = reader.samples_between(first - 1.0, last)
    sums = np.concatenate([np.zeros((1, samples.shape[1])), np.cumsum(np.nan_to_num(samples), 0)])
    low, high = search_times(times, starts), search_times(times, starts + BIN_S)
    low = np.clip(np.where(high > low, low, low - 1), 0, max(len(times) - 1, 0))
    high = np.maximum(high, low + 1)
    return (sums[high] - sums[low]) / (high - low)[:, None]
