"""``neurohorizon search``: the settings that validate best."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress
from neurohorizon.cli.sweep import FAILED, Teller


def search(
    recipe: str,
    /,
    *overrides: str,
    trials: Annotated[int, Parameter(required=True)],
    out: Path | None = None,
    jobs: int | None = None,
    seed: int = 0,
) -> int:
    """Search the settings that validate best, with Optuna.

    Each trial is a training in a process of its own; its value is the best bits per spike on
    the validation time of the training recordings. Test time is never looked at: score what
    was found with `neurohorizon evaluate` afterwards. Given again, the search goes on.

    Parameters
    ----------
    recipe
        Name or path of a recipe.
    overrides
        key=value for all trials; key=low..high to search a range (by its logarithm if it
        spans a factor of ten, whole numbers if both ends are), key=a,b,c to search choices.
    trials
        How many trainings in all, those that are there already among them.
    out
        Folder of the search; searches/NAME by default.
    jobs
        Trainings at a time; by default one a free GPU, or one on the CPU.
    seed
        Of what is proposed.
    """
    from neurohorizon.configs.run_search import TABLE, plan_search, run_search, train_command

    plan = plan_search(recipe, overrides, folder=out, seed=seed)
    with StageProgress() as progress:
        progress.say(f"{plan.folder}: {trials} trials of {', '.join(plan.space)}")
        outcome = run_search(
            plan, num_trials=trials, num_jobs=jobs, progress=progress, on_event=Teller(progress)
        )
    for name, failure in outcome.failed.items():
        print(f"error: {name}: {failure}", file=sys.stderr)
    best = outcome.best
    found = ", ".join(f"{key}={value}" for key, value in best.settings.items())
    print(f"best of {len(outcome.trials)}: trial {best.number}, {found}")
    print(f"{best.value:.4f} bits/spike on the validation time of the training recordings")
    print(f"all trials: {plan.folder / TABLE}")
    print(f"next: {shlex.join(train_command(plan, best.settings))}")
    return FAILED if outcome.failed else 0
