"""What baselines are fitted and tuned on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol as StructuralProtocol

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.protocol import (
    KnownSession,
    Protocol,
    Role,
    SessionCase,
    prepare_case,
    scored_units,
)
from neurohorizon.ops.intervals import total_s
from neurohorizon.recordings.reference_pool import (
    CrossFit,
    draw_cross_fits,
    draw_folds,
    has_folds,
)
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import History, WindowReader, Windows

#: Called with what is being done, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]

_FEWEST_CROSS_FITS = 2
_CROSS_FITS_IN_ALL = 8


@dataclass(frozen=True)
class TrainingSession:
    """One recording to fit baselines on.

    Parameters
    ----------
    protocol : Protocol
    recording : Recording
    history : History
    scored_units : (N,) bool
        Units to fit on.
    cross_fits : list of CrossFit
        References in the train domain, each with the stretches whose windows it may serve.
    valid : SessionCase or None
        The valid domain with the reference that evaluation would read, for tuning; None if
        that domain holds no window.
    """

    protocol: Protocol
    recording: Recording
    history: History
    scored_units: NDArray[np.bool_]
    cross_fits: list[CrossFit]
    valid: SessionCase | None

    def fitting_windows(
        self, *, max_rows: int, seed: int
    ) -> Iterator[tuple[KnownSession, Windows]]:
        """Yield windows of each cross-fit, at most `max_rows` (window, unit) pairs in all.

        Origins are drawn at random from those of the protocol's step.
        """
        generator = np.random.default_rng(seed)
        num_origins = max(max_rows // (len(self.cross_fits) * int(self.scored_units.sum())), 1)
        for cross_fit in self.cross_fits:
            origins = self.protocol.spec.origins(cross_fit.free, step_s=self.protocol.origin_step_s)
            if len(origins) > num_origins:
                origins = np.sort(generator.choice(origins, num_origins, replace=False))
            if len(origins):
                yield self._known(cross_fit), self._read(origins, cross_fit)

    def tuning_windows(self, *, max_rows: int = 50_000) -> Iterator[tuple[KnownSession, Windows]]:
        """Yield the windows that settings are chosen on: of the valid domain, if it has any.

        At most about `max_rows` (window, unit) pairs, evenly spaced.
        """
        if self.valid is None:
            yield from self.fitting_windows(max_rows=max_rows, seed=0)
            return
        num_rows = len(self.valid.origins_s) * int(self.scored_units.sum())
        case = self.valid.thin(max(-(-num_rows // max_rows), 1))
        for windows in case.chunks():
            yield case.known, windows

    def _known(self, cross_fit: CrossFit) -> KnownSession:
        return KnownSession(self.recording, cross_fit.reference, self.history, self.scored_units)

    def _read(self, origins: FloatArray, cross_fit: CrossFit) -> Windows:
        reader = WindowReader(self.recording, self.protocol.spec, self.history)
        return cross_fit.reference.read_windows(reader, origins)


def prepare_training(
    recordings: Sequence[Recording],
    protocol: Protocol,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[TrainingSession]:
    """Make recordings ready to fit baselines on.

    Parameters
    ----------
    recordings : sequence of Recording
        With splits; only their train and valid domains are read.
    protocol : Protocol
    seed : int
    progress : callable, optional

    Notes
    -----
    What a regression learns about its reference must fit how evaluation will use one. A
    reference of some seconds before the scored stretch is imitated by stretches of that
    length (at most half of the train domain) at random places, two a recording and more if
    there are few recordings. A reference that is the whole train domain of an interleaved
    split surrounds what is scored: it is imitated by leaving out one block in four.
    """
    num_cross_fits = max(_FEWEST_CROSS_FITS, -(-_CROSS_FITS_IN_ALL // max(len(recordings), 1)))
    sessions = []
    for index, recording in enumerate(recordings):
        if progress is not None:
            progress("baselines: references", index, len(recordings))
        split, history = recording.require_split(), History(recording)
        if has_folds(split, protocol.reference_s):
            cross_fits = draw_folds(recording, split.train, spec=protocol.spec, seed=seed + index)
        else:
            length_s = protocol.reference_s or total_s(split.train)
            cross_fits = draw_cross_fits(
                recording,
                split.train,
                spec=protocol.spec,
                lengths_s=(length_s,) * num_cross_fits,
                seed=seed + index,
            )
        sessions.append(
            TrainingSession(
                protocol=protocol,
                recording=recording,
                history=history,
                scored_units=scored_units(recording, protocol),
                cross_fits=cross_fits,
                valid=_valid_case(recording, protocol, history),
            )
        )
    return sessions


def _valid_case(recording: Recording, protocol: Protocol, history: History) -> SessionCase | None:
    valid = recording.require_split().valid
    if len(protocol.spec.origins(valid, step_s=protocol.origin_step_s)) == 0:
        return None
    return prepare_case(recording, protocol, held_out=False, part="valid", history=history)


def require_training(training: Sequence[TrainingSession], name: str) -> WindowSpec:
    """Return the geometry of the training sessions, or say that there are none."""
    if not training:
        raise DataError(f"baseline {name}: no training session: expected one at least")
    return training[0].protocol.spec


class Baseline(StructuralProtocol):
    """A forecaster that is fitted on training sessions."""

    name: str

    role: Role

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Fit and tune; evaluation data is never seen."""
        ...

    def forecast(self, case: SessionCase, windows: Windows) -> NDArray[np.floating]:
        """Forecast expected counts, see :class:`~..protocol.Forecaster`."""
        ...


def spread_over_bins(group_rate_hz: FloatArray, spec: WindowSpec) -> FloatArray:
    """Turn rates by horizon group (..., G) in Hz into expected counts by bin (..., B)."""
    return group_rate_hz[..., spec.group_of_bin] * spec.bin_s


def group_counts(counts: NDArray[np.integer], spec: WindowSpec) -> NDArray[np.integer]:
    """Sum counts (..., B) by horizon group, (..., G)."""
    return np.add.reduceat(counts, spec.group_edges[:-1], axis=-1)


def group_widths_s(spec: WindowSpec) -> FloatArray:
    """Return the width of each horizon group, (G,), in seconds."""
    return np.diff(spec.group_edges) * spec.bin_s


class LogLikelihoodTable:
    """Sums the log-likelihood of candidate settings by horizon group, to choose from.

    Parameters
    ----------
    num_candidates : int
    spec : WindowSpec
    """

    def __init__(self, num_candidates: int, spec: WindowSpec) -> None:
        self.widths_s = group_widths_s(spec)
        self.total = np.zeros((num_candidates, spec.num_groups))

    def add(self, candidate: int, counts: NDArray[np.integer], rate_hz: FloatArray) -> None:
        """Add windows: counts by horizon group (T, M, G), rates (T, M, G or 1) in Hz."""
        expected = rate_hz * self.widths_s
        kernel = counts * np.log(expected) - expected
        self.total[candidate] += kernel.sum(axis=(0, 1))

    def best(self) -> NDArray[np.intp]:
        """Return the best candidate of each horizon group, (G,)."""
        return np.argmax(self.total, axis=0)
