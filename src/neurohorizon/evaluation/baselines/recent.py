"""What the last seconds say: raw counts in a window, and Gamma-Poisson shrinkage of traces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neurohorizon.evaluation.baselines.training import (
    LogLikelihoodTable,
    TrainingSession,
    group_counts,
    require_training,
    spread_over_bins,
)
from neurohorizon.evaluation.protocol import KnownSession, Role, SessionCase
from neurohorizon.ops.binning import spikes_in_windows
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import Windows

WIDTHS_S = (0.1, 0.25, 0.5, 1.0, 4.0)
#: A window without spikes counts as half a spike: a rate of 0 would cost infinitely much.
EMPTY_COUNT = 0.5
#: Strength of the prior in spikes: its shape parameter.
STRENGTHS = tuple(float(value) for value in np.geomspace(0.1, 100.0, 13))


def recent_counts(
    known: KnownSession, origins_s: FloatArray, widths_s: Sequence[float]
) -> FloatArray:
    """Count each unit's spikes in the last seconds before each origin.

    Parameters
    ----------
    known : KnownSession
        Where history starts less than a width before an origin, the reference rate fills
        the part that may not be read.
    origins_s : (T,) array
        Seconds.
    widths_s : sequence of float
        W widths, in seconds.

    Returns
    -------
    (T, N, W) array
    """
    recording, segments = known.recording, known.history.segments
    segment = np.searchsorted(segments[:, 0], origins_s + 1e-9, side="right") - 1
    readable_s = origins_s - segments[np.maximum(segment, 0), 0]
    counts = np.empty((len(origins_s), recording.num_units, len(widths_s)))
    for column, width_s in enumerate(widths_s):
        read_s = np.minimum(width_s, readable_s)
        spike, offsets, _ = spikes_in_windows(recording.spike_times, origins_s - read_s, read_s)
        window = np.repeat(np.arange(len(origins_s)), np.diff(offsets))
        cell = window * recording.num_units + recording.spike_unit_index[spike]
        counted = np.bincount(cell, minlength=counts[:, :, column].size)
        unread_s = (width_s - read_s)[:, None]
        counts[:, :, column] = counted.reshape(counts.shape[:2])
        counts[:, :, column] += unread_s * known.reference.rate_hz
    return counts


class LastWindow:
    """The raw rate of the last window; its width is chosen per horizon on the valid domain."""

    name = "last window"
    role: Role = "baseline"

    def __init__(self, *, widths_s: tuple[float, ...] = WIDTHS_S) -> None:
        self.widths_s = widths_s
        self.width_of_group: NDArray[np.intp] | None = None

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Choose widths."""
        table = LogLikelihoodTable(len(self.widths_s), require_training(training, self.name))
        for session in training:
            units = session.scored_units
            for known, windows in session.tuning_windows():
                rates = self._rates(known, windows)[:, units]
                counts = group_counts(windows.counts[:, units], windows.spec)
                for column in range(len(self.widths_s)):
                    table.add(column, counts, rates[:, :, column, None])
        self.width_of_group = table.best()

    def forecast(self, case: SessionCase, windows: Windows) -> FloatArray:
        """Forecast the rate of the last window."""
        assert self.width_of_group is not None, "fit first"
        rates = self._rates(case.known, windows)[:, :, self.width_of_group]
        return spread_over_bins(rates, windows.spec)

    def _rates(self, known: KnownSession, windows: Windows) -> FloatArray:
        counts = recent_counts(known, windows.origins_s, self.widths_s)
        return np.maximum(counts, EMPTY_COUNT) / np.asarray(self.widths_s)


class Shrinkage:
    r"""Recent, exponentially weighted counts, shrunk toward the reference rate.

    Notes
    -----
    With prior :math:`\Gamma(a, a / r_{ref})` and a trace :math:`x_\tau`, worth
    :math:`\tau x_\tau` spikes in :math:`\tau` seconds, the posterior mean is
    :math:`(a + \tau x_\tau) / (a / r_{ref} + \tau)`. Strength `a` and time constant are
    chosen per horizon group on the valid domain.
    """

    name = "shrinkage"
    role: Role = "baseline"

    def __init__(self, *, strengths: tuple[float, ...] = STRENGTHS) -> None:
        self.strengths = strengths
        self.choice: list[tuple[int, float]] = []

    def fit(self, training: Sequence[TrainingSession]) -> None:
        """Choose time constants and strengths."""
        spec = require_training(training, self.name)
        num_traces = len(training[0].history.time_constants_s)
        candidates = [
            (trace, strength) for trace in range(num_traces) for strength in self.strengths
        ]
        table = LogLikelihoodTable(len(candidates), spec)
        for session in training:
            units = session.scored_units
            for known, windows in session.tuning_windows():
                counts = group_counts(windows.counts[:, units], spec)
                for index, (trace, strength) in enumerate(candidates):
                    rates = _posterior(known, windows, trace, strength)[:, units, None]
                    table.add(index, counts, rates)
        self.choice = [candidates[index] for index in table.best()]

    def forecast(self, case: SessionCase, windows: Windows) -> FloatArray:
        """Forecast the posterior mean."""
        assert self.choice, "fit first"
        chosen = {key: _posterior(case.known, windows, *key) for key in set(self.choice)}
        rates = np.stack([chosen[key] for key in self.choice], axis=-1)
        return spread_over_bins(rates, windows.spec)


def _posterior(known: KnownSession, windows: Windows, trace: int, strength: float) -> FloatArray:
    """Return the posterior mean rate, (T, N), in Hz."""
    tau_s = known.history.time_constants_s[trace]
    spikes = tau_s * windows.traces_hz[:, :, trace]
    return (strength + spikes) / (strength / known.reference.rate_hz + tau_s)
