"""``neurohorizon bridge retrieve``: find pictures by the responses to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from neurohorizon.cli._progress import StageProgress

if TYPE_CHECKING:
    from neurohorizon.training.bridge.names import RowName


def retrieve(
    run: Path,
    /,
    *,
    regions: str | None = None,
    windows: str | None = None,
    transfer: tuple[str, ...] = (),
) -> None:
    """Find the test pictures by the responses to them, and the responses by their pictures.

    Scores of every row with chance, intervals and paired differences are printed and written to
    RUN/results/retrieval, with where each row puts responses and pictures.

    Parameters
    ----------
    run
        A folder that `neurohorizon bridge align` wrote.
    regions
        A row of the run, such as "MLP InfoNCE": fit it to the electrodes of each region as well,
        alone, left out, as many as others have, and as reliable. Written to RUN/results/regions.
    windows
        A row of the run: of responses in time bins, fit it to every bin by itself and to all until
        then, of all electrodes and of each region's. Written to RUN/results/windows.
    transfer
        A row of the run: carry it from every recording, and from all others, to each one with 10,
        30, 100, 300, 1000 and all of its pictures. The option may be repeated. Written to
        RUN/results/transfer.
    """
    from neurohorizon.configs.records import load_bridge_run
    from neurohorizon.configs.run_bridges import require_fitted_anew
    from neurohorizon.configs.run_regions import score_regions, score_windows
    from neurohorizon.configs.run_retrieval import retrieve_run
    from neurohorizon.configs.run_transfer import require_transferable, score_transfer
    from neurohorizon.evaluation.retrieval.regions import WHOLE
    from neurohorizon.evaluation.retrieval.result_files import RETRIEVAL
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER
    from neurohorizon.report.retrieval_tables import format_retrieval
    from neurohorizon.report.transfer_tables import format_transfer

    # Before anything is scored: that takes a while.
    opened = load_bridge_run(run)
    require_fitted_anew(opened.config, run, [each for each in (regions, windows) if each])
    if transfer:
        require_transferable(opened, transfer)
    with StageProgress() as progress:
        scored = retrieve_run(run, progress=progress)
        by_region = by_window = None
        if regions is not None:
            by_region = score_regions(run, cast("RowName", regions), progress=progress)
        if windows is not None:
            by_window = score_windows(run, cast("RowName", windows), progress=progress)
        carried = None
        if transfer:
            names = cast("tuple[RowName, ...]", tuple(dict.fromkeys(transfer)))
            carried = score_transfer(run, names, progress=progress)
    print(format_retrieval(scored.result))
    print(format_retrieval(scored.result, direction="response"))
    if by_region is not None:
        print(format_retrieval(by_region, named=WHOLE))
    if by_window is not None:
        print(format_retrieval(by_window))
    if carried is not None:
        print(format_transfer(carried))
    print(f"written to {run / RESULTS_FOLDER / RETRIEVAL}")
    print(f"next: neurohorizon report {run}")
