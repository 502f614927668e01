"""Measure which units a run's decoder reads, on the test parts of its first recordings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from neurohorizon.configs.records import load_decode_run, open_run_sessions
from neurohorizon.configs.run_decoding import evaluate_decoder, load_decoder_of, references_of
from neurohorizon.configs.sessions import Progress
from neurohorizon.evaluation.decoding.importance import Importance, measure_importance
from neurohorizon.evaluation.decoding.scoring import decode_test_parts, make_cases
from neurohorizon.evaluation.decoding.view_files import load_importance, load_views, save_importance
from neurohorizon.evaluation.decoding.views import UnitAttention
from neurohorizon.evaluation.run_results import RESULTS_FOLDER, results_of
from neurohorizon.models.weights_file import model_checksum
from neurohorizon.ops.statistics import evenly

#: More recordings than these are not measured: each unit is decoded without, five times.
MOST_RECORDINGS = 3
MOST_UNITS = 64


def measure_run_importance(
    run: Path,
    *,
    recordings: Path | None = None,
    again: bool = False,
    progress: Progress | None = None,
) -> list[Importance] | None:
    """Decode the test parts of a run's first training recordings with units out of their time.

    Parameters
    ----------
    run : Path
        Run folder of a decoder; it is evaluated first if it was not.
    recordings : Path, optional
        Where the run's recordings lie now, if they were moved.
    again : bool
        Compute what is there already, too.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    list of Importance or None
        One a task of a recording; None if it was there.

    Raises
    ------
    NeuroHorizonError
        If the run or its recordings cannot be used.

    Notes
    -----
    Of more than 64 units, 64 are measured, spread evenly over the ranks of their attention: those
    that get much and those that get little alike, so that attention can be held against it.
    """
    of_set = run / RESULTS_FOLDER / "later"
    with results_of(run / RESULTS_FOLDER, [model_checksum(run)]):
        if load_importance(of_set) and not again:
            return None
    if load_views(of_set) is None:
        evaluate_decoder(run, recordings=recordings, progress=progress)
    views = load_views(of_set)
    attention = {each.recording: each for each in views.attention} if views is not None else {}
    record = load_decode_run(run)
    decoder = load_decoder_of(run)
    evaluation, window = record.config.evaluation, record.config.window
    sessions = open_run_sessions(record, recordings=recordings).training[:MOST_RECORDINGS]
    found: list[Importance] = []
    for number, session in enumerate(sessions):
        cases = make_cases([session.recording], decoder.model.tasks, signal=decoder.signal)
        told = f"taking units out of their time ({number + 1} of {len(sessions)} recordings)"
        found += measure_importance(
            cases,
            decode_test_parts(
                decoder,
                cases,
                stride_s=evaluation.stride_share * window.length_s,
                reference=references_of(cases, record)[session.recording.id],
            ),
            row=decoder.name,
            units=units_to_measure(
                session.recording.num_units, attention.get(session.recording.id)
            ),
            seed=record.config.run.seed,
            progress=None if progress is None else partial(progress, told),
        )
    save_importance(found, of_set)
    return found


def units_to_measure(num_units: int, attention: UnitAttention | None) -> list[int]:
    """Return which units to measure: all, or 64 that are spread over the ranks of attention."""
    order = np.arange(num_units)
    if attention is not None:
        order = np.argsort(-attention.attention, kind="stable")
    return sorted(order[evenly(num_units, MOST_UNITS)].tolist())
