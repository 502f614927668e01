"""Rows that are one Poisson regression, shared over training sessions and units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.baselines.features import Feature
from neurohorizon.evaluation.baselines.glm import PoissonFit, fit_poisson
from neurohorizon.evaluation.baselines.training import (
    Progress,
    TrainingSession,
    group_counts,
    group_widths_s,
    require_training,
    spread_over_bins,
)
from neurohorizon.evaluation.protocol import KnownSession, Role, SessionCase
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import Windows

PENALTIES = (1e-4, 1e-2, 1e-1, 1.0)
MAX_ROWS = 120_000
MAX_TUNING_ROWS = 80_000


class PoissonRow:
    r"""One Poisson regression per horizon group on given features.

    Parameters
    ----------
    name : str
    features : sequence of Feature
        May be shared with other rows; they are then tuned and computed once
        (:func:`fit_together`).
    penalties : tuple of float
        To choose from on the valid domains; one for all horizons.
    max_rows : int
        (window, unit) pairs to fit on, at most, drawn evenly over sessions.
    seed : int

    Notes
    -----
    :math:`\log \lambda_{ng} = \log(r_{ref,n} \Delta_g) + b_g + w_g^\top x_{ng}`, the
    same b and w for every unit of every session.
    """

    role: Role = "baseline"

    def __init__(
        self,
        name: str,
        features: Sequence[Feature],
        *,
        penalties: tuple[float, ...] = PENALTIES,
        max_rows: int = MAX_ROWS,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.features = tuple(features)
        self.penalties = penalties
        self.max_rows = max_rows
        self.seed = seed
        self.penalty: float | None = None
        self.fits: list[PoissonFit] = []

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Tune the features and fit."""
        fit_together([self], training)

    def forecast(self, case: SessionCase, windows: Windows) -> FloatArray:
        """Forecast expected counts."""
        assert self.fits, "fit first"
        known = case.known
        columns = {id(feature): feature.compute(known, windows) for feature in self.features}
        shape = windows.counts.shape[:2]
        rates = np.empty((*shape, windows.spec.num_groups))
        for group, fit in enumerate(self.fits):
            rates[:, :, group] = np.exp(fit.log_ratio(self._inputs(columns, group)))
        return spread_over_bins(rates * known.reference.rate_hz[:, None], windows.spec)

    def _inputs(self, columns: dict[int, NDArray[np.floating]], group: int) -> NDArray[np.floating]:
        """Put this row's columns for one horizon group side by side, (..., F)."""
        parts = [
            columns[id(feature)][..., group, :] if feature.by_horizon else columns[id(feature)]
            for feature in self.features
        ]
        return np.concatenate(parts, axis=-1)

    def _fit_to(self, rows: _Rows, tuning: _Rows) -> None:
        """Choose the penalty on a few horizons, then fit all."""
        num_groups = len(rows.widths_s)
        probes = sorted({0, num_groups // 2, num_groups - 1})
        scores = np.zeros(len(self.penalties))
        for group in probes:
            inputs, tuning_inputs = (self._inputs(r.columns, group) for r in (rows, tuning))
            fit = None
            for index, penalty in enumerate(self.penalties):
                fit = self._fit_group(rows, group, inputs, penalty, fit)
                log_rate = fit.log_ratio(tuning_inputs) + tuning.log_offset(group)
                counts = tuning.counts[:, group]
                scores[index] += float(np.sum(counts * log_rate - np.exp(log_rate)))
        self.penalty = self.penalties[int(np.argmax(scores))]
        self.fits = []
        for group in range(num_groups):
            start = self.fits[-1] if self.fits else None
            inputs = self._inputs(rows.columns, group)
            self.fits.append(self._fit_group(rows, group, inputs, self.penalty, start))

    @staticmethod
    def _fit_group(
        rows: _Rows,
        group: int,
        inputs: NDArray[np.floating],
        penalty: float,
        start: PoissonFit | None,
    ) -> PoissonFit:
        return fit_poisson(
            inputs, rows.counts[:, group], rows.log_offset(group), penalty=penalty, start=start
        )


def fit_together(
    rows: Sequence[PoissonRow],
    training: Sequence[TrainingSession],
    *,
    progress: Progress | None = None,
) -> None:
    """Fit rows that share features: each feature is tuned and computed once.

    Parameters
    ----------
    rows : sequence of PoissonRow
    training : sequence of TrainingSession
    progress : callable, optional
    """
    spec = require_training(training, rows[0].name)
    features = list({id(feature): feature for row in rows for feature in row.features}.values())

    def tell(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total)

    for index, feature in enumerate(features):
        tell("baselines: tuning", index, len(features))
        feature.fit(training)
    max_rows = max(row.max_rows for row in rows) // len(training)
    fitted, tuned = _RowCollector(features, spec), _RowCollector(features, spec)
    for index, session in enumerate(training):
        tell("baselines: features", index, len(training))
        seed = rows[0].seed + index
        fitted.add(session, session.fitting_windows(max_rows=max_rows, seed=seed))
        tuned.add(session, session.tuning_windows(max_rows=MAX_TUNING_ROWS // len(training)))
    design, tuning = fitted.rows(), tuned.rows()
    for index, row in enumerate(rows):
        tell("baselines: regressions", index, len(rows))
        row._fit_to(design, tuning)
    tell("baselines: regressions", len(rows), len(rows))


@dataclass(frozen=True)
class _Rows:
    """(window, unit) pairs: counts (R, G), log reference rates (R,), columns by feature."""

    widths_s: FloatArray
    counts: NDArray[np.int32]
    log_rate: FloatArray
    columns: dict[int, NDArray[np.floating]]

    def log_offset(self, group: int) -> FloatArray:
        return self.log_rate + np.log(self.widths_s[group])


class _RowCollector:
    def __init__(self, features: Sequence[Feature], spec: WindowSpec) -> None:
        self.features, self.spec = features, spec
        self._counts: list[NDArray[np.int32]] = []
        self._log_rate: list[FloatArray] = []
        self._columns: dict[int, list[NDArray[np.float32]]] = {id(f): [] for f in features}

    def add(self, session: TrainingSession, read: Iterable[tuple[KnownSession, Windows]]) -> None:
        units = session.scored_units
        for known, windows in read:
            counts = group_counts(windows.counts[:, units], self.spec)
            self._counts.append(counts.reshape(-1, self.spec.num_groups).astype(np.int32))
            self._log_rate.append(np.tile(np.log(known.reference.rate_hz[units]), len(windows)))
            for feature in self.features:
                values = feature.compute(known, windows)[:, units].astype(np.float32)
                self._columns[id(feature)].append(values.reshape(-1, *values.shape[2:]))

    def rows(self) -> _Rows:
        return _Rows(
            widths_s=group_widths_s(self.spec),
            counts=np.concatenate(self._counts),
            log_rate=np.concatenate(self._log_rate),
            columns={key: np.concatenate(parts) for key, parts in self._columns.items()},
        )
