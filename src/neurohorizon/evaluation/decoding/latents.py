"""A linear readout of a forecaster's latents: what its encoder says of behaviour by itself.

The encoder reads the context before an origin, and nothing of it is trained here. With the origin
at the time stamp the row is **causal**: it reads the past alone, where other rows of the ladder
read a stretch on both sides of each time stamp. A variant moves the origin to so long after the
time stamp as the validation part prefers.

Shapes: T time stamps, O origins, F features, K of them kept, P outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.activity import Activity, scale_of
from neurohorizon.evaluation.decoding.cases import Asked, FitData, Part
from neurohorizon.evaluation.decoding.tuning import Chosen, Search
from neurohorizon.evaluation.decoding.wiener import (
    INVERSE_PENALTIES,
    PENALTIES,
    Design,
    LinearWeights,
    fit_logistic,
    probabilities,
    ridge_path,
)
from neurohorizon.evaluation.protocol import Role
from neurohorizon.models.forecaster_decoder import refuse_forecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.ops.intervals import contains, subtract, total_s
from neurohorizon.recordings.batches import WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference import Reference, compute_reference
from neurohorizon.recordings.reference_pool import NUM_FOLDS, cut_stretch, last_stretch
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.windows import History, WindowReader, Windows

#: How long after a time stamp the origin may lie, in seconds, for the variant that looks ahead.
LAGS_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
#: More features than this are first reduced to their principal components.
MOST_FEATURES = 1500
_SAMPLED = 2000
_WINDOWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class _Reduction:
    """Principal components of features in their deviations."""

    mean: FloatArray
    deviation: FloatArray
    components_FK: FloatArray

    @classmethod
    def of(cls, features: NDArray[np.float32], num_kept: int) -> _Reduction:
        mean, deviation = scale_of([features])
        x = (features - mean) / deviation
        values, vectors = linalg.eigh(x @ x.T)
        kept = np.flatnonzero(values > 1e-9 * values[-1])[::-1][:num_kept]
        return cls(mean, deviation, x.T @ vectors[:, kept] / np.sqrt(values[kept]))

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        reduced = (features - self.mean) / self.deviation @ self.components_FK
        return reduced.astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Known:
    """References of what a row was fitted on: of all of the training part, and of its folds."""

    data: FitData
    reference: Reference
    folds: list[tuple[Reference, Part]]


class Latents:
    """Decodes by a regression on a forecaster's latents and the mean of its units' states.

    Parameters
    ----------
    forecaster : HorizonForecaster
        Left as it is.
    lags_s : tuple of float
        How long after a time stamp the origin may lie, in seconds, to choose from; those longer
        than the context are left out. (0,) is causal.
    reference_s : float or None
        The last seconds of the training part that units are known by; None for all of it.
    step_s : float
        Origins are no closer than this: a time stamp then has that of the origin before it.
    penalties : tuple of float
        As :class:`~neurohorizon.evaluation.decoding.wiener.Wiener` takes them.
    inverse_penalties : tuple of float
        Of the logistic regression, for classes.
    device : str

    Raises
    ------
    ConfigError
        If the forecaster has no latents to read, or is told behaviour beside spikes.

    Notes
    -----
    Nothing outside of a time stamp's stretch is read: at its start the context is cut, and history
    starts afresh. An origin never lies after the end of the stretch. What is solved on a reference
    flatters itself there, so the training part is read in four folds, each known from the other
    three; what is tuned and scored on is known from all of the training part (which, where parts
    take turns, lies on both sides: who units are is not causal, what they do is).
    """

    role: Role = "model"

    def __init__(
        self,
        forecaster: HorizonForecaster,
        *,
        lags_s: tuple[float, ...] = (0.0,),
        reference_s: float | None = None,
        step_s: float = 0.05,
        penalties: tuple[float, ...] = PENALTIES,
        inverse_penalties: tuple[float, ...] = INVERSE_PENALTIES,
        device: str = "cpu",
    ) -> None:
        refuse_forecaster(forecaster.settings)
        self.forecaster = forecaster.to(device).eval()
        self.name = "latents, linear" if max(lags_s) == 0 else "latents, linear, looking ahead"
        self.lags_s = tuple(lag for lag in lags_s if lag <= forecaster.spec.context_s)
        self.reference_s = reference_s
        self.step_s = step_s
        self.penalties = penalties
        self.inverse_penalties = inverse_penalties
        self.device = device
        self.fitted: LinearWeights | None = None
        self.lag_s = 0.0
        self.categorical = False
        self._reduction: _Reduction | None = None
        self._known: _Known | None = None

    def why_not(self, data: FitData) -> str:
        """Say why not: of signals, of one unit, or where a reference is too short."""
        if not data.activity.is_spikes:
            return "a forecaster reads spikes, and these are signals"
        if data.activity.num_units < 2:
            return "a forecaster reads two units or more"
        try:
            self._known = self._read_references(data)
        except DataError as error:
            return str(error)
        return ""

    def fit(self, data: FitData) -> Chosen:
        """Choose a lag and a penalty, and fit."""
        recording = data.activity.recording
        self.categorical = data.task.spec.is_categorical
        if self._known is None or self._known.data is not data:
            self._known = self._read_references(data)
        reference, folds = self._known.reference, self._known.folds
        self._reduction = None
        self._reduction = self._reduce(recording, folds)
        targets = [self._targets(part, data.task.num_outputs) for _, part in folds]
        weights = [part.weights for _, part in folds]
        design = Design(self.step_s, 0)
        search = Search(data.task, data.valid)
        for lag_s in self.lags_s:
            train = [self._features(recording, each, part, lag_s) for each, part in folds]
            valid = self._features(recording, reference, data.valid, lag_s)
            for penalty, fitted in ridge_path(train, targets, weights, design, self.penalties):
                settings = {"lag_s": lag_s, "penalty": penalty}
                search.offer(next(fitted.by_bin([valid])), settings, (lag_s, fitted))
        self.lag_s, ridge = search.best
        self.fitted = ridge
        if not self.categorical:
            return search.chosen()
        train = [self._features(recording, each, part, self.lag_s) for each, part in folds]
        valid = self._features(recording, reference, data.valid, self.lag_s)
        by_class = Search(data.task, data.valid)
        for settings, fitted in fit_logistic(
            train,
            [part.values for _, part in folds],
            weights,
            ridge,
            num_classes=data.task.num_outputs,
            inverse_penalties=self.inverse_penalties,
        ):
            decoded = probabilities(next(fitted.by_bin([valid])))
            by_class.offer(decoded, {"lag_s": self.lag_s, **settings}, fitted)
        by_class.num_tried += search.num_tried
        if by_class.best is None:
            return search.chosen()
        self.fitted = by_class.best
        return by_class.chosen()

    def predict(self, activity: Activity, asked: Asked) -> FloatArray:
        """Decode values, or probabilities of classes."""
        assert self.fitted is not None, "fit first"
        assert self._known is not None
        features = self._features(activity.recording, self._known.reference, asked, self.lag_s)
        decoded = next(self.fitted.by_bin([features]))
        return probabilities(decoded) if self.categorical else decoded

    def _read_references(self, data: FitData) -> _Known:
        """Read the reference of the whole training part, and of each of its folds."""
        recording, spec = data.activity.recording, self.forecaster.spec

        def known_by(stretches: FloatArray) -> Reference:
            stretches = last_stretch(stretches, self.reference_s)
            return compute_reference(recording, stretches, spec=spec)

        folds = [
            (known_by(reference), _rows_of(data.train, rows))
            for reference, rows in self._folds(data.train)
            if rows.any()
        ]
        return _Known(data, known_by(data.train.stretches), folds)

    def _folds(self, train: Part) -> Iterator[tuple[FloatArray, NDArray[np.bool_]]]:
        """Yield a reference, and which time stamps of the training part it serves."""
        stretches = train.stretches
        quarter_s = total_s(stretches) / NUM_FOLDS
        for index in range(NUM_FOLDS):
            if len(stretches) >= NUM_FOLDS:
                served = stretches[np.arange(len(stretches)) % NUM_FOLDS == index]
            else:
                served = cut_stretch(stretches, index * quarter_s, quarter_s)
            yield subtract(stretches, served), contains(served, train.times_s)

    def _targets(self, part: Part, num_outputs: int) -> FloatArray:
        if self.categorical:
            return np.eye(num_outputs)[part.values]
        return np.asarray(part.values, dtype=np.float64)

    def _reduce(
        self, recording: Recording, folds: list[tuple[Reference, Part]]
    ) -> _Reduction | None:
        """Find the components of training features, where there are too many of these."""
        width, num_latents = (self.forecaster.settings[key] for key in ("width", "num_latents"))
        if width * (num_latents + 1) <= MOST_FEATURES:
            return None
        total, sampled = sum(len(part) for _, part in folds), []
        every = max(total // _SAMPLED, 1)
        for reference, part in folds:
            some = _rows_of(part, np.arange(len(part)) % every == 0)
            sampled.append(self._features(recording, reference, some, self.lags_s[0]))
        return _Reduction.of(np.concatenate(sampled), MOST_FEATURES)

    def _features(
        self, recording: Recording, reference: Reference, asked: Asked, lag_s: float
    ) -> NDArray[np.float32]:
        """Return what the encoder says at each time stamp, (T, F) or (T, K)."""
        starts_s, origins_s, row = self._origins(asked, lag_s)
        spec = self.forecaster.spec
        reader = WindowReader(recording, spec, History(recording, segments=asked.stretches))
        known = np.zeros(recording.num_units, dtype=np.int64)
        found = []
        with torch.inference_mode():
            for first in range(0, len(origins_s), _WINDOWS_AT_ONCE):
                some = slice(first, first + _WINDOWS_AT_ONCE)
                windows = reference.read_windows(
                    reader, origins_s[some], inside_s=(starts_s[some] + origins_s[some]) / 2
                )
                windows = _since(windows, starts_s[some])
                batch = collate_groups([WindowGroup(reference, windows, known)]).to(self.device)
                given = self.forecaster.read(batch)
                assert given.latents_WMD is not None
                pooled_WD = given.state_WND.mean(dim=1)
                features = torch.cat([given.latents_WMD.flatten(1), pooled_WD], dim=1)
                values = features.float().cpu().numpy()
                found.append(values if self._reduction is None else self._reduction.apply(values))
        return np.concatenate(found)[row]

    def _origins(
        self, asked: Asked, lag_s: float
    ) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
        """Return origins with the start of their stretch, and which of them each time stamp has."""
        stretches = asked.stretches[asked.stretch]
        at = np.minimum(asked.times_s + lag_s, stretches[:, 1])
        if len(at) > 1 and np.median(np.diff(asked.times_s)) < self.step_s:
            steps = np.floor((at - stretches[:, 0]) / self.step_s + 1e-6)
            at = stretches[:, 0] + steps * self.step_s
        places, row = np.unique(
            np.column_stack([stretches[:, 0], np.round(at, 6)]), axis=0, return_inverse=True
        )
        return places[:, 0], places[:, 1], row.ravel()


def _rows_of(part: Part, rows: NDArray[np.bool_]) -> Part:
    """Return some time stamps of a part."""
    return Part(
        part.stretches,
        part.times_s[rows],
        part.stretch[rows],
        part.values[rows],
        part.weights[rows],
    )


def _since(windows: Windows, starts_s: FloatArray) -> Windows:
    """Return windows without the events before given times."""
    window = np.repeat(np.arange(len(windows)), np.diff(windows.event_offsets))
    kept = windows.event_time_s >= (starts_s - windows.origins_s)[window] - 1e-7
    number = np.bincount(window[kept], minlength=len(windows))
    return replace(
        windows,
        event_time_s=windows.event_time_s[kept],
        event_unit_index=windows.event_unit_index[kept],
        event_offsets=np.concatenate([[0], np.cumsum(number)]),
    )
