"""What could be reached: how reliable responses are, and how well a response finds its own twin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.retrieval.identification import count_better
from neurohorizon.recordings.pictured.pairs import PicturePairs
from neurohorizon.recordings.schema import FloatArray

FEWEST_TRIALS = 2


def spearman_brown(correlation: FloatArray, times: float) -> FloatArray:
    r"""Return the reliability of a mean of `times` as many trials.

    Notes
    -----
    :math:`\rho_k = k \rho / (1 + (k - 1) \rho)` (Spearman 1910, Brown 1910).

    Examples
    --------
    >>> spearman_brown(np.array([0.5]), 2)
    array([0.66666667])
    """
    return times * correlation / (1 + (times - 1) * correlation)


def split_halves(
    pairs: PicturePairs, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean responses of two random halves of each picture's trials, (I, N[, B]) each.

    Pictures need two trials; of an odd number, one is left out.
    """
    order = np.argsort(generator.random(len(pairs)))
    order = order[np.argsort(pairs.picture[order], kind="stable")]
    picture = pairs.picture[order]
    number = np.arange(len(order)) - np.searchsorted(picture, picture)
    half = pairs.trials_per_picture[picture] // 2
    first = pairs.take(order[number < half]).mean_over_trials()
    second = pairs.take(order[(number >= half) & (number < 2 * half)]).mean_over_trials()
    return first.values, second.values


def reliability(pairs: PicturePairs, *, num_draws: int = 20, seed: int = 0) -> FloatArray:
    """Return the reliability of each unit's mean response over all trials, (N,) or (N, B).

    The correlation over pictures of random halves of the trials, averaged over draws, taken up to
    all trials by the Spearman-Brown formula; NaN for a unit that never changes.
    """
    pairs = with_trials(pairs)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(num_draws):
        one, other = split_halves(pairs, generator)
        one, other = one - np.nanmean(one, axis=0), other - np.nanmean(other, axis=0)
        there = np.isfinite(one) & np.isfinite(other)
        one, other = np.where(there, one, 0), np.where(there, other, 0)
        norm = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0), dtype=np.float64)
        product = (one * other).sum(axis=0, dtype=np.float64)
        found.append(np.divide(product, norm, where=norm > 0, out=np.full(norm.shape, np.nan)))
    return spearman_brown(np.mean(found, axis=0), 2.0)


def with_trials(pairs: PicturePairs, *, fewest: int = FEWEST_TRIALS) -> PicturePairs:
    """Return the presentations of pictures that have trials enough."""
    return pairs.take(np.flatnonzero(pairs.trials_per_picture[pairs.picture] >= fewest))


def has_trials(pairs: PicturePairs) -> bool:
    """Say whether every picture has trials to split."""
    return bool(np.all(pairs.trials_per_picture >= FEWEST_TRIALS))


def split_half_identification(
    pairs: PicturePairs,
    *,
    whiten: NDArray[np.floating] | None = None,
    num_draws: int = 10,
    seed: int = 0,
) -> FloatArray:
    """Count how many pictures' responses are nearer to a response than its own other half.

    Parameters
    ----------
    pairs : PicturePairs
        Test pictures, their trials.
    whiten : (N, N) array, optional
        Multiplies responses so that noise is alike and independent; by default each unit is
        divided by its own noise.
    num_draws : int
        Random halves.
    seed : int

    Returns
    -------
    (num_draws, I) array
        As :func:`~neurohorizon.evaluation.retrieval.identification.count_better` counts; by
        correlation. Half of the trials against the other half: a lower bound of what a model
        without error could do with all of them.
    """
    pairs = with_trials(pairs)
    generator = np.random.default_rng(seed)
    if whiten is None:
        whiten = noise_whitening(pairs, shrinkage=1.0)
    found = []
    for _ in range(num_draws):
        halves = []
        for half in split_halves(pairs, generator):
            flat = np.nan_to_num(half - np.nanmean(half, axis=0)).reshape(len(half), -1)
            place = flat @ whiten
            place = place - place.mean(axis=1, keepdims=True)
            halves.append(place / np.maximum(np.linalg.norm(place, axis=1, keepdims=True), 1e-12))
        found.append(count_better(halves[0] @ halves[1].T, np.arange(len(halves[0]))))
    return np.array(found)


def noise_whitening(pairs: PicturePairs, *, shrinkage: float = 0.2) -> FloatArray:
    """Return the matrix, (N, N), that makes the noise of trials around their means white.

    Parameters
    ----------
    pairs : PicturePairs
        With several trials a picture; time bins count as units.
    shrinkage : float
        Share of the diagonal in the covariance; 1 uses the variances alone.
    """
    pairs = with_trials(pairs)
    mean = pairs.mean_over_trials().values[pairs.picture]
    noise = np.nan_to_num(pairs.values - mean).reshape(len(pairs), -1).astype(np.float64)
    degrees = max(1, len(pairs) - len(pairs.hashes))
    covariance = noise.T @ noise / degrees
    diagonal = np.maximum(np.diag(covariance), 1e-9)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.diag(diagonal)
    spread, axes = np.linalg.eigh(covariance)
    return axes / np.sqrt(np.maximum(spread, 1e-3 * spread.max()))
