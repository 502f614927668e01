"""Regression under a penalty and a low rank, from second moments.

References
----------
Izenman 1975, J. Multivariate Analysis 5:248 (reduced-rank regression); Mukherjee & Zhu
2011, Stat. Anal. Data Min. 4:612 (with a ridge penalty).
"""

from __future__ import annotations

from collections.abc import Sequence

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


class FoldedMoments:
    r"""Ridge regression whose penalty is cross-validated from second moments alone.

    Parameters
    ----------
    num_features, num_targets, num_folds : int

    Notes
    -----
    With :math:`G_f = X_f^\top X_f` and :math:`C_f = X_f^\top Y_f` of each fold, weights W
    solved on all other folds miss fold f by :math:`|Y_f|^2 - 2 \langle W, C_f \rangle +
    \langle W, G_f W \rangle`: no row is needed again. One eigendecomposition a fold serves
    all penalties.
    """

    def __init__(self, num_features: int, num_targets: int, *, num_folds: int) -> None:
        self._gram = np.zeros((num_folds, num_features, num_features))
        self._cross = np.zeros((num_folds, num_features, num_targets))
        self._power = np.zeros(num_targets)

    def add(self, fold: int, inputs: FloatArray, targets: FloatArray) -> None:
        """Add rows (T, D) and (T, M) to a fold."""
        self._gram[fold] += inputs.T @ inputs
        self._cross[fold] += inputs.T @ targets
        self._power += np.sum(targets**2, axis=0)

    def solve(
        self, ridges: Sequence[float], *, group: NDArray[np.integer]
    ) -> tuple[FloatArray, FloatArray]:
        """Choose a penalty for each group of targets, and solve on all rows.

        Parameters
        ----------
        ridges : sequence of float
            Penalties on squared weights.
        group : (M,) int
            Group of each target, 0 to K - 1.

        Returns
        -------
        weights : (D, M) array
            0 for groups that no penalty serves better than no weights at all.
        skill : (K,) array
            Share of the targets' power that was foretold in folds left out, 0 or more.
        """
        num_groups = int(group.max(initial=-1)) + 1
        gain = np.zeros((len(ridges), num_groups))
        gram, cross = self._gram.sum(axis=0), self._cross.sum(axis=0)
        for fold_gram, fold_cross in zip(self._gram, self._cross, strict=True):
            values, vectors = np.linalg.eigh(gram - fold_gram)
            rotated = vectors.T @ (cross - fold_cross)
            for row, ridge in enumerate(ridges):
                weights = vectors @ (rotated / (np.maximum(values, 0.0) + ridge)[:, None])
                told = np.sum(weights * (2 * fold_cross - fold_gram @ weights), axis=0)
                gain[row] += np.bincount(group, weights=told, minlength=num_groups)
        best = np.argmax(gain, axis=0)
        power = np.bincount(group, weights=self._power, minlength=num_groups)
        skill = np.maximum(gain.max(axis=0), 0.0) / np.maximum(power, 1e-12)
        values, vectors = np.linalg.eigh(gram)
        rotated = vectors.T @ cross
        ridge = np.asarray(ridges)[best][group]
        weights = vectors @ (rotated / (np.maximum(values, 0.0)[:, None] + ridge))
        return weights * (skill > 0)[group], skill
