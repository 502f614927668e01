"""How well expected counts foretell counts: pure functions of arrays.

Counts and expected counts are ``(origins, units, bins)`` or any array whose axes are said
below. Expected *counts* per bin are asked for everywhere, never rates in Hz.

The house's own score is :func:`bits_per_spike`, a ratio of sums against one fixed null per
session. The functions ``nlb``, ``mtm`` and ``d2`` reproduce what other benchmarks print
under similar names, so that a number can be set beside theirs; each has another null or
another average, and none of them can be compared with another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlogy

from neurohorizon.errors import DataError

FloatArray = NDArray[np.float64]
LN2 = float(np.log(2.0))

#: NLB's floor for an expected count of zero.
NLB_FLOOR = 1e-9
#: MtM's floor: a unit at or below the first value counts as the second.
MTM_LOWEST, MTM_FLOOR = -10.0, -5.0


def poisson_log_likelihood(counts: ArrayLike, expected_counts: ArrayLike) -> FloatArray:
    r"""Return the exact log-probability of each count, in nats.

    Parameters
    ----------
    counts, expected_counts : array_like
        Of shapes that broadcast; expected counts positive.

    Notes
    -----
    .. math:: \log p(k \mid \lambda) = k \log \lambda - \lambda - \log \Gamma(k + 1)

    Examples
    --------
    >>> np.exp(poisson_log_likelihood([0, 1, 2], 1.0)).round(4).tolist()
    [0.3679, 0.3679, 0.1839]
    """
    return log_likelihood_kernel(counts, expected_counts) - gammaln(np.asarray(counts) + 1.0)


def log_likelihood_kernel(counts: ArrayLike, expected_counts: ArrayLike) -> FloatArray:
    r"""Return the part of the log-likelihood that a forecast can change.

    Notes
    -----
    :math:`k \log \lambda - \lambda`. The dropped :math:`-\log \Gamma(k + 1)` is the same
    for every forecast of the same counts, so it cancels in every difference.
    """
    counts, expected = np.asarray(counts, dtype=np.float64), np.asarray(expected_counts)
    return xlogy(counts, expected) - expected


def bits_per_spike(
    log_likelihood: ArrayLike, null_log_likelihood: ArrayLike, num_spikes: ArrayLike
) -> FloatArray:
    r"""Return bits per spike from sums over everything evaluated.

    Parameters
    ----------
    log_likelihood, null_log_likelihood : array_like
        Summed over all units, windows and bins, in nats.
    num_spikes : array_like
        Summed likewise.

    Returns
    -------
    array
        NaN where there is no spike.

    Notes
    -----
    .. math:: \frac{\sum \log L - \sum \log L_0}{\sum k \cdot \ln 2}

    A ratio of sums: the mean of the ratios of batches or units is another quantity, in
    which a unit with three spikes weighs as much as one with three thousand.
    """
    gain = np.asarray(log_likelihood, dtype=np.float64) - np.asarray(null_log_likelihood)
    spikes = np.asarray(num_spikes, dtype=np.float64)
    return np.divide(gain, spikes * LN2, out=np.full(gain.shape, np.nan), where=spikes > 0)


def own_mean_log_likelihood(num_spikes: ArrayLike, num_entries: ArrayLike) -> FloatArray:
    r"""Return the kernel log-likelihood of counts under their own mean.

    Parameters
    ----------
    num_spikes : array_like
        Summed counts of each unit.
    num_entries : array_like
        How many counts were summed.

    Notes
    -----
    With :math:`\bar k = \sum k / n` the sum :math:`\sum (k \log \bar k - \bar k)` is
    :math:`\sum k \, (\log \bar k - 1)`; 0 for a unit without spikes. This is the null that
    NLB, MtM and BrainWideBench use. It has seen what is scored: even a perfect model of a
    stationary unit scores below 0 against it.
    """
    spikes = np.asarray(num_spikes, dtype=np.float64)
    return xlogy(spikes, spikes / np.asarray(num_entries)) - spikes


def nlb(log_likelihood: ArrayLike, num_spikes: ArrayLike, num_entries: ArrayLike) -> float:
    """Return bits per spike as the Neural Latents Benchmark computes them.

    Parameters
    ----------
    log_likelihood : (N,) array_like
        Kernel log-likelihood of each unit, in nats.
    num_spikes, num_entries : (N,) array_like
        Spikes of each unit, and over how many counts.

    Notes
    -----
    Sums over units; the null is each unit's mean over the evaluated data.

    References
    ----------
    Pei, Ye et al. 2021, "Neural Latents Benchmark '21", NeurIPS datasets and benchmarks.
    """
    null = own_mean_log_likelihood(num_spikes, num_entries)
    return float(bits_per_spike(np.sum(log_likelihood), np.sum(null), np.sum(num_spikes)))


def mtm(log_likelihood: ArrayLike, num_spikes: ArrayLike, num_entries: ArrayLike) -> float:
    """Return bits per spike as IBL-MtM and NEDS compute them: per unit, then averaged.

    Parameters
    ----------
    log_likelihood, num_spikes, num_entries : (N,) array_like
        As for :func:`nlb`.

    Notes
    -----
    Units without spikes are left out; a unit at -10 or below counts as -5.

    References
    ----------
    Zhang et al. 2024, "Towards a universal translator for neural dynamics", NeurIPS.
    """
    null = own_mean_log_likelihood(num_spikes, num_entries)
    values = bits_per_spike(log_likelihood, null, num_spikes)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return float("nan")
    return float(np.mean(np.where(values <= MTM_LOWEST, MTM_FLOOR, values)))


def d2(
    log_likelihood: ArrayLike,
    saturated_log_likelihood: ArrayLike,
    num_spikes: ArrayLike,
    num_entries: ArrayLike,
) -> float:
    r"""Return the deviance explained as BrainWideBench computes it for one recording.

    Parameters
    ----------
    log_likelihood : (N,) array_like
        Kernel log-likelihood of each unit, in nats.
    saturated_log_likelihood : (N,) array_like
        The same for a forecast equal to the counts: sums of ``k log k - k``.
    num_spikes, num_entries : (N,) array_like
        As for :func:`nlb`.

    Notes
    -----
    The mean over units with spikes of
    :math:`1 - (\log L_{sat} - \log L) / (\log L_{sat} - \log L_0)`, in which the null is
    the unit's mean over the evaluated data. Nothing is clipped here, for one recording;
    the benchmark clips a recording's value at 0 before it averages over recordings
    (:func:`d2_over_recordings`).
    """
    spikes = np.asarray(num_spikes, dtype=np.float64)
    saturated = np.asarray(saturated_log_likelihood, dtype=np.float64)
    unexplained = saturated - np.asarray(log_likelihood)
    total = saturated - own_mean_log_likelihood(spikes, num_entries)
    valid = (spikes > 0) & (np.abs(total) >= 1e-9)
    if not valid.any():
        return float("nan")
    return float(np.mean(1.0 - unexplained[valid] / total[valid]))


def d2_over_recordings(values: ArrayLike) -> float:
    """Average deviance explained over recordings, each clipped at 0, as BrainWideBench does."""
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    return float(np.mean(np.maximum(values, 0.0))) if len(values) else float("nan")


def nlb_from_counts(expected_counts: ArrayLike, counts: ArrayLike) -> float:
    """Return NLB's bits per spike of (..., units) arrays, as ``nlb_tools`` computes it.

    Parameters
    ----------
    expected_counts, counts : (..., N) array_like
        Units last, as NLB orders them; NaN counts are left out. An expected count of 0
        becomes 1e-9. Neither argument is changed.
    """
    return nlb(*_sums_by_unit(expected_counts, counts)[:3])


def mtm_from_counts(expected_counts: ArrayLike, counts: ArrayLike) -> float:
    """Return MtM's bits per spike of (..., units) arrays; see :func:`mtm`."""
    return mtm(*_sums_by_unit(expected_counts, counts)[:3])


def d2_from_counts(expected_counts: ArrayLike, counts: ArrayLike) -> float:
    """Return BrainWideBench's deviance explained of (..., units) arrays; see :func:`d2`."""
    log_likelihood, num_spikes, num_entries, saturated = _sums_by_unit(expected_counts, counts)
    return d2(log_likelihood, saturated, num_spikes, num_entries)


def _sums_by_unit(
    expected_counts: ArrayLike, counts: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return kernel log-likelihood, spikes, entries and saturated log-likelihood by unit."""
    expected = np.array(expected_counts, dtype=np.float64)
    observed = np.asarray(counts, dtype=np.float64)
    if expected.shape != observed.shape:
        raise DataError(
            f"expected counts have shape {expected.shape}, counts {observed.shape}: "
            "they must be equal"
        )
    expected = expected.reshape(-1, expected.shape[-1])
    observed = observed.reshape(expected.shape)
    expected[expected == 0] = NLB_FLOOR
    known = np.isfinite(observed)
    observed = np.where(known, observed, 0.0)
    log_likelihood = np.where(known, log_likelihood_kernel(observed, expected), 0.0)
    return (
        log_likelihood.sum(axis=0),
        observed.sum(axis=0),
        known.sum(axis=0).astype(np.float64),
        (xlogy(observed, observed) - observed).sum(axis=0),
    )


def correlation_from_moments(
    n: ArrayLike, sum_p: Any, sum_y: Any, sum_pp: Any, sum_yy: Any, sum_py: Any
) -> FloatArray:
    """Return Pearson's correlation of forecast p and observation y from their sums.

    NaN where either does not vary.
    """
    n = np.asarray(n, dtype=np.float64)
    var_p = np.asarray(sum_pp - sum_p**2 / n)
    var_y = np.asarray(sum_yy - sum_y**2 / n)
    covariance = np.asarray(sum_py - sum_p * sum_y / n)
    # Below this the difference of two large sums is rounding, not variance.
    varies = (var_p > 1e-9 * np.asarray(sum_pp)) & (var_y > 1e-9 * np.asarray(sum_yy))
    scale = np.sqrt(np.where(varies, var_p * var_y, 1.0))
    return np.where(varies, covariance / scale, np.nan)


def r2_from_moments(n: ArrayLike, sum_y: Any, sum_pp: Any, sum_yy: Any, sum_py: Any) -> FloatArray:
    r"""Return :math:`R^2 = 1 - \sum (y - p)^2 / \sum (y - \bar y)^2` from sums.

    NaN where y does not vary. Not the squared correlation: bias and scale count.
    """
    total = np.asarray(sum_yy - sum_y**2 / np.asarray(n, dtype=np.float64))
    residual = np.asarray(sum_yy - 2.0 * sum_py + sum_pp)
    varies = total > 1e-9 * np.maximum(np.asarray(sum_yy), 1e-300)
    return np.where(varies, 1.0 - residual / np.where(varies, total, 1.0), np.nan)


def psth_r2(expected: FloatArray, observed: FloatArray) -> FloatArray:
    """Return R² of each unit's trial-averaged forecast against its trial-averaged counts.

    Parameters
    ----------
    expected, observed : (P, N) float
        Averages over trials, by time in trial (and condition) and unit.

    Returns
    -------
    (N,) array
        NaN for a unit whose average does not vary. Their mean is scikit-learn's
        ``r2_score(observed, expected)``, which NLB uses.
    """
    residual = np.sum((observed - expected) ** 2, axis=0)
    total = np.sum((observed - observed.mean(axis=0)) ** 2, axis=0)
    return np.where(total > 0, 1.0 - residual / np.where(total > 0, total, 1.0), np.nan)


def calibration_curve(
    num_entries: FloatArray, sum_expected: FloatArray, sum_observed: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Return mean forecast, mean observation and its standard error by forecast bin.

    Parameters
    ----------
    num_entries, sum_expected, sum_observed : (..., C) float
        Sums over all forecasts that fell in each of C bins of the forecast's value.

    Returns
    -------
    expected, observed, standard_error : (..., C) arrays
        NaN in empty bins. The standard error is that of a Poisson mean,
        :math:`\sqrt{\sum k} / n`; a calibrated forecast lies on the diagonal.
    """
    some = np.where(num_entries > 0, num_entries, np.nan)
    return sum_expected / some, sum_observed / some, np.sqrt(sum_observed) / some
