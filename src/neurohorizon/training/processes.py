"""The processes of a training: how many there are, and which one writes.

Read from the environment alone, so that a wrong number is refused before anything is built.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from neurohorizon.errors import ConfigError


@dataclass(frozen=True)
class Processes:
    """How many processes train together.

    Parameters
    ----------
    num_nodes : int
    per_node : int
        One for each device.
    launcher : {"", "torchrun", "slurm"}
        Who starts them; "" if this process does.
    """

    num_nodes: int
    per_node: int
    launcher: Literal["", "torchrun", "slurm"] = ""

    @property
    def world_size(self) -> int:
        """All processes."""
        return self.num_nodes * self.per_node


def plan_processes(devices: int | str = "auto") -> Processes:
    """Find out how many processes train together.

    Parameters
    ----------
    devices : int or "auto"
        Devices of a node; "auto" for as many as torchrun or Slurm started, otherwise 1.

    Raises
    ------
    ConfigError
        If a launcher started another number of them.

    Examples
    --------
    >>> plan_processes(2).world_size
    2
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        found = Processes(world // local, local, "torchrun")
    elif _in_slurm_job():
        tasks, nodes = int(os.environ["SLURM_NTASKS"]), int(os.environ.get("SLURM_NNODES", "1"))
        if tasks > 1 and "SLURM_STEP_NUM_TASKS" not in os.environ:
            raise ConfigError(
                f"this Slurm job has {tasks} tasks and one of them trains: start it with "
                "`srun neurohorizon train ...`, or ask for one task"
            )
        if tasks % nodes:
            raise ConfigError(
                f"this Slurm job has {tasks} tasks on {nodes} nodes: ask for as many on each "
                "(--ntasks-per-node)"
            )
        found = Processes(nodes, tasks // nodes, "slurm")
    else:
        return Processes(1, 1 if devices == "auto" else int(devices))
    if devices not in ("auto", found.per_node):
        raise ConfigError(
            f"training.devices is {devices}, and {found.launcher} started {found.per_node} "
            "processes on this node: leave training.devices out"
        )
    return found


def batches_of_each(accumulate_batches: int, processes: Processes) -> int:
    """Return how many batches each process sums before a step.

    Raises
    ------
    ConfigError
        If a step's batches cannot be shared out evenly.
    """
    world = processes.world_size
    if accumulate_batches % world:
        nearest = (accumulate_batches // world + 1) * world
        raise ConfigError(
            f"training.accumulate_batches is {accumulate_batches}: {world} processes share the "
            f"batches of a step, so expected a multiple of {world}, such as {nearest}"
        )
    return accumulate_batches // world


def is_first_process() -> bool:
    """Tell the process that writes from those that a launcher started beside it."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def exchange(item: Any) -> list[Any]:
    """Return the items of all processes, in their order; every process calls this at once."""
    import torch.distributed as group

    if not (group.is_available() and group.is_initialized()) or group.get_world_size() == 1:
        return [item]
    items: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(items, item)
    return items


def _in_slurm_job() -> bool:
    """Tell a job's task from a shell that Slurm opened for a person."""
    names = ("bash", "interactive")
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in names
