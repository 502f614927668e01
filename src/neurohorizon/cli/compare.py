"""``neurohorizon compare``: several runs in one table."""

from __future__ import annotations

from pathlib import Path

from neurohorizon.cli._progress import StageProgress


def compare(*runs: Path, out: Path | None = None) -> None:
    """Set several runs side by side, with paired differences.

    The models are compared on the same windows against the same null: results of another
    protocol, other recordings or other windows are refused. Baselines are the first run's.

    Parameters
    ----------
    runs
        Run folders with results (`neurohorizon evaluate`); differences are to the first.
    out
        Folder for the HTML page, its figures, and the tables as JSON and CSV.
    """
    from neurohorizon.configs.records import require_run
    from neurohorizon.evaluation.answer import answer
    from neurohorizon.evaluation.comparison import compare_runs
    from neurohorizon.evaluation.result_files import save_result
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER, load_run_results
    from neurohorizon.evaluation.summary import strongest_by_horizon
    from neurohorizon.report.tables import format_differences, format_scores

    for run in runs:
        require_run(run)
    names = name_runs(runs)
    found = {
        name: load_run_results(run / RESULTS_FOLDER) for name, run in zip(names, runs, strict=True)
    }
    joined = compare_runs(found)
    for of_set, result in joined.items():
        if not result.scored_cases():
            print(answer(result))
            continue
        best = strongest_by_horizon(result)
        pairs = [(name, best) for name in names if best]
        pairs += [(name, [names[0]] * len(result.protocol.horizons_s)) for name in names[1:]]
        print(format_scores(result))
        print(format_differences(result, pairs))
        if out is not None:
            save_result(result, out / of_set, compare_to=names[:1])
    if out is not None:
        from neurohorizon.report.comparison_page import write_comparison
        from neurohorizon.report.run_notes import read_run_notes

        notes = {name: read_run_notes(run) for name, run in zip(names, runs, strict=True)}
        with StageProgress() as progress:
            page = write_comparison(joined, notes, out, progress=progress)
        print(f"tables and figures in {out}")
        print(f"open the comparison: {page}")


def name_runs(runs: tuple[Path, ...]) -> list[str]:
    """Call runs by the last parts of their paths, as many as tell them apart.

    Examples
    --------
    >>> name_runs((Path("runs/small"), Path("runs/tiny")))
    ['small', 'tiny']
    >>> name_runs((Path("a/tiny"), Path("b/tiny")))
    ['a/tiny', 'b/tiny']
    """
    parts = [run.resolve().parts for run in runs]
    length = 1
    while len({each[-length:] for each in parts}) < len(set(parts)):
        length += 1
    return ["/".join(each[-length:]) for each in parts]
