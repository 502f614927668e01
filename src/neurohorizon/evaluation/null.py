"""The null: one fixed rate per unit and session, from the part that is not scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neurohorizon.errors import DataError
from neurohorizon.ops.intervals import as_intervals, intersect, subtract, total_s
from neurohorizon.ops.statistics import shrink_rates
from neurohorizon.recordings.schema import FloatArray, Recording

# Float seconds are exact to far less than this.
_TOLERANCE_S = 1e-6


@dataclass(frozen=True)
class NullModel:
    """Constant rates that every row of a table is compared with.

    Parameters
    ----------
    rate_hz : (N,) float
        All positive.
    intervals : (K, 2) float
        The stretches they were computed from, in seconds.
    silent : (N,) bool
        Units without a spike in those stretches. Their rate is what the population and the
        length of the stretches allow: a silent unit that speaks up costs bits, not infinity.
    """

    rate_hz: FloatArray
    intervals: FloatArray
    silent: np.ndarray

    @property
    def num_silent(self) -> int:
        """Units without a spike in the null's stretches."""
        return int(np.sum(self.silent))

    def require_unscored(self, origins_s: ArrayLike, *, horizon_s: float, recording: str) -> None:
        """Refuse to serve as the null of windows that it was computed from.

        Parameters
        ----------
        origins_s : (T,) array_like
            Origins of the windows to score, in seconds.
        horizon_s : float
            How far their targets reach, in seconds.
        recording : str
            Id, for the message.

        Raises
        ------
        DataError
            If a target lies in the null's stretches. Such a null knows the answer: against
            it a perfect forecast of a stationary unit scores below zero, the lower the
            shorter the windows.
        """
        origins = np.asarray(origins_s, dtype=np.float64)
        targets = as_intervals(np.column_stack([origins, origins + horizon_s]))
        shared = intersect(targets, self.intervals)
        if total_s(shared) > _TOLERANCE_S * max(len(targets), 1):
            raise DataError(
                f"{recording}: the null was computed from {total_s(shared):.3g} s of what is "
                f"scored (from {shared[0, 0]:.3f} s on): expected none; compute it with "
                "neurohorizon.evaluation.null.session_null(recording, scored)"
            )


def session_null(recording: Recording, scored: FloatArray) -> NullModel:
    r"""Compute the null of a session from all of it that is not scored.

    Parameters
    ----------
    recording : Recording
    scored : (K, 2) array
        Stretches in which the targets lie, in seconds.

    Raises
    ------
    DataError
        If nothing is left to compute it from.

    Notes
    -----
    Means over the unscored part, shrunk toward the population's (Gamma-Poisson, see
    :func:`~neurohorizon.ops.statistics.shrink_rates`).
    """
    intervals = subtract(recording.domain, scored)
    exposure_s = total_s(intervals)
    if exposure_s < 1.0:
        raise DataError(
            f"{recording.id}: {exposure_s:.3g} s of the session are not scored, too little for "
            "a null: expected at least 1 s; score a shorter stretch"
        )
    counts = count_between(recording, intervals)
    return NullModel(
        rate_hz=shrink_rates(counts.astype(np.float64), exposure_s),
        intervals=intervals,
        silent=counts == 0,
    )


def count_between(recording: Recording, intervals: FloatArray) -> np.ndarray:
    """Count each unit's spikes inside stretches, shape (N,) int."""
    counts = np.zeros(recording.num_units, dtype=np.int64)
    for start, end in intervals:
        _, unit = recording.between(start, end)
        counts += np.bincount(unit, minlength=recording.num_units)
    return counts
