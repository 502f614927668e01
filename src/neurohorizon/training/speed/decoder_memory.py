"""A process of its own that trains one POYO and tells what that took: ``python -m`` runs it.

It reads what to measure from standard input and prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch_brain.models  # noqa: F401  # in either process, so that both have imported the same
from torch import Tensor, nn

from neurohorizon.models.poyo import POYO
from neurohorizon.models.poyo_conversion import settings_here
from neurohorizon.training.speed.decoders import (
    VELOCITY,
    make_theirs,
    our_forward,
    random_windows,
    their_forward,
    training_step,
    unit_words,
)
from neurohorizon.training.speed.plan import SpeedPlan, one_thread

_NUM_STEPS = 3


def main() -> None:
    """Take training steps and print the peak of memory beyond what the imports hold."""
    asked = json.loads(sys.stdin.read())
    whose, settings = asked.pop("whose"), asked.pop("settings")
    plan = SpeedPlan(**asked)
    with one_thread():
        # What torch sets up at its first product belongs to the imports.
        nn.Linear(256, 256)(torch.randn(256, 256)).sum().backward()
        before_mib = _start()
        num_parameters, step = _prepare(whose, settings, plan)
        for _ in range(_NUM_STEPS):
            step()
        peak_mib = _peak_mib() - before_mib
    told = json.dumps({"peak_mib": peak_mib, "num_parameters": num_parameters})
    sys.stdout.write(told + "\n")


def _prepare(
    whose: str, settings: dict[str, Any], plan: SpeedPlan
) -> tuple[int, Callable[[], Tensor]]:
    """Make one of the two models, and its step on random windows."""
    batch = random_windows(plan)
    if whose == "ours":
        torch.manual_seed(0)
        model = POYO(tasks=(VELOCITY,), **settings_here(settings))
        units, sessions = unit_words(plan.decoded_units)
        model.units.extend(units)
        model.sessions.extend(sessions)
        forward = our_forward(model, batch)
    else:
        model = make_theirs(settings, num_units=plan.decoded_units)
        forward = their_forward(model, batch)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    return num_parameters, training_step(model, forward, batch)


def _start() -> float:
    """Return the memory that the process holds now, its peak set back to that where possible."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _told_mib("VmRSS")


def _peak_mib() -> float:
    return _told_mib("VmHWM")


def _told_mib(key: str) -> float:
    """Return what Linux tells of this process; elsewhere the most that it ever held."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
