"""The same function over many inputs: here, in processes of this machine, or on a Ray cluster.

Results come as they are done, each with its input's number, so what is made of them does
not depend on who was faster.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, TypeVar

from neurohorizon.errors import ConfigError, MissingExtraError

Launcher = Literal["processes", "ray"]
Input = TypeVar("Input")
Output = TypeVar("Output")


class WorkerDied(Exception):
    """The process that worked on an input was killed, most likely for want of memory."""


def run_all(
    function: Callable[[Input], Output],
    inputs: Sequence[Input],
    *,
    num_workers: int = 1,
    launcher: Launcher = "processes",
    num_gpus: int = 0,
) -> Generator[tuple[int, Output | WorkerDied], None, None]:
    """Apply a function to all inputs.

    Parameters
    ----------
    function : callable
        Of a module, so that another process can import it; it raises nothing.
    inputs : sequence
        Picklable.
    num_workers : int
        1: in this process. More: so many at a time.
    launcher : {"processes", "ray"}
        Processes of this machine, or tasks of the Ray cluster that `ray` finds (its own on
        this machine if there is none).
    num_gpus : int
        That a task of Ray asks for.

    Yields
    ------
    (int, result)
        Number of the input and what came of it; in any order.

    Raises
    ------
    MissingExtraError
        If Ray is asked for and not installed.
    """
    if num_workers < 1:
        raise ConfigError(f"expected 1 worker or more, got {num_workers}")
    if launcher == "ray":
        yield from _on_ray(function, inputs, num_workers, num_gpus)
    elif launcher != "processes":
        raise ConfigError(f"unknown launcher {launcher!r}: choose processes or ray")
    elif num_workers == 1 or len(inputs) < 2:
        for number, each in enumerate(inputs):
            yield number, function(each)
    else:
        yield from _in_processes(function, inputs, num_workers)


def _in_processes(
    function: Callable[[Input], Output], inputs: Sequence[Input], num_workers: int
) -> Iterator[tuple[int, Output | WorkerDied]]:
    waiting = list(range(len(inputs)))
    while waiting:
        suspects = yield from _until_a_death(function, inputs, waiting, num_workers)
        # One of those that were at work killed its worker: each goes on by itself.
        for number in suspects:
            waiting_alone = [number]
            if (yield from _until_a_death(function, inputs, waiting_alone, 1)):
                yield number, WorkerDied()


def _until_a_death(
    function: Callable[[Input], Output],
    inputs: Sequence[Input],
    waiting: list[int],
    num_workers: int,
) -> Generator[tuple[int, Output | WorkerDied], None, list[int]]:
    """Work off `waiting`; return what was at work when a worker died, nothing if none did."""
    at_work: dict[Future[Output], int] = {}
    # A forked process inherits locks that threads of this one hold: start afresh.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, mp_context=context) as pool:
        try:
            while waiting or at_work:
                while waiting and len(at_work) < num_workers:
                    at_work[pool.submit(function, inputs[waiting[0]])] = waiting[0]
                    waiting.pop(0)
                done, _ = wait(at_work, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    yield at_work.pop(future), result
        except BrokenProcessPool:
            return sorted(at_work.values())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return []


def _on_ray(
    function: Callable[[Input], Output],
    inputs: Sequence[Input],
    num_workers: int,
    num_gpus: int,
) -> Iterator[tuple[int, Output | WorkerDied]]:
    try:
        import ray
        from ray.exceptions import OutOfMemoryError, WorkerCrashedError
    except ImportError as error:
        raise MissingExtraError("ray", extra="sweep", purpose="work on a cluster") from error

    if not ray.is_initialized():
        ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    task: Any = ray.remote(_apply).options(num_gpus=num_gpus, max_retries=0)
    waiting, at_work = list(range(len(inputs))), {}
    try:
        while waiting or at_work:
            while waiting and len(at_work) < num_workers:
                number = waiting.pop(0)
                at_work[task.remote(function, inputs[number])] = number
            (reference, *_), _ = ray.wait(list(at_work), num_returns=1)
            number = at_work.pop(reference)
            try:
                yield number, ray.get(reference)
            except (WorkerCrashedError, OutOfMemoryError):
                yield number, WorkerDied()
    finally:
        for reference in at_work:
            ray.cancel(reference)  # as the keyboard would


def _apply(function: Callable[[Any], Any], each: Any) -> Any:
    return function(each)
