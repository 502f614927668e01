"""The steady Kalman filter and smoother of a linear dynamical system.

Gains converge within some steps, so one gain serves all: filtering is then a linear
recursion, which is run mode by mode in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_DOUBLINGS = 20
_SMALL = 1e-10
_WORST_CONDITION = 1e8


@dataclass(frozen=True)
class SteadyFilter:
    r"""The steady Kalman filter of a linear dynamical system.

    Parameters
    ----------
    step : (R, R) float
        From one filtered state to the next, before the new observation is added.
    inputs : (R, N) float
        What an observation adds: :math:`z_t = S z_{t-1} + B y_t`.
    predicted, filtered : (R, R) float
        Covariance of the state before and after its observation.

    References
    ----------
    Kalman 1960, J. Basic Engineering 82:35; Anderson & Moore 1979, Optimal Filtering,
    section 6.7 (doubling).
    """

    step: FloatArray
    inputs: FloatArray
    predicted: FloatArray
    filtered: FloatArray

    @classmethod
    def of(
        cls,
        loadings: FloatArray,
        transition: FloatArray,
        step_noise: FloatArray,
        count_noise: FloatArray,
    ) -> SteadyFilter:
        """Solve the filter of y = C z + v, z' = A z + w.

        Parameters
        ----------
        loadings : (N, R) array
            C.
        transition, step_noise : (R, R) array
            A, and the covariance of w.
        count_noise : (N,) array
            Variances of v.
        """
        weighted = loadings.T / count_noise
        information, unit = weighted @ loadings, np.eye(len(transition))
        # Doubling: each round does as many steps as all before it (Anderson & Moore 1979).
        advance, gathered, predicted = transition.T, information, step_noise
        for _ in range(_DOUBLINGS):
            shared = np.linalg.solve(unit + gathered @ predicted, unit)
            added = advance.T @ predicted @ shared @ advance
            gathered = gathered + advance @ shared @ gathered @ advance.T
            advance = advance @ shared @ advance
            predicted = predicted + (added + added.T) / 2
            if np.abs(added).max() < _SMALL * np.abs(predicted).max():
                break
        # (P^-1 + J)^-1 without inverting P, which may be nearly singular.
        filtered = np.linalg.solve(unit + predicted @ information, predicted)
        filtered = (filtered + filtered.T) / 2
        return cls(
            step=(unit - filtered @ information) @ transition,
            inputs=filtered @ weighted,
            predicted=predicted,
            filtered=filtered,
        )


@dataclass(frozen=True)
class SmoothedMoments:
    """Expected second moments of smoothed states, summed over stretches.

    Parameters
    ----------
    before, after, across : (R, R) float
        Of states before a step, after it, and of the two together.
    every : (R, R) float
        Of all states.
    with_counts : (R, N) float
        Of states and observations.
    num_steps : int
    """

    before: FloatArray
    after: FloatArray
    across: FloatArray
    every: FloatArray
    with_counts: FloatArray
    num_steps: int


def smooth(
    observed: Sequence[FloatArray], gain: SteadyFilter, transition: FloatArray
) -> SmoothedMoments:
    """Filter forward, smooth backward, and sum the moments that re-estimation needs.

    Parameters
    ----------
    observed : sequence of (T, N) array
        Observations, stretch by stretch; each starts from the state 0.
    gain : SteadyFilter
    transition : (R, R) array

    References
    ----------
    Rauch, Tung & Striebel 1965, AIAA Journal 3:1445.
    """
    size = len(transition)
    back = gain.filtered @ transition.T @ np.linalg.pinv(gain.predicted, hermitian=True)
    spread, further = gain.filtered - back @ gain.predicted @ back.T, back
    for _ in range(_DOUBLINGS):
        added = further @ spread @ further.T
        spread, further = spread + added, further @ further
        if np.abs(added).max() < _SMALL * np.abs(spread).max():
            break
    lagged = spread @ back.T
    before, after, across, every = (np.zeros((size, size)) for _ in range(4))
    with_counts = np.zeros((size, observed[0].shape[1]))
    num_steps = 0
    for part in observed:
        filtered = recurse(gain.step, part @ gain.inputs.T)
        inputs = filtered.copy()
        inputs[:-1] -= filtered[:-1] @ transition.T @ back.T
        smoothed = recurse(back, inputs[::-1])[::-1]
        steps = len(part) - 1
        before += smoothed[:-1].T @ smoothed[:-1] + steps * spread
        after += smoothed[1:].T @ smoothed[1:] + steps * spread
        across += smoothed[1:].T @ smoothed[:-1] + steps * lagged
        every += smoothed.T @ smoothed + len(part) * spread
        with_counts += smoothed.T @ part
        num_steps += steps
    return SmoothedMoments(before, after, across, every, with_counts, num_steps)


def recurse(step: FloatArray, inputs: FloatArray) -> FloatArray:
    """Return z_t = step z_{t-1} + inputs_t from z = 0, (T, R).

    Parameters
    ----------
    step : (R, R) array
    inputs : (T, R) array
    """
    poles, modes = diagonalise(step)
    rows = np.linalg.solve(modes, inputs.T.astype(np.complex128))
    for row, pole in zip(rows, poles, strict=True):
        row[:] = lfilter([1.0], [1.0, -pole], row)
    return np.ascontiguousarray((modes @ rows).real.T)


def diagonalise(matrix: FloatArray) -> tuple[ComplexArray, ComplexArray]:
    """Return eigenvalues (R,) and eigenvectors (R, R), one a column.

    A matrix that has too few of them, or nearly so, is nudged until it has enough.
    """
    nudge = np.diag(np.arange(1.0, len(matrix) + 1.0)) / len(matrix)
    for size in (0.0, 1e-7, 1e-6, 1e-5, 1e-4):
        poles, modes = np.linalg.eig(matrix + size * nudge)
        if np.linalg.cond(modes) < _WORST_CONDITION:
            break
    return poles.astype(np.complex128), modes.astype(np.complex128)


def make_stable(transition: FloatArray) -> FloatArray:
    """Scale a transition (R, R) down if its largest eigenvalue is not inside the unit circle."""
    largest = np.abs(np.linalg.eigvals(transition)).max()
    return transition * min(0.9999 / largest, 1.0) if largest > 0 else transition


def smooth_windows(
    observed_WTN: FloatArray,
    *,
    loadings: FloatArray,
    transition: FloatArray,
    step_noise: FloatArray,
    count_noise: FloatArray,
) -> FloatArray:
    """Return the expected states of short windows, given all that was observed in each.

    Parameters
    ----------
    observed_WTN : (W, T, N) array
        Observations of windows that are independent of each other.
    loadings : (N, R) array
    transition, step_noise : (R, R) array
    count_noise : (N,) array

    Returns
    -------
    (W, T, R) array

    Notes
    -----
    Before a window the state has its stationary distribution. Unlike in :func:`smooth` gains
    are exact at every step, since a window is over before they converge; they do not
    depend on what was observed, so one recursion serves all windows.

    References
    ----------
    Rauch, Tung & Striebel 1965, AIAA Journal 3:1445.
    """
    weighted = loadings.T / count_noise
    information, unit = weighted @ loadings, np.eye(len(transition))
    evidence_WTR = observed_WTN @ weighted.T
    predicted = _stationary(transition, step_noise)
    mean_WR = np.zeros((len(observed_WTN), len(transition)))
    states, covariances = np.empty_like(evidence_WTR), []
    for step in range(evidence_WTR.shape[1]):
        filtered = np.linalg.solve(unit + predicted @ information, predicted)
        filtered = (filtered + filtered.T) / 2
        surprise_WR = evidence_WTR[:, step] - mean_WR @ information
        states[:, step] = mean_WR + surprise_WR @ filtered
        predicted = transition @ filtered @ transition.T + step_noise
        covariances.append((filtered, predicted))
        mean_WR = states[:, step] @ transition.T
    for step in range(evidence_WTR.shape[1] - 2, -1, -1):
        filtered, predicted = covariances[step]
        back = filtered @ transition.T @ np.linalg.pinv(predicted, hermitian=True)
        ahead_WR = states[:, step + 1] - states[:, step] @ transition.T
        states[:, step] += ahead_WR @ back.T
    return states


def _stationary(transition: FloatArray, step_noise: FloatArray) -> FloatArray:
    """Return the covariance that z' = A z + w keeps, (R, R), by doubling; A is stable."""
    covariance, advance = step_noise, transition
    for _ in range(_DOUBLINGS):
        added = advance @ covariance @ advance.T
        covariance, advance = covariance + (added + added.T) / 2, advance @ advance
        if np.abs(added).max() < _SMALL * np.abs(covariance).max():
            break
    return covariance
