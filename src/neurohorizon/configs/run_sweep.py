"""Run a planned sweep: skip what is done, go on with what is half done, queue the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from neurohorizon.configs.data_schema import HoldOutNone, SimulatedData
from neurohorizon.configs.load import flatten
from neurohorizon.configs.schema import ForecastConfig
from neurohorizon.configs.sessions import Progress, open_sessions
from neurohorizon.configs.sweep_plan import MemberRun, SweepPlan
from neurohorizon.errors import ConfigError
from neurohorizon.evaluation.run_results import part_path, reference_part
from neurohorizon.evaluation.sweep_results import is_scored, write_sweep_record
from neurohorizon.ops.lock import locked
from neurohorizon.training.cluster import run_on_ray, run_on_slurm
from neurohorizon.training.queue import (
    Outcome,
    Task,
    find_slots,
    free_gpus,
    run_here,
    terminated_as_interrupted,
)

LOCK = ".sweep.lock"
#: Where members keep the scores of the baselines that they share.
BASELINES = "baselines"
Launcher = Literal["local", "slurm", "ray"]
Event = Callable[[Task | Outcome, int], None]
"""Called with a task that begins, or with what became of it, and how many there are to do."""


@dataclass(frozen=True)
class SweepOutcome:
    """What became of a sweep.

    Parameters
    ----------
    skipped : int
        Runs that were finished already.
    done : int
    failed : dict of str to str
        By run, the line that says why.
    """

    skipped: int
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def run_sweep(
    plan: SweepPlan,
    *,
    launcher: Launcher = "local",
    num_jobs: int | None = None,
    slurm: Mapping[str, int | float | str] | None = None,
    command_line: Sequence[str] = (),
    progress: Progress | None = None,
    on_event: Event | None = None,
) -> SweepOutcome:
    """Train and evaluate every member that is not finished.

    Parameters
    ----------
    plan : SweepPlan
    launcher : {"local", "slurm", "ray"}
    num_jobs : int, optional
        Members at a time; by default one a free GPU or one on the CPU (local), or as many as
        the cluster gives room.
    slurm : mapping, optional
        Parameters of submitit.
    command_line : sequence of str
        For the record.
    progress : callable, optional
        Called with (what is being done, steps done, steps in all).
    on_event : callable, optional

    Returns
    -------
    SweepOutcome
        A member that fails stops nothing but itself.

    Raises
    ------
    NeuroHorizonError
        If somebody else runs a sweep in the same folder, or a library is missing.
    """
    if num_jobs is not None and num_jobs < 1:
        raise ConfigError(f"--jobs is {num_jobs}: expected at least 1")
    if slurm and launcher != "slurm":
        raise ConfigError("--slurm has no effect without --launcher slurm: leave it out")
    with locked(plan.folder, LOCK, busy="running a sweep") as lock, terminated_as_interrupted():
        runs = [run for run in plan.runs if not _is_done(plan, run)]
        outcome = SweepOutcome(skipped=len(plan.runs) - len(runs))
        write_sweep_record(plan.folder, _record(plan, command_line))
        _simulate(runs, progress)
        tasks = [_task(plan, run) for run in runs]
        if not tasks:
            return outcome
        use_gpus = any(run.loaded.config.training.accelerator != "cpu" for run in runs)
        if launcher == "slurm":
            events = run_on_slurm(
                tasks, plan.folder / "slurm", parameters=slurm or {}, num_jobs=num_jobs
            )
        elif launcher == "ray":
            num_gpus = int(use_gpus and bool(free_gpus()))
            events = run_on_ray(tasks, num_jobs=num_jobs, num_gpus=num_gpus)
        else:
            slots = find_slots(num_jobs=num_jobs, use_gpus=use_gpus)
            # A sweep that was killed leaves its processes, and they the lock, until they end.
            events = run_here(tasks, slots[: len(tasks)], keep_open=[lock.fileno()])
        done, failed = 0, {}
        if progress is not None:
            progress("training members", 0, len(tasks))
        with closing(events):  # type: ignore[type-var]
            for event in events:
                if on_event is not None:
                    on_event(event, len(tasks))
                if isinstance(event, Outcome):
                    done += not event.failure
                    if event.failure:
                        failed[event.name] = event.failure
                    if progress is not None:
                        progress("training members", done + len(failed), len(tasks))
        return SweepOutcome(outcome.skipped, done, failed)


def describe_state(plan: SweepPlan, run: MemberRun) -> Literal["finished", "unfinished", "new"]:
    """Tell how far a run of a sweep is."""
    if _is_done(plan, run):
        return "finished"
    return "unfinished" if (run.folder / "config.yaml").is_file() else "new"


def train_command(run: MemberRun, recipe: str) -> list[str]:
    """Return the words that train a member by itself."""
    words = ["neurohorizon", "train", recipe, *run.overrides]
    return [*words, "--out", str(run.folder), "--resume"]


def _is_done(plan: SweepPlan, run: MemberRun) -> bool:
    return is_scored(run.folder, _parts(plan, run.loaded.config))


def _parts(plan: SweepPlan, config: ForecastConfig) -> list[str]:
    """Name the parts of the results that a run of the sweep has in the end."""
    first = "held-out" if _holds_out(config) else "later"
    lengths = [s for s in plan.reference_lengths_s if s != config.evaluation.reference_s]
    parts = [part_path(Path(), first, reference_part(seconds)).name for seconds in lengths]
    return list(dict.fromkeys([first, "later", *parts]))


def _holds_out(config: ForecastConfig) -> bool:
    if isinstance(config.data, SimulatedData):
        return config.data.num_held_out > 0
    return not isinstance(config.data.hold_out, HoldOutNone)


def _record(plan: SweepPlan, command_line: Sequence[str]) -> dict[str, Any]:
    members = []
    for member in plan.members:
        values = dict(flatten(member.runs[0].loaded.config))
        members.append(
            {
                "name": member.name,
                "also": list(member.also),
                "settings": member.settings,
                "values": {key: _plain(values.get(key)) for key in plan.factors},
                "runs": [
                    {
                        "seed": run.seed,
                        "folder": run.folder.relative_to(plan.folder).as_posix(),
                        "parts": _parts(plan, run.loaded.config),
                        "command": train_command(run, plan.recipe),
                    }
                    for run in member.runs
                ],
            }
        )
    return {
        "name": plan.name,
        "recipe": plan.recipe,
        "settings": plan.settings,
        "factors": plan.factors,
        "each": plan.each,
        "groups": plan.groups,
        "command_line": list(command_line),
        "members": members,
    }


def _plain(value: Any) -> Any:
    return (
        list(map(_plain, value))
        if isinstance(value, tuple | list)
        else (value if isinstance(value, str | int | float | bool | None) else str(value))
    )


def _simulate(runs: Sequence[MemberRun], progress: Progress | None) -> None:
    """Simulate first what several members would simulate at the same time."""
    seen = set()
    for run in runs:
        config = run.loaded.config
        world = config.data.model_dump_json()
        if isinstance(config.data, SimulatedData) and world not in seen:
            open_sessions(config, progress=progress)
        seen.add(world)


def _task(plan: SweepPlan, run: MemberRun) -> Task:
    start = (sys.executable, "-m", "neurohorizon")
    folder, config = str(run.folder), run.loaded.config
    evaluate = (*start, "evaluate", folder, "--baselines", str(plan.folder / BASELINES))
    commands = [(*start, *train_command(run, plan.recipe)[1:]), evaluate]
    if plan.reference_lengths_s:
        first = "held-out" if _holds_out(config) else "later"
        lengths = ",".join(f"{seconds:g}" for seconds in plan.reference_lengths_s)
        commands.append((*evaluate, "--set", first, "--reference-s", lengths))
    return Task(
        name=run.name,
        commands=tuple(commands),
        log=Path(f"{folder}.log").absolute(),
        folder=Path.cwd(),
    )
