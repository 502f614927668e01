"""Decoders are scored: the ladder, fitted on each session, and trained models beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neurohorizon.errors import DataError
from neurohorizon.evaluation.decoding.cases import Asked, DecodingCase
from neurohorizon.evaluation.decoding.ladder import DecodedRow, Progress, decode_ladder
from neurohorizon.evaluation.decoding.results import (
    DecodedCase,
    DecodingResult,
    Entry,
    Predictions,
)
from neurohorizon.evaluation.decoding.rows import ROWS
from neurohorizon.evaluation.decoding.sums import Sums
from neurohorizon.evaluation.decoding.tuning import Chosen, Decoder
from neurohorizon.evaluation.results import Row
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.recordings.decoding.tasks import Task
from neurohorizon.recordings.schema import FloatArray, Recording

#: A time stamp further off than this, in seconds, is another one.
TOLERANCE_S = 1e-4


def make_cases(
    recordings: Sequence[Recording],
    tasks: Sequence[Task],
    *,
    signal: str = "",
    held_out: bool = False,
) -> list[DecodingCase]:
    """Make every task of every recording ready; a task that a recording lacks is simply absent.

    Parameters
    ----------
    recordings : sequence of Recording
        With splits.
    tasks : sequence of Task
    signal : str
        Signals to read in place of spikes.
    held_out : bool
        Whether models never saw the recordings.

    Raises
    ------
    DataError
        If no recording has any of the tasks.
    """
    cases = [
        case
        for recording in recordings
        for task in tasks
        if (case := DecodingCase.of(recording, task, signal=signal, held_out=held_out)) is not None
    ]
    if not cases:
        named = ", ".join(task.name for task in tasks)
        raise DataError(
            f"none of the {len(recordings)} recordings has a value of {named}: nothing to decode"
        )
    return cases


def score_ladder(
    cases: Sequence[DecodingCase],
    *,
    rows: Sequence[str] = ROWS,
    decoders: Sequence[Decoder] | None = None,
    title: str = "",
    seed: int = 0,
    progress: Progress | None = None,
) -> DecodingResult:
    """Fit the simple decoders on each case by itself, and score them on its test part.

    Parameters
    ----------
    cases : sequence of DecodingCase
    rows : sequence of str
        Which simple decoders.
    decoders : sequence of Decoder, optional
        Instead of `rows`: with settings of their own, fitted on one case after the other.
    title : str
        What the recordings have in common.
    seed : int
        Of the networks.
    progress : callable, optional
        Called with what is being done, rows done, and rows in all.
    """
    decoded = []
    for number, case in enumerate(cases):

        def tell(what: str, done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(what, number * total + done, len(cases) * total)

        decoded.append(decode_ladder(case, rows=rows, decoders=decoders, seed=seed, progress=tell))
    return score_decoded(cases, decoded, title=title)


def score_model(
    name: str,
    cases: Sequence[DecodingCase],
    decoded: Mapping[tuple[str, str], tuple[FloatArray, FloatArray]],
    *,
    title: str = "",
    seconds: float = 0.0,
) -> DecodingResult:
    """Score what a trained model decoded.

    Parameters
    ----------
    name : str
        The row's name.
    cases : sequence of DecodingCase
    decoded : mapping of (task, recording) to (times, outputs)
        Seconds (n,), and values in the task's units or a probability a class, (n, P). Time
        stamps that are not scored may be among them.
    title : str
    seconds : float
        Time that decoding took, all cases together.

    Raises
    ------
    DataError
        If a time stamp of a test part was not decoded.
    """
    found = []
    for case in cases:
        key = (case.task.name, case.recording_id)
        if key not in decoded:
            found.append([DecodedRow(name, "model", None, Chosen({}), "the model lacks the task")])
            continue
        outputs = at_test_times(case, *decoded[key])
        found.append([DecodedRow(name, "model", outputs, Chosen({}), seconds=seconds / len(cases))])
    return score_decoded(cases, found, title=title)


def decode_test_parts(
    decoder: TrainedDecoder,
    cases: Sequence[DecodingCase],
    *,
    stride_s: float | None = None,
    reference: FloatArray | None = None,
) -> Callable[[Recording], dict[str, FloatArray]]:
    """Return what decodes the test parts of several tasks of one recording, by task.

    Parameters
    ----------
    decoder : TrainedDecoder
    cases : sequence of DecodingCase
    stride_s, reference
        As :meth:`~neurohorizon.models.decoding.TrainedDecoder.decode` takes them.
    """

    def decode(recording: Recording) -> dict[str, FloatArray]:
        found = decoder.decode(recording, cases[0].test, stride_s=stride_s, reference=reference)
        return {
            case.task.name: at_test_times(
                case, found[case.task.name].times_s, found[case.task.name].values
            )
            for case in cases
        }

    return decode


def at_test_times(case: DecodingCase, times_s: FloatArray, outputs: FloatArray) -> FloatArray:
    """Return what was decoded at the time stamps of a case's test part.

    Raises
    ------
    DataError
        If one of them was not decoded.
    """
    test = case.part("test")
    index, off = nearest_times(times_s, test.asked)
    if len(off) and off.max() > TOLERANCE_S:
        missing = np.flatnonzero(off > TOLERANCE_S)
        raise DataError(
            f"{case.recording_id}, task {case.task.name}: {len(missing)} of {len(test)} time "
            f"stamps were not decoded, first {test.times_s[missing[0]]:.3f} s"
        )
    return np.asarray(outputs, dtype=np.float64)[index]


def nearest_times(times_s: FloatArray, asked: Asked) -> tuple[NDArray[np.int64], FloatArray]:
    """Return which of sorted times is nearest to each that is asked, and how far off it is."""
    if not len(times_s):
        return np.zeros(len(asked), dtype=np.int64), np.full(len(asked), np.inf)
    after = np.clip(np.searchsorted(times_s, asked.times_s), 0, len(times_s) - 1)
    before = np.maximum(after - 1, 0)
    gaps = [np.abs(times_s[each] - asked.times_s) for each in (before, after)]
    index = np.where(gaps[0] <= gaps[1], before, after)
    return index.astype(np.int64), np.minimum(*gaps)


def score_decoded(
    cases: Sequence[DecodingCase],
    decoded: Sequence[Sequence[DecodedRow]],
    *,
    title: str = "",
) -> DecodingResult:
    """Score what rows decoded.

    Parameters
    ----------
    cases : sequence of DecodingCase
    decoded : sequence of sequence of DecodedRow
        For each case, its rows.
    title : str
    """
    rows: dict[str, Row] = {}
    entries, predictions = {}, {}
    for case, found in zip(cases, decoded, strict=True):
        test, key = case.part("test"), (case.task.name, case.recording_id)
        said = {}
        for each in found:
            sums = None
            if each.outputs is not None:
                sums = Sums.of(case.task, test.times_s, test.values, each.outputs)
                said[each.row] = each.outputs.astype(np.float32)
            entries[each.row, *key] = Entry(sums, each.chosen, each.left_out, each.seconds)
            before = rows[each.row].seconds if each.row in rows else 0.0
            rows[each.row] = Row(each.row, each.role, before + each.seconds)
        predictions[key] = Predictions(
            test.times_s, test.stretch.astype(np.int64), test.values, said
        )
    return DecodingResult(
        title=title,
        tasks=tuple({case.task.name: case.task for case in cases}.values()),
        rows=list(rows.values()),
        cases=[DecodedCase.of(case) for case in cases],
        entries=entries,
        predictions=predictions,
    )
