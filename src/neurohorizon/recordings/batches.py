"""Batches: windows of several recordings, padded to one shape, as tensors.

A batch holds *references* (a session seen through one reference stretch) and *windows*
that point to theirs, so what depends on the reference alone is computed once and not for
every window. Padding is marked and, by test, without effect.

Shapes: S references, W windows, N units (padded), E events (padded), B bins, K time
constants, G horizon groups, M forecasts of the adapter, P private traces, L slots of the context;
of samples: M windows, L bins of one, R runs, K spikes of one, I intervals of a spike;
of hidden units: T bins of the context; of conditions: C modalities, R series of behaviour, O slots
of them, F columns, I pictures of a window, D dimensions of their embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurohorizon.recordings.conditions import MODALITIES, Modality
from neurohorizon.recordings.reference import Reference
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import Windows

# With a small pseudo-count one spike says much, with a large one little: both are given.
PSEUDO_COUNTS = (0.3, 1.5)
# Fine where refractoriness and bursts live, then 50 ms wide.
_FINE_SLOT_EDGES_S = (0.0, 0.005, 0.01, 0.02)
_SLOT_S = 0.05


def slot_edges(context_s: float) -> FloatArray:
    """Return the edges of the slots that the context is counted in, back from the origin.

    Examples
    --------
    >>> slot_edges(0.2).tolist()
    [0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2]
    """
    coarse = np.arange(_SLOT_S, context_s - 1e-9, _SLOT_S, dtype=np.float64)
    fine = [edge for edge in _FINE_SLOT_EDGES_S if edge < min(_SLOT_S, context_s)]
    edges = np.concatenate([np.array(fine), coarse, np.array([context_s])])
    return np.round(edges, 6).astype(np.float64)


@dataclass(frozen=True)
class WindowGroup:
    """Windows of one recording that share a reference.

    Parameters
    ----------
    reference : Reference
    windows : Windows
    known_unit : (N,) int
        Row of each unit in a learned table, 0 where unknown.
    hidden : (N,) bool, optional
        Units to be told from the others (:mod:`~neurohorizon.recordings.cosmoothing`).
    """

    reference: Reference
    windows: Windows
    known_unit: NDArray[np.int64]
    hidden: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class ForecastBatch:
    """Tensors that a forecaster reads, and the counts it should have forecast.

    Parameters
    ----------
    rate_SN : float
        Reference rates in Hz; 1 for padding.
    unit_mask_SN : bool
        True for units that are seen, False for padding and hidden ones.
    hidden_SN : bool
        True for units that are to be told from the others.
    statistics_SNF, functional_SNF : float
        Raw features of the reference.
    known_unit_SN : int64
    sample_counts_SNML : float
        Counts in windows of the reference; empty where no identity reads them.
    sample_mask_SM : bool
    run_time_SNRK : float
        Spikes of the reference, run by run, in seconds since the middle one; empty likewise.
    run_interval_SNRKI : float
    run_mask_SNRK : bool
    reference_W : int64
        Reference of each window.
    traces_WNK : float
        Log-ratios of a unit's traces to its reference rate, under each pseudo-count.
    population_WK : float
        The same of the whole population.
    slots_WNL : float
        Spikes of the context by slot.
    adapter_WNGM : float
        The population adapter's forecasts: relative rate minus one.
    private_WNP : float
        Log-ratios of slow traces to what the adapter's dynamics explain of them.
    adapter_mask_W : float
        1 where the adapter is given, 0 where it is withheld (then what it says is 0 too).
    event_time_WE : float
        Seconds since the origin, negative.
    event_unit_WE : int64
    event_mask_WE : bool
    behavior_WROF : float
        Series in the deviations of their reference; 0 where missing.
    behavior_mask_WRO : bool
    picture_WID : float
        Embeddings of the pictures that are known.
    picture_time_WI : float
        Their onsets, in seconds since the origin.
    picture_mask_WI : bool
    tuning_WNGC : float
        What the conditions alone forecast: relative rate minus one.
    tuning_skill_SNC : float
        How well either foretold the unit inside the reference.
    given_WC : float
        1 where behaviour, or what was shown, is known.
    smoothed_WNT : float
        Relative rate minus one in the bins of the context, from the units that are seen; empty
        where none is hidden.
    context_counts_WNT : float
        The targets of hidden units; empty likewise.
    counts_WNB : float
        The targets.
    """

    rate_SN: Tensor
    unit_mask_SN: Tensor
    hidden_SN: Tensor
    statistics_SNF: Tensor
    functional_SNF: Tensor
    known_unit_SN: Tensor
    sample_counts_SNML: Tensor
    sample_mask_SM: Tensor
    run_time_SNRK: Tensor
    run_interval_SNRKI: Tensor
    run_mask_SNRK: Tensor
    reference_W: Tensor
    traces_WNK: Tensor
    population_WK: Tensor
    slots_WNL: Tensor
    adapter_WNGM: Tensor
    private_WNP: Tensor
    adapter_mask_W: Tensor
    event_time_WE: Tensor
    event_unit_WE: Tensor
    event_mask_WE: Tensor
    behavior_WROF: Tensor
    behavior_mask_WRO: Tensor
    picture_WID: Tensor
    picture_time_WI: Tensor
    picture_mask_WI: Tensor
    tuning_WNGC: Tensor
    tuning_skill_SNC: Tensor
    given_WC: Tensor
    smoothed_WNT: Tensor
    context_counts_WNT: Tensor
    counts_WNB: Tensor

    def __len__(self) -> int:
        return len(self.reference_W)

    @property
    def unit_mask_WN(self) -> Tensor:
        """Units of each window."""
        return self.unit_mask_SN[self.reference_W]

    @property
    def hidden_WN(self) -> Tensor:
        """Hidden units of each window."""
        return self.hidden_SN[self.reference_W]

    @property
    def num_events(self) -> int:
        """Context spikes, padding left out."""
        return int(self.event_mask_WE.sum())

    def to(self, device: torch.device | str) -> ForecastBatch:
        """Return the batch on a device."""
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self)}
        return ForecastBatch(**moved)

    def without_adapter(self, windows_W: Tensor) -> ForecastBatch:
        """Return the batch with the adapter withheld from the windows where the mask is True."""
        kept = (~windows_W).to(self.adapter_WNGM.dtype)
        return replace(
            self,
            adapter_WNGM=self.adapter_WNGM * kept[:, None, None, None],
            private_WNP=self.private_WNP * kept[:, None, None],
            adapter_mask_W=self.adapter_mask_W * kept,
        )

    def without(self, modality: Modality, windows_W: Tensor) -> ForecastBatch:
        """Return the batch with a condition missing in the windows where the mask is True."""
        column = MODALITIES.index(modality)
        kept_W = ~windows_W
        others_C = torch.arange(len(MODALITIES), device=windows_W.device) != column
        kept_WC = kept_W[:, None] | others_C
        changed = {
            "tuning_WNGC": self.tuning_WNGC * kept_WC[:, None, None, :],
            "given_WC": self.given_WC * kept_WC,
        }
        if modality == "behavior":
            changed["behavior_WROF"] = self.behavior_WROF * kept_W[:, None, None, None]
            changed["behavior_mask_WRO"] = self.behavior_mask_WRO & kept_W[:, None, None]
        else:
            changed["picture_WID"] = self.picture_WID * kept_W[:, None, None]
            changed["picture_mask_WI"] = self.picture_mask_WI & kept_W[:, None]
        return replace(self, **changed)
