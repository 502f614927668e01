"""What ``neurohorizon evaluate`` does with a decoder's run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurohorizon.cli._progress import StageProgress


def evaluate_decoder_run(
    run: Path,
    *,
    recordings: Path | None,
    minutes: Sequence[float],
    importance: bool,
    again: bool,
) -> None:
    """Score a decoder, and print what was found."""
    from neurohorizon.configs.records import load_decode_run
    from neurohorizon.configs.run_decoder_adaptation import (
        load_few_shot,
        require_held_out,
        score_decoder_few_shot,
    )
    from neurohorizon.configs.run_decoder_importance import measure_run_importance
    from neurohorizon.configs.run_decoding import (
        evaluate_decoder,
        load_results,
        load_run_importance,
    )
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER
    from neurohorizon.report.decoding_importance import importance_answer
    from neurohorizon.report.decoding_page_tables import decoding_answer
    from neurohorizon.report.decoding_tables import format_decoding

    if minutes:
        # Before what takes minutes.
        require_held_out(load_decode_run(run))
    with StageProgress() as progress:
        computed = evaluate_decoder(run, recordings=recordings, again=again, progress=progress)
        if importance and measure_run_importance(
            run, recordings=recordings, again=again, progress=progress
        ):
            computed.append("later.importance")
        if minutes and score_decoder_few_shot(
            run, minutes=minutes, recordings=recordings, again=again, progress=progress
        ):
            computed.append("held-out.few-shot")
    for result in load_results(run).values():
        print(format_decoding(result))
        for task in result.tasks:
            print(decoding_answer(result, task))
    if importance:
        for each in load_run_importance(run):
            print(importance_answer(each))
    curve = load_few_shot(run) if minutes else None
    if curve is not None:
        print(format_decoding(curve))
    print(f"computed {', '.join(computed)}" if computed else "all was there already")
    print(f"results in {run / RESULTS_FOLDER}")
    print(f"next: neurohorizon report {run}")
