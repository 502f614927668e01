r"""How well hidden responses are filled in, and how well a linear model would do it.

Explained variance is :math:`1 - \sum (x - \hat x)^2 / \sum x^2` over hidden places, x standardised
by training responses: the training mean scores 0.

Shapes: K responses, T places, P hidden places of all responses together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.bootstrap import NUM_DRAWS
from neurohorizon.recordings.schema import FloatArray, IntArray


@dataclass(frozen=True)
class Explained:
    """Explained variance, with a 95 % interval over pictures.

    Parameters
    ----------
    value, low, high : float
    """

    value: float
    low: float
    high: float


class LinearFilling:
    r"""Ridge regression of every electrode on whichever others can be read, in closed form.

    Parameters
    ----------
    responses_KT : (K, T) array
        Standardised training responses; what is missing is 0, their mean.
    penalty : float
        :math:`\lambda`, where responses have variance 1.

    Notes
    -----
    With the covariance :math:`\Sigma`, hidden places h and read places v, the ridge regressions of
    h on v are :math:`\hat x_h = \Sigma_{hv} (\Sigma_{vv} + \lambda I)^{-1} x_v`. With :math:`Q =
    (\Sigma + \lambda I)^{-1}` that is :math:`-Q_{hh}^{-1} Q_{hv} x_v`: one inverse for all masks.
    """

    def __init__(self, responses_KT: NDArray[np.floating], penalty: float) -> None:
        given = np.asarray(responses_KT, dtype=np.float64)
        covariance = given.T @ given / len(given)
        covariance[np.diag_indices_from(covariance)] += penalty
        self.precision_TT = np.linalg.inv(covariance)

    def fill(
        self, responses_KT: NDArray[np.floating], hidden_KT: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return what hidden places are expected to be, (P,), response by response."""
        filled = [np.empty(0)]
        for response_T, hidden_T in zip(responses_KT, hidden_KT, strict=True):
            among = self.precision_TT[hidden_T]
            pull = among[:, ~hidden_T] @ response_T[~hidden_T].astype(np.float64)
            filled.append(-np.linalg.solve(among[:, hidden_T], pull))
        return np.concatenate(filled)


def explained_variance(predicted_P: NDArray[np.floating], target_P: NDArray[np.floating]) -> float:
    """Return the explained variance; NaN where nothing varies.

    Examples
    --------
    >>> explained_variance(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    0.5
    """
    total = float(np.sum(np.square(target_P, dtype=np.float64)))
    error = float(np.sum(np.square(predicted_P - target_P, dtype=np.float64)))
    return 1 - error / total if total > 0 else float("nan")


def estimate_explained(
    predicted_P: NDArray[np.floating],
    target_P: NDArray[np.floating],
    picture_P: IntArray,
    *,
    minus_P: NDArray[np.floating] | None = None,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Explained:
    """Return the explained variance, or its paired difference, with an interval.

    Parameters
    ----------
    predicted_P, target_P : (P,) array
    picture_P : (P,) int
        Picture of each place: pictures are resampled, with all their trials and masks.
    minus_P : (P,) array, optional
        Other predictions, whose explained variance is subtracted.
    num_draws, seed : int
    """
    _, picture_P = np.unique(picture_P, return_inverse=True)
    total_I = _by_picture(target_P, picture_P)
    gain_I = -_by_picture(predicted_P - target_P, picture_P)
    gain_I += total_I if minus_P is None else _by_picture(minus_P - target_P, picture_P)
    num = len(total_I)
    times = np.random.default_rng(seed).multinomial(num, np.full(num, 1 / num), size=num_draws)
    drawn = (times @ gain_I) / (times @ total_I)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Explained(float(gain_I.sum() / total_I.sum()), float(low), float(high))


def _by_picture(values_P: NDArray[np.floating], picture_P: IntArray) -> FloatArray:
    """Return the sum of squares of each picture's places."""
    total_I = np.zeros(int(picture_P.max()) + 1)
    np.add.at(total_I, picture_P, np.square(values_P, dtype=np.float64))
    return total_I
