"""Constant rates: the null itself, the reference rate, and (a cheat) the scored data's mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurohorizon.evaluation.baselines.training import TrainingSession
from neurohorizon.evaluation.protocol import Role, SessionCase
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import Windows


class Mean:
    """The null: each unit's mean over the unscored part of its session. 0 by definition."""

    name = "mean"
    role: Role = "baseline"

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing."""

    def forecast(self, case: SessionCase, windows: Windows) -> FloatArray:
        """Forecast the null's rate."""
        return constant_counts(case.null.rate_hz, windows)


class ReferenceRate:
    """Each unit's rate in the reference: what a zero-shot model starts from.

    Its log expected count is ``log(rate_hz * bin_s)``, the model's rate term.
    """

    name = "reference rate"
    role: Role = "baseline"

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing."""

    def forecast(self, case: SessionCase, windows: Windows) -> FloatArray:
        """Forecast the reference rate."""
        return constant_counts(case.reference.rate_hz, windows)


class OracleMean:
    """The scored data's own mean: a cheat that tells how much drift of the rates is worth."""

    name = "oracle mean"
    role: Role = "cheat"

    def __init__(self) -> None:
        self._of: tuple[SessionCase, FloatArray] | None = None

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing."""

    def forecast(self, case: SessionCase, windows: Windows) -> FloatArray:
        """Forecast the mean of the counts that are scored."""
        if self._of is None or self._of[0] is not case:
            spikes = sum(chunk.counts.sum(axis=(0, 2)) for chunk in case.chunks())
            exposure_s = len(case.origins_s) * case.protocol.spec.horizon_s
            # A silent unit's rate is 0; what it is scored with must be positive.
            self._of = (case, np.maximum(spikes, 1e-6) / exposure_s)
        return constant_counts(self._of[1], windows)


def constant_counts(rate_hz: FloatArray, windows: Windows) -> FloatArray:
    """Expect the same rates (N,) in every bin of every window."""
    return np.broadcast_to((rate_hz * windows.spec.bin_s)[None, :, None], windows.counts.shape)
