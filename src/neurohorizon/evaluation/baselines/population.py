"""Forecasts from the whole population, solved per session on its reference alone.

Ridge regression and reduced-rank regression from all units' traces to every unit's future
rate. Their settings (which traces, penalty, rank) are chosen once, over all training
sessions, on their valid domains; in a new session one solve on the reference suffices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from neurohorizon.errors import DataError
from neurohorizon.evaluation.baselines.training import (
    TrainingSession,
    group_widths_s,
    require_training,
)
from neurohorizon.evaluation.protocol import KnownSession
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.ops.intervals import total_s
from neurohorizon.ops.regression import leading_factors
from neurohorizon.ops.traces import exponential_traces
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import Windows

NUM_TRACES = (3, 5)
#: In units of the variance of Poisson noise, as if so many origins had shown no modulation.
PENALTIES = (1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6, 3e6)
RANKS = (2, 4, 8, 12, 16, 24)
RELATIVE_LIMITS = (-1.5, 8.0)

# Neighbouring origins share most of their spikes, yet closer ones still add information.
_STEP_S = 0.025
_MOST_ORIGINS = 8000
_CHUNK = 1000
_BURN_IN_S = 1.0
_MOST_DIRECTIONS = 512
_LOWEST_RATE_HZ = 0.1


@dataclass(frozen=True)
class ReferenceMoments:
    """Second moments of a reference, from which every penalty and rank is solved.

    Parameters
    ----------
    num_traces : int
        Leading traces used.
    eigenvalues, directions : (D,), (N * P, D) float
        Of the inputs' Gram matrix, the D largest.
    projected : (D, N * G) float
        Directions times inputs times targets. The targets are relative rates, scaled to
        equal Poisson noise; those of units that are not scored are 0.
    target_scale : (N * G,) float
    """

    num_traces: int
    eigenvalues: FloatArray
    directions: FloatArray
    projected: FloatArray
    target_scale: FloatArray

    def ridge(self, penalty: float) -> FloatArray:
        """Solve ridge regression: weights (N * P, N * G) to relative rates."""
        weights = self.projected / (self.eigenvalues + penalty)[:, None]
        return self.directions @ (weights / self.target_scale)

    def reduced_rank(self, penalty: float, ranks: Sequence[int]) -> list[FloatArray]:
        """Solve ridge regression under each of several ranks.

        Notes
        -----
        As :func:`~neurohorizon.ops.regression.reduced_rank_ridge`, with one decomposition of
        the inputs' Gram matrix for all penalties.
        """
        root = np.sqrt(self.eigenvalues + penalty)[:, None]
        left, right = leading_factors(self.projected / root, max(ranks))
        solutions = []
        for rank in ranks:
            weights = (left[:, :rank] @ right[:rank]) / root
            solutions.append(self.directions @ (weights / self.target_scale))
        return solutions


def reference_moments(
    known: KnownSession, spec: WindowSpec, *, num_traces: int
) -> ReferenceMoments:
    """Read a reference for population regressions.

    Parameters
    ----------
    known : KnownSession
        Only spikes inside its reference's stretches are read.
    spec : WindowSpec
    num_traces : int
        Leading traces of each unit to use as inputs.
    """
    recording, reference = known.recording, known.reference
    num_units, groups = recording.num_units, spec.num_groups
    target_scale = np.sqrt(
        np.maximum(reference.rate_hz, _LOWEST_RATE_HZ)[:, None] * group_widths_s(spec)
    )
    # A unit that is not scored must not claim a share of the low rank.
    target_weight = target_scale * known.scored_units[:, None]
    taus_s = known.history.time_constants_s[:num_traces]
    gram = np.zeros((num_units * num_traces,) * 2)
    cross = np.zeros((num_units * num_traces, num_units * groups))
    room_s = total_s(reference.intervals)
    step_s = max(_STEP_S, room_s / _MOST_ORIGINS)
    for start, end in reference.intervals:
        origins = np.arange(start + _BURN_IN_S, end - spec.horizon_s, step_s)
        if len(origins) == 0:
            continue
        # History starts with the stretch: what came before was not read.
        traces_hz = exponential_traces(
            recording.spike_times,
            recording.spike_unit_index,
            num_units=num_units,
            at_s=origins,
            time_constants_s=taus_s,
            start_s=float(start),
            start_rate_hz=reference.rate_hz,
        )
        for first in range(0, len(origins), _CHUNK):
            rows = slice(first, first + _CHUNK)
            counts = count_in_windows(
                recording.spike_times,
                recording.spike_unit_index,
                num_units=num_units,
                starts_s=origins[rows],
                bin_s=spec.bin_s,
                num_bins=spec.num_bins,
            )
            relative = spec.group_rates(counts) / reference.rate_hz[:, None] - 1.0
            inputs = scaled_traces(traces_hz[rows], reference.rate_hz, taus_s)
            gram += inputs.T @ inputs
            cross += inputs.T @ (relative * target_weight).reshape(len(inputs), -1)
    size = len(gram)
    leading = (max(size - _MOST_DIRECTIONS, 0), size - 1)
    eigenvalues, directions = linalg.eigh(gram, subset_by_index=leading)
    return ReferenceMoments(
        num_traces=num_traces,
        eigenvalues=np.maximum(eigenvalues, 0.0),
        directions=directions,
        projected=directions.T @ cross,
        target_scale=target_scale.reshape(-1),
    )


def scaled_traces(traces_hz: FloatArray, rate_hz: FloatArray, taus_s: FloatArray) -> FloatArray:
    """Centre leading traces and give them unit variance under Poisson firing, (T, N * P)."""
    centred = traces_hz[:, :, : len(taus_s)] - rate_hz[:, None]
    scale = np.sqrt(2.0 * taus_s / rate_hz[:, None])
    return (centred * scale).reshape(len(traces_hz), -1)


class PopulationRegression:
    """Ridge or reduced-rank regression, tuned over sessions, solved per session.

    Parameters
    ----------
    low_rank : bool
    num_traces : tuple of int
        Numbers of leading traces to choose from.
    penalties : tuple of float
    ranks : tuple of int
        Used if `low_rank`.
    """

    def __init__(
        self,
        *,
        low_rank: bool,
        num_traces: tuple[int, ...] = NUM_TRACES,
        penalties: tuple[float, ...] = PENALTIES,
        ranks: tuple[int, ...] = RANKS,
    ) -> None:
        self.low_rank = low_rank
        self.num_traces = num_traces
        self.penalties = penalties
        self.ranks = ranks
        self.choice: tuple[int, float, int] | None = None
        self._solved: tuple[KnownSession, FloatArray] | None = None

    def fit(self, training: Sequence[TrainingSession]) -> None:
        r"""Choose traces, penalty and rank on the valid domains.

        Notes
        -----
        A candidate's forecast f of relative rates y is worth what the best multiple of it
        explains, by horizon group: :math:`(\sum w f y)^2 / \sum w f^2`, with weights
        :math:`w = \bar r \Delta` (Poisson noise). The multiple is free because a GLM
        rescales the forecast later.
        """
        spec = require_training(training, "population regression")
        candidates = [
            (traces, penalty, rank)
            for traces in self.num_traces
            for penalty in self.penalties
            for rank in (self.ranks if self.low_rank else (0,))
        ]
        product = np.zeros((len(candidates), spec.num_groups))
        square = np.zeros_like(product)
        for session in training:
            units = session.scored_units
            for _, chunks in groupby(session.tuning_windows(), lambda pair: id(pair[0].reference)):
                self._add_worth(list(chunks), units, spec, product, square)
        worth = np.where(product > 0, product**2 / np.maximum(square, 1e-12), 0.0)
        self.choice = candidates[int(np.argmax(worth.sum(axis=1)))]

    def relative_rate(self, known: KnownSession, windows: Windows) -> FloatArray:
        """Forecast each unit's rate relative to its reference rate, minus one, (T, N, G)."""
        if self.choice is None:
            raise DataError("population regression: fit it before forecasting")
        traces, penalty, rank = self.choice
        if self._solved is None or self._solved[0].reference is not known.reference:
            moments = reference_moments(known, windows.spec, num_traces=traces)
            self._solved = (known, next(self._solve(moments, penalty, (rank,))))
        return _apply(self._solved[1], known, windows, traces)

    def _solve(
        self, moments: ReferenceMoments, penalty: float, ranks: Sequence[int]
    ) -> Iterator[FloatArray]:
        """Yield the weights for each rank (for ridge regression: one matrix)."""
        if self.low_rank:
            yield from moments.reduced_rank(penalty, ranks)
        else:
            yield moments.ridge(penalty)

    def _add_worth(
        self,
        chunks: list[tuple[KnownSession, Windows]],
        units: NDArray[np.bool_],
        spec: WindowSpec,
        product: FloatArray,
        square: FloatArray,
    ) -> None:
        """Add what every candidate, solved on one reference, explains of its windows."""
        known = chunks[0][0]
        rate = known.reference.rate_hz[units, None]
        weight = rate * group_widths_s(spec)
        index = 0
        for traces in self.num_traces:
            moments = reference_moments(known, spec, num_traces=traces)
            for penalty in self.penalties:
                for weights in self._solve(moments, penalty, self.ranks):
                    for _, windows in chunks:
                        forecast = _apply(weights, known, windows, traces)[:, units]
                        relative = spec.group_rates(windows.counts[:, units]) / rate - 1.0
                        product[index] += (weight * forecast * relative).sum(axis=(0, 1))
                        square[index] += (weight * forecast**2).sum(axis=(0, 1))
                    index += 1


def _apply(
    weights: FloatArray, known: KnownSession, windows: Windows, num_traces: int
) -> FloatArray:
    """Forecast relative rates minus one, (T, N, G)."""
    taus_s = known.history.time_constants_s[:num_traces]
    flat = scaled_traces(windows.traces_hz, known.reference.rate_hz, taus_s) @ weights
    shape = (len(flat), known.recording.num_units, windows.spec.num_groups)
    return np.clip(flat.reshape(shape), *RELATIVE_LIMITS)
