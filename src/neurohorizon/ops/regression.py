"""Regression under a penalty and a low rank, from second moments.

References
----------
Izenman 1975, J. Multivariate Analysis 5:248 (reduced-rank regression); Mukherjee & Zhu
2011, Stat. Anal. Data Min. 4:612 (with a ridge penalty).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

FloatArray = NDArray[np.float64]


def reduced_rank_ridge(
    gram: FloatArray, cross: FloatArray, *, rank: int, ridge: float
) -> tuple[FloatArray, FloatArray]:
    r"""Solve ridge regression under a rank.

    Parameters
    ----------
    gram : (D, D) array
        :math:`X^\top X` of the inputs.
    cross : (D, M) array
        :math:`X^\top Y` of inputs and targets.
    rank : int
    ridge : float
        Penalty on squared weights, above 0.

    Returns
    -------
    components : (D, R) array
        Directions of the inputs; R is the rank, or less where there are fewer dimensions.
    weights : (R, M) array
        From projections onto the components to the targets: the solution is
        ``components @ weights``.

    Notes
    -----
    With :math:`G = X^\top X + \rho I = L L^\top` and the ridge solution
    :math:`W = G^{-1} X^\top Y`, the best solution of rank R keeps the leading right singular
    vectors V of :math:`H = L^\top W = L^{-1} X^\top Y`: :math:`W V V^\top`. With H's left
    singular vectors U that is :math:`L^{-\top} U (U^\top H)`.

    Examples
    --------
    >>> components, weights = reduced_rank_ridge(np.eye(2), 2 * np.eye(2), rank=1, ridge=1.0)
    >>> components.shape, weights.shape
    ((2, 1), (1, 2))
    """
    lower = np.linalg.cholesky(gram + ridge * np.eye(len(gram)))
    left, weights = leading_factors(linalg.solve_triangular(lower, cross, lower=True), rank)
    return linalg.solve_triangular(lower.T, left, lower=False), weights


def leading_factors(half: FloatArray, rank: int) -> tuple[FloatArray, FloatArray]:
    r"""Return :math:`U` and :math:`U^\top H` for the leading left singular vectors of H.

    Parameters
    ----------
    half : (D, M) array
        H: targets' covariances with whitened inputs, as in :func:`reduced_rank_ridge`. Any
        square root of G will do for whitening.
    rank : int
        Columns of U; as many as there are if there are fewer. The first r columns and rows
        are the factors of rank r.

    Returns
    -------
    left : (D, R) array
    right : (R, M) array
        Their product is the best approximation of H of its rank.

    Notes
    -----
    H is far wider than high, so U comes from the small symmetric :math:`H H^\top`.
    """
    rank = min(rank, *half.shape)
    last = len(half) - 1
    left = linalg.eigh(half @ half.T, subset_by_index=(last - rank + 1, last))[1][:, ::-1]
    return left, left.T @ half
