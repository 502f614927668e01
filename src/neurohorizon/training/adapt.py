"""Few-shot: adapt a trained forecaster to a session with some minutes of it.

Only minutes that may be read are used: none of the session's test part, nor anything after it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.forecasting import TrainedForecaster
from neurohorizon.models.horizon import HorizonForecaster
from neurohorizon.nn.attention import Attention, FeedForward
from neurohorizon.nn.low_rank import add_low_rank, merge_low_rank
from neurohorizon.ops.intervals import dilate, subtract, total_s
from neurohorizon.recordings.batches import ForecastBatch, WindowGroup
from neurohorizon.recordings.collate import collate_groups
from neurohorizon.recordings.reference import compute_reference
from neurohorizon.recordings.reference_pool import (
    NUM_FOLDS,
    CrossFit,
    cut_stretch,
    last_stretch,
)
from neurohorizon.recordings.schema import FloatArray, Recording
from neurohorizon.recordings.window_spec import WindowSpec
from neurohorizon.recordings.windows import WindowReader
from neurohorizon.training.data import TrainingBatches, TrainingSession, window_rooms
from neurohorizon.training.module import ForecastModule
from neurohorizon.training.objectives import objective_of_counts

AdaptMode = Literal["offsets", "low_rank", "full"]
ADAPT_MODES: tuple[AdaptMode, ...] = ("offsets", "low_rank", "full")
FEWEST_MINUTES = 0.75
VALID_SHARE = 0.2
RANK = 4
LEARNING_RATES: dict[AdaptMode, float] = {"offsets": 2e-3, "low_rank": 2e-3, "full": 3e-4}

_STEPS_BETWEEN = 10
_VALID_STEP_S = 0.5
_VALID_WINDOWS = 64


@dataclass(frozen=True)
class Adaptation:
    """How an adaptation went.

    Parameters
    ----------
    mode : {"offsets", "low_rank", "full"}
    recording : str
    minutes : float
    intervals : tuple of (float, float)
        The stretches that were read for it, in seconds.
    num_trained : int
        Numbers that were adapted.
    steps, best_step : int
        Steps taken, and after how many the model that is kept was found; 0 is zero-shot.
    valid_loss : tuple of float
        Nats a count on the validation stretch: first zero-shot, then every ten steps.
    """

    mode: AdaptMode
    recording: str
    minutes: float
    intervals: tuple[tuple[float, float], ...]
    num_trained: int
    steps: int
    best_step: int
    valid_loss: tuple[float, ...]


def readable_domain(recording: Recording) -> FloatArray:
    """Return what may be read to adapt to a recording, (K, 2) seconds.

    All of it without a split; else all but the test part and, unless parts take turns, but what
    comes after it.
    """
    if recording.split is None:
        return recording.domain
    test = recording.split.test
    readable = subtract(recording.domain, test)
    if len(test) and not recording.split.interleaved:
        readable = subtract(readable, np.array([[float(test[0, 0]), np.inf]]))
    return readable


def adapt_forecaster(
    forecaster: TrainedForecaster,
    recording: Recording,
    *,
    minutes: float,
    mode: AdaptMode,
    max_steps: int = 200,
    patience: int = 5,
    learning_rate: float | None = None,
    tokens_per_batch: int = 4000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[TrainedForecaster, Adaptation]:
    """Adapt a trained forecaster to a session.

    Parameters
    ----------
    forecaster : TrainedForecaster
        Left as it is.
    recording : Recording
    minutes : float
        The last so many of what may be read (:func:`readable_domain`).
    mode : {"offsets", "low_rank", "full"}
        What is adapted: a vector added to each unit's identity and a number to its log-rate; a
        low-rank change of the linear layers in attention and feed-forward networks; or all
        weights.
    max_steps : int
    patience : int
        Validations, one every ten steps, without improvement before it stops.
    learning_rate : float, optional
        By mode, if absent.
    tokens_per_batch : int
    seed : int
    progress : callable, optional
        Called with steps taken, and steps at most.

    Returns
    -------
    forecaster : TrainedForecaster
        The best on the last fifth of the minutes, which may be the one that was given.
    adaptation : Adaptation

    Raises
    ------
    ConfigError
        If the mode does not fit the model, it reads shuffled labels, or there are too few
        minutes.
    DataError
        If the recording has fewer minutes that may be read.

    Notes
    -----
    The first four fifths of the minutes are dealt into four blocks: each serves windows while
    the other three are the reference, as in training (no adapter is applied where it was
    solved). The reference of the validation windows is all four.
    """
    if forecaster.shuffle_labels:
        raise ConfigError(
            f"{forecaster.name} does not read which unit fired: adapt a model that does "
            "(model.use_labels=true)"
        )
    if minutes < FEWEST_MINUTES:
        raise ConfigError(
            f"{minutes:g} minutes to adapt with: expected at least {FEWEST_MINUTES:g}"
        )
    readable = readable_domain(recording)
    if total_s(readable) < 60 * minutes - 1e-6:
        raise DataError(
            f"{recording.id}: {minutes:g} minutes to adapt with, and {total_s(readable) / 60:.3g} "
            "may be read before its test part: give fewer"
        )
    stretch = last_stretch(readable, 60 * minutes)
    spec, known = forecaster.spec, dict(forecaster.known_units)
    torch.manual_seed(seed)
    model, trained = _open_up(forecaster.model, mode, num_units=recording.num_units)
    if mode == "offsets":
        known = {f"{recording.id}/{unit}": row + 1 for row, unit in enumerate(recording.units.id)}
    rows = np.array([known.get(f"{recording.id}/{unit}", 0) for unit in recording.units.id])
    reader = WindowReader(recording, spec)
    learnt = cut_stretch(stretch, 0.0, (1 - VALID_SHARE) * total_s(stretch))
    folds = _folds(recording, learnt, spec)
    # Even the size of a batch is told by what may be read.
    events = spec.context_s * float(folds[0].reference.rate_hz.sum())
    session = TrainingSession(reader, folds, rows, events)
    batches = TrainingBatches(
        [session], references_per_batch=2, tokens_per_batch=tokens_per_batch, seed=seed
    )
    valid = [batch.to(forecaster.device) for batch in _valid_batches(session, stretch, learnt)]

    module = ForecastModule(model, num_steps=max_steps)
    optimizer = torch.optim.AdamW(
        trained, lr=LEARNING_RATES[mode] if learning_rate is None else learning_rate,
        weight_decay=0.01,
    )  # fmt: skip
    losses, best_step, step = [_valid_loss(model, valid)], 0, 0
    best = copy.deepcopy(model.state_dict())
    while step < max_steps and step - best_step < patience * _STEPS_BETWEEN:
        model.train()
        for _ in range(_STEPS_BETWEEN):
            optimizer.zero_grad()
            module.loss(batches[step].to(forecaster.device)).backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            step += 1
        losses.append(_valid_loss(model, valid))
        if losses[-1] < min(losses[:-1]):
            best_step, best = step, copy.deepcopy(model.state_dict())
        if progress is not None:
            progress(step, max_steps)
    model.load_state_dict(best)
    merge_low_rank(model)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    adapted = TrainedForecaster(
        model,
        known_units=known,
        name=f"{forecaster.name}, {mode}",
        use_adapter=forecaster.use_adapter,
        device=forecaster.device,
    )
    return adapted, Adaptation(
        mode=mode,
        recording=recording.id,
        minutes=minutes,
        intervals=tuple((float(start), float(end)) for start, end in stretch),
        num_trained=sum(parameter.numel() for parameter in trained),
        steps=step,
        best_step=best_step,
        valid_loss=tuple(losses),
    )


def _open_up(
    model: HorizonForecaster, mode: AdaptMode, *, num_units: int
) -> tuple[HorizonForecaster, list[nn.Parameter]]:
    """Return a copy of the model, and what of it is to be trained."""
    if mode == "full":
        model = copy.deepcopy(model)
        return model, list(model.parameters())
    if mode == "offsets":
        opened = model.with_offsets(num_units)
        assert opened.offsets is not None
        trained = list(opened.offsets.parameters())
    else:
        opened = copy.deepcopy(model)
        parts = [m for m in opened.modules() if isinstance(m, Attention | FeedForward)]
        trained = add_low_rank(parts, rank=RANK)
    for parameter in opened.parameters():
        parameter.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    return opened, trained


def _folds(recording: Recording, learnt: FloatArray, spec: WindowSpec) -> list[CrossFit]:
    """Let each quarter of the time serve windows, known from the other three."""
    quarter_s = total_s(learnt) / NUM_FOLDS
    folds = []
    for index in range(NUM_FOLDS):
        served = cut_stretch(learnt, index * quarter_s, quarter_s)
        reference = compute_reference(recording, subtract(learnt, served), spec=spec)
        guard = dilate(reference.intervals, spec.context_s + spec.horizon_s)
        free = subtract(served, guard)
        if len(window_rooms(free, spec)):
            folds.append(CrossFit(reference, free))
    if not folds:
        raise DataError(f"{recording.id}: no window fits into a quarter of the time: give more")
    return folds


def _valid_batches(
    session: TrainingSession, stretch: FloatArray, learnt: FloatArray
) -> list[ForecastBatch]:
    """Read the windows of the last fifth, known from all that comes before."""
    reader, spec = session.reader, session.reader.spec
    guard = dilate(learnt, spec.context_s + spec.horizon_s)
    origins = spec.origins(subtract(stretch, guard), step_s=_VALID_STEP_S)
    if len(origins) == 0:
        raise DataError(f"{reader.recording.id}: no validation window fits: give more minutes")
    reference = compute_reference(reader.recording, learnt, spec=spec)
    windows = reference.read_windows(reader, origins)
    parts = [
        windows.part(start, start + _VALID_WINDOWS)
        for start in range(0, len(windows), _VALID_WINDOWS)
    ]
    return [collate_groups([WindowGroup(reference, part, session.known_unit)]) for part in parts]


def _valid_loss(model: HorizonForecaster, batches: list[ForecastBatch]) -> float:
    model.eval()
    with torch.inference_mode():
        losses = [
            float(
                objective_of_counts(
                    "likelihood",
                    model.likelihood,
                    model(batch),
                    batch.counts_WNB,
                    batch.unit_mask_WN,
                )
            )
            for batch in batches
        ]
    weights = [len(batch) for batch in batches]
    return float(np.average(losses, weights=weights))
