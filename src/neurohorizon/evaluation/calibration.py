r"""Whether counts fall where a forecast's distribution says they do.

With F the distribution that was forecast of a count k, the probability integral transform is
a number between :math:`F(k - 1)` and :math:`F(k)`, at random: it is uniform if counts are drawn
from F. Here the randomness is averaged out (Czado, Gneiting & Held 2009), so that the same
forecasts give the same numbers: each count spreads its weight evenly over that interval.

A histogram that is high in the middle tells of forecasts that are too wide, one that is high at
both ends of forecasts that are too narrow, a slope of forecasts that are too high or too low.

References
----------
Czado, Gneiting & Held 2009, Predictive model assessment for count data, Biometrics 65:1254.
Dawid 1984, Statistical theory: the prequential approach, J. R. Stat. Soc. A 147:278.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, pdtr, xlogy

FloatArray = NDArray[np.float64]

#: Edges of the histogram of the transform; central intervals of 50, 80 and 90 % end on them.
PIT_EDGES = np.round(np.linspace(0.0, 1.0, 21), 2)
COVERAGE_LEVELS = (0.5, 0.8, 0.9)


@dataclass(frozen=True)
class CountBounds:
    """What a forecast's distribution says of counts that were observed.

    Parameters
    ----------
    below : array
        Probability of a smaller count.
    here : array
        Probability of just this count.
    """

    below: FloatArray
    here: FloatArray


def poisson_bounds(
    counts: NDArray[np.integer], expected_counts: NDArray[np.floating]
) -> CountBounds:
    """Return the bounds under Poisson distributions with these means.

    Examples
    --------
    >>> bounds = poisson_bounds(np.array([0, 1]), np.array([2.0, 2.0]))
    >>> np.round(bounds.below, 3).tolist(), np.round(bounds.here, 3).tolist()
    ([0.0, 0.135], [0.135, 0.271])
    """
    expected = np.asarray(expected_counts, dtype=np.float64)
    below = np.where(counts > 0, pdtr(np.maximum(counts - 1, 0), expected), 0.0)
    return CountBounds(below, np.exp(xlogy(counts, expected) - expected - gammaln(counts + 1.0)))


def sample_bounds(counts: NDArray[np.integer], samples: NDArray[np.integer]) -> CountBounds:
    """Return the bounds by the rank of the counts among samples of the forecast.

    Parameters
    ----------
    counts : (...) int
    samples : (S, ...) int

    Notes
    -----
    If counts and samples come from one distribution, the count's rank among all S + 1 of them,
    ties broken at random, is uniform, however few samples there are.
    """
    number = len(samples) + 1
    below = (samples < counts).sum(axis=0) / number
    here = ((samples == counts).sum(axis=0) + 1) / number
    return CountBounds(below, here)


def pit_histogram(bounds: CountBounds) -> FloatArray:
    """Return the histogram of the transform over all counts; it sums to their number.

    Returns
    -------
    (20,) float
        By parts of the unit interval, between :data:`PIT_EDGES`.
    """
    below, here = bounds.below.ravel(), np.maximum(bounds.here.ravel(), 1e-300)
    reached = [np.clip((edge - below) / here, 0.0, 1.0).sum() for edge in PIT_EDGES[1:-1]]
    return np.diff(np.array([0.0, *reached, below.size]))


def coverage(histogram: FloatArray, level: float) -> float:
    """Return the share of counts inside the central interval of a level.

    Parameters
    ----------
    histogram : (20,) float
        From :func:`pit_histogram`; NaN is returned if it is empty.
    level : float
        One whose interval ends on :data:`PIT_EDGES`, such as 0.5, 0.8, 0.9. A calibrated forecast
        covers just as much.

    Examples
    --------
    >>> round(coverage(np.ones(20), 0.8), 3)
    0.8
    """
    middle = 0.5 * (PIT_EDGES[:-1] + PIT_EDGES[1:])
    inside = np.abs(2 * middle - 1) < level
    assert np.isclose(inside.mean(), level), "the interval ends inside a part"
    total = histogram.sum()
    return float(histogram[inside].sum() / total) if total > 0 else float("nan")
