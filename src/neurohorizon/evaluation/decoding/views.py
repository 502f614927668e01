"""Looks into a trained decoder: states of its latents, vectors of units, attention over units.

All three come of one pass over the test parts. What they show is how the model holds what it has
learned; how much it has learned is told by scores alone.

Shapes: W windows, S states, D width of a state, N units, C principal components.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurohorizon.evaluation.decoding.cases import Asked, DecodingCase
from neurohorizon.evaluation.decoding.scoring import nearest_times
from neurohorizon.evaluation.identities import Identities
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.ops.smoothing import median_step
from neurohorizon.ops.statistics import evenly
from neurohorizon.recordings.decoding.batches import DecodeBatch
from neurohorizon.recordings.decoding.sessions import CoverBatch
from neurohorizon.recordings.schema import FloatArray

NUM_COMPONENTS = 3
#: Of a recording, spread evenly over its test part.
MOST_WINDOWS = 1000
MOST_STATES = 3000
_TOKENS_AT_ONCE = 16_000
#: Of a model that has one state a window: so many windows in the length of one.
_WINDOWS_IN_ONE = 8


@dataclass(frozen=True, eq=False)
class LatentStates:
    """States of the latents over a recording's test part, beside what was true of a task.

    Parameters
    ----------
    recording, task, unit : str
        The unit is that of the values; empty of classes.
    classes : (K,) str
        Empty for a continuous task.
    width : int
        Of a state, before it was reduced.
    num_states : int
        That the components were found on; those kept are spread evenly over them.
    explained : (C,) float
        Share of the variance of each component.
    times_s : (S,) float
        On the recording's clock.
    position : (S, C) float32
        In the space of the components, less the mean of each place in a window.
    values : (S, P) float32
        True values at the nearest time stamp, or (S, 1) classes.
    """

    recording: str
    task: str
    unit: str
    classes: NDArray[np.str_]
    width: int
    num_states: int
    explained: FloatArray
    times_s: FloatArray
    position: NDArray[np.float32]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class UnitAttention:
    """How much of the latents' attention each unit of a recording gets, and how many tokens it has.

    Parameters
    ----------
    recording : str
    num_windows : int
    unit_id, unit_area : (N,) str
    attention : (N,) float
        Share of the attention, mean over windows, latents and heads.
    tokens : (N,) float
        Share of the tokens, mean over the same windows.
    """

    recording: str
    num_windows: int
    unit_id: NDArray[np.str_]
    unit_area: NDArray[np.str_]
    attention: FloatArray
    tokens: FloatArray

    def table(self) -> list[dict[str, Any]]:
        """Return the numbers, one record a unit."""
        return [
            {
                "recording": self.recording,
                "unit": str(self.unit_id[index]),
                "area": str(self.unit_area[index]),
                "attention": self.attention[index],
                "tokens": self.tokens[index],
            }
            for index in range(len(self.unit_id))
        ]


@dataclass(frozen=True, eq=False)
class Views:
    """What was seen in a decoder.

    Parameters
    ----------
    latents : list of LatentStates
        One a task of a recording.
    units : Identities
        What stands for the units of all recordings.
    attention : list of UnitAttention
        One a recording; empty where a model has none to look at.
    """

    latents: list[LatentStates]
    units: Identities
    attention: list[UnitAttention]


def look_into(
    decoder: TrainedDecoder,
    cases: Sequence[DecodingCase],
    *,
    references: Mapping[str, FloatArray] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Views:
    """Read the test parts once, and keep what the decoder makes of them on the way.

    Parameters
    ----------
    decoder : TrainedDecoder
    cases : sequence of DecodingCase
    references : mapping of str to (K, 2) array, optional
        By recording, where units are known by a reference; as
        :meth:`~neurohorizon.models.decoding.TrainedDecoder.session` chooses it by default.
    progress : callable, optional
        Called with recordings done, and recordings in all.

    Notes
    -----
    Windows lie end to end, so each moment is seen once. Where a model has one state a window, at
    its end, they overlap instead: eight in the length of one. Latents also say where in a window
    they stand, which says nothing of the session: the mean over windows of each place is taken out.
    """
    by_recording: dict[str, list[DecodingCase]] = {}
    for case in cases:
        by_recording.setdefault(case.recording_id, []).append(case)
    latents: list[LatentStates] = []
    attention: list[UnitAttention] = []
    vectors: list[NDArray[np.float32]] = []
    for done, (name, of_recording) in enumerate(by_recording.items()):
        if progress is not None:
            progress(done, len(by_recording))
        seen = _Seen(decoder, of_recording[0], (references or {}).get(name))
        vectors.append(seen.vectors)
        if seen.shares is not None:
            attention.append(seen.shares)
        if len(seen.times_s) > NUM_COMPONENTS:
            latents += _coloured(of_recording, seen.states, seen.times_s)
    if progress is not None:
        progress(len(by_recording), len(by_recording))
    firsts = [of_recording[0] for of_recording in by_recording.values()]
    return Views(latents, _identities(firsts, vectors), attention)


class _Seen:
    """What one pass over a recording's test part shows."""

    states: NDArray[np.float32]
    times_s: FloatArray
    vectors: NDArray[np.float32]
    shares: UnitAttention | None = None

    @torch.no_grad()
    def __init__(
        self, decoder: TrainedDecoder, case: DecodingCase, reference: FloatArray | None
    ) -> None:
        model, recording = decoder.model, case.activity.recording
        session = decoder.session(recording, reference=reference)
        length_s = session.reader.length_s
        stride_s = length_s if model.looks_ahead else length_s / _WINDOWS_IN_ONE
        states, times, steps, attended, tokens = [], [], [], [], []
        last = -np.inf
        for each in session.cover(
            case.test,
            stride_s=stride_s,
            tokens_per_batch=_TOKENS_AT_ONCE,
            most_windows=MOST_WINDOWS,
        ):
            batch = each.batch.to(decoder.device)
            found_WSD, since_S = model.latent_states(batch)
            kept, at, last = _once(each, since_S.cpu().numpy().astype(np.float64), last)
            states.append(found_WSD.flatten(0, 1).cpu().numpy()[kept])
            times.append(at)
            steps.append(kept % len(since_S))
            if not attended:
                self.vectors = model.unit_vectors(batch).float().cpu().numpy()
            if model.has_attention:
                attended.append(model.attention_over_units(batch).double().cpu().numpy())
                tokens.append(_token_shares(batch).double().cpu().numpy())
        self.states = without_mean(np.concatenate(states), np.concatenate(steps))
        self.times_s = np.concatenate(times)
        if attended:
            shares = [np.concatenate(each).mean(axis=0) for each in (attended, tokens)]
            num_windows, units = sum(map(len, attended)), recording.units
            self.shares = UnitAttention(recording.id, num_windows, units.id, units.area, *shares)


def _once(
    each: CoverBatch, since_S: FloatArray, last: float
) -> tuple[NDArray[np.intp], FloatArray, float]:
    """Return which states of windows to keep and when they are, so that each time is seen once."""
    kept, times = [], []
    for window, (start, (low, high)) in enumerate(
        zip(each.cover.starts_s, each.cover.asked_s, strict=True)
    ):
        at = start + since_S
        # The last window of a stretch reaches back over the one before.
        new = (at >= low) & (at < high) & (at > last + 1e-6)
        kept.append(window * len(since_S) + np.flatnonzero(new))
        times.append(at[new])
        last = float(at[new].max(initial=last))
    return np.concatenate(kept), np.concatenate(times), last


def _token_shares(batch: DecodeBatch) -> torch.Tensor:
    """Return each unit's share of the tokens of windows, (W, N)."""
    there_WE = batch.token_mask_WE.double()
    counts_WN = there_WE.new_zeros(len(batch), len(batch.unit_row_U))
    counts_WN.scatter_add_(1, batch.token_unit_WE, there_WE)
    return counts_WN / counts_WN.sum(dim=1, keepdim=True)


def _coloured(
    cases: Sequence[DecodingCase], states: NDArray[np.float32], times_s: FloatArray
) -> list[LatentStates]:
    """Reduce the states of a recording, and set beside them what was true of each task."""
    explained, components = principal_components(states, NUM_COMPONENTS)
    rows = evenly(len(times_s), MOST_STATES)
    asked = Asked.of(cases[0].test, times_s[rows])
    found = []
    for case in cases:
        test = case.part("test")
        near, off = nearest_times(test.times_s, asked)
        # Between trials there is nothing to colour by.
        known = off <= min(median_step(times_s), median_step(test.times_s)) + 1e-6
        if not known.any():
            continue
        values = test.values[near[known]]
        found.append(
            LatentStates(
                recording=case.recording_id,
                task=case.task.name,
                unit=case.unit,
                classes=np.array(case.task.classes, dtype=np.str_),
                width=states.shape[1],
                num_states=len(times_s),
                explained=explained,
                times_s=asked.times_s[known],
                position=components[rows][known].astype(np.float32),
                values=values.reshape(len(values), -1).astype(np.float32),
            )
        )
    return found


def without_mean(states: NDArray[np.float32], steps: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return states less the mean of those that stand at the same place of a window, (S, D)."""
    _, place = np.unique(steps, return_inverse=True)
    totals = np.zeros((place.max() + 1, states.shape[1]))
    np.add.at(totals, place, states)
    return (states - (totals / np.bincount(place)[:, None])[place]).astype(np.float32)


def principal_components(states: NDArray[Any], count: int) -> tuple[FloatArray, FloatArray]:
    """Return the share of variance of the first components, (C,), and states in them, (S, C)."""
    centred = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64)
    _, strength, directions = np.linalg.svd(centred, full_matrices=False)
    position = centred @ directions[:count].T
    # Signs are arbitrary: let the longer tail point to the right and up.
    position *= np.where(np.sum(position**3, axis=0) < 0, -1.0, 1.0)
    power = strength**2
    return power[:count] / max(float(power.sum()), 1e-300), position


def _identities(
    cases: Sequence[DecodingCase], vectors: Sequence[NDArray[np.float32]]
) -> Identities:
    recordings = [case.activity.recording for case in cases]
    rates = [
        each.rate_hz if case.activity.is_spikes else np.full(each.num_units, np.nan)
        for case, each in zip(cases, recordings, strict=True)
    ]
    rows = sum(each.num_units for each in recordings)
    return Identities(
        recording=np.concatenate([np.full(each.num_units, each.id) for each in recordings]),
        unit=np.concatenate([each.units.id for each in recordings]),
        area=np.concatenate([each.units.area for each in recordings]),
        rate_hz=np.concatenate(rates),
        statistics=np.empty((rows, 0), dtype=np.float32),
        functional=np.empty((rows, 0), dtype=np.float32),
        vectors=np.concatenate(vectors),
    )
