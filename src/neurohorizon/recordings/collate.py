"""From windows of several recordings to one batch: gather, pad, and stack.

Shapes are those of :mod:`neurohorizon.recordings.batches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.ops.traces import trace_log_ratios
from neurohorizon.recordings.batches import PSEUDO_COUNTS, ForecastBatch, WindowGroup, slot_edges
from neurohorizon.recordings.conditions import MODALITIES
from neurohorizon.recordings.cosmoothing import context_counts, hide_units, smoothed_rates
from neurohorizon.recordings.schema import FloatArray
from neurohorizon.recordings.windows import TRACE_TIME_CONSTANTS_S


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
