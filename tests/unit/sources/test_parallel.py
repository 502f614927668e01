"""Many inputs at once: same results in any order, and a death that is told."""

import math
import operator
import os
from functools import partial

import pytest

from neurohorizon.errors import ConfigError
from neurohorizon.sources.parallel import WorkerDied, run_all

NUMBERS = list(range(8))
FACTORIALS = {number: math.factorial(number) for number in NUMBERS}


@pytest.mark.parametrize("num_workers", [1, 3])
def test_all_inputs_are_done_once(num_workers):
    assert dict(run_all(math.factorial, NUMBERS, num_workers=num_workers)) == FACTORIALS


def test_killed_workers_cost_their_own_inputs_alone():
    inputs = [partial(math.factorial, number) for number in NUMBERS]
    killers = (2, 3, 6)
    for number in killers:
        inputs[number] = partial(os._exit, 1)
    results = dict(run_all(operator.call, inputs, num_workers=2))
    assert all(isinstance(results.pop(number), WorkerDied) for number in killers)
    assert results == {key: value for key, value in FACTORIALS.items() if key not in killers}


def test_ray_gives_the_same():
    pytest.importorskip("ray")
    results = dict(run_all(math.factorial, NUMBERS, num_workers=2, launcher="ray"))
    assert results == FACTORIALS


def test_nonsense_is_refused():
    with pytest.raises(ConfigError, match="1 worker or more"):
        list(run_all(math.factorial, [1], num_workers=0))
    with pytest.raises(ConfigError, match="choose processes or ray"):
        list(run_all(math.factorial, [1], launcher="threads"))
