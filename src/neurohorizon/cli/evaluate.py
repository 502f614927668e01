"""``neurohorizon evaluate``: score a run's model beside every baseline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from neurohorizon.cli._evaluate_decoder import evaluate_decoder_run
from neurohorizon.cli._progress import StageProgress
from neurohorizon.errors import ConfigError


def evaluate(
    run: Path,
    /,
    *,
    reference_s: str | None = None,
    observer: bool | None = None,
    set: Literal["held-out", "later"] | None = None,
    recordings: Path | None = None,
    baselines: Path | None = None,
    few_shot: str | None = None,
    importance: Annotated[bool, Parameter(negative=())] = False,
    without_behavior: Path | None = None,
    without_images: Path | None = None,
    again: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Score a run's model beside every baseline.

    The baselines are fitted on the run's training recordings; all rows are scored on the
    same windows, against the same null: on the sessions that were held out, from a
    reference of some seconds and without a gradient step, and on the test time of the
    training sessions. Results lie in RUN/results; what is there already is skipped.

    A decoder is scored beside simple decoders, each fitted on every session by itself, at the
    same time stamps of its test part. It takes --recordings, --few-shot, --importance and
    --again.

    Parameters
    ----------
    run
        Run folder.
    reference_s
        Score with other lengths of the reference, in seconds, beside the run's own: 30, or
        several as 10,30,60,120,300. Windows and null stay the same.
    observer
        Also score the ideal observer of a simulated world, which takes minutes; as the run's
        configuration says by default.
    set
        Score only held-out sessions, or only the training sessions' test time (later time
        or, in an interleaved split, other blocks); both by default.
    recordings
        Where the run's recordings lie now, if they were moved.
    baselines
        Folder for the baselines' scores, to be shared by runs on the same recordings and
        windows: the first fits and scores them, the others take what is there.
    few_shot
        Also score the model adapted to each held-out session with so many minutes of it, in
        every way that `adapt` knows: 1 or 1,2,4,8.
    importance
        Of a decoder: decode the test part of the first three recordings once more with each unit
        out of its time, to say which units are read.
    without_behavior
        A run that was trained on the same data without behaviour, to say what that is worth.
    without_images
        One that was trained without pictures.
    again
        Compute what is there already, too.
    """
    from neurohorizon.configs.run_decoding import is_decoder

    minutes = parse_amounts("--few-shot", few_shot, "1 or 1,2,4,8")
    if is_decoder(run):
        about_forecasts = {
            "--reference-s": reference_s,
            "--observer": observer,
            "--set": set,
            "--baselines": baselines,
            "--without-behavior": without_behavior,
            "--without-images": without_images,
        }
        for option, value in about_forecasts.items():
            if value is not None:
                raise ConfigError(f"{run} holds a decoder, and {option} is about forecasts")
        evaluate_decoder_run(
            run, recordings=recordings, minutes=minutes, importance=importance, again=again
        )
        return
    if importance:
        raise ConfigError(f"{run} holds no decoder, and --importance is about decoders")

    from neurohorizon.configs.run_adaptation import score_few_shot
    from neurohorizon.configs.run_evaluation import evaluate_run
    from neurohorizon.evaluation.answer import answer
    from neurohorizon.evaluation.run_results import load_run_results
    from neurohorizon.recordings.conditions import Modality
    from neurohorizon.report.tables import (
        format_contributions,
        format_cosmoothing,
        format_reference_lengths,
        format_scores,
    )

    lengths = parse_amounts("--reference-s", reference_s, "30 or 10,30,60,120,300")
    minutes = parse_amounts("--few-shot", few_shot, "1 or 1,2,4,8")
    trained: list[tuple[Modality, Path | None]] = [
        ("behavior", without_behavior),
        ("images", without_images),
    ]
    without: dict[Modality, Path] = {name: other for name, other in trained if other is not None}
    computed = []
    with StageProgress() as progress:
        # The run's own length comes first: the others are set beside it.
        for seconds in (None, *lengths):
            computed += evaluate_run(
                run,
                reference_s=seconds,
                observer=observer,
                sets=("held-out", "later") if set is None else (set,),
                recordings=recordings,
                shared=baselines,
                without=without if seconds is None else None,
                again=again and (seconds is not None or not lengths),
                command_line=["neurohorizon", *sys.argv[1:]],
                progress=progress,
            )
        if minutes and score_few_shot(
            run, minutes=minutes, recordings=recordings, again=again, progress=progress
        ):
            computed.append("held-out.few-shot")
    results = load_run_results(run / "results")
    for of_set in results.sets.values():
        if set is None or of_set.name == set:
            shown = of_set.by_reference[lengths[0]] if len(lengths) == 1 else of_set.rows
            if shown.scored_cases():
                print(format_scores(shown))
                if of_set.cosmoothing:
                    print(format_cosmoothing(of_set))
            else:
                told = answer(shown)
                print(f"{shown.title}: {told[0].lower()}{told[1:]}")
            if worth := format_contributions(of_set):
                print(worth)
            if lengths:
                print(format_reference_lengths(of_set))
            if minutes and of_set.few_shot is not None:
                print(format_scores(of_set.few_shot))
    print(f"computed {', '.join(computed)}" if computed else "all was there already")
    print(f"results in {run / 'results'}")
    print(f"next: neurohorizon report {run}")


def parse_amounts(option: str, text: str | None, example: str) -> list[float]:
    """Read seconds or minutes, separated by commas; none for None.

    Raises
    ------
    ConfigError
        If they are no numbers above 0.

    Examples
    --------
    >>> parse_amounts("--reference-s", "120,30,30", "30")
    [30.0, 120.0]
    """
    if text is None:
        return []
    try:
        amounts = sorted({float(part) for part in text.split(",")})
    except ValueError:
        amounts = []
    if not amounts or not all(0 < each < float("inf") for each in amounts):
        unit = "seconds" if option.endswith("-s") else "minutes"
        raise ConfigError(f"{option} {text}: expected {unit} above 0, such as {example}")
    return amounts
