"""Small statistics used in more than one room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def gamma_prior(counts: FloatArray, exposure_s: float) -> tuple[float, float]:
    r"""Fit the Gamma prior of rates over a population by moments.

    Parameters
    ----------
    counts : (N,) array
        Spikes of each unit.
    exposure_s : float
        Seconds they were counted over.

    Returns
    -------
    shape, rate_s : float
        Of :math:`\Gamma(a, b)`, whose mean :math:`a / b` is the population's rate in Hz.

    Notes
    -----
    The variance of observed rates is that of the true rates plus Poisson noise,
    :math:`\bar r / T`; what remains is given to the prior (at least a tenth of the
    squared mean, so that one odd population cannot make it infinitely sure).
    """
    rates = np.asarray(counts, dtype=np.float64) / exposure_s
    mean = max(float(np.mean(rates)), 0.5 / (exposure_s * max(len(rates), 1)))
    spread = float(np.var(rates)) - mean / exposure_s
    variance = max(spread, 0.1 * mean**2)
    return mean**2 / variance, mean / variance


def shrink_rates(counts: FloatArray, exposure_s: float) -> FloatArray:
    r"""Estimate rates from counts, shrunk toward the population (Gamma-Poisson).

    Parameters
    ----------
    counts : (N,) array
        Spikes of each unit.
    exposure_s : float
        Seconds they were counted over.

    Returns
    -------
    (N,) array
        Posterior mean rates in Hz, all positive.

    Notes
    -----
    :math:`\hat r_n = (k_n + a) / (T + b)` with :math:`a, b` from :func:`gamma_prior`.

    References
    ----------
    Gelman et al., *Bayesian Data Analysis*, section 2.6 (conjugate Poisson model).
    """
    shape, rate_s = gamma_prior(counts, exposure_s)
    return (np.asarray(counts, dtype=np.float64) + shape) / (exposure_s + rate_s)


def safe_correlation(left: FloatArray, right: FloatArray) -> FloatArray:
    """Correlate the columns of two matrices; 0 where either is constant.

    Parameters
    ----------
    left : (T, N) array
    right : (T, K) array

    Returns
    -------
    (N, K) array
    """
    left = left - left.mean(axis=0)
    right = right - right.mean(axis=0)
    norm = np.linalg.norm(left, axis=0)[:, None] * np.linalg.norm(right, axis=0)[None, :]
    product = left.T @ right
    return np.divide(product, norm, out=np.zeros_like(product), where=norm > 1e-12)


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return which of some things to take, at most so many, spread evenly from first to last.

    Examples
    --------
    >>> evenly(9, 3).tolist(), evenly(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.int64)
