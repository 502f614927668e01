"""``neurohorizon bridge retrieve``: find pictures by the responses to them."""

from __future__ import annotations

from pathlib import Path

from neurohorizon.cli._progress import StageProgress


def retrieve(run: Path, /) -> None:
    """Find the test pictures by the responses to them, and the responses by their pictures.

    Scores of every row with chance, intervals and paired differences are printed and written to
    RUN/results/retrieval, with where each row puts responses and pictures.

    Parameters
    ----------
    run
        A folder that `neurohorizon bridge align` wrote.
    """
    from neurohorizon.configs.run_retrieval import retrieve_run
    from neurohorizon.evaluation.retrieval.result_files import RETRIEVAL
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER
    from neurohorizon.report.retrieval_tables import format_retrieval

    with StageProgress() as progress:
        scored = retrieve_run(run, progress=progress)
    print(format_retrieval(scored.result))
    print(format_retrieval(scored.result, direction="response"))
    print(f"written to {run / RESULTS_FOLDER / RETRIEVAL}")
    print(f"next: neurohorizon report {run}")
