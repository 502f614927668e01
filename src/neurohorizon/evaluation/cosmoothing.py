"""Co-smoothing beside forward prediction: how well hidden units are told from all others.

The score is the Neural Latents Benchmark's: bits per spike of hidden units in the bins in
which the others are seen, over each unit's mean in what is evaluated.

Shapes: A rows, K blocks of time, M hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.baselines.cosmoothing import SmoothedSpikes, smoothed_dynamics
from neurohorizon.evaluation.bootstrap import Interval, bootstrap
from neurohorizon.evaluation.metrics import NLB_FLOOR, log_likelihood_kernel, nlb
from neurohorizon.evaluation.protocol import SessionCase
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.recordings.cosmoothing import HELD_OUT_COLUMN, context_counts, every_fourth
from neurohorizon.recordings.schema import FloatArray, Recording

Progress = Callable[[int, int], None]

BASELINES = ("ridge on smoothed spikes", "smoothed dynamics", "reference rate")


@dataclass(frozen=True, eq=False)
class CoSmoothing:
    """How well the hidden units of one recording were told.

    Parameters
    ----------
    recording : str
    rows : (A,) str
        The model, then baselines.
    unit_id : (M,) str
        Hidden units.
    num_seen : int
        Units that they were told from.
    num_counts : (K,) int
        Counts of each unit, by block.
    log_likelihood : (A, K, M) float
        Kernel of the Poisson log-likelihood, in nats, summed.
    spikes : (K, M) int
    """

    recording: str
    rows: NDArray[np.str_]
    unit_id: NDArray[np.str_]
    num_seen: int
    num_counts: NDArray[np.int64]
    log_likelihood: FloatArray
    spikes: NDArray[np.int64]

    @property
    def gain(self) -> FloatArray:
        """Log-likelihood over each unit's own mean, by row and block, (A, K)."""
        mean = self.spikes.sum(axis=0) / max(self.num_counts.sum(), 1)
        null = self.spikes * np.log(np.maximum(mean, NLB_FLOOR)) - np.outer(self.num_counts, mean)
        return (self.log_likelihood - null).sum(axis=2)

    def co_bps(self) -> dict[str, float]:
        """Return each row's co-bps, exactly as the benchmark computes it."""
        spikes = self.spikes.sum(axis=0)
        counts = np.full(len(spikes), self.num_counts.sum())
        return {
            str(row): nlb(self.log_likelihood[place].sum(axis=0), spikes, counts)
            for place, row in enumerate(self.rows)
        }


def units_to_hide(recording: Recording, scored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Choose the units that are hidden, (N,).

    Those that the benchmark holds out (unit column ``held_out``), where a recording has such;
    otherwise every fourth of the units that are scored.
    """
    column = recording.units.columns.get(HELD_OUT_COLUMN)
    if column is not None:
        held_out = np.asarray(column, dtype=bool)
        if held_out.any() and not held_out.all():
            return held_out
    return every_fourth(recording.num_units, scored)


def measure_cosmoothing(
    forecaster: TrainedForecaster,
    cases: Sequence[SessionCase],
    *,
    hidden: Callable[[SessionCase], NDArray[np.bool_]] | None = None,
    progress: Progress | None = None,
) -> list[CoSmoothing]:
    """Score a model and baselines on hidden units, in the contexts before scored origins.

    Parameters
    ----------
    forecaster : TrainedForecaster
        Trained with hidden units.
    cases : sequence of SessionCase
        Of one protocol. Those that are not scored are left out, and those of one unit.
    hidden : callable, optional
        Given a case, which units are hidden, (N,) bool; :func:`units_to_hide` by default.
    progress : callable, optional
        Called with cases done, and cases in all.

    Returns
    -------
    list of CoSmoothing
        One a case that is not left out.
    """
    found = []
    for index, case in enumerate(cases):
        if progress is not None:
            progress(index, len(cases))
        if case.recording.num_units < 2 or case.why_not_scored:
            continue
        chosen = (
            units_to_hide(case.recording, case.scored_units) if hidden is None else hidden(case)
        )
        found.append(_measure(forecaster, case, chosen))
    if progress is not None:
        progress(len(cases), len(cases))
    return found


def _measure(
    forecaster: TrainedForecaster, case: SessionCase, hidden: NDArray[np.bool_]
) -> CoSmoothing:
    protocol, reference = case.protocol, case.reference
    spec, recording = protocol.spec, case.recording
    # Contexts that overlap would count spikes twice.
    case = case.thin(max(int(np.ceil(spec.context_s / protocol.origin_step_s - 1e-9)), 1))
    ridge = SmoothedSpikes(recording, reference, spec=spec, hidden=hidden)
    block = np.floor(case.origins_s / protocol.block_s).astype(np.int64)
    block = np.unique(block, return_inverse=True)[1]
    num_blocks, num_hidden = int(block.max()) + 1, int(hidden.sum())
    rows = [forecaster.name, *BASELINES]
    log_likelihood = np.zeros((len(rows), num_blocks, num_hidden))
    spikes = np.zeros((num_blocks, num_hidden), dtype=np.int64)
    constant = (reference.rate_hz[hidden] * spec.bin_s)[:, None]
    start = 0
    for windows in case.chunks():
        here = block[start : start + len(windows)]
        start += len(windows)
        counts = context_counts(windows)
        told = [
            forecaster.cosmoothed_counts(recording, reference, windows, hidden=hidden),
            ridge.expected_counts(counts),
            smoothed_dynamics(windows, reference, hidden=hidden),
            np.broadcast_to(constant, counts[:, hidden].shape),
        ]
        np.add.at(spikes, here, counts[:, hidden].sum(axis=2))
        for place, expected in enumerate(told):
            expected = np.maximum(expected.astype(np.float64), NLB_FLOOR)
            kernel = log_likelihood_kernel(counts[:, hidden], expected).sum(axis=2)
            np.add.at(log_likelihood[place], here, kernel)
    return CoSmoothing(
        recording=recording.id,
        rows=np.array(rows),
        unit_id=recording.units.id[hidden],
        num_seen=int((~hidden).sum()),
        num_counts=np.bincount(block, minlength=num_blocks) * spec.num_context_bins,
        log_likelihood=log_likelihood,
        spikes=spikes,
    )


def pooled_co_bps(found: Sequence[CoSmoothing], row: int, *, minus: int | None = None) -> Interval:
    """Return co-bps over all recordings, or the paired difference of two rows.

    Sums over everything evaluated, with the same interval as forecasts have
    (:func:`~neurohorizon.evaluation.bootstrap.bootstrap`).
    """
    gains = []
    for each in found:
        gain = each.gain[row] - (0.0 if minus is None else each.gain[minus])
        gains.append(gain[:, None])
    return bootstrap(gains, [each.spikes.sum(axis=1)[:, None] for each in found])
