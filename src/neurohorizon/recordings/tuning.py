r"""Tuning: what behaviour and pictures do to each unit, solved on a reference without a gradient.

As the population adapter says which unit moves with the population, tuning says which moves
with a condition, and for how long: a ridge regression a unit, whose penalty is chosen by
cross-validation inside the reference. A unit that no penalty helps is left at zero, so what
most units are not driven by is not believed of them.

*Behaviour* tells the future only through its own past: slots before the origin -> rates after
it, by horizon group. *Pictures* are an encoding model, rate at :math:`t` from the pictures
that came on before :math:`t`,

.. math:: r(t) / \bar r - 1 = \sum_i \sum_p \phi_p(t - t_i) \, (1, z_i) \cdot w_p,

with raised cosines :math:`\phi` of the delay and principal components :math:`z` of the
embedding. A forecast sums over the pictures that are known at the origin and, unless the
schedule is known, adds the onsets that are to be expected from when the last ones were: all
there is to know where pictures follow one another by the clock.

Shapes: T windows, N units, G horizon groups, F features, M targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neurohorizon.recordings.adapter import FORECAST_LIMITS
from neurohorizon.recordings.conditions import Conditions
from neurohorizon.recordings.schema import FloatArray

#: Ends of the stretches before the origin that behaviour is averaged over, in seconds.
LAGS_S = (0.0, 0.1, 0.3, np.inf)
LONGEST_DELAY_S = 0.8
NUM_DELAYS = 8


@dataclass(frozen=True)
class BehaviorTuning:
    """What each unit does after what the animal did.

    Parameters
    ----------
    slot_times_s : (L,) float
        Of the behaviour that is read.
    centre, scale : tuple of (C,) float
        Mean and standard deviation of each series' columns in the reference; empty arrays
        for a series that it lacks.
    feature_centre, feature_scale : (F,) float
    weights : (F, N, G) float
    skill : (N,) float
        Share of the variance that was foretold in stretches left out, 0 or more.
    """

    slot_times_s: FloatArray
    centre: tuple[FloatArray, ...]
    scale: tuple[FloatArray, ...]
    feature_centre: FloatArray
    feature_scale: FloatArray
    weights: FloatArray
    skill: FloatArray

    def standardised(self, conditions: Conditions) -> list[FloatArray]:
        """Return each series in its reference's deviations, (T, L, C), NaN where missing."""
        standardised = []
        for values, centre, scale in zip(conditions.behavior, self.centre, self.scale, strict=True):
            if values.shape[2] != len(centre):  # the reference has the series, or these windows
                standardised.append(np.full((*values.shape[:2], len(centre)), np.nan))
            else:
                standardised.append((values - centre) / scale)
        return standardised

    def forecast(self, conditions: Conditions) -> FloatArray:
        """Forecast rates relative to the reference, minus one, (T, N, G)."""
        features = behavior_features(self.standardised(conditions), self.slot_times_s)
        features = np.nan_to_num((features - self.feature_centre) / self.feature_scale)
        num_features, num_units, num_groups = self.weights.shape
        flat = features @ self.weights.reshape(num_features, -1)
        return flat.reshape(len(features), num_units, num_groups)


@dataclass(frozen=True)
class ImageTuning:
    """What each unit does after each picture.

    Parameters
    ----------
    mean : (D,) float
    components : (D, K) float
        From embeddings to their leading components, the first of unit variance.
    group_middle_s : (G,) float
        Middle of each horizon group, in seconds since the origin.
    expected : (G, 1 + P, P) float
        From the delays of the onsets before an origin (and a one) to those of the onsets that
        are expected after it, by group.
    centre : (G, F) float
        Mean of the features by group.
    weights : (F, N) float
    skill : (N,) float
        Share of the variance that was foretold in stretches left out, 0 or more.
    """

    mean: FloatArray
    components: FloatArray
    group_middle_s: FloatArray
    expected: FloatArray
    centre: FloatArray
    weights: FloatArray
    skill: FloatArray

    def forecast(self, conditions: Conditions) -> FloatArray:
        """Forecast rates relative to the reference, minus one, (T, N, G)."""
        return ((self.features(conditions) - self.centre) @ self.weights).transpose(0, 2, 1)

    def features(self, conditions: Conditions) -> FloatArray:
        """Return what each group of each window reads, (T, G, F)."""
        shown = _embed(conditions, self.mean, self.components)
        delay_s = self.group_middle_s - conditions.picture_time_s[:, None]
        read = np.einsum("ik,igp->igkp", shown, delay_basis(delay_s))
        summed = _sum_by_window(read, conditions)
        summed[:, :, 0] += np.einsum("tp,gpq->tgq", onsets_before(conditions), self.expected)
        return summed.reshape(*summed.shape[:2], -1)


@dataclass(frozen=True)
class Tuning:
    """Both, where the reference had what they need.

    Parameters
    ----------
    behavior : BehaviorTuning or None
    images : ImageTuning or None
    num_units : int
    num_groups : int
    """

    behavior: BehaviorTuning | None
    images: ImageTuning | None
    num_units: int
    num_groups: int

    def forecast(self, conditions: Conditions) -> FloatArray:
        """Forecast rates relative to the reference, minus one, by behaviour and by pictures.

        Returns
        -------
        (T, N, G, 2) array
            0 where a condition is missing or says nothing; clipped to a few times the
            reference rate.
        """
        forecast = np.zeros((len(conditions), self.num_units, self.num_groups, 2))
        given = self.given(conditions)[:, None, None]
        if self.behavior is not None:
            forecast[..., 0] = self.behavior.forecast(conditions) * given[..., 0]
        if self.images is not None:
            forecast[..., 1] = self.images.forecast(conditions) * given[..., 1]
        return np.clip(forecast, *FORECAST_LIMITS)

    def standardised(self, conditions: Conditions) -> list[FloatArray]:
        """Return each series in its reference's deviations, (T, L, C), NaN where missing."""
        if self.behavior is None:
            return [np.empty((*values.shape[:2], 0)) for values in conditions.behavior]
        return self.behavior.standardised(conditions)

    def given(self, conditions: Conditions) -> NDArray[np.bool_]:
        """Tell which conditions windows have, and the reference could be tuned to, (T, 2)."""
        given = np.zeros((len(conditions), 2), dtype=bool)
        if self.behavior is not None:
            for values in self.behavior.standardised(conditions):
                given[:, 0] |= np.isfinite(values).any(axis=(1, 2))
        if self.images is not None:
            given[:, 1] = conditions.pictures_known
        return given

    @property
    def skill(self) -> FloatArray:
        """How well each unit is foretold by either, (N, 2)."""
        skill = np.zeros((self.num_units, 2))
        for column, part in enumerate((self.behavior, self.images)):
            if part is not None:
                skill[:, column] = part.skill
        return skill


def behavior_features(series: Sequence[FloatArray], slot_times_s: FloatArray) -> FloatArray:
    """Average columns, and the magnitude of several, over stretches of the past: (T, F)."""
    columns = []
    for values in series:
        columns += list(np.moveaxis(values, 2, 0))
        if values.shape[2] > 1:
            columns.append(np.linalg.norm(values, axis=2))
    if not columns:
        return np.empty((len(series[0]) if series else 0, 0))
    stacked = np.stack(columns, axis=-1)
    before_s, parts = -slot_times_s, []
    for nearest, furthest in pairwise(LAGS_S):
        inside = (before_s > nearest) & (before_s <= furthest)
        if inside.any():
            known = np.isfinite(stacked[:, inside])
            total = np.where(known, stacked[:, inside], 0.0).sum(axis=1)
            number = known.sum(axis=1)
            parts.append(np.where(number > 0, total / np.maximum(number, 1), np.nan))
    return np.concatenate(parts, axis=1)


def onsets_before(conditions: Conditions) -> FloatArray:
    """Return a one, and the delays of the onsets before each origin, (T, 1 + P)."""
    delays = delay_basis(-conditions.picture_time_s.astype(np.float64))
    ones = np.ones((len(conditions), 1))
    return np.concatenate([ones, _sum_by_window(delays, conditions)], axis=1)


def _sum_by_window(values: FloatArray, conditions: Conditions) -> FloatArray:
    """Sum what each picture has (I, ...) over those of each window, (T, ...)."""
    window = np.repeat(np.arange(len(conditions)), np.diff(conditions.picture_offsets))
    summed = np.zeros((len(conditions), *values.shape[1:]))
    np.add.at(summed, window, values)
    return summed


def _embed(conditions: Conditions, mean: FloatArray, components: FloatArray) -> FloatArray:
    """Return a one and the components of each picture shown, (I, 1 + K)."""
    vectors = np.asarray(conditions.vectors)[conditions.picture_row]
    if len(vectors) == 0:
        return np.empty((0, 1 + components.shape[1]))
    return np.column_stack([np.ones(len(vectors)), (vectors - mean) @ components])


def delay_basis(delay_s: FloatArray) -> FloatArray:
    """Return raised cosines over log-delay, (..., P); 0 before an onset and long after it."""
    shift = 0.05
    low, high = np.log(shift), np.log(LONGEST_DELAY_S + shift)
    centre = np.linspace(low, high, NUM_DELAYS + 2)[1:-1]
    spacing = centre[1] - centre[0]
    inside = (delay_s > 0) & (delay_s < LONGEST_DELAY_S)
    warped = np.log(np.where(inside, delay_s, 0.0) + shift)
    distance = np.clip((warped[..., None] - centre) / spacing, -1.0, 1.0)
    cosine: FloatArray = np.cos(np.pi * distance)
    return 0.5 * (1.0 + cosine) * inside[..., None]
