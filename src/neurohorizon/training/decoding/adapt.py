"""Take a trained decoder to a new session, with some minutes of it in which behaviour is known.

==========  ===================================================================================
``units``   unit identification: the trunk is frozen, rows of the new units and of the new
            session are learned by gradient (Azabou et al. 2023, section 2.4)
``full``    gradual unfreezing: first these rows, then all weights, more slowly
``none``    no gradient, for models that know units by a reference: the minutes are that
            reference
==========  ===================================================================================

Nothing of the session but these minutes is read.

References
----------
Azabou et al. 2023, A unified, scalable framework for neural population decoding
(arXiv:2310.16046).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.poyo_trunk import PopulationDecoder
from neurohorizon.nn.vocabulary import Vocabulary
from neurohorizon.recordings.decoding.minutes import SessionMinutes, minutes_of
from neurohorizon.recordings.decoding.placement import require_behaviour
from neurohorizon.recordings.decoding.sessions import unit_words
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.decoding.windows import DecodeReader
from neurohorizon.recordings.reference_pool import SHORTEST_REFERENCE_S
from neurohorizon.recordings.schema import Recording
from neurohorizon.training.decoding.adapt_steps import Learning, Stage, learn_in_stages
from neurohorizon.training.decoding.data import DecodeData

DecoderMode = Literal["units", "full", "none"]
DECODER_MODES: tuple[DecoderMode, ...] = ("units", "full", "none")
RowStart = Literal["mean", "random"]
MAX_STEPS = 400
TOKENS_PER_BATCH = 16_000

_NOISE_SHARE = 0.1
_NUM_REFERENCES = 6


@dataclass(frozen=True)
class DecoderAdaptation:
    """How a decoder was taken to a session.

    Parameters
    ----------
    mode : {"units", "full", "none"}
    recording : str
    minutes : float
    learn, held : tuple of (float, float)
        Stretches that were learned from, and held back to choose when to stop, in seconds.
        Without a gradient both are the reference.
    num_trained : int
        Numbers that were adapted.
    steps, best_step : int
        Steps taken, and after how many the model that is kept was found; 0 is the start.
    stage_steps : tuple of int
        Steps of each stage.
    valid_loss : tuple of float
        The tasks' loss on what was held back: first at the start, then every ten steps.
    seconds : float
    """

    mode: DecoderMode
    recording: str
    minutes: float
    learn: tuple[tuple[float, float], ...]
    held: tuple[tuple[float, float], ...]
    num_trained: int
    steps: int
    best_step: int
    stage_steps: tuple[int, ...]
    valid_loss: tuple[float, ...]
    seconds: float


def default_stages(mode: DecoderMode, *, max_steps: int = MAX_STEPS) -> tuple[Stage, ...]:
    """Return the stages of a mode: all steps for rows, or half of them and then all weights."""
    if mode == "none":
        return ()
    if mode == "units":
        return (Stage("rows", max_steps),)
    return (Stage("rows", max_steps // 2), Stage("all", max_steps - max_steps // 2))


def adapt_decoder(
    decoder: TrainedDecoder,
    recording: Recording,
    *,
    minutes: float,
    mode: DecoderMode,
    stages: Sequence[Stage] | None = None,
    patience: int = 8,
    start: RowStart = "mean",
    rescale: bool = False,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[TrainedDecoder, DecoderAdaptation]:
    """Take a trained decoder to a session that it does not know.

    Parameters
    ----------
    decoder : TrainedDecoder
        Left as it is.
    recording : Recording
    minutes : float
        Which ones: :func:`neurohorizon.recordings.decoding.minutes.minutes_of`.
    mode : {"units", "full", "none"}
    stages : sequence of Stage, optional
        The schedule; that of the mode (:func:`default_stages`) by default.
    patience : int
        Validations, one every ten steps, without improvement before a stage ends.
    start : {"mean", "random"}
        Rows of new units and of the session start at the mean of the trained rows plus a tenth
        of their deviation, or as those of an untrained model.
    rescale : bool
        Estimate mean and scale of continuous tasks anew from the minutes. By default those of the
        training recordings stay: the readout was trained to speak in them, some minutes tell
        them badly, and what a new animal does at other ranges than the old ones is then decoded
        as such. Where the new session's values are in other units (pixels for centimetres), they
        are worthless; then they have to be estimated. An adapted model with new scales is for the
        new session alone.
    tokens_per_batch : int
    seed : int
    progress : callable, optional
        Called with steps taken, and steps at most.

    Returns
    -------
    decoder : TrainedDecoder
        The best on what was held back, which may be the start. It knows the session's units, or
        its reference.
    adaptation : DecoderAdaptation

    Raises
    ------
    ConfigError
        If there is no such mode, it does not fit the model, or there are too few minutes.
    DataError
        If the model knows the recording, or this has fewer minutes that may be read, none of the
        tasks, or no window in the minutes.

    Notes
    -----
    Other units' rows are never touched, in any mode: the optimiser updates those rows alone that
    a batch reads. With ``mode="units"`` all other weights stay as they are, to the bit.
    """
    began = time.perf_counter()
    model = decoder.model
    if not isinstance(model, PopulationDecoder):
        raise ConfigError(
            "a decoder on a forecaster's encoder is not adapted: train it with "
            "model.offsets=false, and it decodes new recordings from a reference"
        )
    _refuse_misfit(model, recording, mode)
    given = minutes_of(recording, minutes, shortest_s=model.length_s)
    inside = given.cut(recording)
    reader = DecodeReader(inside, model.tasks, length_s=model.length_s, signal=decoder.signal)
    require_behaviour(reader)
    _require_values(reader, given)
    tasks = _rescaled(reader, given) if rescale else model.tasks
    stages = default_stages(mode) if stages is None else tuple(stages)
    torch.manual_seed(seed)
    model = copy.deepcopy(model)
    model.tasks = tasks
    if model.identity is None:
        _add_rows(model.units, unit_words(recording), start)
        _add_rows(model.sessions, [recording.id], start)
    told = Learning([])
    if mode != "none":
        data = _data(model, inside, decoder.signal, tokens_per_batch, seed)
        told = learn_in_stages(
            model, data, stages, patience=patience, device=decoder.device, progress=progress
        )
    references = {**decoder.references}
    if model.identity is not None:
        references[recording.id] = given.stretches
    adapted = TrainedDecoder(
        model,
        name=decoder.name if mode == "none" else f"{decoder.name}, {mode}",
        signal=decoder.signal,
        references=references,
        device=decoder.device,
    )
    return adapted, DecoderAdaptation(
        mode=mode,
        recording=recording.id,
        minutes=minutes,
        learn=_as_pairs(given.learn),
        held=_as_pairs(given.held),
        num_trained=told.num_trained,
        steps=told.steps,
        best_step=told.best_step,
        stage_steps=told.stage_steps,
        valid_loss=tuple(told.valid_loss),
        seconds=time.perf_counter() - began,
    )


def _data(
    model: PopulationDecoder, inside: Recording, signal: str, tokens_per_batch: int, seed: int
) -> DecodeData:
    if model.identity is not None:
        return DecodeData(
            recordings=[inside],
            tasks=model.tasks,
            length_s=model.length_s,
            signal=signal,
            units="identity",
            num_references=_NUM_REFERENCES,
            shortest_reference_s=SHORTEST_REFERENCE_S,
            valid_reference_s=None,
            tokens_per_batch=tokens_per_batch,
            seed=seed,
        )
    words = unit_words(inside)
    return DecodeData(
        recordings=[inside],
        tasks=model.tasks,
        length_s=model.length_s,
        signal=signal,
        unit_rows=dict(zip(words, model.units.rows(words).tolist(), strict=True)),
        session_rows={inside.id: int(model.sessions.rows([inside.id])[0])},
        tokens_per_batch=tokens_per_batch,
        seed=seed,
    )


def _add_rows(vocabulary: Vocabulary, words: Sequence[str], start: RowStart) -> None:
    """Give words a row each; trained rows stay as they are."""
    trained_RD = vocabulary.weight.detach()[1:].clone()
    vocabulary.extend(words)
    if start == "random" or not len(trained_RD):
        return
    noise = torch.randn(len(words), trained_RD.shape[1]).to(trained_RD)
    spread = trained_RD.std(dim=0, correction=0)
    with torch.no_grad():
        rows = vocabulary.rows(words)
        vocabulary.weight[rows] = trained_RD.mean(dim=0) + _NOISE_SHARE * spread * noise


def _rescaled(reader: DecodeReader, given: SessionMinutes) -> tuple[Task, ...]:
    """Return the tasks with mean and scale of what was learned from, where that varies."""
    tasks = []
    for task in reader.tasks:
        if task.name in reader.targets and not task.spec.is_categorical and task.spec.standardise:
            targets = reader.targets[task.name]
            values = targets.values[targets.inside(given.learn)]
            mean, scale = values.mean(axis=0), values.std(axis=0)
            varies = scale > 1e-9 * np.maximum(np.abs(mean), 1e-3)
            task = replace(
                task,
                mean=tuple(mean.tolist()),
                scale=tuple(np.where(varies, scale, task.scale).tolist()),
            )
        tasks.append(task)
    return tuple(tasks)


def _refuse_misfit(model: PopulationDecoder, recording: Recording, mode: DecoderMode) -> None:
    if mode not in DECODER_MODES:
        raise ConfigError(f"no mode {mode!r}: choose among {', '.join(DECODER_MODES)}")
    if mode == "none" and model.identity is None:
        raise ConfigError(
            "mode none needs a model that knows units by a reference (model.units=identity); this "
            "one has learned a row for each: adapt it with mode units or full"
        )
    if mode == "units" and model.identity is not None:
        raise ConfigError(
            "mode units learns rows of units, and this model has none (model.units=identity): "
            "take mode none, which needs no gradient, or full"
        )
    words = unit_words(recording)
    known = sum(word in model.units for word in words)
    if known or recording.id in model.sessions:
        raise DataError(
            f"{recording.id}: the model knows it already ({known} of {len(words)} units): decode "
            "it as it is; to learn it anew, take a model that was not trained on it"
        )


def _require_values(reader: DecodeReader, given: SessionMinutes) -> None:
    """Refuse minutes in which nothing is known of any task."""
    for what, stretches in (("learn from", given.learn), ("hold back", given.held)):
        if not any(len(targets.inside(stretches)) for targets in reader.targets.values()):
            raise DataError(
                f"{reader.recording.id}: no time stamp of any task in the "
                f"{len(stretches)} stretches of its minutes to {what}: give more minutes"
            )


def _as_pairs(stretches: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((float(start), float(end)) for start, end in stretches)
