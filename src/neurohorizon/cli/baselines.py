"""``neurohorizon baselines``: how predictable recordings are, without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress


def baselines(
    recipe: str,
    /,
    *overrides: str,
    out: Path | None = None,
    again: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Say how predictable recordings are: the baseline ladder alone, without a network.

    Every baseline is fitted on the recordings that a model would be trained on, and scored
    on the same windows against the same null as a model would be. Writes the results and
    one HTML page; what is there already is skipped.

    Parameters
    ----------
    recipe
        A folder of recordings (`neurohorizon data prepare`), one recording (.h5), the name
        of a recipe (`neurohorizon config list`), or the path of a .yaml file.
    overrides
        key=value, such as evaluation.reference_s=60 or data.hold_out.by=subject; no keys of a
        model or its training.
    out
        Folder of the run; runs/NAME-baselines by default.
    again
        Compute what is there already, too.
    """
    from neurohorizon.cli.report import report_run
    from neurohorizon.configs.run_baselines import load_baselines_config, score_baselines
    from neurohorizon.evaluation.predictability import describe_predictability
    from neurohorizon.evaluation.run_results import RESULTS_FOLDER, load_run_results
    from neurohorizon.report.tables import format_scores

    loaded = load_baselines_config(recipe, overrides, folder=out)
    folder, command_line = loaded.config.run.folder, ["neurohorizon", *sys.argv[1:]]
    with StageProgress() as progress:
        progress.say(f"run folder: {folder}")
        computed = score_baselines(
            loaded, again=again, command_line=command_line, progress=progress
        )
        page = report_run(folder, command_line=command_line, progress=progress)
    for of_set in load_run_results(folder / RESULTS_FOLDER).sets.values():
        if of_set.rows.scored_cases():
            print(format_scores(of_set.rows))
        print(f"{of_set.rows.title}: {describe_predictability(of_set.rows)}\n")
    print(f"computed {', '.join(computed)}" if computed else "all was there already")
    print(f"open the report: {page}")
