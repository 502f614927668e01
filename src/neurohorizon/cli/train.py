"""``neurohorizon train``: train a model as a recipe says."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress
from neurohorizon.configs.load import load_trained
from neurohorizon.configs.records import run_state
from neurohorizon.configs.runs import TrainingPlan, plan_run, train_run
from neurohorizon.training.processes import is_first_process


def train(
    recipe: str,
    /,
    *overrides: str,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train a model as a recipe says.

    A finished run is skipped, so the same command can be given again. Everything is
    checked before anything is built, and nothing is left of a training that failed before
    it had written a point to resume from. Under torchrun or srun the processes train together.

    Parameters
    ----------
    recipe
        Name of a recipe (`neurohorizon config list`) or path of a .yaml file.
    overrides
        key=value, such as training.max_epochs=10 (`neurohorizon config explain RECIPE`
        shows the keys).
    out
        Folder of the run; runs/NAME by default.
    resume
        Go on with an unfinished run, from where it last saved (its last epoch, or step).
    dry_run
        Check everything, say what would be done, and write nothing.
    """
    loaded = load_trained(recipe, overrides, folder=out)
    config = loaded.config
    if dry_run:
        _print_plan(plan_run(loaded))
        return
    if not is_first_process():
        train_run(loaded, resume=resume)
        return
    with StageProgress() as progress:
        progress.say(f"run folder: {config.run.folder}")

        def say_epoch(row: Mapping[str, float]) -> None:
            progress.say(epoch_line(row, config.training.max_epochs))

        try:
            run = train_run(
                loaded,
                resume=resume,
                command_line=["neurohorizon", *sys.argv[1:]],
                progress=progress,
                on_epoch=say_epoch,
            )
        except KeyboardInterrupt:
            if run_state(config.run.folder) == "unfinished":
                progress.say(f"{config.run.folder}: go on with the same command and --resume")
            raise
    summary = run.summary
    if run.outcome == "skipped":
        print(f"{run.folder}: finished already, nothing to do")
    else:
        print(f"{run.folder}: {run.outcome}, {summary.epochs} epochs in {summary.seconds:.0f} s")
    print(
        f"best epoch {summary.best_epoch + 1}: {say_score(summary.chosen_by, summary.best_valid)} "
        "on the validation time of the training recordings"
    )
    print(f"next: neurohorizon evaluate {run.folder}")


def epoch_line(row: Mapping[str, float], num_epochs: int) -> str:
    """Say in one line how an epoch went."""
    prefix = "valid_bits_per_spike_"
    scores = {key.removeprefix(prefix): row[key] for key in row if key.startswith(prefix)}
    if scores:
        told = "valid bits/spike  " + "  ".join(
            f"{horizon.removesuffix('ms')} ms {value:.3f}" for horizon, value in scores.items()
        )
    else:
        told = "  ".join(
            f"{key.replace('_', ' ', 1)} {value:.3f}"
            for key, value in row.items()
            if key.startswith("valid_")
        )
    return f"epoch {row['epoch'] + 1:.0f}/{num_epochs}  loss {row['train_loss']:.4f}  {told}"


def say_score(name: str, value: float) -> str:
    """Say a validation score, by its name in the log.

    Examples
    --------
    >>> say_score("valid_bits_per_spike_1000ms", 0.1), say_score("valid_position_r2", 0.5)
    ('0.100 bits/spike at 1000 ms', 'position r2 0.500')
    """
    name = name.removeprefix("valid_")
    if name.startswith("bits_per_spike_"):
        horizon = name.removeprefix("bits_per_spike_").removesuffix("ms")
        return f"{value:.3f} bits/spike at {horizon} ms"
    return f"{name.replace('_', ' ')} {value:.3f}"


def _print_plan(plan: TrainingPlan) -> None:
    print(f"run folder   {plan.folder} ({plan.state})")
    print(f"recordings   {plan.num_training} to train on, {plan.num_held_out} held out")
    if plan.num_to_simulate:
        print(f"to simulate  {plan.num_to_simulate} of them")
    else:
        print(f"units        {plan.num_units:,}")
    print(f"model        {plan.num_parameters:,} parameters")
    print("all checks passed; nothing was written")
