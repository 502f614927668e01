"""``neurohorizon compare``: several runs in one table."""

from __future__ import annotations

from pathlib import Path


def compare(*runs: Path, out: Path | None = None) -> None:
    """Set several runs side by side, with paired differences.

    The models are compared on the same windows against the same null: results of another
    protocol, other recordings or other windows are refused. Baselines are the first run's.

    Parameters
    ----------
    runs
        Run folders with results (`neurohorizon evaluate`); differences are to the first.
    out
        Folder for the tables as JSON and CSV, and the figure.
    """
    from neurohorizon.evaluation.comparison import compare_runs
    from neurohorizon.evaluation.result_files import save_result
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER, load_run_results
    from neurohorizon.evaluation.summary import strongest_by_horizon
    from neurohorizon.report.tables import format_differences, format_scores

    names = name_runs(runs)
    found = {
        name: load_run_results(run / RESULTS_FOLDER) for name, run in zip(names, runs, strict=True)
    }
    for of_set, result in compare_runs(found).items():
        best = strongest_by_horizon(result)
        pairs = [(name, best) for name in names if best]
        pairs += [(name, [names[0]] * len(result.protocol.horizons_s)) for name in names[1:]]
        print(format_scores(result))
        print(format_differences(result, pairs))
        if out is not None:
            from neurohorizon.report.figures import save_comparison

            save_result(result, out / of_set, compare_to=names[:1])
            save_comparison(result, out, name=of_set)
    if out is not None:
        print(f"tables and figures in {out}")


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
