"""The same function over many inputs: here, in processes of this machine, or on a Ray cluster.

Results come as they are done, each with its input's number, so what is made of them does
not depend on who was faster.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, TypeVar

from neurohorizon.errors import ConfigError, MissingExtraError

Launcher = Literal["processes", "ray"]
Input = TypeVar("Input")
Output = TypeVar("Output")
#: How often an input may be at work when a worker dies before it is given up.
_LIVES = 2


class WorkerDied(Exception):
    """The process that worked on an input was killed, most likely for want of memory."""


def run_all(
    function: Callable[[Input], Output],
    inputs: Sequence[Input],
    *,
    num_workers: int = 1,
    launcher: Launcher = "processes",
) -> Iterator[tuple[int, Output | WorkerDied]]:
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
        yield from _on_ray(function, inputs, num_workers)
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
    waiting, deaths = list(range(len(inputs))), dict.fromkeys(range(len(inputs)), 0)
    # After a death, those that were at work go on one at a time, to find out which it was.
    num_at_once = num_workers
    # A forked process inherits locks that threads of this one hold: start afresh.
    context = multiprocessing.get_context("spawn")
    while waiting:
        at_work: dict[Future[Output], int] = {}
        with ProcessPoolExecutor(num_at_once, mp_context=context) as pool:
            try:
                while waiting or at_work:
                    while waiting and len(at_work) < num_at_once:
                        number = waiting.pop(0)
                        at_work[pool.submit(function, inputs[number])] = number
                    done, _ = wait(at_work, return_when=FIRST_COMPLETED)
                    for future in done:
                        result = future.result()
                        yield at_work.pop(future), result
            except BrokenProcessPool:
                alone = num_at_once == 1
                num_at_once = 1 if not alone else num_workers
                for number in sorted(at_work.values(), reverse=True):
                    deaths[number] += 1
                    if deaths[number] < _LIVES:
                        waiting.insert(0, number)
                    else:
                        yield number, WorkerDied()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _on_ray(
    function: Callable[[Input], Output], inputs: Sequence[Input], num_workers: int
) -> Iterator[tuple[int, Output | WorkerDied]]:
    try:
        import ray
        from ray.exceptions import OutOfMemoryError, WorkerCrashedError
    except ImportError as error:
        raise MissingExtraError("ray", extra="sweep", purpose="prepare on a cluster") from error

    if not ray.is_initialized():
        ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    task: Any = ray.remote(_apply)
    waiting, at_work = list(range(len(inputs))), {}
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


def _apply(function: Callable[[Any], Any], each: Any) -> Any:
    return function(each)
