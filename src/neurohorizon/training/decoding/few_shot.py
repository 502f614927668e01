"""The k-minute curve: what minutes of a new session buy, by each way to take a decoder to it.

Simple decoders stand beside the ways, fitted and tuned on the same stretches; all rows are scored
at the same time stamps of the test part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neurohorizon.errors import ConfigError, DataError
from neurohorizon.evaluation.decoding.cases import DecodingCase
from neurohorizon.evaluation.decoding.ladder import DecodedRow, decode_ladder
from neurohorizon.evaluation.decoding.results import DecodingResult
from neurohorizon.evaluation.decoding.scoring import at_test_times, make_cases, score_decoded
from neurohorizon.evaluation.decoding.tuning import Chosen
from neurohorizon.models.decoding import TrainedDecoder
from neurohorizon.ops.intervals import total_s
from neurohorizon.recordings.decoding.minutes import minutes_of, readable_stretches
from neurohorizon.recordings.schema import Recording
from neurohorizon.training.decoding.adapt import (
    TOKENS_PER_BATCH,
    DecoderAdaptation,
    DecoderMode,
    adapt_decoder,
)
from neurohorizon.training.decoding.adapt_steps import Stage

#: Simple decoders beside the ways: the strongest on most recordings, and one that is quick.
BASELINES = ("Wiener", "Kalman smoother")
TITLE = "Recordings that training never saw, by minutes of them"


@dataclass(frozen=True, eq=False)
class Way:
    """A way to take a decoder to new sessions.

    Parameters
    ----------
    name : str
        What tables and figures call it.
    decoder : TrainedDecoder
    mode : {"units", "full", "none"}
    stages : tuple of Stage, optional
        As :func:`~neurohorizon.training.decoding.adapt.adapt_decoder` takes them.
    """

    name: str
    decoder: TrainedDecoder
    mode: DecoderMode
    stages: tuple[Stage, ...] | None = None


@dataclass(frozen=True, eq=False)
class FewShotDecoding:
    """Scores of a curve, and how each adaptation went.

    Parameters
    ----------
    result : DecodingResult
        Rows "units, 4 min", "Wiener, 4 min" and so on.
    adaptations : mapping of (row, recording) to DecoderAdaptation
    """

    result: DecodingResult
    adaptations: dict[tuple[str, str], DecoderAdaptation]


def row_of(name: str, minutes: float) -> str:
    """Name a row of the curve.

    Examples
    --------
    >>> row_of("units", 4.0)
    'units, 4 min'
    """
    return f"{name}, {minutes:g} min"


def name_and_minutes(row: str) -> tuple[str, float]:
    """Return what `row_of` named a row of.

    Examples
    --------
    >>> name_and_minutes("Bayes continuous, 0.5 min")
    ('Bayes continuous', 0.5)
    """
    name, minutes = row.removesuffix(" min").rsplit(", ", 1)
    return name, float(minutes)


def fitting_minutes(recordings: Sequence[Recording], minutes: Sequence[float]) -> list[float]:
    """Return those numbers of minutes that every recording has to give, in order.

    Raises
    ------
    DataError
        If there is none, or no recording.
    """
    if not recordings:
        raise DataError("no recordings to take a decoder to: give held-out ones")
    most, shortest = min(
        (total_s(readable_stretches(recording)) / 60, recording.id) for recording in recordings
    )
    lengths = sorted({length for length in minutes if length <= most + 1e-6})
    if not lengths:
        raise DataError(
            f"{shortest}: {most:.3g} minutes may be read beside its test part: none of "
            f"{', '.join(f'{length:g}' for length in minutes)} fits"
        )
    return lengths


def measure_decoding_few_shot(
    ways: Sequence[Way],
    recordings: Sequence[Recording],
    *,
    minutes: Sequence[float] = (1.0, 2.0, 4.0, 8.0),
    baselines: Sequence[str] = BASELINES,
    stride_s: float | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> FewShotDecoding:
    """Take decoders to held-out recordings with some minutes of each, and score their test parts.

    Parameters
    ----------
    ways : sequence of Way
        Their decoders decode the same tasks.
    recordings : sequence of Recording
        Held-out ones, with a split; each is adapted to by itself.
    minutes : sequence of float
        Those that not every recording has to give are left out. More minutes contain fewer.
    baselines : sequence of str
        Simple decoders (:data:`neurohorizon.evaluation.decoding.rows.ROWS`).
    stride_s : float, optional
        Between windows of the test part; half a window by default.
    tokens_per_batch : int
        Of each adaptation.
    seed : int
        Of each adaptation, and of the simple decoders.
    progress : callable, optional
        Called with what is being done, steps done, and steps in all.

    Returns
    -------
    FewShotDecoding

    Raises
    ------
    ConfigError
        If there is no way, two have the same name, or their decoders decode other tasks.
    DataError
        If no recording is given, one has no test part, or none of the minutes can be read of all.
    """
    _refuse_unlike(ways, baselines)
    lengths = fitting_minutes(recordings, minutes)
    for recording in recordings:
        if not len(recording.require_split().test):
            raise DataError(f"{recording.id}: no test part to score: split it otherwise")
    first = ways[0].decoder
    cases = make_cases(recordings, first.model.tasks, signal=first.signal, held_out=True)
    found: dict[tuple[str, str], list[DecodedRow]] = {
        (case.recording_id, case.task.name): [] for case in cases
    }
    told: dict[tuple[str, str], DecoderAdaptation] = {}
    done, total = 0, len(lengths) * len(recordings) * (len(ways) + 1)

    def tell(row: str, recording: Recording) -> None:
        nonlocal done
        if progress is not None:
            progress(f"{recording.id}: {row}", done, total)
        done += 1

    for recording in recordings:
        mine = [case for case in cases if case.recording_id == recording.id]
        for length in lengths:
            given = minutes_of(recording, length, shortest_s=first.model.length_s)
            inside = given.split(recording)
            for way in ways if mine else ():
                row = row_of(way.name, length)
                tell(row, recording)
                adapted, told[row, recording.id] = adapt_decoder(
                    way.decoder,
                    recording,
                    minutes=length,
                    mode=way.mode,
                    stages=way.stages,
                    tokens_per_batch=tokens_per_batch,
                    seed=seed,
                )
                decoded = adapted.decode(inside, inside.require_split().test, stride_s=stride_s)
                for case in mine:
                    each = decoded[case.task.name]
                    outputs = at_test_times(case, each.times_s, each.values)
                    found[recording.id, case.task.name].append(
                        DecodedRow(
                            row,
                            "model",
                            outputs,
                            _as_chosen(told[row, recording.id]),
                            seconds=told[row, recording.id].seconds,
                        )
                    )
            tell(row_of("simple decoders", length), recording)
            for case in mine:
                found[recording.id, case.task.name] += _simple(
                    case, inside, first.signal, baselines, length, seed
                )
    if progress is not None:
        progress("scored", total, total)
    rows = [found[case.recording_id, case.task.name] for case in cases]
    return FewShotDecoding(score_decoded(cases, rows, title=TITLE), told)


def _simple(
    case: DecodingCase,
    inside: Recording,
    signal: str,
    baselines: Sequence[str],
    length: float,
    seed: int,
) -> list[DecodedRow]:
    """Fit simple decoders on the minutes that `inside` is split by."""
    if not baselines:
        return []
    fitted = DecodingCase.of(inside, case.task, signal=signal, held_out=True)
    assert fitted is not None, "the case has the task"
    try:
        decoded = decode_ladder(fitted, rows=baselines, seed=seed)
    except DataError as error:
        # Nothing of this task in so few minutes; there may be of another.
        none = Chosen({})
        decoded = [DecodedRow(name, "baseline", None, none, str(error)) for name in baselines]
    return [
        DecodedRow(
            row_of(each.row, length),
            each.role,
            each.outputs,
            each.chosen,
            each.left_out,
            each.seconds,
        )
        for each in decoded
    ]


def _as_chosen(told: DecoderAdaptation) -> Chosen:
    """Tell how an adaptation went where simple decoders tell their settings."""
    if not told.valid_loss:
        return Chosen({"mode": told.mode})
    settings = {"mode": told.mode, "steps": told.steps, "kept_after": told.best_step}
    return Chosen(settings, "loss", min(told.valid_loss), len(told.valid_loss))


def _refuse_unlike(ways: Sequence[Way], baselines: Sequence[str]) -> None:
    if not ways:
        raise ConfigError("no way to take a decoder to a session: name one at least")
    names = [*(way.name for way in ways), *baselines]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two rows of the curve are called {name!r}")
    wanted = [(task.spec, task.classes, task.axis_rad) for task in ways[0].decoder.model.tasks]
    for way in ways[1:]:
        theirs = [(task.spec, task.classes, task.axis_rad) for task in way.decoder.model.tasks]
        if theirs != wanted:
            raise ConfigError(
                f"the decoders of {ways[0].name!r} and {way.name!r} decode other tasks: give "
                "decoders of the same recipe and training recordings"
            )
