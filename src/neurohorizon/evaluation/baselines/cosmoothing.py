"""Baselines of co-smoothing: what tells hidden units from the others without a network.

Each is solved on the reference alone, and sees in a window what the model sees.

Shapes: W windows, N units, M hidden ones, T bins of the context, F features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurohorizon.ops.binning import count_in_windows
from neurohorizon.ops.regression import FoldedMoments
from neurohorizon.recordings.cosmoothing import context_counts, smoothed_rates
from neurohorizon.recordings.dynamics import poisson_deviation
from neurohorizon.recordings.reference import Reference
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import Windows

KERNELS_S = (0.03, 0.1)
RIDGES = tuple(float(ridge) for ridge in np.logspace(1, 5, 9))
LOWEST_SHARE = 0.05
_NUM_FOLDS = 4
_WINDOWS_AT_ONCE = 500


class SmoothedSpikes:
    """Ridge regression of hidden units on the others' smoothed spikes in the same window.

    Parameters
    ----------
    recording : Recording
    reference : Reference
        The stretch that it is solved on.
    spec : WindowSpec
    hidden : (N,) bool

    Notes
    -----
    Counts are centred on the reference rates, divided by their Poisson deviation and smoothed
    with Gaussians of 30 and 100 ms that end at the window's edges. The penalty is chosen for
    each hidden unit by cross-validation over four stretches of the reference. Expected counts
    are at least 5 % of the reference rate's.

    References
    ----------
    Pei et al. 2021, Neural Latents Benchmark '21, whose simplest baseline smooths spikes.
    """

    def __init__(
        self,
        recording: Recording,
        reference: Reference,
        *,
        spec: WindowSpec,
        hidden: NDArray[np.bool_],
    ) -> None:
        self.hidden = hidden
        self.rate_hz, self.bin_s = reference.rate_hz, spec.bin_s
        middle = (np.arange(spec.num_context_bins) + 0.5) * spec.bin_s
        kernels = [np.exp(-0.5 * ((middle[:, None] - middle) / s) ** 2) for s in KERNELS_S]
        self._kernels = np.stack([kernel / kernel.sum(axis=1, keepdims=True) for kernel in kernels])
        length_s = spec.num_context_bins * spec.bin_s
        starts = np.concatenate(
            [
                start + np.arange(int((end - start) / length_s + 1e-6)) * length_s
                for start, end in reference.intervals
            ]
        )
        fold = np.arange(len(starts)) * _NUM_FOLDS // max(len(starts), 1)
        moments = FoldedMoments(
            len(KERNELS_S) * int((~hidden).sum()), int(hidden.sum()), num_folds=_NUM_FOLDS
        )
        for index in range(_NUM_FOLDS):
            mine = starts[fold == index]
            for first in range(0, len(mine), _WINDOWS_AT_ONCE):
                counts = count_in_windows(
                    recording.spike_times,
                    recording.spike_unit_index,
                    num_units=recording.num_units,
                    starts_s=mine[first : first + _WINDOWS_AT_ONCE],
                    bin_s=spec.bin_s,
                    num_bins=spec.num_context_bins,
                )
                targets = self._scaled(counts)[:, hidden].transpose(0, 2, 1)
                moments.add(index, self._features(counts), targets.reshape(-1, targets.shape[2]))
        self._weights, _ = moments.solve(RIDGES, group=np.arange(int(hidden.sum())))

    def expected_counts(self, counts_WNT: NDArray[np.integer]) -> FloatArray:
        """Tell the counts of hidden units, (W, M, T), from those of the others."""
        told = self._features(counts_WNT) @ self._weights
        told = told.reshape(len(counts_WNT), -1, told.shape[1]).transpose(0, 2, 1)
        rate = self.rate_hz[self.hidden]
        relative = told / poisson_deviation(rate, self.bin_s)[:, None]
        expected = (rate * self.bin_s)[:, None]
        return expected * np.maximum(1.0 + relative, LOWEST_SHARE)

    def _scaled(self, counts_WNT: NDArray[np.integer]) -> FloatArray:
        expected = (self.rate_hz * self.bin_s)[:, None]
        return (counts_WNT - expected) / poisson_deviation(self.rate_hz, self.bin_s)[:, None]

    def _features(self, counts_WNT: NDArray[np.integer]) -> FloatArray:
        """Return the seen units' smoothed counts, (W * T, F)."""
        seen = self._scaled(counts_WNT)[:, ~self.hidden]
        smooth = np.einsum("kts,wns->wtkn", self._kernels, seen, optimize=True)
        return smooth.reshape(seen.shape[0] * seen.shape[2], -1)


def smoothed_dynamics(
    windows: Windows, reference: Reference, *, hidden: NDArray[np.bool_]
) -> FloatArray:
    """Tell the counts of hidden units by the reference's dynamics alone, (W, M, T)."""
    dynamics = reference.adapter.dynamics
    rates = smoothed_rates(context_counts(windows), hidden, dynamics)[:, hidden]
    expected = (reference.rate_hz[hidden] * windows.spec.bin_s)[:, None]
    return expected * np.maximum(1.0 + rates, LOWEST_SHARE)
