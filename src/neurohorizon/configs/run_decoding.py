"""Score what a decoder's run folder holds: its model beside every simple decoder; look into it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from neurohorizon.configs.decode_build import signal_name
from neurohorizon.configs.decode_schema import DecodeConfig
from neurohorizon.configs.forecaster_build import latents_readouts
from neurohorizon.configs.records import (
    CONFIG_FILE,
    Run,
    load_any_run,
    load_decode_run,
    open_run_sessions,
)
from neurohorizon.configs.run_folders import alone_in_run
from neurohorizon.configs.sessions import Progress, Session
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.evaluation.decoding.importance import Importance
from neurohorizon.evaluation.decoding.result_files import HEAD, load_decoding, save_decoding
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.scoring import make_cases, score_ladder, score_model
from neurohorizon.evaluation.decoding.targets_by_part import TargetByPart, targets_by_part
from neurohorizon.evaluation.decoding.view_files import (
    load_importance,
    load_views,
    save_views,
    views_are_there,
)
from neurohorizon.evaluation.decoding.views import Views, look_into
from neurohorizon.evaluation.run_results import RESULTS_FOLDER, SetName, results_of
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.models.weights_file import model_checksum
from neurohorizon.ops.records import load_records, save_records
from neurohorizon.recordings.reference_pool import last_stretch
from neurohorizon.recordings.schema import FloatArray

TITLES = {
    "poyo": "POYO",
    "poyo_plus": "POYO+",
    "capoyo": "CaPOYO",
    "forecaster": "forecaster's encoder",
}
TARGETS_SUFFIX = ".targets.npz"
SET_TITLES: dict[SetName, str] = {
    "later": "Test time of the training recordings",
    "held-out": "Recordings that training never saw, no gradient",
}


def is_decoder(run: Path) -> bool:
    """Tell whether a run folder holds a decoder; False where it holds no run."""
    if not (run / CONFIG_FILE).is_file():
        return False
    return isinstance(load_any_run(run).config, DecodeConfig)


def load_decoder_of(run: Path, *, device: str = "cpu") -> TrainedDecoder:
    """Load the decoder of a run folder, or of a folder that an adaptation wrote.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    named = (run / CONFIG_FILE).is_file()
    signal = signal_name(load_decode_run(run).config) if named else ""
    decoder = TrainedDecoder.load(run, signal=signal, device=device)
    decoder.name = TITLES.get(decoder.model.system, decoder.model.system)
    return decoder


def load_results(run: Path) -> dict[str, DecodingResult]:
    """Read what was found of a decoder's run, by set; empty if nothing was scored yet.

    Raises
    ------
    DataError
        If results are damaged.
    """
    folders = {name: run / RESULTS_FOLDER / name for name in SET_TITLES}
    return {
        name: load_decoding(folder) for name, folder in folders.items() if (folder / HEAD).is_file()
    }


def load_targets(run: Path) -> list[TargetByPart]:
    """Read how what is to be decoded is distributed in the parts of the training recordings."""
    path = (run / RESULTS_FOLDER / "later").with_suffix(TARGETS_SUFFIX)
    if not path.is_file():
        return []
    found = load_records(TargetByPart, path)
    return [replace(each, classes=tuple(np.asarray(each.classes).tolist())) for each in found]


def load_run_views(run: Path) -> Views | None:
    """Read what was seen in a run's decoder; None if it was not looked into."""
    return load_views(run / RESULTS_FOLDER / "later")


def load_run_importance(run: Path) -> list[Importance]:
    """Read which units a run's decoder reads; empty if it was not measured."""
    return load_importance(run / RESULTS_FOLDER / "later")


def evaluate_decoder(
    run: Path,
    *,
    recordings: Path | None = None,
    again: bool = False,
    only: SetName | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Score a decoder's run into its results: the model and the simple decoders; look into it.

    Parameters
    ----------
    run : Path
        Run folder.
    recordings : Path, optional
        Where the run's recordings lie now, if they were moved.
    again : bool
        Compute what is there already, too.
    only : {"later", "held-out"}, optional
        Score this set alone.
    progress : callable, optional
        Called with (what is being done, steps done, steps in all).

    Returns
    -------
    list of str
        What was computed: "later" and "held-out", or "later.views" where scores alone were there;
        empty if all of it was.

    Raises
    ------
    NeuroHorizonError
        If the run or its recordings cannot be used.

    Notes
    -----
    Held-out recordings are scored if the model knows units by a reference. For another, new
    units are learned first: :mod:`neurohorizon.configs.run_decoder_adaptation`.
    """
    record = load_decode_run(run)
    before = model_checksum(run)  # a training may still replace it
    decoder = load_decoder_of(run)
    sessions = open_run_sessions(record, recordings=recordings)
    sets: dict[SetName, tuple[Session, ...]] = {"later": sessions.training}
    if decoder.model.knows_new_units and sessions.held_out:
        sets["held-out"] = sessions.held_out
    computed: list[str] = []
    with alone_in_run(run, busy="evaluating"), results_of(run / RESULTS_FOLDER, [before]):
        for name, members in sets.items():
            folder = run / RESULTS_FOLDER / name
            if only not in (None, name):
                continue
            to_score = again or not (folder / HEAD).is_file()
            to_look = name == "later" and (again or not views_are_there(folder))
            if not (to_score or to_look):
                continue
            cases = make_cases(
                [session.recording for session in members],
                decoder.model.tasks,
                signal=decoder.signal,
                held_out=name == "held-out",
            )
            if to_look:
                save_views(_look(decoder, cases, record, progress), folder)
            if to_score:
                # The scores say that the set is done: what lies beside them is written before.
                scored = _score(decoder, cases, record, SET_TITLES[name], progress)
                save_records(targets_by_part(cases), folder.with_suffix(TARGETS_SUFFIX))
                save_decoding(scored, folder)
            computed.append(name if to_score else f"{name}.views")
    return computed


def _look(
    decoder: TrainedDecoder,
    cases: Sequence[DecodingCase],
    record: Run[DecodeConfig],
    progress: Progress | None,
) -> Views:
    """Look at latents, units and attention on the test parts."""
    told = None if progress is None else partial(progress, f"looking into {decoder.name}")
    return look_into(decoder, cases, references=references_of(cases, record), progress=told)


def _score(
    decoder: TrainedDecoder,
    cases: Sequence[DecodingCase],
    record: Run[DecodeConfig],
    title: str,
    progress: Progress | None,
) -> DecodingResult:
    """Score the model, and every simple decoder beside it."""
    started = time.monotonic()
    model = _decode(decoder, cases, record, progress)
    seconds = time.monotonic() - started
    scored = score_model(decoder.name, cases, model, title=title, seconds=seconds)
    rows = record.config.evaluation.rows
    scored = scored.join(score_ladder(cases, rows=rows, title=title, progress=progress))
    if readouts := latents_readouts(record.config):
        scored = scored.join(score_ladder(cases, decoders=readouts, progress=progress))
    return scored


def _decode(
    decoder: TrainedDecoder,
    cases: Sequence[DecodingCase],
    record: Run[DecodeConfig],
    progress: Progress | None,
) -> dict[tuple[str, str], tuple[FloatArray, FloatArray]]:
    """Decode the test parts of recordings, stitched."""
    evaluation, window = record.config.evaluation, record.config.window
    found, references = {}, references_of(cases, record)
    every = {case.recording_id: case.activity.recording for case in cases}
    for done, recording in enumerate(every.values()):
        if progress is not None:
            progress(f"decoding with {decoder.name}", done, len(every))
        decoded = decoder.decode(
            recording,
            recording.require_split().test,
            stride_s=evaluation.stride_share * window.length_s,
            reference=references[recording.id],
        )
        for task, each in decoded.items():
            found[task, recording.id] = each.times_s, each.values
    return found


def references_of(
    cases: Sequence[DecodingCase], record: Run[DecodeConfig]
) -> dict[str, FloatArray]:
    """Return the stretches that units of recordings are known by."""
    seconds = record.config.evaluation.reference_s
    return {case.recording_id: last_stretch(case.train, seconds) for case in cases}
