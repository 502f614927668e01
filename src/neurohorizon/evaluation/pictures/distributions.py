r"""Distances between sets of pictures, which no single picture has: KID, FID and IS.

With features x of the true pictures and y of the reconstructed ones, D values each:

- *KID* (Bińkowski et al. 2018, arXiv:1801.01401): the unbiased squared maximum mean discrepancy
  with the kernel :math:`k(x, y) = (x \cdot y / D + 1)^3`, averaged over random subsets. Unbiased at
  any number of pictures;
- *FID* (Heusel et al. 2017, arXiv:1706.08500):
  :math:`|\mu_x - \mu_y|^2 + \mathrm{tr}(C_x + C_y - 2 (C_x C_y)^{1/2})`. Biased upwards by an
  amount that depends on the generator, and with fewer pictures than values C has no full rank;
- *IS* (Salimans et al. 2016, arXiv:1606.03498): :math:`\exp(\mathrm{E}\, \mathrm{KL}(p(w | y)\,
  \|\, p(w)))` of a classifier's probabilities; its bias, too, depends on the number of pictures.

FID and IS are therefore refused below :data:`FEWEST_PICTURES` pictures, or fewer than values. The
numbers are comparable only through the same network: FID of Inception's features is not FID of
another network's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurohorizon.errors import DataError
from neurohorizon.evaluation.pictures.features import Features
from neurohorizon.recordings.schema import FloatArray

#: For FID and IS: what the covariance of Inception's 2,048 values needs to be of full rank.
FEWEST_PICTURES = 2048
#: For KID.
FEWEST_FOR_KID = 20
NUM_SUBSETS, LARGEST_SUBSET = 100, 1000
NUM_SPLITS = 10


@dataclass(frozen=True)
class DistributionScore:
    """A distance between two sets of pictures, or why there is none.

    Parameters
    ----------
    value : float
        NaN where it was refused.
    spread : float
        Standard deviation over subsets (KID) or splits (IS); NaN for FID. No standard error:
        subsets share pictures.
    refused : str
        Why there is no value; "" where there is one.
    """

    value: float
    spread: float = float("nan")
    refused: str = ""


def kernel_distance(
    found: Features,
    truth: Features,
    *,
    subset_size: int | None = None,
    num_subsets: int = NUM_SUBSETS,
    seed: int = 0,
) -> DistributionScore:
    """Return KID.

    Parameters
    ----------
    found, truth : (n, D) and (m, D) array
        Features of reconstructed and of true pictures; they need not be pairs.
    subset_size : int, optional
        Pictures of a subset; by default half of the smaller set, and at most
        :data:`LARGEST_SUBSET`.
    num_subsets, seed : int

    Notes
    -----
    Unbiased where the true pictures are others than those that were reconstructed; of pairs, some
    meet in a subset, which lowers it by less than its spread.

    Raises
    ------
    DataError
        If there are too few pictures, or the features are of different layers.
    """
    _require_sets(found, truth, FEWEST_FOR_KID, "KID")
    fewest = min(len(found), len(truth))
    size = min(LARGEST_SUBSET, fewest // 2) if subset_size is None else subset_size
    if not 2 <= size <= fewest:
        raise DataError(f"KID of subsets of {size} pictures out of {fewest}: choose 2 to {fewest}")
    generator = np.random.default_rng(seed)
    drawn = [
        _discrepancy(
            found[generator.choice(len(found), size, replace=False)].astype(np.float64),
            truth[generator.choice(len(truth), size, replace=False)].astype(np.float64),
        )
        for _ in range(num_subsets)
    ]
    return DistributionScore(float(np.mean(drawn)), float(np.std(drawn)))


def frechet_distance(found: Features, truth: Features) -> DistributionScore:
    """Return FID of the features of reconstructed, (n, D), and of true pictures, (m, D).

    Raises
    ------
    DataError
        If there are fewer than :data:`FEWEST_PICTURES`, or no more than values, in either set.
    """
    _require_sets(found, truth, max(FEWEST_PICTURES, found.shape[-1] + 1), "FID")
    one, other = found.astype(np.float64), truth.astype(np.float64)
    gap = one.mean(axis=0) - other.mean(axis=0)
    here, there = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # Products of covariances have the eigenvalues of a symmetric matrix, which are never complex.
    spread, axes = np.linalg.eigh(np.atleast_2d(here))
    root = (axes * np.sqrt(np.maximum(spread, 0))) @ axes.T
    both = np.linalg.eigvalsh(root @ np.atleast_2d(there) @ root)
    shared = np.sqrt(np.maximum(both, 0)).sum()
    value = gap @ gap + np.trace(np.atleast_2d(here)) + np.trace(np.atleast_2d(there)) - 2 * shared
    return DistributionScore(float(max(value, 0.0)))


def inception_score(probability: Features, *, num_splits: int = NUM_SPLITS) -> DistributionScore:
    """Return IS of a classifier's probabilities of reconstructed pictures, (n, words).

    Mean and standard deviation over `num_splits` parts, in the order given.

    Raises
    ------
    DataError
        If there are fewer than :data:`FEWEST_PICTURES`, or rows are not probabilities.
    """
    _require_enough(len(probability), FEWEST_PICTURES, "IS")
    values = probability.astype(np.float64)
    if not (np.all(values >= 0) and np.allclose(values.sum(axis=1), 1, atol=1e-3)):
        raise DataError("IS needs probabilities: rows of numbers from 0 that sum to 1")
    found = []
    for part in np.array_split(values, num_splits):
        overall = part.mean(axis=0, keepdims=True)
        ratio = np.log(np.maximum(part, 1e-30)) - np.log(np.maximum(overall, 1e-30))
        found.append(np.exp((part * ratio).sum(axis=1).mean()))
    return DistributionScore(float(np.mean(found)), float(np.std(found)))


def distribution_scores(
    found: Features, truth: Features, *, probability: Features | None = None, seed: int = 0
) -> dict[str, DistributionScore]:
    """Return KID, FID and IS, each with its value or the reason why it has none.

    Parameters
    ----------
    found, truth : (n, D) and (m, D) array
    probability : (n, words) array, optional
        A classifier's, of the reconstructed pictures; without it there is no IS.
    seed : int
    """
    asked: dict[str, Callable[[], DistributionScore]] = {
        "KID": lambda: kernel_distance(found, truth, seed=seed),
        "FID": lambda: frechet_distance(found, truth),
    }
    if probability is not None:
        asked["IS"] = lambda: inception_score(probability)
    scores = {}
    for name, compute in asked.items():
        try:
            scores[name] = compute()
        except DataError as error:
            scores[name] = DistributionScore(float("nan"), refused=str(error))
    return scores


def _discrepancy(found: FloatArray, truth: FloatArray) -> float:
    num, width = found.shape
    here = (found @ found.T / width + 1) ** 3
    there = (truth @ truth.T / width + 1) ** 3
    across = (found @ truth.T / width + 1) ** 3
    same = here.sum() - np.trace(here) + there.sum() - np.trace(there)
    return same / (num * (num - 1)) - 2 * across.mean()


def _require_sets(found: Features, truth: Features, fewest: int, what: str) -> None:
    if found.ndim != 2 or truth.ndim != 2 or found.shape[1] != truth.shape[1]:
        raise DataError(
            f"{what} of features {found.shape} and {truth.shape}: expected (pictures, values) of "
            "the same layer"
        )
    if not (np.isfinite(found).all() and np.isfinite(truth).all()):
        raise DataError(f"{what} of features that are not finite: the network is damaged")
    _require_enough(min(len(found), len(truth)), fewest, what)


def _require_enough(num: int, fewest: int, what: str) -> None:
    if num < fewest:
        raise DataError(
            f"{what} of {num:,} pictures would tell the number of pictures, not their quality: it "
            f"needs {fewest:,}"
        )
