"""The PSTH as a forecaster: what units did at this time in earlier trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from neurohorizon.evaluation.baselines.training import (
    LogLikelihoodTable,
    TrainingSession,
    group_counts,
    group_widths_s,
    require_training,
)
from neurohorizon.evaluation.protocol import KnownSession, Role, SessionCase
from neurohorizon.ops.binning import count_in_windows
from neurohorizon.ops.intervals import contains
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import Windows

SMOOTHING_S = (0.02, 0.05, 0.1, 0.2)
STRENGTHS = (1.0, 4.0, 16.0, 64.0)
LONGEST_S = 5.0


class TrialAverage:
    r"""Rates by the time since the last trial started, averaged over the reference's trials.

    Only trials that started by the origin are known to it: a bin after the origin is placed
    on the clock of the last of them, even if the next trial begins before that bin. Where
    no trial of the reference lasted so long, and before a session's first trial, the
    reference rate stands in. Conditions are averaged.

    Notes
    -----
    With counts k in m trials, smoothed by a Gaussian, the rate is the Gamma-Poisson
    posterior mean :math:`(a + k) / (a / r_{ref} + m \Delta)`; width of the Gaussian and
    strength a are chosen on the valid domain. A recording without trials gets its
    reference rates.
    """

    name = "psth"
    role: Role = "baseline"

    def __init__(
        self,
        *,
        smoothing_s: tuple[float, ...] = SMOOTHING_S,
        strengths: tuple[float, ...] = STRENGTHS,
    ) -> None:
        self.candidates = [(width, strength) for width in smoothing_s for strength in strengths]
        self.choice: tuple[float, float] | None = None
        self._of: tuple[KnownSession, FloatArray] | None = None

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Choose smoothing and strength."""
        spec = require_training(training, self.name)
        table = LogLikelihoodTable(len(self.candidates), spec)
        for session in training:
            units = session.scored_units
            for known, windows in session.tuning_windows():
                counts = group_counts(windows.counts[:, units], spec)
                for index, (width_s, strength) in enumerate(self.candidates):
                    psth = trial_psth(known, spec, smoothing_s=width_s, strength=strength)
                    expected = _on_trial_clock(psth, known, windows)[:, units]
                    rates = np.add.reduceat(expected, spec.group_edges[:-1], axis=2)
                    table.add(index, counts, rates / group_widths_s(spec))
        self.choice = self.candidates[int(np.argmax(table.total.sum(axis=1)))]

    def forecast(self, case: SessionCase, windows: Windows) -> FloatArray:
        """Forecast expected counts."""
        assert self.choice is not None, "fit first"
        if self._of is None or self._of[0] is not case.known:
            width_s, strength = self.choice
            psth = trial_psth(case.known, windows.spec, smoothing_s=width_s, strength=strength)
            self._of = (case.known, psth)
        return _on_trial_clock(self._of[1], case.known, windows)


def trial_psth(
    known: KnownSession, spec: WindowSpec, *, smoothing_s: float, strength: float
) -> FloatArray:
    """Average the reference's trials, (N, P) expected counts per bin since trial start.

    The last column is the reference rate: for times that no trial reached.
    """
    rate_hz = known.reference.rate_hz
    base = rate_hz[:, None] * spec.bin_s
    num_bins = round(LONGEST_S / spec.bin_s)
    starts = trial_starts(known)
    inside = contains(known.reference.intervals, starts)
    if not inside.any():
        return base
    # A trial's clock runs until the next trial starts or the reference ends.
    ends = np.concatenate([starts[1:], [np.inf]])
    stretch = np.searchsorted(known.reference.intervals[:, 0], starts, side="right") - 1
    ends = np.minimum(ends, known.reference.intervals[np.maximum(stretch, 0), 1])
    length_s = (ends - starts)[inside]
    recording = known.recording
    counts = count_in_windows(
        recording.spike_times,
        recording.spike_unit_index,
        num_units=recording.num_units,
        starts_s=starts[inside],
        bin_s=spec.bin_s,
        num_bins=num_bins,
    )
    whole = np.arange(1, num_bins + 1) * spec.bin_s <= length_s[:, None] + 1e-9
    summed = np.einsum("rnp,rp->np", counts, whole).astype(np.float64)
    trials = whole.sum(axis=0).astype(np.float64)
    width = smoothing_s / spec.bin_s
    spikes = gaussian_filter1d(summed, width, axis=1, mode="nearest")
    exposure_s = gaussian_filter1d(trials, width, mode="nearest") * spec.bin_s
    posterior = (strength + spikes) / (strength / rate_hz[:, None] + exposure_s) * spec.bin_s
    return np.concatenate([posterior, base], axis=1)


def trial_starts(known: KnownSession) -> FloatArray:
    """Return the starts of a recording's trials, in seconds, sorted; empty if it has none."""
    trials = known.recording.tables.get("trials")
    return np.sort(trials.start) if trials is not None else np.empty(0)


def _on_trial_clock(psth: FloatArray, known: KnownSession, windows: Windows) -> FloatArray:
    """Read a PSTH at the bins after each origin, (T, N, B)."""
    starts, spec = trial_starts(known), windows.spec
    trial = np.searchsorted(starts, windows.origins_s, side="right") - 1
    last = psth.shape[1] - 1
    if len(starts) == 0 or last == 0:
        rows = np.full((len(windows), spec.num_bins), last)
    else:
        since_s = windows.origins_s - starts[np.maximum(trial, 0)]
        first = np.floor(since_s / spec.bin_s + 0.5).astype(np.int64)
        rows = np.minimum(first[:, None] + np.arange(spec.num_bins), last)
        rows = np.where(trial[:, None] >= 0, rows, last)
    return psth[:, rows].transpose(1, 0, 2)
