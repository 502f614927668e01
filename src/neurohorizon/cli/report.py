"""``neurohorizon report``: a run's results as one HTML page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neurohorizon.cli._progress import StageProgress
from neurohorizon.errors import ConfigError

if TYPE_CHECKING:
    from neurohorizon.configs.sessions import Progress


def report(
    run: Path, /, *, out: Path | None = None, pictures: tuple[Path, ...] | None = None
) -> None:
    """Write a run's results as one HTML page, with all figures and the numbers behind them.

    The page needs no other file and no network. Figures lie beside it as SVG and PNG, each
    with its numbers as CSV. A run without results is evaluated first. Of a sweep's folder, the
    table of what is finished so far is written.

    Parameters
    ----------
    run
        Run folder, or folder of a sweep.
    out
        The page; RUN/report/index.html by default.
    pictures
        Of a run of bridges: folder or zip archive of the pictures, to show what was found; a
        folder of archives will do, and the option may be repeated. They are told by their
        content.
    """
    from neurohorizon.configs.run_retrieval_views import is_bridges
    from neurohorizon.evaluation.sweep_results import is_sweep

    if pictures is not None and not (run.is_dir() and not is_sweep(run) and is_bridges(run)):
        raise ConfigError(f"--pictures is for runs of bridges, and {run} holds none")
    if is_sweep(run):
        if out is not None:
            raise ConfigError("--out has no effect on a sweep, whose table lies in its own folder")
        from neurohorizon.report.sweep_page import write_sweep

        with StageProgress() as progress:
            table = write_sweep(run, progress=progress)
        print(f"table: {table}")
        return
    from neurohorizon.configs.run_decoding import is_decoder

    if is_bridges(run):
        with StageProgress() as progress:
            page = report_bridges(run, out=out, pictures=pictures or (), progress=progress)
        print(f"report: {page}")
        return
    write = report_decoder if is_decoder(run) else report_run
    with StageProgress() as progress:
        page = write(run, out=out, command_line=["neurohorizon", *sys.argv[1:]], progress=progress)
    print(f"report: {page}")


def report_bridges(
    run: Path,
    *,
    out: Path | None = None,
    pictures: tuple[Path, ...] = (),
    progress: Progress | None = None,
) -> Path:
    """Write the page of a run of bridges and return its path; score it first if need be."""
    from neurohorizon.configs.run_retrieval import retrieve_run
    from neurohorizon.configs.run_retrieval_views import load_retrieval_views
    from neurohorizon.evaluation.pictures.result_files import RECONSTRUCTION
    from neurohorizon.evaluation.retrieval.result_files import RETRIEVAL
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER
    from neurohorizon.report.retrieval_page import write_retrieval_report
    from neurohorizon.report.run_notes import read_run_notes

    results = run / RESULTS_FOLDER / RETRIEVAL
    if not results.is_dir():
        retrieve_run(run, progress=progress)
    return write_retrieval_report(
        results,
        load_retrieval_views(run),
        read_run_notes(run),
        run / "report" / "index.html" if out is None else out,
        pictures=pictures,
        drawn=run / RESULTS_FOLDER / RECONSTRUCTION,
        progress=progress,
    )


def report_decoder(
    run: Path,
    *,
    out: Path | None = None,
    command_line: list[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page of a decoder's run and return its path; evaluate first if need be."""
    from neurohorizon.configs.run_decoder_adaptation import load_few_shot
    from neurohorizon.configs.run_decoding import (
        evaluate_decoder,
        load_results,
        load_run_importance,
        load_run_views,
        load_targets,
    )
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER
    from neurohorizon.report.decoding_page import write_decoding_report
    from neurohorizon.report.run_notes import read_run_notes
    from neurohorizon.training.callbacks import METRICS_FILE

    del command_line  # of forecasters' results
    if not load_results(run):
        evaluate_decoder(run, progress=progress)
    return write_decoding_report(
        load_results(run),
        run / RESULTS_FOLDER,
        read_run_notes(run),
        run / "report" / "index.html" if out is None else out,
        targets=load_targets(run),
        views=load_run_views(run),
        importance=load_run_importance(run),
        few_shot=load_few_shot(run),
        metrics_file=run / METRICS_FILE,
        progress=progress,
    )


def report_run(
    run: Path,
    *,
    out: Path | None = None,
    command_line: list[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page of a run folder and return its path; evaluate first if need be."""
    from neurohorizon.configs.run_evaluation import evaluate_run, recordings_at_hand
    from neurohorizon.evaluation.run_results import (
        RESULTS_FOLDER,
        SET_NAMES,
        is_there,
        load_run_results,
    )
    from neurohorizon.report.page import write_report
    from neurohorizon.report.run_notes import read_run_notes
    from neurohorizon.training.callbacks import METRICS_FILE

    results = run / RESULTS_FOLDER
    if not any(is_there(results / name) for name in SET_NAMES):
        evaluate_run(run, command_line=command_line or (), progress=progress)
    return write_report(
        load_run_results(results),
        read_run_notes(run),
        run / "report" / "index.html" if out is None else out,
        metrics_file=run / METRICS_FILE,
        recordings=recordings_at_hand(run),
        progress=progress,
    )
