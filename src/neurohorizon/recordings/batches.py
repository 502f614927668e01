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

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurohorizon.ops.traces import trace_log_ratios
from neurohorizon.recordings.conditions import MODALITIES, Modality
from neurohorizon.recordings.cosmoothing import context_counts, hide_units, smoothed_rates
from neurohorizon.recordings.reference import Reference
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import TRACE_TIME_CONSTANTS_S, Windows

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


def collate_groups(groups: Sequence[WindowGroup]) -> ForecastBatch:
    """Pad and stack groups into one batch.

    Parameters
    ----------
    groups : sequence of WindowGroup
        At least one; all with the same window geometry. Units are hidden in all or in none.
    """
    spec = groups[0].windows.spec
    num_units = max(group.windows.num_units for group in groups)
    hidden_ones = [_hidden_arrays(group, num_units) for group in groups]
    groups = [_without_hidden(group) for group in groups]
    num_events = max(int(np.diff(group.windows.event_offsets).max(initial=0)) for group in groups)
    references = [_reference_arrays(group, num_units) for group in groups]
    samples = _pad_alike([_sample_arrays(group, num_units) for group in groups])
    windows = [_window_arrays(group, num_units, num_events) for group in groups]
    conditions = _pad_alike([_condition_arrays(group, num_units) for group in groups])
    windows = [
        one | other | third
        for one, other, third in zip(windows, conditions, hidden_ones, strict=True)
    ]
    stacked = {name: np.stack([part[name] for part in references]) for name in references[0]}
    stacked |= {name: np.concatenate([part[name] for part in samples]) for name in samples[0]}
    joined = {name: np.concatenate([part[name] for part in windows]) for name in windows[0]}
    lengths = [len(group.windows) for group in groups]
    assert all(group.windows.spec == spec for group in groups), "windows differ in geometry"
    return ForecastBatch(
        **{name: torch.from_numpy(array) for name, array in (stacked | joined).items()},
        reference_W=torch.repeat_interleave(torch.arange(len(groups)), torch.tensor(lengths)),
    )


def _reference_arrays(group: WindowGroup, num_units: int) -> dict[str, NDArray]:
    reference, missing = group.reference, num_units - group.windows.num_units
    hidden = np.zeros(num_units, dtype=bool)
    if group.hidden is not None:
        hidden[: len(group.hidden)] = group.hidden
    mask = (np.arange(num_units) < group.windows.num_units) & ~hidden
    return {
        "rate_SN": np.pad(reference.rate_hz, (0, missing), constant_values=1.0).astype(np.float32),
        "unit_mask_SN": mask,
        "hidden_SN": hidden,
        "statistics_SNF": _pad_units(reference.statistics, missing, axis=0),
        "functional_SNF": _pad_units(reference.functional, missing, axis=0),
        "known_unit_SN": np.pad(group.known_unit, (0, missing)).astype(np.int64),
        "tuning_skill_SNC": _pad_units(
            np.zeros((len(reference.rate_hz), len(MODALITIES)))
            if reference.tuning is None
            else reference.tuning.skill,
            missing,
            axis=0,
        ),
    }


def _sample_arrays(group: WindowGroup, num_units: int) -> dict[str, NDArray]:
    """Lay out the samples of a reference as a row of a batch; empty where none are read."""
    samples, missing = group.reference.samples, num_units - group.windows.num_units
    if samples is None:
        return {
            "sample_counts_SNML": np.zeros((1, num_units, 0, 0), dtype=np.float32),
            "sample_mask_SM": np.zeros((1, 0), dtype=bool),
            "run_time_SNRK": np.zeros((1, num_units, 0, 0), dtype=np.float32),
            "run_interval_SNRKI": np.zeros((1, num_units, 0, 0, 0), dtype=np.float32),
            "run_mask_SNRK": np.zeros((1, num_units, 0, 0), dtype=bool),
        }
    return {
        "sample_counts_SNML": _pad_units(samples.counts[None], missing, axis=1),
        "sample_mask_SM": np.ones((1, samples.counts.shape[1]), dtype=bool),
        "run_time_SNRK": _pad_units(samples.time_s[None], missing, axis=1),
        "run_interval_SNRKI": _pad_units(samples.interval_s[None], missing, axis=1),
        "run_mask_SNRK": _pad_units(samples.there[None], missing, axis=1) > 0,
    }


def _window_arrays(group: WindowGroup, num_units: int, num_events: int) -> dict[str, NDArray]:
    reference, windows = group.reference, group.windows
    missing = num_units - windows.num_units
    traces = _log_ratios(windows.traces_hz, reference.rate_hz)
    seen = slice(None) if group.hidden is None else ~group.hidden
    population = _log_ratios(
        windows.traces_hz[:, seen].sum(axis=1, keepdims=True),
        reference.rate_hz[seen].sum(keepdims=True),
    )

    adapter = reference.adapter.forecast(windows.traces_hz, windows.states)
    private = reference.adapter.private_traces(windows.traces_hz, windows.states)
    # It forecasts what comes, from all units: it is withheld where some are hidden.
    given = np.full(len(windows), group.hidden is None, dtype=np.float32)

    lengths = np.diff(windows.event_offsets)
    window = np.repeat(np.arange(len(windows)), lengths)
    column = np.arange(len(window)) - windows.event_offsets[:-1][window]
    event_time = np.zeros((len(windows), num_events), dtype=np.float32)
    event_unit = np.zeros((len(windows), num_events), dtype=np.int64)
    event_time[window, column] = windows.event_time_s
    event_unit[window, column] = windows.event_unit_index

    edges = slot_edges(windows.spec.context_s)
    num_slots = len(edges) - 1
    slot = np.searchsorted(edges, -windows.event_time_s.astype(np.float64) - 1e-7, side="right")
    slot = np.clip(slot - 1, 0, num_slots - 1)
    cell = (window * windows.num_units + windows.event_unit_index) * num_slots + slot
    slots = np.bincount(cell, minlength=len(windows) * windows.num_units * num_slots)
    slots = slots.reshape(len(windows), windows.num_units, num_slots)
    return {
        "traces_WNK": _pad_units(traces, missing, axis=1),
        "population_WK": population[:, 0].astype(np.float32),
        "slots_WNL": _pad_units(slots, missing, axis=1),
        "adapter_WNGM": _pad_units(adapter, missing, axis=1) * given[:, None, None, None],
        "private_WNP": _pad_units(private, missing, axis=1) * given[:, None, None],
        "adapter_mask_W": given,
        "event_time_WE": event_time,
        "event_unit_WE": event_unit,
        "event_mask_WE": np.arange(num_events) < lengths[:, None],
        "counts_WNB": _pad_units(windows.counts, missing, axis=1),
    }


def _without_hidden(group: WindowGroup) -> WindowGroup:
    """Take from a group what its hidden units did before the origin."""
    if group.hidden is None:
        return group
    assert not group.hidden.all(), "all units are hidden: there is nothing to tell them from"
    rate_hz = group.reference.rate_hz
    return replace(group, windows=hide_units(group.windows, group.hidden, rate_hz=rate_hz))


def _hidden_arrays(group: WindowGroup, num_units: int) -> dict[str, NDArray]:
    """Lay out what is told of hidden units, and what they did; empty where none is hidden."""
    windows, missing = group.windows, num_units - group.windows.num_units
    if group.hidden is None:
        empty = np.zeros((len(windows), num_units, 0), dtype=np.float32)
        return {"smoothed_WNT": empty, "context_counts_WNT": empty}
    counts = context_counts(windows)
    smoothed = smoothed_rates(counts, group.hidden, group.reference.adapter.dynamics)
    return {
        "smoothed_WNT": _pad_units(smoothed, missing, axis=1),
        "context_counts_WNT": _pad_units(counts, missing, axis=1),
    }


def _condition_arrays(group: WindowGroup, num_units: int) -> dict[str, NDArray]:
    """Lay out the conditions of a group: missing where there are none, empty if none are read."""
    windows, tuning, conditions = group.windows, group.reference.tuning, group.windows.conditions
    num_windows, wanted = len(windows), windows.spec.conditions
    if tuning is None or conditions is None:
        num_groups = windows.spec.num_groups if wanted else 0
        behavior = (num_windows, len(wanted.behavior), wanted.num_slots)
        return {
            "behavior_WROF": np.zeros((*behavior, 0), dtype=np.float32),
            "behavior_mask_WRO": np.zeros(behavior, dtype=bool),
            "picture_WID": np.zeros((num_windows, 0, 0), dtype=np.float32),
            "picture_time_WI": np.zeros((num_windows, 0), dtype=np.float32),
            "picture_mask_WI": np.zeros((num_windows, 0), dtype=bool),
            "tuning_WNGC": np.zeros((num_windows, num_units, num_groups, len(MODALITIES)), "f4"),
            "given_WC": np.zeros((num_windows, len(MODALITIES)), dtype=np.float32),
        }
    series = tuning.standardised(conditions)
    columns = max((values.shape[2] for values in series), default=0)
    behavior = np.full((num_windows, len(series), wanted.num_slots, columns), np.nan)
    for row, values in enumerate(series):
        behavior[:, row, :, : values.shape[2]] = values
    known = np.isfinite(behavior)

    lengths = np.diff(conditions.picture_offsets)
    most = int(lengths.max(initial=0))
    picture = np.zeros((num_windows, most, conditions.vectors.shape[1]), dtype=np.float32)
    time = np.zeros((num_windows, most), dtype=np.float32)
    mask = np.less(np.arange(most)[None, :], lengths[:, None])
    # A memory map is a slow subclass: rows are taken from what lies behind it.
    picture[mask] = np.asarray(conditions.vectors)[conditions.picture_row]
    time[mask] = conditions.picture_time_s
    forecast = tuning.forecast(conditions)
    return {
        "behavior_WROF": np.clip(np.where(known, behavior, 0.0), -5.0, 5.0).astype(np.float32),
        "behavior_mask_WRO": np.asarray(np.any(known, axis=3)),
        "picture_WID": picture,
        "picture_time_WI": time,
        "picture_mask_WI": mask,
        "tuning_WNGC": _pad_units(forecast, num_units - windows.num_units, axis=1),
        "given_WC": tuning.given(conditions).astype(np.float32),
    }


def _pad_alike(parts: Sequence[dict[str, NDArray]]) -> list[dict[str, NDArray]]:
    """Pad arrays of the same name with zeros to one shape, but for their first axis."""
    padded: list[dict[str, NDArray]] = [{} for _ in parts]
    for name in parts[0]:
        shape = np.max([part[name].shape[1:] for part in parts], axis=0)
        for part, out in zip(parts, padded, strict=True):
            missing = shape - part[name].shape[1:]
            out[name] = np.pad(part[name], [(0, 0), *((0, int(more)) for more in missing)])
    return padded


def _log_ratios(traces_hz: FloatArray, rate_hz: FloatArray) -> FloatArray:
    """Return log-ratios of traces to rates under both pseudo-counts, (T, N, 2 K)."""
    ratios = [
        trace_log_ratios(
            traces_hz, rate_hz, time_constants_s=TRACE_TIME_CONSTANTS_S, pseudo_count=count
        )
        for count in PSEUDO_COUNTS
    ]
    return np.concatenate(ratios, axis=2)


def _pad_units(values: NDArray, missing: int, *, axis: int) -> NDArray[np.float32]:
    if missing == 0:
        return values.astype(np.float32)
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, missing)
    return np.pad(values, widths).astype(np.float32)
