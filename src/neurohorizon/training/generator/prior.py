"""From embeddings that responses predict to embeddings as pictures have them.

A prediction is nearer to the mean than any picture is, and wrong in some directions more than in
others. A generator that learned from true embeddings would take it at its word. The map is fitted
to predictions for pictures that no bridge was fitted to, so that it knows their errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.recordings.schema import FloatArray

PENALTIES = tuple(10.0**power for power in np.arange(-2, 5.5, 0.5))
FEWEST_PICTURES = 20
#: Below it a dimension has no spread.
LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class RidgePrior:
    """A linear map, and the spread of true embeddings restored.

    Parameters
    ----------
    weight : (D, D) array
    mean : (D,) array
        Of the predictions.
    centre : (D,) array
        Of the true embeddings.
    stretch : (D,) array
        By which each dimension is stretched away from the centre.
    """

    weight: FloatArray
    mean: FloatArray
    centre: FloatArray
    stretch: FloatArray

    def __call__(self, predicted: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map predictions, (I, D)."""
        mapped = (predicted - self.mean) @ self.weight * self.stretch + self.centre
        return mapped.astype(np.float32)


def fit_ridge_prior(
    predicted: NDArray[np.floating], true: NDArray[np.floating], *, keep_spread: bool = True
) -> RidgePrior:
    """Fit a ridge regression from predicted to true embeddings.

    Parameters
    ----------
    predicted, true : (I, D) array
        Of the same pictures, predicted out of fold.
    keep_spread : bool
        Stretch what is mapped, in each dimension, to the standard deviation of true embeddings. A
        regression draws back to the mean what it is not sure of, and a generator shows that as a
        mean picture; stretched, it shows the likeliest one.

    Notes
    -----
    The penalty, one for each dimension, is chosen by leaving each picture out in turn (generalised
    cross-validation, Golub et al. 1979).

    Raises
    ------
    DataError
        If there are too few pictures, or they do not belong together.
    """
    from sklearn.linear_model import RidgeCV

    if predicted.shape != true.shape or len(true) < FEWEST_PICTURES:
        raise DataError(
            f"predicted embeddings are {predicted.shape}, true ones {true.shape}: expected the "
            f"same, of {FEWEST_PICTURES} pictures or more"
        )
    mean = predicted.mean(axis=0, dtype=np.float64)
    centre = true.mean(axis=0, dtype=np.float64)
    scale = max(float((predicted - mean).std()), LEAST_SPREAD)
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=true.shape[1] > 1, fit_intercept=False)
    model.fit((predicted - mean) / scale, true - centre)
    weight = np.atleast_2d(np.asarray(model.coef_)).T / scale
    stretch = np.ones(true.shape[1])
    if keep_spread:
        mapped = ((predicted - mean) @ weight).std(axis=0)
        spread = (true - centre).std(axis=0)
        known = mapped > LEAST_SPREAD * np.maximum(spread, LEAST_SPREAD)
        stretch = np.where(known, spread / np.where(known, mapped, 1.0), 1.0)
    return RidgePrior(weight, mean, centre, stretch)
