"""``neurohorizon bench``: how fast this machine reads, trains and forecasts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurohorizon.cli._progress import StageProgress


def bench(
    *, out: Path | None = None, quick: Annotated[bool, Parameter(negative=())] = False
) -> None:
    """Measure how fast windows are read and the tiny model trains and forecasts.

    On one thread, on files made for it in the system's temporary folder (200 MB, removed at
    the end). Decoders, heads and encoders are measured one by one, torch_brain's own reading
    and its POYO's encoder beside ours, in turns; then POYO as a whole beside torch_brain's, with
    the same weights and equal outputs: training, inference and memory.

    Parameters
    ----------
    out
        Folder for ``speed.json`` and ``speed.md``: the numbers with date, machine, versions
        and command. By default they are only printed.
    quick
        Little of everything, to see that it runs.
    """
    from neurohorizon.training.speed.measure import format_value, measure_speed, save_speeds
    from neurohorizon.training.speed.plan import QUICK, SpeedPlan

    plan = QUICK if quick else SpeedPlan()
    with StageProgress() as progress:
        speeds = measure_speed(plan, progress=progress)
    values = [format_value(speed.value) for speed in speeds]
    width = max(len(value) for value in values)
    part = ""
    for speed, value in zip(speeds, values, strict=True):
        if speed.part != part:
            part = speed.part
            print(part)
        print(f"{value:>{width}} {speed.unit:<9}  {speed.what}")
    if out is not None:
        command_line = ["neurohorizon", *sys.argv[1:]]
        print(*save_speeds(speeds, out, plan=plan, command_line=command_line))
