"""What Poisson regressions read: features of one unit at one origin.

A feature is an object with the number of its columns, a `fit` for what it tunes on the
training sessions, and a `compute` that reads one session's windows. *Shared* features
serve every horizon, shape (T, N, F); *by-horizon* features have one value per horizon
group, shape (T, N, G, F).

Two pseudo-counts stand behind every log-ratio: with a small one a single spike moves the
feature much, with a large one little, and the regression mixes the two. What counts most
is given together with its square and its product with the unit's log rate
(:func:`expand`): a unit that fires every few seconds changes by factors of a hundred, one
that fires all the time by a few per cent, and one line through both would serve neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol as StructuralProtocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.baselines.population import PopulationRegression
from neurohorizon.evaluation.baselines.recent import WIDTHS_S, recent_counts
from neurohorizon.evaluation.baselines.training import TrainingSession
from neurohorizon.evaluation.protocol import KnownSession
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import Windows

PSEUDO_COUNTS = (0.3, 1.5)
_LOWEST_RATIO = 0.1


class Feature(StructuralProtocol):
    """Something a Poisson regression reads."""

    by_horizon: bool

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Tune what there is to tune."""
        ...

    def compute(self, known: KnownSession, windows: Windows) -> NDArray[np.floating]:
        """Return (T, N, F) or, by horizon, (T, N, G, F)."""
        ...


class OwnTraces:
    r"""Log-ratios of a unit's own exponential traces to its reference rate, expanded.

    Notes
    -----
    :math:`\log \frac{\tau x_\tau + c}{\tau r_{ref} + c}` for each time constant and both
    pseudo-counts c; and the log reference rate.
    """

    by_horizon = False

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing."""

    def compute(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Return (T, N, 6 K + 1)."""
        taus_s = known.history.time_constants_s
        ratios = _log_ratios(windows.traces_hz, known.reference.rate_hz, taus_s)
        log_rate = np.broadcast_to(_log_rate(known)[:, None], (*ratios.shape[:2], 1))
        return np.concatenate([expand(ratios, _log_rate(known)[:, None]), log_rate], axis=2)


class RecentWindows:
    """Log-ratios of the counts in the last windows to what the reference rate expects."""

    by_horizon = False

    def __init__(self, *, widths_s: tuple[float, ...] = WIDTHS_S) -> None:
        self.widths_s = widths_s

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing."""

    def compute(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Return (T, N, 2 W)."""
        widths_s = np.asarray(self.widths_s)
        counts = recent_counts(known, windows.origins_s, self.widths_s)
        return _log_ratios(counts / widths_s, known.reference.rate_hz, widths_s)


class PopulationRate:
    """Log-ratios of the whole population's traces to its reference rate."""

    by_horizon = False

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing."""

    def compute(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Return (T, N, 2 K), equal for all units."""
        total = windows.traces_hz.sum(axis=1, keepdims=True)
        rate = known.reference.rate_hz.sum(keepdims=True)
        values = _log_ratios(total, rate, known.history.time_constants_s)
        return np.broadcast_to(values, (*windows.traces_hz.shape[:2], values.shape[2]))


class UnitAmount:
    """Logarithm of how many of the unit's spikes the reference holds."""

    by_horizon = False

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing."""

    def compute(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Return (T, N, 1), equal for all windows."""
        values = np.log(known.reference.spike_count + 1.0)[:, None]
        return np.broadcast_to(values, (len(windows), *values.shape))


class AdapterForecast:
    """The population adapter's forecasts (see :func:`relative_columns`)."""

    by_horizon = True

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing: the adapter came with the reference, cross-fitted."""

    def compute(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Return (T, N, G, 6) for each forecast of the adapter, side by side."""
        forecasts = known.reference.adapter.forecast(windows.traces_hz, windows.states)
        columns = [relative_columns(each, known) for each in np.moveaxis(forecasts, -1, 0)]
        return np.concatenate(columns, axis=-1)


class TuningForecast:
    """What behaviour and pictures alone forecast (see :func:`relative_columns`)."""

    by_horizon = True

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing: the tuning came with the reference, cross-fitted."""

    def compute(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Return (T, N, G, 14): for either 6 columns, and one by how tuned the unit is."""
        tuning, conditions = known.reference.tuning, windows.conditions
        assert tuning is not None, "a reference without conditions"
        assert conditions is not None, "windows without conditions"
        columns = []
        for forecast, skill in zip(
            np.moveaxis(tuning.forecast(conditions), -1, 0), tuning.skill.T, strict=True
        ):
            by_skill = forecast * 5.0 * np.sqrt(skill)[:, None]
            columns += [relative_columns(forecast, known), by_skill[..., None]]
        return np.concatenate(columns, axis=-1)


class PrivateTraces:
    """Log-ratios of a unit's slow traces to what the population's dynamics explain of them."""

    by_horizon = False

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit nothing: the adapter came with the reference, cross-fitted."""

    def compute(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Return (T, N, 3 P), expanded as own traces are."""
        ratios = known.reference.adapter.private_traces(windows.traces_hz, windows.states)
        return expand(ratios, _log_rate(known)[:, None])


class RegressionForecast:
    """A population regression's forecast (see :func:`relative_columns`).

    Parameters
    ----------
    regression : PopulationRegression
    """

    by_horizon = True

    def __init__(self, regression: PopulationRegression) -> None:
        self.regression = regression

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Choose the regression's settings."""
        self.regression.fit(training)

    def compute(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Return (T, N, G, 6)."""
        return relative_columns(self.regression.relative_rate(known, windows), known)


def relative_columns(relative: FloatArray, known: KnownSession) -> FloatArray:
    """Return what a regression reads of a forecast f = rate / reference rate - 1.

    Parameters
    ----------
    relative : (T, N, G) array
    known : KnownSession

    Returns
    -------
    (T, N, G, 6) array
        f and log(1 + f), expanded: a forecast for a unit of which many spikes were seen
        deserves more trust.
    """
    log_ratio = np.log(np.maximum(1.0 + relative, _LOWEST_RATIO))
    return expand(np.stack([relative, log_ratio], axis=-1), _log_rate(known)[:, None, None])


def expand(columns: FloatArray, log_rate: FloatArray) -> FloatArray:
    """Return columns (..., F), their squares and their products with the log rate, (..., 3 F)."""
    return np.concatenate([columns, columns**2, columns * log_rate], axis=-1)


def _log_rate(known: KnownSession) -> FloatArray:
    """Return log reference rates, (N,), about centred: cortical units fire at some 3 Hz."""
    return np.log(known.reference.rate_hz / 3.0)


def _log_ratios(rates_hz: FloatArray, rate_hz: FloatArray, exposure_s: FloatArray) -> FloatArray:
    """Return log-ratios of rates (T, N, K) to (N,) under both pseudo-counts, (T, N, 2 K)."""
    seen, expected = rates_hz * exposure_s, rate_hz[:, None] * exposure_s
    return np.concatenate(
        [np.log((seen + pseudo) / (expected + pseudo)) for pseudo in PSEUDO_COUNTS], axis=2
    )
