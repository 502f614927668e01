"""Work that takes long and falls into parts, in as many processes as there are free cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Apply a function to each item; results come in the order of the items.

    Parameters
    ----------
    function : callable
        Its result must not depend on what it was called with before.
    items : sequence

    Notes
    -----
    ``OMP_NUM_THREADS`` bounds the processes as it bounds threads; with one core, or one item,
    everything is done here.
    """
    # Imported here: it is slow, and not everybody simulates.
    from joblib import Parallel, cpu_count, delayed

    # It may say several, for nested loops: the first is ours.
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    allowed = max(int(told), 1) if told.isdigit() else cpu_count()
    num_jobs = min(allowed, cpu_count(), len(items))
    if num_jobs <= 1:
        yield from map(function, items)
        return
    parallel: Any = Parallel(n_jobs=num_jobs, return_as="generator")
    yield from parallel(delayed(function)(item) for item in items)
