"""Scores on the validation windows while a model trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from neurohorizon.evaluation.metrics import (
    NLB_FLOOR,
    bits_per_spike,
    log_likelihood_kernel,
    nlb,
)
from neurohorizon.evaluation.null import session_null
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.recordings.batches import WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.cosmoothing import context_counts, every_fourth
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.training.processes import exchange

_WINDOWS_AT_ONCE = 64


@dataclass(frozen=True)
class _GroupScore:
    """What one recording's windows add: by bin, and by unit."""

    gain: FloatArray
    spikes: FloatArray
    correlation: FloatArray
    r2: FloatArray


class Validation:
    """Validation windows with their null, scored against any state of a model.

    Parameters
    ----------
    groups : sequence of (Recording, WindowGroup)
        The windows of each recording.
    horizons_s : sequence of float
        Horizons to report, in seconds.
    """

    def __init__(
        self, groups: Sequence[tuple[Recording, WindowGroup]], *, horizons_s: Sequence[float]
    ) -> None:
        self.groups = groups
        spec = groups[0][1].windows.spec
        reachable = [horizon for horizon in horizons_s if horizon <= spec.horizon_s + 1e-9]
        self.bins = {horizon: spec.bins_until(horizon) for horizon in reachable}
        self.bins.setdefault(spec.horizon_s, spec.num_bins)
        self.decisive = f"bits_per_spike_{round(spec.horizon_s * 1000)}ms"
        self.null_counts = [
            session_null(recording, _hidden(recording)).rate_hz * spec.bin_s
            for recording, _ in groups
        ]

    def score(
        self,
        model: HorizonForecaster,
        device: torch.device | str,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> dict[str, float]:
        """Return bits/spike by horizon, rate correlation and R2 of whole-horizon counts.

        Parameters
        ----------
        model : HorizonForecaster
        device : device
        rank, world_size : int
            Processes share the recordings out; each returns the scores of them all.

        Notes
        -----
        Correlation and R2 are taken per unit over windows, then averaged over the units
        that fire at all.
        """
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            mine = {
                index: self._score_group(model, index, device)
                for index in range(rank, len(self.groups), world_size)
            }
        shared = {index: score for part in exchange(mine) for index, score in part.items()}
        every = [shared[index] for index in range(len(self.groups))]
        gain = np.sum([score.gain for score in every], axis=0)
        spikes = np.sum([score.spikes for score in every], axis=0)
        scores = {
            f"bits_per_spike_{round(horizon * 1000)}ms": float(
                bits_per_spike(np.sum(gain[:count]), 0.0, np.sum(spikes[:count]))
            )
            for horizon, count in self.bins.items()
        }
        if model.cosmoother is not None:
            scores["co_bps"] = self._co_bps(model, device)
        model.train(was_training)
        scores["rate_correlation"] = _mean_known([score.correlation for score in every])
        scores["count_r2"] = _mean_known([score.r2 for score in every])
        return scores

    def _score_group(
        self, model: HorizonForecaster, index: int, device: torch.device | str
    ) -> _GroupScore:
        group, null = self.groups[index][1], self.null_counts[index]
        expected = self._forecast(model, group, device)
        counts = group.windows.counts
        log_ratio = log_likelihood_kernel(counts, expected) - log_likelihood_kernel(
            counts, null[:, None]
        )
        correlation, r2 = _per_unit(expected.sum(axis=2), counts.sum(axis=2))
        return _GroupScore(
            gain=log_ratio.sum(axis=(0, 1)),
            spikes=counts.sum(axis=(0, 1)),
            correlation=correlation,
            r2=r2,
        )

    def _co_bps(self, model: HorizonForecaster, device: torch.device | str) -> float:
        """Score every fourth unit in the contexts, told from the others."""
        likelihoods, spikes, entries = [], [], []
        with torch.inference_mode():
            for _, group in self.groups:
                hidden = every_fourth(group.windows.num_units)
                total = np.zeros(int(hidden.sum()))
                for start in range(0, len(group.windows), _WINDOWS_AT_ONCE):
                    windows = group.windows.part(start, start + _WINDOWS_AT_ONCE)
                    shown = replace(group, windows=windows, hidden=hidden)
                    batch = collate_groups([shown]).to(device)
                    told = model.likelihood.mean(model.cosmooth(batch)).double().cpu().numpy()
                    counts = context_counts(windows)[:, hidden]
                    kernel = log_likelihood_kernel(counts, np.maximum(told[:, hidden], NLB_FLOOR))
                    total += kernel.sum(axis=(0, 2))
                counts = context_counts(group.windows)[:, hidden]
                likelihoods.append(total)
                spikes.append(counts.sum(axis=(0, 2)))
                entries.append(np.full(len(total), counts.shape[0] * counts.shape[2]))
        return nlb(np.concatenate(likelihoods), np.concatenate(spikes), np.concatenate(entries))

    def _forecast(
        self, model: HorizonForecaster, group: WindowGroup, device: torch.device | str
    ) -> FloatArray:
        parts = []
        for start in range(0, len(group.windows), _WINDOWS_AT_ONCE):
            windows = group.windows.part(start, start + _WINDOWS_AT_ONCE)
            batch = collate_groups([WindowGroup(group.reference, windows, group.known_unit)])
            parts.append(model.expected_counts(batch.to(device)).double().cpu().numpy())
        return np.concatenate(parts)


def _mean_known(parts: list[FloatArray]) -> float:
    """Average over all units for which the score exists; NaN if there is none."""
    values = np.concatenate(parts)
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _hidden(recording: Recording) -> FloatArray:
    """Return what neither training nor the null of validation may see."""
    split = recording.require_split()
    return np.concatenate([split.valid, split.test])


def _per_unit(expected_TN: FloatArray, counts_TN: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Correlate and explain counts over windows, per unit; NaN for constant units."""
    expected = expected_TN - expected_TN.mean(axis=0)
    counts = counts_TN - counts_TN.mean(axis=0)
    power = np.sum(counts**2, axis=0)
    norm = np.sqrt(np.sum(expected**2, axis=0) * power)
    missing = np.full(len(power), np.nan)
    correlation = np.divide(np.sum(expected * counts, axis=0), norm, out=missing, where=norm > 0)
    residual = np.sum((counts_TN - expected_TN) ** 2, axis=0)
    ratio = np.divide(residual, power, out=np.full(len(power), np.nan), where=power > 0)
    return correlation, 1.0 - ratio
