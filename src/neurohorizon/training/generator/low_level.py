"""The low-level path: a blurry picture straight from responses, without any embedding.

Where something was and in which colour, as far as responses say so linearly: what early areas know
best. It wins by pixel scores, and nobody recognises what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray

NUM_COMPONENTS = 128
PENALTIES = tuple(10.0**power for power in np.arange(1, 6.5, 0.5))
#: How much more or less than others the units of an area may count.
AREA_WEIGHTS = (0.5, 1.0, 2.0)
#: Pictures that the weights of areas are chosen on, at most.
MOST_WEIGHED = 2000
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class LowLevelPath:
    """Ridge regression from responses to principal components of pictures.

    Parameters
    ----------
    mean, spread : (N,) array
        Of the responses; the spread divided by the weight of the unit's area.
    weight : (N, C) array
    components : (C, P) array
        Of the pixels.
    centre : (P,) array
        The mean picture.
    size_px : int
    area_weights : mapping of str to float
        How much the units of each area count.
    """

    mean: FloatArray
    spread: FloatArray
    weight: FloatArray
    components: FloatArray
    centre: FloatArray
    size_px: int
    area_weights: Mapping[str, float] = field(default_factory=dict)

    def standardise(self, responses: NDArray[np.floating]) -> FloatArray:
        """Return responses, (I, N) or (I, N, B), as they are read, (I, N x B)."""
        return np.nan_to_num((_flat(responses) - self.mean) / self.spread)

    def draw_exactly(self, responses: NDArray[np.floating]) -> FloatArray:
        """Draw pictures that are not rounded, nor kept from 0 to 255, (I, size_px, size_px, 3)."""
        found = self.standardise(responses) @ self.weight @ self.components + self.centre
        return found.reshape(-1, self.size_px, self.size_px, 3)

    def draw(self, responses: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Draw a picture for each response, (I, size_px, size_px, 3).

        Parameters
        ----------
        responses : (I, N) or (I, N, B) array
            Missing values are taken as the mean.
        """
        return as_pixels(self.draw_exactly(responses))


def fit_low_level(
    responses: NDArray[np.floating],
    pictures: NDArray[np.uint8],
    *,
    areas: Sequence[str] | None = None,
    seed: int = 0,
) -> LowLevelPath:
    """Fit the path to training pictures.

    Parameters
    ----------
    responses : (I, N) or (I, N, B) array
        The mean over trials; missing values are taken as the mean.
    pictures : (I, S, S, 3) array of uint8
    areas : sequence of str, optional
        Of each unit. With more than one, units of an area count half or twice as much as others if
        that explains more: early areas know places that late ones do not.
    seed : int
        Of the principal components, and of the pictures that weights of areas are chosen on.

    Notes
    -----
    The penalty, one for each component, and the weights of areas, which are penalties for groups
    of units ("banded ridge", Nunez-Elizalde et al. 2019, *NeuroImage* 197:482), are chosen by
    generalised cross-validation. Components of which responses tell nothing are shrunk to the mean
    picture.

    Raises
    ------
    DataError
        If responses and pictures, or areas, do not belong together.
    """
    from sklearn.decomposition import PCA

    if len(responses) != len(pictures) or len(pictures) < 2:
        raise DataError(
            f"{len(responses)} responses and {len(pictures)} pictures: expected one response for "
            "each of two pictures or more"
        )
    if areas is not None and len(areas) != responses.shape[1]:
        raise DataError(f"{len(areas)} areas of {responses.shape[1]} units: expected one for each")
    values = _flat(responses)
    there = ~np.isnan(values)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, values, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(there, values - mean, 0.0) ** 2).sum(axis=0) / count)
    # A unit that never varies says nothing, whatever it says later.
    spread = np.where(spread > _LEAST_SPREAD, spread, np.inf)
    pixels = pictures.reshape(len(pictures), -1).astype(np.float32)
    num_components = min(NUM_COMPONENTS, *pixels.shape)
    pca = PCA(num_components, svd_solver="randomized", random_state=seed).fit(pixels)
    standard, scores = np.nan_to_num((values - mean) / spread), pca.transform(pixels)
    weights: dict[str, float] = {}
    if areas is not None and len(set(areas)) > 1:
        repeated = np.repeat(np.asarray(areas), values.shape[1] // len(areas))
        some = np.random.default_rng(seed).permutation(len(values))[:MOST_WEIGHED]
        weights = _weigh_areas(standard[some], scores[some], repeated)
        spread = spread / np.array([weights[each] for each in repeated])
        standard = np.nan_to_num((values - mean) / spread)
    weight, _ = _fit_ridge(standard, scores)
    return LowLevelPath(
        mean=mean,
        spread=spread,
        weight=weight,
        components=np.asarray(pca.components_, np.float64),
        centre=np.asarray(pca.mean_, np.float64),
        size_px=pictures.shape[1],
        area_weights=weights,
    )


def as_pixels(pictures: FloatArray) -> NDArray[np.uint8]:
    """Round values of pixels, and keep them from 0 to 255."""
    return np.rint(np.clip(pictures, 0, 255)).astype(np.uint8)


def _weigh_areas(
    standard_IN: FloatArray, scores_IC: FloatArray, areas: NDArray[np.str_]
) -> dict[str, float]:
    """Choose how much each area counts, one after the other, the largest first."""
    names, sizes = np.unique(areas, return_counts=True)
    weights = {str(name): 1.0 for name in names}
    best = -np.inf
    for name in names[np.argsort(-sizes, kind="stable")].tolist():
        for weight in sorted(AREA_WEIGHTS, key=lambda one: abs(np.log(one))):
            tried = {**weights, name: weight}
            if weight == 1 and np.isfinite(best):
                continue
            scale = np.array([tried[each] for each in areas.tolist()])
            _, explained = _fit_ridge(standard_IN * scale, scores_IC)
            if explained > best:
                best, weights = explained, tried
    return weights


def _fit_ridge(standard_IN: FloatArray, scores_IC: FloatArray) -> tuple[FloatArray, float]:
    """Return the weights, (N, C), and minus the squared error by generalised cross-validation."""
    from sklearn.linear_model import RidgeCV

    several = scores_IC.shape[1] > 1
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=several, fit_intercept=False)
    model.fit(standard_IN, scores_IC)
    return np.atleast_2d(np.asarray(model.coef_)).T, float(np.sum(np.asarray(model.best_score_)))


def _flat(responses: NDArray[np.floating]) -> FloatArray:
    return responses.reshape(len(responses), -1).astype(np.float64)
