"""The low-level path: a blurry picture straight from responses, without any embedding.

Where something was and in which colour, as far as responses say so linearly: what early areas know
best. It wins by pixel scores, and nobody recognises what it shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray

NUM_COMPONENTS = 128
PENALTIES = tuple(10.0**power for power in np.arange(1, 6.5, 0.5))
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class LowLevelPath:
    """Ridge regression from responses to principal components of pictures.

    Parameters
    ----------
    mean, spread : (N,) array
        Of the responses.
    weight : (N, C) array
    components : (C, P) array
        Of the pixels.
    centre : (P,) array
        The mean picture.
    size_px : int
    """

    mean: FloatArray
    spread: FloatArray
    weight: FloatArray
    components: FloatArray
    centre: FloatArray
    size_px: int

    def draw(self, responses: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Draw a picture for each response, (I, size_px, size_px, 3).

        Parameters
        ----------
        responses : (I, N) or (I, N, B) array
            Missing values are taken as the mean.
        """
        standard = (_flat(responses) - self.mean) / self.spread
        found = np.nan_to_num(standard) @ self.weight @ self.components + self.centre
        pictures = np.rint(np.clip(found, 0, 255)).astype(np.uint8)
        return pictures.reshape(-1, self.size_px, self.size_px, 3)


def fit_low_level(
    responses: NDArray[np.floating], pictures: NDArray[np.uint8], *, seed: int = 0
) -> LowLevelPath:
    """Fit the path to training pictures.

    Parameters
    ----------
    responses : (I, N) or (I, N, B) array
        The mean over trials; missing values are taken as the mean.
    pictures : (I, S, S, 3) array of uint8
    seed : int
        Of the principal components.

    Notes
    -----
    The penalty, one for each component, is chosen by generalised cross-validation. Components of
    which responses tell nothing are shrunk to the mean picture.

    Raises
    ------
    DataError
        If responses and pictures do not belong together.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeCV

    if len(responses) != len(pictures) or len(pictures) < 2:
        raise DataError(
            f"{len(responses)} responses and {len(pictures)} pictures: expected one response for "
            "each of two pictures or more"
        )
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
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=num_components > 1, fit_intercept=False)
    model.fit(np.nan_to_num((values - mean) / spread), pca.transform(pixels))
    return LowLevelPath(
        mean=mean,
        spread=spread,
        weight=np.atleast_2d(np.asarray(model.coef_)).T,
        components=np.asarray(pca.components_, np.float64),
        centre=np.asarray(pca.mean_, np.float64),
        size_px=pictures.shape[1],
    )


def _flat(responses: NDArray[np.floating]) -> FloatArray:
    return responses.reshape(len(responses), -1).astype(np.float64)
