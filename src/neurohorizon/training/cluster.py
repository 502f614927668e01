"""The same queue on a cluster: jobs of Slurm through submitit, tasks of Ray."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from neurohorizon.errors import ConfigError, MissingExtraError
from neurohorizon.sources.parallel import WorkerDied, run_all
from neurohorizon.training.queue import Outcome, Task, work_off

_POLL_S = 5.0


def run_on_slurm(
    tasks: Sequence[Task],
    folder: Path,
    *,
    parameters: Mapping[str, int | float | str],
    num_jobs: int | None = None,
    cluster: str = "slurm",
) -> Iterator[Outcome]:
    """Submit tasks as one job array, and yield what became of each as it ends.

    Parameters
    ----------
    tasks : sequence of Task
    folder : Path
        For submitit's files; all nodes must see it.
    parameters : mapping
        As submitit's ``update_parameters`` takes them: ``timeout_min``, ``mem_gb``,
        ``cpus_per_task``, ``gpus_per_node``, ``slurm_partition``, ...
    num_jobs : int, optional
        Jobs that may run at the same time.
    cluster : str
        Submitit's name of where: ``local`` runs the same code on this machine.

    Raises
    ------
    MissingExtraError
        If submitit is not installed.
    ConfigError
        If there is no Slurm here, or it takes no such parameter.

    Notes
    -----
    If the generator is closed, jobs that have not ended are cancelled: no two may ever write
    the same run.
    """
    try:
        import submitit
    except ImportError as error:
        raise MissingExtraError("submitit", extra="sweep", purpose="queue on Slurm") from error

    given = {"name": "neurohorizon", **parameters}
    if num_jobs is not None:
        given["slurm_array_parallelism"] = num_jobs
    try:
        executor: Any = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**given)
    except (NameError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"slurm: {error}") from error
    at_work = dict(zip(range(len(tasks)), executor.map_array(work_off, tasks), strict=True))
    try:
        while at_work:
            for number, job in list(at_work.items()):
                if job.done():
                    del at_work[number]
                    yield _outcome(job, tasks[number])
            if at_work:
                time.sleep(_POLL_S if cluster == "slurm" else 0.2)
    finally:
        for job in at_work.values():
            with suppress(Exception):
                job.cancel(check=False)


def run_on_ray(
    tasks: Sequence[Task], *, num_jobs: int | None = None, num_gpus: int = 0
) -> Iterator[Outcome]:
    """Run tasks on the Ray cluster that `ray` finds, and yield what became of each as it ends.

    Parameters
    ----------
    tasks : sequence of Task
    num_jobs : int, optional
        Tasks that may run at the same time; as many as the cluster has room for by default.
    num_gpus : int
        That each task asks for.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    """
    results = run_all(
        work_off,
        tasks,
        num_workers=num_jobs or len(tasks),
        launcher="ray",
        num_gpus=num_gpus,
    )
    for number, result in results:
        if isinstance(result, WorkerDied):
            name, log = tasks[number].name, tasks[number].log
            result = Outcome(
                name, 0.0, f"its worker died, most likely for want of memory: see {log}"
            )
        yield result


def _outcome(job: Any, task: Task) -> Outcome:
    """Return what a job of submitit came to; one that died or ran out of time has no result."""
    try:
        return job.result()
    except Exception as error:  # submitit's own classes cannot be named without importing it
        said = next(
            (line for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        return Outcome(task.name, 0.0, f"job {job.job_id}: {said}: see {task.log}")
