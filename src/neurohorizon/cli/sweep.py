"""``neurohorizon sweep``: many trainings with one command, and one table of them."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress
from neurohorizon.errors import ConfigError

if TYPE_CHECKING:
    from neurohorizon.configs.run_sweep import SweepOutcome
    from neurohorizon.configs.sweep_plan import SweepPlan
    from neurohorizon.training.queue import Outcome, Task

FAILED = 2


def sweep(
    recipe: str,
    /,
    *overrides: str,
    seeds: int | None = None,
    one_at_a_time: Annotated[bool, Parameter(negative=())] = False,
    base: str | None = None,
    each: str | None = None,
    reference_s: str | None = None,
    out: Path | None = None,
    launcher: Literal["local", "slurm", "ray"] = "local",
    jobs: int | None = None,
    slurm: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train and evaluate a grid of settings, or an experiment, and write one table of it.

    Every member is checked before the first is begun. Each is trained and evaluated in a
    process of its own; one that fails stops no other. What is finished is skipped and what
    is half done is gone on with, so the same command can be given again.

    Parameters
    ----------
    recipe
        Name of a recipe or of an experiment (`neurohorizon config list`), or path of a .yaml
        file of either.
    overrides
        key=value for all members, key=a,b to vary: several such keys are crossed. A list is
        written in brackets: data.units=[5,9],[20,40] are two values. run.seed=0,1,2 names
        the seeds.
    seeds
        How many seeds: 0, 1, ... An experiment says its own number.
    one_at_a_time
        Vary one key at a time from the recipe, instead of crossing them.
    base
        Recipe that an experiment varies from, in place of its own.
    each
        Train on each recording, subject, or value of another key of their metadata (such as
        laboratory) alone, and score on all others: from whom to whom?
    reference_s
        Score with other lengths of the reference, too, in seconds: 10,30,60,120,300.
    out
        Folder of the sweep; sweeps/NAME by default.
    launcher
        Where members run: on this machine, as jobs of Slurm, or on a Ray cluster.
    jobs
        Members at a time; by default one a free GPU or one on the CPU, or as many as the
        cluster gives room.
    slurm
        Parameters of submitit, such as timeout_min=240,gpus_per_node=1,slurm_partition=gpu.
    dry_run
        Check everything, list what would run, and write nothing.
    """
    from neurohorizon.cli.evaluate import parse_amounts
    from neurohorizon.configs.run_sweep import run_sweep
    from neurohorizon.configs.sweep_plan import plan_sweep

    lengths = parse_amounts("--reference-s", reference_s, "30 or 10,30,60,120,300")
    parameters = parse_parameters(slurm)
    plan = plan_sweep(
        recipe,
        overrides,
        num_seeds=seeds,
        one_at_a_time=one_at_a_time,
        base=base,
        each=each,
        reference_lengths_s=lengths or None,
        folder=out,
    )
    if dry_run:
        _print_plan(plan)
        return 0
    command_line = ["neurohorizon", *sys.argv[1:]]
    with StageProgress() as progress:
        progress.say(f"{plan.folder}: {len(plan.members)} members, {len(plan.runs)} runs")
        teller = Teller(progress)
        try:
            outcome = run_sweep(
                plan,
                launcher=launcher,
                num_jobs=jobs,
                slurm=parameters,
                command_line=command_line,
                progress=progress,
                on_event=teller,
            )
        except KeyboardInterrupt:
            progress.say(f"{plan.folder}: go on with the same command")
            raise
        if outcome.done or outcome.skipped:
            from neurohorizon.report.sweep_page import write_sweep

            page = write_sweep(plan.folder, progress=progress)
            _print_end(plan, outcome)
            print(f"table: {page}")
        else:
            _print_end(plan, outcome)
    return FAILED if outcome.failed else 0


def parse_parameters(text: str | None) -> dict[str, int | float | str]:
    """Read ``name=value`` pairs, separated by commas.

    Raises
    ------
    ConfigError
        If they are no such pairs.

    Examples
    --------
    >>> parse_parameters("timeout_min=240,slurm_partition=gpu")
    {'timeout_min': 240, 'slurm_partition': 'gpu'}
    """
    found: dict[str, int | float | str] = {}
    for pair in text.split(",") if text else []:
        name, equals, value = pair.partition("=")
        if not (name.isidentifier() and equals and value):
            raise ConfigError(
                f"--slurm {text}: expected name=value pairs, such as "
                "timeout_min=240,slurm_partition=gpu"
            )
        try:
            found[name] = int(value)
        except ValueError:
            try:
                found[name] = float(value)
            except ValueError:
                found[name] = value
    return found


class Teller:
    """Say in a line what begins and what has ended, with an estimate of what is left."""

    def __init__(self, progress: StageProgress) -> None:
        self.progress = progress
        self.started, self.num_ended = time.monotonic(), 0

    def __call__(self, event: Task | Outcome, num_to_do: int) -> None:
        """Say it."""
        from neurohorizon.training.queue import Task

        if isinstance(event, Task):
            self.progress.say(f"begun: {event.name} (log: {event.log})")
            return
        self.num_ended += 1
        left = (time.monotonic() - self.started) / self.num_ended * (num_to_do - self.num_ended)
        estimate = f"; about {duration(left)} left" if num_to_do > self.num_ended else ""
        told = f"FAILED: {event.failure}" if event.failure else f"done in {duration(event.seconds)}"
        self.progress.say(f"[{self.num_ended}/{num_to_do}] {event.name}: {told}{estimate}")


def duration(seconds: float) -> str:
    """Write a duration in two units.

    Examples
    --------
    >>> duration(75), duration(7300)
    ('1 min 15 s', '2 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _print_plan(plan: SweepPlan) -> None:
    from neurohorizon.configs.run_sweep import describe_state, train_command

    counts: dict[str, int] = {}
    for member in plan.members:
        states = [describe_state(plan, run) for run in member.runs]
        for state in states:
            counts[state] = counts.get(state, 0) + 1
        also = f" (the same: {', '.join(member.also)})" if member.also else ""
        print(f"{member.name}{also}: {member.num_parameters:,} parameters")
        for run, state in zip(member.runs, states, strict=True):
            print(f"  {state:10}  {shlex.join(train_command(run, plan.recipe))}")
    told = ", ".join(f"{number} {state}" for state, number in counts.items())
    print(f"{len(plan.members)} members, {len(plan.runs)} runs ({told}) in {plan.folder}")
    print("all checks passed; nothing was written")


def _print_end(plan: SweepPlan, outcome: SweepOutcome) -> None:
    for name, failure in outcome.failed.items():
        print(f"error: {name}: {failure}", file=sys.stderr)
    print(
        f"{plan.folder}: {outcome.done} runs done, {outcome.skipped} were there already, "
        f"{len(outcome.failed)} failed"
    )
